"""Attention's formula against numbers worked out by hand, and the fast paths against the formula."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from cases import TOLERANCE
from unspool.layers import scaled_dot_product
from unspool.layers.scaled_dot_product import attend_packed, attend_step, blocked, reference_attend

EXACT = TOLERANCE[torch.float64]
SIZES = [(1, 1, 1, 1, 1), (2, 3, 7, 4, 5), (3, 1, 16, 16, 8), (2, 2, 17, 33, 3), (5, 4, 1, 15, 2), (1, 2, 63, 40, 7)]
# batch, heads, query time, key time, head size


def test_the_formula_gives_the_numbers_worked_out_by_hand():
    query = torch.tensor([[2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])[None, None]
    key = torch.tensor([[math.log(3), 9, 9, 9], [0, 5, 5, 5], [math.log(4), 7, 7, 7], [90, 1, 1, 1]])[None, None]
    value = torch.tensor([[8.0], [16.0], [24.0], [1e6]])[None, None]
    mask = torch.tensor([[True, True, True, False], [True, False, True, False]])
    # scores 2 · log 3 / √4 and so on: weights 3, 1, 4 of 8; the query of zeros looks equally at what it may
    expected = torch.tensor([[3 / 8, 1 / 8, 4 / 8, 0], [1 / 2, 0, 1 / 2, 0]])
    context, weights = reference_attend(query, key, value, mask)
    assert_close(weights[0, 0], expected)
    assert_close(context[0, 0, :, 0], torch.tensor([17.0, 16.0]))
    assert torch.equal(weights[0, 0] == 0, expected == 0)  # exactly


def problem(size, kind, *, self_attention):
    batch, heads, queries, keys, width = size
    keys = queries if self_attention else keys
    if self_attention:
        packed, memory = torch.randn(batch, queries, 3, heads, width, dtype=torch.float64, requires_grad=True), None
    else:
        packed = torch.randn(batch, queries, 1, heads, width, dtype=torch.float64, requires_grad=True)
        memory = torch.randn(batch, keys, 2, heads, width, dtype=torch.float64, requires_grad=True)
    if kind == "everywhere":
        return packed, memory, None
    if kind == "ragged":
        return packed, memory, (torch.arange(keys) < torch.randint(1, keys + 1, (batch, 1)))[:, None, None]
    if kind == "causal":
        return packed, memory, torch.ones(queries, keys, dtype=torch.bool).tril()[None, None]
    mask = torch.rand(batch, heads, queries, keys) < 0.4
    mask[..., 0] |= ~mask.any(-1)
    return packed, memory, mask


def plain(packed, memory, mask):
    parts = (*packed.unbind(2), *(() if memory is None else memory.unbind(2)))
    context, _ = reference_attend(*(part.transpose(1, 2) for part in parts), mask)
    return context.transpose(1, 2).flatten(2)


@pytest.mark.parametrize("path", ["products", "torch"])
@pytest.mark.parametrize("self_attention", [True, False], ids=["self", "memory"])
@pytest.mark.parametrize("kind", ["everywhere", "ragged", "causal", "any"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_fast_paths_agree_with_the_formula(size, kind, self_attention, path, monkeypatch):
    packed, memory, mask = problem(size, kind, self_attention=self_attention)
    ran = []
    run = scaled_dot_product._Attend.apply
    monkeypatch.setattr(scaled_dot_product._Attend, "apply", lambda *inputs: ran.append("products") or run(*inputs))
    if path == "torch":
        monkeypatch.setattr(scaled_dot_product, "LONGEST", 0)
    bias = None if mask is None else blocked(mask, torch.float64)
    actual, expected = attend_packed(packed, memory, bias), plain(packed, memory, mask)
    assert ran == ["products"] * (path == "products")
    assert_close(actual, expected, **EXACT)
    leaves = [packed] if memory is None else [packed, memory]
    cotangent = torch.randn_like(actual)
    for mine, theirs in zip(
        torch.autograd.grad(actual, leaves, cotangent), torch.autograd.grad(expected, leaves, cotangent), strict=True
    ):
        assert_close(mine, theirs, **EXACT)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("self_attention", [True, False], ids=["self", "memory"])
def test_gradients_and_their_gradients_are_those_of_small_differences(self_attention, dropout):
    packed, memory, mask = problem((2, 2, 3, 5, 2), "ragged", self_attention=self_attention)
    bias = blocked(mask, torch.float64)

    def run(*inputs):
        torch.manual_seed(3)  # the same weights are dropped each time
        return attend_packed(inputs[0], None if self_attention else inputs[1], bias, dropout)

    leaves = (packed,) if memory is None else (packed, memory)
    assert torch.autograd.gradcheck(run, leaves)
    assert torch.autograd.gradgradcheck(run, leaves)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_gradients_to_be_differentiated_again_are_the_same(dropout):
    packed, memory, mask = problem((2, 2, 3, 5, 2), "ragged", self_attention=False)
    context = attend_packed(packed, memory, blocked(mask, torch.float64), dropout)
    cotangent = torch.randn_like(context)
    fast = torch.autograd.grad(context, [packed, memory], cotangent, retain_graph=True)
    again = torch.autograd.grad(context, [packed, memory], cotangent, create_graph=True)
    for a, b in zip(fast, again, strict=True):
        assert b.requires_grad
        assert_close(a, b, **EXACT)


def test_a_gradient_wanted_of_the_memory_alone_has_a_gradient_too():
    packed, memory, _ = problem((2, 2, 3, 5, 2), "everywhere", self_attention=False)
    packed = packed.detach()
    assert torch.autograd.gradgradcheck(lambda memory: attend_packed(packed, memory, None), memory)


@pytest.mark.parametrize("kind", ["everywhere", "ragged"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_one_step_agrees_with_the_formula(size, kind):
    packed, memory, mask = problem((*size[:2], 1, *size[3:]), kind, self_attention=False)
    query, key, value = (part.transpose(1, 2) for part in (packed[:, :, 0], memory[:, :, 0], memory[:, :, 1]))
    context, weights = attend_step(
        query[:, :, 0], key, value, None if mask is None else blocked(mask[:, 0], query.dtype)
    )
    expected, expected_weights = reference_attend(query, key, value, mask)
    assert_close(context, expected[:, :, 0], **EXACT)
    assert_close(weights, expected_weights[:, :, 0], **EXACT)


def test_dropped_weights_are_the_same_share_everywhere_and_keep_the_mean():
    batch, time, heads = 40, 16, 5
    packed = torch.zeros(batch, time, 3, heads, time)  # all keys fit equally; values name their step
    packed[:, :, 2] = torch.eye(time)[:, None]
    weights = attend_packed(packed, None, None, dropout=0.3)
    kept = weights != 0
    assert kept.float().mean().item() == pytest.approx(0.7, abs=0.01)
    assert_close(weights[kept], torch.full_like(weights[kept], 1 / time / 0.7), rtol=1e-4, atol=0)
    assert not torch.equal(kept[0], kept[1])


def test_scores_far_apart_overflow_nothing():
    packed = torch.randn(1, 5, 3, 1, 4) * 1e4
    packed.requires_grad_()
    context = attend_packed(packed, None, blocked(torch.ones(5, 5, dtype=torch.bool).tril(), torch.float32))
    assert_close(context, plain(packed, None, torch.ones(5, 5, dtype=torch.bool).tril()))
    (gradient,) = torch.autograd.grad(context.sum(), packed)
    assert bool(gradient.isfinite().all())
