"""Every encoder–decoder that the settings can build: steps, batches, padding, losses and decoding agree."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.testing import assert_close

from unspool.data import END, IGNORED, Paired, PairedExamples, Sequences, Tokens, Vocabulary
from unspool.decoding import DecodingSettings, decode
from unspool.decoding.states import leaves, select
from unspool.errors import SettingError
from unspool.layers import FullSoftmax, TokenEmbedding
from unspool.models import EncoderDecoder
from unspool.models.encoder_decoder import covered_twice
from unspool.tasks.encoder_decoders import build_encoder_decoder
from unspool.tasks.settings import TranslatorNetwork

# Log-probabilities come in float32, whatever the network's type; the networks below run in float64.
CLOSE = {"rtol": 1e-5, "atol": 1e-6}
EXACT = {"rtol": 1e-9, "atol": 1e-9}

SOURCE = Vocabulary.learn(["a b c d e f g h"], units="word")
TARGET = Vocabulary.learn(["p q r s t u v"], units="word")

SMALL: dict[str, Any] = {"hidden": 5, "embedding": 3, "dropout": 0.0}
NETWORKS: dict[str, dict[str, Any]] = {
    "window": {"network": "window", "window": 3},
    "window, long, 2 layers": {"network": "window", "window": 9, "layers": 2, "tied": False},
    "concatenated": {"network": "concatenated", "cell": "gru"},
    "concatenated, 2 layers": {"network": "concatenated", "layers": 2, "embedding": 5, "residual": True},
    "initial": {"network": "initial"},
    "initial, 2 layers, one way": {
        "network": "initial",
        "cell": "gru-reset-before",
        "layers": 2,
        "bidirectional": False,
    },
    "every-step": {"network": "every-step", "cell": "elman"},
    "every-step, 2 layers, one way": {"network": "every-step", "layers": 2, "bidirectional": False, "tied": False},
    "dot": {"network": "dot"},
    "dot, one way": {"network": "dot", "cell": "mingru", "bidirectional": False, "tied": False},
    "dot, 2 layers": {"network": "dot", "cell": "lstm-layernorm", "layers": 2},
    "additive": {"network": "additive", "cell": "gru"},
    "additive, 3 layers": {"network": "additive", "cell": "lstm-peephole", "layers": 3, "residual": True},
    "bilinear": {"network": "bilinear"},
    "bilinear, 2 layers, one way": {"network": "bilinear", "cell": "minlstm", "layers": 2, "bidirectional": False},
    "transformer": {"network": "transformer", "hidden": 6, "embedding": 6, "heads": 2, "feedforward": 7},
    "transformer, 2 layers, wider inside": {
        "network": "transformer",
        "hidden": 6,
        "embedding": 4,
        "heads": 3,
        "feedforward": 7,
        "layers": 2,
        "norm": "post",
        "positions": "learned",
        "tied": False,
    },
    "latent": {"network": "latent", "cell": "gru", "latent": 3},
    "latent, 2 layers": {"network": "latent", "layers": 2, "latent": 1, "bidirectional": False},
}
LATENT = [name for name in NETWORKS if name.startswith("latent")]
PLAIN = [name for name in NETWORKS if name not in LATENT]
ATTEND = [name for name in NETWORKS if name.split(",")[0] in ("dot", "additive", "bilinear", "transformer")]
TRANSFORMERS = [name for name in NETWORKS if name.startswith("transformer")]
EVERY = pytest.mark.parametrize("name", NETWORKS)


def make(name: str, *, alike: bool = True, **training: Any) -> EncoderDecoder:
    """The network in float64, in evaluation, every weight random and distinct: shifts, gains and the padding's too."""
    options = {**SMALL, **NETWORKS[name]}
    network = TranslatorNetwork(**options)
    target = SOURCE if alike or network.network == "concatenated" else TARGET
    model = build_encoder_decoder(network, network.cell, SOURCE, target, **training).double().eval()
    chance = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for key, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=chance, dtype=torch.float64)
            weight.copy_((1.0 if "gain" in key or "norm.weight" in key else 0.0) + 0.5 * noise)
    return model


