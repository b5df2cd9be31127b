"""The key–value memory: its equation by hand, torch's own attention as a peer, and what may not change a result."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from cases import TOLERANCE
from unspool.errors import SettingError, ShapeError
from unspool.layers import KeyValueMemory

CLOSE = TOLERANCE[torch.float32]
SIZES = [(1, 1, 1, 1), (3, 5, 7, 4), (2, 17, 6, 9), (5, 4, 8, 8)]  # batch, slots, key, value


def problem(batch, slots, key, value, shared):
    each = () if shared else (batch,)
    return torch.randn(batch, key), torch.randn(*each, slots, key), torch.randn(*each, slots, value)


def by_hand(query, keys, values, scale):
    """`s = sum_i c_i v_i` for one query and one memory, a slot at a time."""
    alphas = [scale * sum(k * x for k, x in zip(key.tolist(), query.tolist(), strict=True)) for key in keys]
    weights = [math.exp(alpha - max(alphas)) for alpha in alphas]
    shares = [weight / sum(weights) for weight in weights]
    return sum(share * value for share, value in zip(shares, values, strict=True)), torch.tensor(shares)


@pytest.mark.parametrize("shared", [False, True])
def test_the_equation(shared):
    query, keys, values = problem(3, 5, 7, 4, shared)
    value, weights = KeyValueMemory(scale=1.7)(query, keys, values)
    for row in range(3):
        own = (keys, values) if shared else (keys[row], values[row])
        expected, shares = by_hand(query[row], *own, 1.7)
        assert_close(value[row], expected, **CLOSE)
        assert_close(weights[row], shares, **CLOSE)


def test_literal_values():
    keys = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    values = torch.tensor([[10.0, 0.0, 1.0], [0.0, 20.0, 1.0]])
    query = torch.tensor([[math.log(3.0), 0.0]])
    value, weights = KeyValueMemory()(query, keys, values)
    assert_close(weights, torch.tensor([[0.75, 0.25]]))
    assert_close(value, torch.tensor([[7.5, 5.0, 1.0]]))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_agrees_with_torch_s_attention(size, shared):
    batch, slots, key, value = size
    inputs = [each.requires_grad_() for each in problem(batch, slots, key, value, shared)]
    mask = torch.rand(batch, slots) < 0.6
    mask[:, 0] = True
    read = KeyValueMemory(scale=0.9)(*inputs, mask)
    query, keys, values = (each.detach().clone().requires_grad_() for each in inputs)
    keys_each, values_each = (each.expand(batch, *each.shape[-2:]) for each in (keys, values))
    expected = F.scaled_dot_product_attention(
        query[:, None], keys_each, values_each, attn_mask=mask[:, None], scale=0.9
    )[:, 0]
    assert_close(read.value, expected, **CLOSE)
    assert read.weights.shape == (batch, slots)
    cotangent = torch.randn_like(expected)
    for actual, peer in zip(
        torch.autograd.grad(read.value, inputs, cotangent),
        torch.autograd.grad(expected, (query, keys, values), cotangent),
        strict=True,
    ):
        assert_close(actual, peer, **CLOSE)


def test_an_exact_key_returns_its_value():
    keys = F.normalize(torch.randn(20, 30), dim=-1)
    values = torch.randn(20, 4)
    value, weights = KeyValueMemory(scale=200.0)(keys, keys, values)
    assert_close(value, values, atol=1e-5, rtol=1e-5)
    assert weights.argmax(-1).tolist() == list(range(20))


@pytest.mark.parametrize("shared", [False, True])
def test_what_stands_in_masked_slots_changes_nothing(shared):
    query, keys, values = problem(3, 6, 4, 2, shared)
    mask = torch.tensor([True, False, True, True, False, True])
    memory = KeyValueMemory()
    clean = memory(query, keys, values, mask)
    keys[..., ~mask, :], values[..., ~mask, :] = float("nan"), float("inf")
    for each in (mask, mask.expand(3, 6)):
        query.requires_grad_()
        dirty = memory(query, keys, values, each)
        assert torch.equal(dirty.value, clean.value)
        assert torch.equal(dirty.weights, clean.weights)
        assert (dirty.weights[..., ~mask] == 0).all()
        assert torch.autograd.grad(dirty.value.sum(), query)[0].isfinite().all()
    kept = memory(query, keys[..., mask, :], values[..., mask, :])
    assert_close(kept.value, clean.value, **CLOSE)


def test_a_row_that_may_read_nothing_gets_zeros():
    query, keys, values = (each.requires_grad_() for each in problem(2, 4, 3, 5, False))
    mask = torch.tensor([[False] * 4, [True, False, True, True]])
    read = KeyValueMemory()(query, keys, values, mask)
    assert read.value[0].eq(0).all()
    assert read.weights[0].eq(0).all()
    assert_close(read.weights[1].sum(-1), torch.tensor(1.0))
    assert all(grad.isfinite().all() for grad in torch.autograd.grad(read.value.sum(), (query, keys, values)))


def test_gradients():
    query, keys, values = (each.double().requires_grad_() for each in problem(2, 5, 4, 6, False))
    memory = KeyValueMemory(scale=1.3, learn_scale=True).double()
    mask = torch.tensor([[True, True, False, True, True], [True] * 5])

    def run(query, keys, values, log_scale):
        return torch.func.functional_call(memory, {"log_scale": log_scale}, (query, keys, values, mask))

    assert torch.autograd.gradcheck(run, (query, keys, values, memory.log_scale))


def test_the_scale_is_learned_only_if_asked():
    assert [name for name, _ in KeyValueMemory(scale=3.0).named_parameters()] == []
    learned = KeyValueMemory(scale=3.0, learn_scale=True)
    assert_close(learned.log_scale.exp(), torch.tensor(3.0))
    assert learned.log_scale.requires_grad
    assert "log_scale" in KeyValueMemory().state_dict()


def test_weights_are_single_precision_in_half():
    query, keys, values = (each.bfloat16() for each in problem(2, 5, 4, 6, False))
    read = KeyValueMemory()(query, keys, values)
    assert read.value.dtype == torch.bfloat16
    assert read.weights.dtype == torch.float32


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf])
def test_a_scale_must_be_above_0(scale):
    with pytest.raises(SettingError, match=f"scale = {scale}: expected a number above 0"):
        KeyValueMemory(scale=scale)


@pytest.mark.parametrize(
    "shapes",
    [
        ((2, 3), (4, 5), (4, 6)),
        ((2, 3), (4, 4, 3), (4, 4, 6)),
        ((2, 3), (4, 3), (5, 6)),
        ((2, 3), (4, 3), (4, 4, 6)),
        ((1, 2, 3), (4, 3), (4, 6)),
    ],
    ids=str,
)
def test_shapes_that_do_not_fit(shapes):
    with pytest.raises(ShapeError):
        KeyValueMemory()(*(torch.randn(shape) for shape in shapes))
