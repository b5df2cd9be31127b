"""Every encoder–decoder that the settings can build: steps, batches, padding, losses and decoding agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from small_translators import (
    ATTEND,
    CLOSE,
    EVERY,
    EXACT,
    LATENT,
    NETWORKS,
    PLAIN,
    SMALL,
    SOURCE,
    alone,
    make,
    pairs,
    tokens,
)
from torch import Tensor, nn
from torch.testing import assert_close

from unspool.data import END, IGNORED, Paired, Tokens
from unspool.decoding import DecodingSettings, decode
from unspool.decoding.states import leaves, select
from unspool.tasks.parts.encoder_decoders import build_encoder_decoder
from unspool.tasks.parts.pair_settings import TranslatorNetwork


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
            targets = scores.gather(1, torch.cat([target, torch.tensor([END])]).unsqueeze(1)).squeeze(1)
            assert_close(logs[: len(targets), place], targets, **CLOSE)


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