def tokens(*sequences: list[int]) -> Tokens:
    return Tokens(*Sequences.of(sequences).pad(np.arange(len(sequences))))


def pairs(*, alike: bool = True) -> Paired:
    """Ragged on both sides, each alone the longest once; one target is empty."""
    most = 11 if alike else 10
    sources = [[3, 4, 5, 6, 7, 8, 9], [9], [4, 4, 1], [10, 3]]
    targets = [[5, 1], [3, 4, 5, 6, 7, 3, 8, 9], [], [9, 6, 4]]
    assert max(max(ids, default=0) for ids in targets) < most
    return Paired(tokens(*sources), tokens(*targets))


def alone(batch: Paired, place: int) -> Paired:
    def side(part: Tokens) -> Tokens:
        length = int(part.lengths[place])
        return Tokens(part.ids[:length, place : place + 1], part.lengths[place : place + 1])

    return Paired(side(batch.source), side(batch.target))


@EVERY
@pytest.mark.parametrize("alike", [True, False], ids=["one table", "two tables"])
def test_step_by_step_equals_all_at_once(name, alike):
    model, batch = make(name, alike=alike), pairs(alike=alike)
    forced = model(batch)
    state = model.start(batch.source)
    assert state.attention is None
    for t, ids in enumerate(batch.inputs):
        logs, state = model.advance(ids, state)
        assert logs.dtype == torch.float32
        assert_close(logs.exp().sum(-1), torch.ones(4))
        real = batch.targets[t] != IGNORED
        chosen = logs[real].gather(1, batch.targets[t][real].unsqueeze(1)).squeeze(1)
        assert_close(chosen, forced.log_probabilities[t][real], **CLOSE)
        assert (forced.attention is None) == (state.attention is None)
        if forced.attention is not None:
            assert_close(state.attention, forced.attention[t], **EXACT)
            assert_close(state.attention.sum(-1), torch.ones(4, dtype=torch.float64))
            assert (state.attention[~batch.source.mask.T] == 0).all()
    assert (forced.attention is not None) == (name in ATTEND)
    assert (forced.log_probabilities[batch.targets == IGNORED] == 0).all()
    assert int((forced.log_probabilities < 0).sum()) == int((batch.target.lengths + 1).sum())


@EVERY
def test_a_batch_gives_each_pair_what_it_gets_alone(name):
    model, batch = make(name), pairs()
    together, total = model(batch), model.loss(batch)
    losses = []
    for place in range(4):
        one = alone(batch, place)
        forced = model(one)
        steps, width = len(forced.log_probabilities), len(one.source.ids)
        assert_close(together.log_probabilities[:steps, place], forced.log_probabilities[:, 0], **CLOSE)
        if forced.attention is not None:
            assert_close(together.attention[:steps, place, :width], forced.attention[:, 0], **EXACT)
        losses.append(model.loss(one))
    assert_close(total.total, sum(loss.total for loss in losses), **CLOSE)
    assert total.count == sum(loss.count for loss in losses) == 13 + 4


@EVERY
def test_what_stands_in_the_padding_changes_nothing(name):
    model, batch = make(name, alike=False), pairs(alike=False)
    spoiled = Paired(
        Tokens(batch.source.ids.masked_fill(~batch.source.mask, 7), batch.source.lengths),
        Tokens(batch.target.ids.masked_fill(~batch.target.mask, 4), batch.target.lengths),
    )

    def results(batch: Paired) -> list[Tensor]:
        loss = model.loss(batch).total
        return [loss, model(batch).log_probabilities, *torch.autograd.grad(loss, list(model.parameters()))]

    expected = results(batch)
    for actual, right in zip(results(spoiled), expected, strict=True):
        assert torch.equal(actual, right)
    if model.source is not model.target:  # the table of sources serves nothing else: no number is safe from its padding
        with torch.no_grad():
            model.source.table.weight[0] = float("nan")
        for actual, right in zip(results(batch), expected, strict=True):
            assert torch.equal(actual, right)


