"""Attention with one head, against numbers worked out by hand and loops written plainly."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from cases import TOLERANCE
from unspool.errors import SettingError, ShapeError
from unspool.layers import AdditiveAttention, BilinearAttention, DotAttention, attend, make_attention
from unspool.layers.attention import ATTENTION, Attention

EXACT = TOLERANCE[torch.float64]
MASK = torch.tensor([[True, True, True, True], [True, True, False, False], [True, False, False, False]])


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make(kind: str) -> Attention:
    """An attention of queries 5 wide over states 3 wide, every weight random."""
    attention = {
        "dot": lambda: DotAttention(5, 3),
        "dot, scaled": lambda: DotAttention(5, 3, scaled=True),
        "dot, one width": lambda: DotAttention(3, 3),
        "bilinear": lambda: BilinearAttention(5, 3),
        "additive": lambda: AdditiveAttention(5, 3, 4),
        "additive, queries' width": lambda: AdditiveAttention(5, 3),
    }[kind]().double()
    with torch.no_grad():
        for seed, weight in enumerate(attention.parameters()):
            weight.copy_(numbers(*weight.shape, seed=50 + seed))
    return attention


KINDS = ["dot", "dot, scaled", "dot, one width", "bilinear", "additive", "additive, queries' width"]


@torch.no_grad()
def score(attention: Attention, query: Tensor, state: Tensor) -> float:
    """One score by the formula."""
    if isinstance(attention, DotAttention):
        key = state if attention.project is None else attention.project.weight @ state
        return float(query @ key) * (1 / math.sqrt(len(query)) if attention.scale != 1 else 1)
    if isinstance(attention, BilinearAttention):
        return float(query @ attention.weight @ state)
    assert isinstance(attention, AdditiveAttention)
    hidden = attention.query.weight @ query + attention.memory.weight @ state + attention.memory.bias
    return float(attention.energy @ torch.tanh(hidden))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_its_formula_with_ragged_masks(kind):
    attention = make(kind)
    queries, memory = numbers(3, 2, attention.query_size, seed=1), numbers(3, 4, 3, seed=2)
    context, weights = attention(queries, memory, MASK)
    assert weights.shape == (3, 2, 4)
    for row in range(3):
        for place in range(2):
            length = int(MASK[row].sum())
            powers = [math.exp(score(attention, queries[row, place], memory[row, i])) for i in range(length)]
            expected = [power / sum(powers) for power in powers]
            assert weights[row, place].tolist() == pytest.approx(expected + [0] * (4 - length))
            assert (weights[row, place, length:] == 0).all()
            by_hand = sum(share * memory[row, i] for i, share in enumerate(expected))
            assert_close(context[row, place], by_hand, **EXACT)
    assert_close(attention(queries[:1], memory[:1]).weights, weights[:1], **EXACT)  # no mask: all may be looked at


def test_dot_product_in_numbers():
    scores = torch.tensor([[[0.0, math.log(3), 5.0]]])
    values = torch.tensor([[[8.0, 0.0], [0.0, 4.0], [100.0, 100.0]]])
    context, weights = attend(scores, values, torch.tensor([[True, True, False]]))
    assert_close(weights, torch.tensor([[[0.25, 0.75, 0.0]]]))
    assert_close(context, torch.tensor([[[2.0, 3.0]]]))
    query, states = torch.tensor([[[math.log(2), 1.0]]]), torch.tensor([[[1.0, 0.0], [0.0, 0.0], [2.0, 0.0]]])
    assert_close(DotAttention(2, 2)(query, states).weights, torch.tensor([[[2 / 7, 1 / 7, 4 / 7]]]))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e300, 1e300])
@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_in_the_padding_changes_nothing_and_gets_no_gradient(kind, value):
    attention = make(kind)
    queries, clean = numbers(3, 2, attention.query_size, seed=1).requires_grad_(), numbers(3, 4, 3, seed=2)
    leaves = [queries, *attention.parameters()]

    def results(memory: Tensor) -> list[Tensor]:
        context, weights = attention(queries, memory, MASK)
        gradients = torch.autograd.grad(context.square().sum() + weights[..., 0].sum(), [*leaves, memory])
        return [context, weights, *gradients]

    expected = results(clean.masked_fill(~MASK.unsqueeze(-1), 0).requires_grad_())
    actual = results(clean.masked_fill(~MASK.unsqueeze(-1), value).requires_grad_())
    for one, other in zip(actual, expected, strict=True):
        assert torch.equal(one, other)
    assert (actual[-1][~MASK] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_keys_at_hand_give_the_same(kind):
    attention = make(kind)
    queries, memory = numbers(3, 2, attention.query_size, seed=1), numbers(3, 4, 3, seed=2)
    memory = memory.masked_fill(~MASK.unsqueeze(-1), 0)
    for one, other in zip(
        attention(queries, memory, MASK, keys=attention.keys(memory)), attention(queries, memory, MASK), strict=True
    ):
        assert torch.equal(one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind):
    attention = make(kind)
    queries = numbers(3, 2, attention.query_size, seed=1).requires_grad_()
    memory = numbers(3, 4, 3, seed=2).requires_grad_()

    def run(queries: Tensor, memory: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
        return tuple(attention(queries, memory, MASK))

    assert torch.autograd.gradcheck(run, (queries, memory, *attention.parameters()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_with_nothing_to_look_at_gives_zeros_and_no_gradient(kind):
    attention = make(kind)
    queries = numbers(2, 2, attention.query_size, seed=1).requires_grad_()
    memory = numbers(2, 3, 3, seed=2).requires_grad_()
    mask = torch.tensor([[False, False, False], [True, True, False]])
    context, weights = attention(queries, memory, mask)
    assert torch.count_nonzero(context[0]) == torch.count_nonzero(weights[0]) == 0
    assert_close(weights[1].sum(-1), torch.ones(2, dtype=torch.float64))
    gradients = torch.autograd.grad(context.sum() + weights.square().sum(), [queries, memory])
    assert all(torch.count_nonzero(gradient[0]) == 0 for gradient in gradients)
    assert all(torch.count_nonzero(gradient[1]) > 0 for gradient in gradients)


def test_huge_scores_do_not_overflow_and_hidden_ones_never_win():
    scores = torch.tensor([[[-1e30, -1e30, 1e30]]])
    weights = attend(scores, torch.ones(1, 3, 1), torch.tensor([[True, True, False]])).weights
    assert weights.tolist() == [[[0.5, 0.5, 0.0]]]


@pytest.mark.parametrize("kind", KINDS)
def test_under_autocast_weights_are_float32_and_near(kind):
    attention = make(kind).float()
    queries, memory = numbers(3, 2, attention.query_size, seed=1).float(), numbers(3, 4, 3, seed=2).float()
    expected = attention(queries, memory, MASK)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = attention(queries, memory, MASK)
    assert actual.weights.dtype == torch.float32
    assert_close(actual.weights, expected.weights, rtol=0.1, atol=0.02)
    assert_close(actual.context.float(), expected.context, rtol=0.1, atol=0.05)


def test_kinds_are_found_by_name_and_check_their_widths():
    attentions = {kind: make_attention(kind, 5, 3) for kind in ATTENTION}
    assert {kind: type(attention) for kind, attention in attentions.items()} == ATTENTION
    for attention in attentions.values():
        with pytest.raises(ShapeError, match=r"queries \(1, 1, 3\) over memory \(1, 2, 3\): expected widths 5 and 3"):
            attention(torch.zeros(1, 1, 3), torch.zeros(1, 2, 3))
    with pytest.raises(SettingError, match="there is no attention 'dots'; choose one of dot, bilinear, additive"):
        make_attention("dots", 5, 3)
