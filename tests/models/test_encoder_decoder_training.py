"""How encoder–decoders are trained: on their own words, with coverage, with a drawn variable; and that they learn."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from small_translators import (
    ATTEND,
    CLOSE,
    EVERY,
    EXACT,
    LATENT,
    PLAIN,
    SMALL,
    SOURCE,
    alone,
    make,
    pairs,
    tokens,
)
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.testing import assert_close

from unspool.data import END, IGNORED, Paired, PairedExamples, Sequences, Vocabulary
from unspool.decoding import DecodingSettings, decode
from unspool.decoding.states import select
from unspool.errors import SettingError
from unspool.layers import FullSoftmax, TokenEmbedding
from unspool.models import EncoderDecoder
from unspool.models.encoder_decoder import coverage_loss
from unspool.tasks.parts.encoder_decoders import build_encoder_decoder
from unspool.tasks.parts.pair_settings import TranslatorNetwork

# ---- scheduled sampling --------------------------------------------------------------------------------------------


class _CountState(NamedTuple):
    attention: None = None


class _Next(nn.Module):
    """A decoder that says the unit after the one it read, and keeps what it read."""

    output_size, attends = 12, False

    def __init__(self) -> None:
        super().__init__()
        self.read: list[list[int]] = []

    def start(self, memory: Any) -> _CountState:
        return _CountState()

    def advance(self, inputs: Tensor, state: _CountState) -> tuple[Tensor, _CountState]:
        self.read.append(inputs.argmax(-1).tolist())
        return 9 * inputs.roll(1, -1), state


def counting(chance: float) -> tuple[EncoderDecoder, _Next]:
    table, decoder = TokenEmbedding(12, 12), _Next()
    softmax = FullSoftmax(12, 12)
    with torch.no_grad():
        table.table.weight.copy_(torch.eye(12))
        softmax.weight.copy_(torch.eye(12))
    return EncoderDecoder(table, table, None, decoder, softmax, sampling=(chance, chance)).train(), decoder


def test_free_running_reads_its_own_words():
    model, decoder = counting(1.0)
    batch = Paired(tokens([3], [3]), tokens([9, 8, 7], [5]))
    loss = model.loss(batch)
    assert decoder.read == [[2, 2], [3, 3], [4, 4], [5, 5]]
    # of 9, 8, 7, end the network says 3, 4, 5, 6, and of 5, end it says 3, 4: each costs 9 and what the others weigh
    each = 9 + math.log1p(11 * math.exp(-9))
    assert float(loss.total.detach()) == pytest.approx(6 * each, rel=1e-6)


def test_half_of_the_words_are_its_own():
    torch.manual_seed(0)
    model, decoder = counting(0.5)
    model.loss(Paired(tokens(*[[3]] * 400), tokens(*[[9, 9]] * 400)))
    assert decoder.read[0] == [END] * 400
    first = decoder.read[1]
    assert set(first) == {3, 9}
    assert 160 < first.count(3) < 240
    own = {(4 if one == 3 else 10) for one in set(first)} | {9}
    assert set(decoder.read[2]) == own


def test_the_chance_moves_with_the_progress_of_the_training():
    model = make("initial", sampling=(0.2, 0.6)).train()
    chances = []
    for model.progress in (0.0, 0.25, 1.0):
        chances.append(model._sampling_chance())
    assert chances == pytest.approx([0.2, 0.3, 0.6])
    assert model.eval()._sampling_chance() == 0


@pytest.mark.parametrize("name", PLAIN)
def test_a_chance_of_zero_is_teacher_forcing(name):
    batch = pairs()
    plain, none = make(name).train(), make(name, sampling=(0.8, 0.0)).train()
    assert none.progress == 1.0
    assert torch.equal(plain.loss(batch).total, none.loss(batch).total)
    memory = plain.encode(batch.source)
    stepped, forced = (
        plain._with_own_words(batch.inputs, memory, 0.0),
        plain._teacher_forcing(batch.inputs, memory, need_weights=True),
    )
    assert_close(stepped.outputs, forced.outputs, **EXACT)
    if forced.attention is not None:
        assert_close(stepped.attention, forced.attention, **EXACT)


@EVERY
def test_free_running_trains(name):
    coverage = 1.0 if name in ATTEND else 0.0
    model, batch = make(name, sampling=(1.0, 1.0), coverage_penalty=coverage).train(), pairs()
    if model.latent is not None:
        model.latent.free_bits = 0.0
    loss = model.loss(batch)
    loss.total.backward()
    assert loss.count == 17
    for key, weight in model.named_parameters():
        if not key.endswith("positions.weight"):
            assert weight.grad is not None
            assert weight.grad.isfinite().all()
            assert torch.count_nonzero(weight.grad) > 0, key


def test_words_are_dropped_whoever_said_them():
    network = TranslatorNetwork(network="initial", word_dropout=0.5, **SMALL)
    model = build_encoder_decoder(network, "gru", SOURCE, SOURCE, sampling=(1.0, 1.0)).train()
    with torch.no_grad():
        model.softmax.bias[5] = 50  # all that it says
    read: list[Tensor] = []
    table = model.target.table
    table.register_forward_hook(lambda _, ids, __: read.append(ids[0]))
    model.loss(pairs())
    steps = torch.stack(read[1:])  # the first is the source
    assert 0.2 < float((steps == 1).float().mean()) < 0.8
    assert set(steps[0].tolist()) == {1, END}
    assert set(steps[1:].flatten().tolist()) == {1, 5}


# ---- coverage ------------------------------------------------------------------------------------------------------


def test_coverage_in_numbers():
    attention = torch.tensor([[[0.5, 0.5, 0.0]], [[0.9, 0.0, 0.1]], [[0.3, 0.6, 0.1]], [[1.0, 0.0, 0.0]]])
    real = torch.tensor([[True], [True], [True], [False]])
    # against (0.5, 0.5, 0): 0.5; against (1.4, 0.5, 0.1): 0.3 + 0.5 + 0.1; the last step does not count
    assert float(coverage_loss(attention, real)) == pytest.approx(0.5 + 0.9)
    assert float(coverage_loss(attention[:1], real[:1])) == 0.0


@pytest.mark.parametrize("name", ATTEND)
def test_the_loss_counts_coverage_in_training_only(name):
    plain, model, batch = make(name), make(name, coverage_penalty=0.4), pairs()
    assert torch.equal(model.loss(batch).total, plain.loss(batch).total)
    expected = plain.train().loss(batch).total + 0.4 * coverage_loss(plain(batch).attention, batch.targets != IGNORED)
    assert_close(model.train().loss(batch).total, expected, **CLOSE)


def test_coverage_without_attention_is_refused():
    model = make("initial", coverage_penalty=1.0)
    model.loss(pairs())
    with pytest.raises(SettingError, match="coverage_penalty needs a network with attention"):
        model.train().loss(pairs())


# ---- the latent variable -------------------------------------------------------------------------------------------


def gaussians(model: EncoderDecoder, batch: Paired) -> tuple[Normal, Normal]:
    """Posterior and prior, computed apart for each pair."""
    latent, means = model.latent, []
    for place in range(len(batch.target.lengths)):
        one = alone(batch, place)
        summary = model.encode(one.source).summary
        output = torch.cat([one.target.ids[:, 0], torch.tensor([END])])
        final = latent.target(model.target.table.weight[output].unsqueeze(1)).state[-1]
        read = torch.cat([summary, final[0][0], final[1][0]], -1)
        means.append([*latent.posterior(read)[0].chunk(2), *latent.prior(summary)[0].chunk(2)])
    mean, log, prior_mean, prior_log = (torch.stack(column).float() for column in zip(*means, strict=True))
    return Normal(mean, (0.5 * log).exp()), Normal(prior_mean, (0.5 * prior_log).exp())


def divergence(model: EncoderDecoder, batch: Paired) -> Tensor:
    memory = model.encode(batch.source)
    vectors = model._target_vectors(batch)
    return model.latent(memory, vectors, batch.target.lengths + 1, model.progress)[1]


@pytest.mark.parametrize("name", LATENT)
def test_the_divergence_is_that_of_two_gaussians(name):
    model, batch = make(name), pairs()
    posterior, prior = gaussians(model, batch)
    expected = kl_divergence(posterior, prior)
    assert_close(divergence(model, batch), expected.sum(), **CLOSE)
    memory = model.encode(batch.source)
    z, _ = model.latent(memory, model._target_vectors(batch), batch.target.lengths + 1, 1.0)
    assert_close(z.summary[:, -model.latent.size :].float(), posterior.mean, **CLOSE)  # in evaluation its mean
    assert torch.equal(z.summary[:, : -model.latent.size], memory.summary)


@pytest.mark.parametrize("name", LATENT)
def test_free_bits_count_by_dimension_of_the_batch_s_average(name):
    model, batch = make(name), pairs()
    each = kl_divergence(*gaussians(model, batch)).mean(0)
    between = float(each.detach().sort().values[: 1 + len(each) // 2].mean())
    for bits in (0.0, between, 1000.0):
        model.latent.free_bits = bits
        assert_close(divergence(model.eval(), batch), 4 * each.sum(), **CLOSE)
        assert_close(divergence(model.train(), batch), 4 * each.clamp(min=bits).sum(), **CLOSE)


def test_the_divergence_s_weight_climbs_with_progress():
    model, batch = make("latent").train(), pairs()
    model.latent.annealing, model.latent.free_bits = 0.4, 0.0
    whole = divergence(model, batch)
    for model.progress, share in ((0.0, 0.0), (0.1, 0.25), (0.4, 1.0), (0.9, 1.0)):
        assert_close(divergence(model, batch), share * whole, **CLOSE)
    model.progress, model.latent.annealing = 0.0, 0.0
    assert_close(divergence(model, batch), whole, **CLOSE)
    model.latent.annealing = 0.4
    assert_close(divergence(model.eval(), batch), whole, **CLOSE)


def test_the_draw_has_the_posterior_s_mean_and_spread():
    model, batch = make("latent"), pairs()
    posterior, _ = gaussians(model, batch)
    model.train()
    memory, vectors = model.encode(batch.source), model._target_vectors(batch)
    many = torch.arange(4).repeat(3000)
    memory = select(memory._replace(final=None), many)
    z, _ = model.latent(memory, vectors[:, many], batch.target.lengths[many] + 1, 1.0)
    drawn = z.summary[:, -3:].view(3000, 4, 3).float()
    away = (drawn.mean(0) - posterior.mean) / posterior.stddev  # of the mean of 3,000 draws: 0.018 on average
    assert float(away.detach().abs().amax()) < 0.08
    assert_close(drawn.std(0), posterior.stddev, rtol=0.06, atol=0)


@pytest.mark.parametrize("name", LATENT)
def test_in_use_it_is_the_prior_s_mean_and_the_loss_is_the_posterior_s(name):
    model, batch = make(name), pairs()
    posterior, prior = gaussians(model, batch)
    state = model.start(batch.source)
    assert_close(state.context[:, -model.latent.size :].float(), prior.mean, **CLOSE)
    model.latent.prior, kept = model.latent.posterior, model.latent.prior
    model.latent.expected, before = lambda memory: with_mean(memory, posterior.mean), model.latent.expected
    given = -model(batch).log_probabilities.double().sum()
    model.latent.expected, model.latent.prior = before, kept
    assert_close(model.loss(batch).total, given + kl_divergence(posterior, prior).sum().double(), **CLOSE)


def with_mean(memory: Any, mean: Tensor) -> Any:
    return memory._replace(summary=torch.cat([memory.summary, mean.to(memory.summary.dtype)], -1))


# ---- learning ------------------------------------------------------------------------------------------------------

LETTERS, LONGEST = 4, 4
STRINGS = [list(string) for n in range(1, LONGEST + 1) for string in itertools.product(range(3, 3 + LETTERS), repeat=n)]


class Learning(NamedTuple):
    """How long a network is trained, and how long the strings are, none seen before, that it must reverse."""

    longest: int
    updates: int = 120
    rate: float = 0.02


LEARNING = {
    "window": Learning(3),
    "concatenated": Learning(3, 200),
    "initial": Learning(3, 160),
    "every-step": Learning(3),
    "dot": Learning(LONGEST),
    "additive": Learning(LONGEST),
    "bilinear": Learning(LONGEST),
    "transformer": Learning(LONGEST, 200, 0.008),
    "latent": Learning(3),
}


@pytest.mark.learn
@pytest.mark.parametrize("name", LEARNING)
def test_it_learns_to_reverse_strings_it_has_not_seen(name):
    how = LEARNING[name]
    torch.manual_seed(1)
    lot = random.Random(4)
    strings = lot.sample(STRINGS, len(STRINGS))
    held = [string for string in strings[:60] if len(string) > 1]
    seen = [string for string in strings if string not in held]
    network = TranslatorNetwork(
        network=name, hidden=32, embedding=32, dropout=0.0, window=4, heads=2, feedforward=64, latent=4
    )
    letters = Vocabulary.learn(["abcd"], units="character")
    model = build_encoder_decoder(network, "gru", letters, letters)
    optimizer = torch.optim.Adam(model.parameters(), lr=how.rate)
    examples = PairedExamples(Sequences.of(seen), Sequences.of(string[::-1] for string in seen))
    for update in range(how.updates):
        model.progress = update / how.updates
        optimizer.param_groups[0]["lr"] = how.rate * min(1, 2 - 2 * model.progress)
        optimizer.zero_grad()
        loss = model.loss(examples.batch(np.array(lot.sample(range(len(seen)), 64))))
        (loss.total / loss.count).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.eval()
    asked = [string for string in held if len(string) <= how.longest]
    assert len(asked) > 10
    source = tokens(*asked)
    with torch.no_grad():
        state = model.start(source)
    output = decode(model, state, settings=DecodingSettings(search="greedy"), max_lengths=source.lengths + 3)
    assert np.mean([best[0].ids == string[::-1] for best, string in zip(output, asked, strict=True)]) > 0.9