@pytest.mark.parametrize("name", PLAIN)
def test_the_loss_is_minus_log_p(name):
    model, batch = make(name, label_smoothing=0.2, sampling=(0.5, 0.9)), pairs()
    loss = model.loss(batch)
    assert loss.carry is None
    assert loss.count == 17
    assert_close(loss.total, -model(batch).log_probabilities.double().sum(), **CLOSE)
    model.sampling = (0.0, 0.0)
    model.train()
    logs = []
    state = model.start(batch.source)
    for ids in batch.inputs:
        step, state = model.advance(ids, state)
        logs.append(step)
    real = batch.targets != IGNORED
    scores, targets = torch.stack(logs)[real].double(), batch.targets[real]
    goal = 0.8 * nn.functional.one_hot(targets, 11).double() + 0.2 / 11
    assert_close(model.loss(batch).total, nn.functional.kl_div(scores, goal, reduction="sum"), **CLOSE)


@EVERY
def test_a_state_has_the_batch_first_everywhere(name):
    model, batch = make(name), pairs()
    chosen = torch.tensor([2, 0, 0, 3, 1, 2])
    source = Tokens(batch.source.ids[:, chosen], batch.source.lengths[chosen])
    picked, begun = select(model.start(batch.source), chosen), model.start(source)
    for _ in range(3):
        for one, other in zip(leaves(picked), leaves(begun), strict=True):
            assert (one is None) == (other is None)
            if one is not None:
                assert len(one) == 6
                assert_close(one, other, **EXACT)
        ids = torch.tensor([3, 4, 5, 6, 7, 8])
        (_, picked), (_, begun) = model.advance(ids, picked), model.advance(ids, begun)


SEARCHES = {
    "greedy": DecodingSettings(search="greedy"),
    "beam": DecodingSettings(search="beam", beam=3, best=3),
    "wider than the vocabulary": DecodingSettings(search="beam", beam=40, best=2, max_length=4),
}


@pytest.mark.parametrize("search", SEARCHES)
@EVERY
def test_decoding_a_batch_is_decoding_one_by_one(name, search):
    model, batch = make(name), pairs()
    model.float()  # as it is used

    def written(source: Tokens) -> list[list[Any]]:
        with torch.no_grad():
            state = model.start(source)
        limits = source.lengths + 4
        return decode(model, state, settings=SEARCHES[search], max_lengths=limits, source_lengths=source.lengths)

    together = written(batch.source)
    for place, best in enumerate(together):
        (single,) = written(alone(batch, place).source)
        assert [each.ids for each in best] == [each.ids for each in single]
        for one, other in zip(best, single, strict=True):
            assert one.score == pytest.approx(other.score, rel=1e-4)
            assert (one.attention is None) == (name not in ATTEND)
            if one.attention is not None:
                np.testing.assert_allclose(one.attention, other.attention, rtol=1e-3, atol=1e-5)
        target = Paired(alone(batch, place).source, tokens(best[0].ids))
        if best[0].finished:  # what a search says of its output is what the network says of it
            with torch.no_grad():
                assert float(model(target).log_probabilities.sum()) == pytest.approx(best[0].log_probability, rel=1e-4)


@EVERY
def test_parts_of_a_batch_in_two_processes_give_the_same_gradients(name):
    options: dict[str, Any] = {"label_smoothing": 0.1, "coverage_penalty": 0.7 if name in ATTEND else 0.0}
    model, batch = make(name, **options), pairs()
    model.train(name not in LATENT)  # which draws by chance in training
    weights = list(model.parameters())
    whole = model.loss(batch)
    parts = [model.loss(batch.shard(rank, 2)) for rank in (0, 1)]
    assert whole.count == parts[0].count + parts[1].count
    assert batch.size == batch.shard(0, 2).size + batch.shard(1, 2).size == 13 + 13 + 4
    assert batch.shard(4, 5) is None
    expected = torch.autograd.grad(whole.total, weights)
    for weight, right in zip(torch.autograd.grad(parts[0].total + parts[1].total, weights), expected, strict=True):
        assert_close(weight, right, rtol=1e-6, atol=1e-9)


