"""The language model's network: its loss by hand, and the state it carries from window to window."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from cases import TOLERANCE
from unspool.data import IGNORED, Window
from unspool.decoding import Continuation, Continuations, Sampling
from unspool.engine import unroll
from unspool.layers import AdaptiveSoftmax, FullSoftmax, Recurrent, TokenEmbedding
from unspool.models import LanguageModel

CLOSE = TOLERANCE[torch.float32]
EXACT = TOLERANCE[torch.float64]


def make_model(cell: str = "lstm", *, adaptive: bool = False, tied: bool = False, **options: object) -> LanguageModel:
    embedding = TokenEmbedding(30, 8)
    softmax = (
        AdaptiveSoftmax(16, 30, cutoffs=[5, 12])
        if adaptive
        else FullSoftmax(16, 30, tied=embedding.table.weight if tied else None)
    )
    return LanguageModel(embedding, Recurrent(cell, 8, 16, num_layers=2), softmax, **options).double()


def draw_text(time: int, batch: int = 3) -> torch.Tensor:
    return torch.randint(1, 30, (time + 1, batch))


def window(text: torch.Tensor, start: int, stop: int) -> Window:
    return Window(text[start:stop], text[start + 1 : stop + 1])


@pytest.mark.parametrize("adaptive", [False, True], ids=["full", "adaptive"])
@pytest.mark.parametrize("cell", ["lstm", "gru-reset-before", "mingru"])
def test_two_windows_with_a_carried_state_equal_one_long_window(cell, adaptive):
    model, text = make_model(cell, adaptive=adaptive), draw_text(11)
    whole = model.loss(window(text, 0, 11))
    first = model.loss(window(text, 0, 4))
    second = model.loss(window(text, 4, 11), first.carry)
    assert_close(first.total + second.total, whole.total, **CLOSE)
    assert (first.count, second.count, whole.count) == (12, 21, 33)
    for layer, expected in zip(second.carry, whole.carry, strict=True):
        assert type(layer[0]) is type(expected[0])
        assert_close(tuple(layer[0]), tuple(expected[0]), **EXACT)
    forgotten = model.loss(window(text, 4, 11))
    assert not torch.allclose(first.total + forgotten.total, whole.total)


def test_no_gradient_flows_into_the_carried_state():
    model, text = make_model(), draw_text(8)
    carry = model.loss(window(text, 0, 4)).carry
    assert not any(part.requires_grad for layer in carry for state in layer for part in state)
    start = tuple(tuple(type(state)(*(part.requires_grad_() for part in state)) for state in layer) for layer in carry)
    loss = model.loss(window(text, 4, 8), start)
    loss.total.backward()
    assert start[0][0].h.grad.abs().sum() > 0  # within the window it does
    assert not any(part.requires_grad for layer in loss.carry for state in layer for part in state)


@pytest.mark.parametrize("tied", [False, True], ids=["own", "tied"])
def test_loss_is_minus_log_p_of_every_target(tied):
    model, text = make_model(tied=tied), draw_text(6)
    loss = model.loss(window(text, 0, 6))
    expected = torch.zeros((), dtype=torch.float64)
    for column in range(3):
        vectors = model.embedding.table.weight[text[:6, column]][:, None]
        for cells in model.decoder.layers:
            vectors, _ = unroll(cells[0], vectors, backend="reference")
        scores = vectors[:, 0]
        if model.softmax.project is not None:
            scores = scores @ model.softmax.project.weight.T
        logs = (scores @ model.softmax.weight.T + model.softmax.bias).log_softmax(-1)
        expected = expected - sum(logs[t, text[t + 1, column]] for t in range(6))
    assert_close(loss.total.double(), expected, **CLOSE)


@pytest.mark.parametrize("adaptive", [False, True], ids=["full", "adaptive"])
def test_ignored_targets_do_not_count(adaptive):
    model, text = make_model(adaptive=adaptive), draw_text(6)
    targets = text[1:].clone()
    targets[5, 1:] = IGNORED
    loss = model.loss(Window(text[:6], targets))
    logs, _ = model(text[:6])
    real = targets != IGNORED
    expected = -logs.gather(-1, targets.clamp(0).unsqueeze(-1)).squeeze(-1)[real].sum()
    assert loss.count == int(real.sum()) == 16
    assert_close(loss.total.double(), expected.double(), **CLOSE)


def test_advance_unit_by_unit_equals_forward():
    model, text = make_model(), draw_text(6)
    logs, final = model(text)
    state = model.start(3)
    for t, ids in enumerate(text):
        step, state = model.advance(ids, state)
        assert_close(step, logs[t], **CLOSE)
    assert_close(tuple(state[1][0]), tuple(final[1][0]), **EXACT)


def test_penalties_are_those_of_the_paper_in_training_only():
    model, text = make_model(activation_penalty=2.0, slowness_penalty=3.0), draw_text(6)
    batch = window(text, 0, 6)
    states, _ = model.states(batch.inputs, None)
    plain = model.eval().loss(batch).total
    penalised = model.train().loss(batch).total
    expected = 18 * (2 * states.square().mean() + 3 * states.diff(dim=0).square().mean())
    assert_close(penalised - plain, expected.to(plain.dtype), **CLOSE)
    one = window(text, 0, 1)
    assert model.loss(one).total.isfinite()


@pytest.mark.parametrize("variational", [False, True])
def test_dropout_works_in_training_only(variational):
    model, text = make_model(dropout=0.5, variational=variational), draw_text(6)
    batch = window(text, 0, 6)
    assert not torch.equal(model.loss(batch).total, model.loss(batch).total)
    model.eval()
    assert torch.equal(model.loss(batch).total, model.loss(batch).total)


def test_greedy_writing_follows_the_likeliest_unit():
    model, prompt = make_model().eval(), draw_text(2, batch=2)
    texts = [Continuation(units, length=5, sampling=Sampling(temperature=0)) for units in prompt.T.tolist()]
    batch = Continuations(model)
    batch.add(texts)
    steps = [batch.step().written for _ in range(len(prompt) + 5)]
    written = torch.tensor([[unit for _, unit in step] for step in steps[len(prompt) :]])
    text = torch.cat([prompt, written])
    logs, _ = model(text)
    assert torch.equal(written, logs[2:-1].argmax(-1))


@pytest.mark.parametrize("place", ["input_dropout", "output_dropout"])
def test_dropout_stands_before_and_after_the_stack(place):
    model, text = make_model(dropout=0.5).eval(), draw_text(6)
    plain = model.loss(window(text, 0, 6)).total
    setattr(model, place, torch.nn.Threshold(1e9, 0.0))  # lets nothing through
    dropped = model.loss(window(text, 0, 6)).total
    assert not torch.allclose(dropped, plain)
    expected = -model.softmax.bias.log_softmax(-1)[text[1:]].sum()
    assert torch.allclose(dropped, expected.to(dropped.dtype)) == (place == "output_dropout")