@EVERY
def test_every_weight_gets_a_gradient(name):
    model, batch = make(name).train(), pairs()
    if model.latent is not None:
        model.latent.free_bits = 0.0
    model.loss(batch).total.backward()
    for key, weight in model.named_parameters():
        if key.endswith("positions.weight"):
            continue  # most of them are beyond these sequences
        assert weight.grad is not None, key
        assert torch.count_nonzero(weight.grad) > 0, key
    if model.latent is None:
        rows = model.target.table.weight
        assert torch.autograd.gradcheck(lambda _: model.loss(batch).total, [rows], fast_mode=True)


def test_concatenated_is_one_network_that_reads_source_separator_and_target():
    for name in ("concatenated", "concatenated, 2 layers"):
        model, batch = make(name), pairs()
        logs = model(batch).log_probabilities
        assert model.decoder.stack is model.encoder
        for place in range(4):
            one = alone(batch, place)
            target = one.target.ids[:, 0]
            line = torch.cat([one.source.ids[:, 0], torch.tensor([END]), target])
            outputs = model.encoder(model.source.table.weight[line].unsqueeze(1)).outputs[:, 0]
            scores = model.softmax.log_probabilities(outputs[len(one.source.ids) :])
            said = scores.gather(1, torch.cat([target, torch.tensor([END])]).unsqueeze(1)).squeeze(1)
            assert_close(logs[: len(said), place], said, **CLOSE)


# ---- what each network sees of the source --------------------------------------------------------------------------


def test_the_window_sees_its_first_words_and_no_more():
    model, batch = make("window"), pairs()
    plain = model(batch).log_probabilities
    for place, seen in [(2, True), (3, False)]:
        ids = batch.source.ids.clone()
        ids[place, 0] = 10
        changed = model(Paired(Tokens(ids, batch.source.lengths), batch.target)).log_probabilities
        assert torch.equal(changed[:, 0], plain[:, 0]) != seen
        assert torch.equal(changed[:, 1:], plain[:, 1:])


@pytest.mark.parametrize("name", [name for name in NETWORKS if not name.startswith("window")])
def test_all_others_see_all_of_it(name):
    model, batch = make(name), pairs()
    plain = model(batch).log_probabilities
    for place in range(7):
        ids = batch.source.ids.clone()
        ids[place, 0] = 10
        changed = model(Paired(Tokens(ids, batch.source.lengths), batch.target)).log_probabilities
        assert not torch.equal(changed[:, 0], plain[:, 0])
        assert torch.equal(changed[:, 1:], plain[:, 1:])


def test_the_context_enters_every_step_and_the_output():
    model, batch = make("every-step"), pairs()
    memory = model.encode(batch.source)
    begun = model.decoder.start(memory)
    bare = begun._replace(context=torch.zeros_like(begun.context))
    first, after = model.advance(batch.inputs[0], begun)
    assert not torch.allclose(first, model.advance(batch.inputs[0], bare)[0])
    assert torch.equal(after.context, memory.summary)
    outputs, _ = model.decoder.advance(model.target.table(batch.inputs[0]), begun)
    assert torch.equal(outputs[:, 5:], memory.summary)


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
    found = []
    for model.progress in (0.0, 0.25, 1.0):
        found.append(model._sampling_chance())
    assert found == pytest.approx([0.2, 0.3, 0.6])
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
        plain._forced(batch.inputs, memory, need_weights=True),
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
    assert float(covered_twice(attention, real)) == pytest.approx(0.5 + 0.9)
    assert float(covered_twice(attention[:1], real[:1])) == 0.0


@pytest.mark.parametrize("name", ATTEND)
def test_the_loss_counts_coverage_in_training_only(name):
    plain, model, batch = make(name), make(name, coverage_penalty=0.4), pairs()
    assert torch.equal(model.loss(batch).total, plain.loss(batch).total)
    expected = plain.train().loss(batch).total + 0.4 * covered_twice(plain(batch).attention, batch.targets != IGNORED)
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
        said = torch.cat([one.target.ids[:, 0], torch.tensor([END])])
        final = latent.target(model.target.table.weight[said].unsqueeze(1)).state[-1]
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


# ---- dropout, precision --------------------------------------------------------------------------------------------


@EVERY
def test_dropout_works_in_training_only(name):
    network = TranslatorNetwork(**{**SMALL, **NETWORKS[name], "dropout": 0.4})
    model, batch = build_encoder_decoder(network, network.cell, SOURCE, SOURCE), pairs()
    if model.latent is None:
        assert not torch.equal(model.loss(batch).total, model.loss(batch).total)
    model.eval()
    assert torch.equal(model.loss(batch).total, model.loss(batch).total)
    assert torch.equal(model(batch).log_probabilities, model(batch).log_probabilities)


@pytest.mark.parametrize("name", ["window, long, 2 layers", "initial", "dot, 2 layers", "every-step"])
def test_variational_dropout_keeps_a_mask_for_each_sequence(name):
    network = TranslatorNetwork(**{**SMALL, **NETWORKS[name], "dropout": 0.5, "variational": True})
    model = build_encoder_decoder(network, network.cell, SOURCE, SOURCE)
    seen: dict[str, tuple[Tensor, Tensor]] = {}

    def keep(key: str) -> Any:
        def hook(_: nn.Module, given: tuple[Tensor], out: Tensor) -> None:
            seen[key] = given[0], out

        return hook

    for key, module in model.named_modules():
        if key.endswith("dropout"):
            module.register_forward_hook(keep(key))
    model.loss(pairs())
    assert {"input_dropout", "output_dropout"} <= set(seen)
    for key, (given, out) in seen.items():
        assert given.dim() == 3, key
        dropped = (out == 0) & (given != 0)
        assert (dropped.any(0) == (dropped | (given == 0)).all(0)).all(), key
        assert dropped.any()


@pytest.mark.parametrize("name", ["dot", "additive, 3 layers", "bilinear", "initial", "concatenated"])
def test_recurrent_weights_are_dropped_in_every_recurrent_layer(name):
    network = TranslatorNetwork(**{**SMALL, **NETWORKS[name], "weight_dropout": 0.5})
    model, batch = build_encoder_decoder(network, network.cell, SOURCE, SOURCE), pairs()
    begun = model.encode(batch.source)
    vectors = model.target.table(batch.inputs)
    one, other = (model.decoder(vectors, begun).outputs for _ in range(2))
    assert not torch.equal(one, other)
    model.eval()
    one, other = (model.decoder(vectors, begun).outputs for _ in range(2))
    assert torch.equal(one, other)


@EVERY
def test_half_precision_is_near_and_its_states_are_kept_whole(name):
    network = TranslatorNetwork(**{**SMALL, **NETWORKS[name]})
    model, batch = build_encoder_decoder(network, network.cell, SOURCE, SOURCE).eval(), pairs()
    expected = model.loss(batch).total.detach()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model.loss(batch).total
        state = model.start(batch.source)
        assert {part.dtype for part in leaves(getattr(state, "layers", None)) if part is not None} <= {torch.float32}
        model.train()
        model.sampling = (1.0, 1.0)
        free = model.loss(batch).total
    free.backward()
    assert loss.dtype == torch.float32
    assert float(loss.detach()) == pytest.approx(float(expected), rel=0.02)


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
    said = decode(model, state, settings=DecodingSettings(search="greedy"), max_lengths=source.lengths + 3)
    assert np.mean([best[0].ids == string[::-1] for best, string in zip(said, asked, strict=True)]) > 0.9
