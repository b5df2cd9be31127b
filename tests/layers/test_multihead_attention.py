"""Many heads: equality with torch's layer, masks, and one step at a time."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from cases import TOLERANCE
from unspool.errors import SettingError, ShapeError
from unspool.layers import MultiHeadAttention, scaled_dot_product

EXACT = TOLERANCE[torch.float64]
SIZES = [(1, 1, 1, 1, 1), (5, 7, 3, 6, 2), (17, 4, 2, 15, 5), (32, 16, 3, 8, 8)]
# query time, key time, batch, size, heads


def pair(size: int, heads: int) -> tuple[MultiHeadAttention, nn.MultiheadAttention]:
    """Our layer and torch's with the same distinct weights, biases too."""
    theirs = nn.MultiheadAttention(size, heads, dtype=torch.float64)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=size**-0.5)
    mine = MultiHeadAttention(size, heads).double()
    mine.load_torch(theirs)
    return mine, theirs


@pytest.mark.parametrize("need_weights", [False, True], ids=["fast", "weights"])
@pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])
@pytest.mark.parametrize("memory", [False, True], ids=["self", "memory"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_outputs_and_gradients_equal_those_of_torch(size, memory, causal, need_weights):
    queries, keys, batch, width, heads = size
    mine, theirs = pair(width, heads)
    x = torch.randn(queries, batch, width, dtype=torch.float64, requires_grad=True)
    y = torch.randn(keys, batch, width, dtype=torch.float64, requires_grad=True) if memory else x
    padding = torch.arange(len(y)) >= torch.randint(1, len(y) + 1, (batch, 1))
    outputs, weights = mine(
        x, y if memory else None, mask=~padding[:, None, None], causal=causal, need_weights=need_weights
    )
    later = torch.ones(queries, len(y), dtype=torch.bool).triu(1) if causal else None
    expected, expected_weights = theirs(x, y, y, key_padding_mask=padding, attn_mask=later, average_attn_weights=False)
    assert_close(outputs, expected, **EXACT)
    assert (weights is not None) == need_weights
    if weights is not None:
        assert_close(weights, expected_weights, **EXACT)
        assert bool((weights.masked_select(padding[:, None, None]) == 0).all())
    leaves, cotangent = [x, y] if memory else [x], torch.randn_like(outputs)
    actual = torch.autograd.grad(outputs, [*leaves, *mine.parameters()], cotangent)
    wanted = torch.autograd.grad(expected, [*leaves, *theirs.parameters()], cotangent)
    for a, b in zip(actual, wanted, strict=True):
        assert_close(a, b, **EXACT)


@pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])
def test_a_query_with_nothing_to_look_at_gets_nothing(causal):
    attention, _ = pair(6, 2)
    x = torch.randn(5, 3, 6, dtype=torch.float64, requires_grad=True)
    mask = torch.rand(3, 2, 5, 5) < 0.5
    mask[0] = False  # a whole sequence
    mask[1, 1, 3] = False  # one head of one query
    outputs, none = attention(x, mask=mask, causal=causal)
    expected, weights = attention(x, mask=mask, causal=causal, need_weights=True)
    assert none is None
    assert_close(outputs, expected, **EXACT)
    assert_close(outputs[:, 0], attention.out_proj.bias.expand(5, 6))  # a context of zero
    assert torch.equal(weights != 0, mask & torch.ones(5, 5, dtype=torch.bool).tril() if causal else mask)
    cotangent = torch.randn_like(outputs)
    leaves = [x, *attention.parameters()]
    for a, b in zip(
        torch.autograd.grad(outputs, leaves, cotangent), torch.autograd.grad(expected, leaves, cotangent), strict=True
    ):
        assert_close(a, b, **EXACT)


def test_nothing_to_look_at_is_no_trouble_in_half_precision(monkeypatch):
    monkeypatch.setattr(scaled_dot_product, "LONGEST", 0)  # torch's kernel, as on a GPU
    attention = MultiHeadAttention(6, 2).half()
    x = torch.randn(5, 3, 6, dtype=torch.float16, requires_grad=True)
    outputs, _ = attention(x, mask=torch.arange(5) < torch.tensor([0, 2, 5])[:, None, None, None])
    outputs.sum().backward()
    assert not bool(outputs[:, 0].any())
    assert all(bool(tensor.grad.isfinite().all()) for tensor in (x, *attention.parameters()))


@pytest.mark.parametrize("shape", [(4,), (5, 4), (1, 4), (3, 1, 1, 4), (2, 1, 4), (3, 2, 5, 4), (3, 1, 5, 1)], ids=str)
def test_masks_of_every_shape_broadcast(shape):
    attention, _ = pair(6, 2)
    x, y = torch.randn(5, 3, 6, dtype=torch.float64), torch.randn(4, 3, 6, dtype=torch.float64)
    mask = torch.rand(shape) < 0.6
    outputs, _ = attention(x, y, mask=mask)
    assert_close(outputs, attention(x, y, mask=mask.expand(3, 2, 5, 4))[0], **EXACT)
    assert_close(outputs, attention(x, y, mask=mask, need_weights=True)[0], **EXACT)


def test_step_by_step_equals_all_at_once():
    attention, _ = pair(12, 3)
    x = torch.randn(19, 4, 12, dtype=torch.float64)
    expected, _ = attention(x, causal=True)
    cache = attention.empty_cache(4)
    for step, inputs in enumerate(x):
        output, cache = attention.advance(inputs, cache)
        assert_close(output, expected[step], **EXACT)
        assert cache.keys.shape == cache.values.shape == (4, 3, step + 1, 4)
    memory = attention.keys_values(x.transpose(0, 1))
    assert_close(memory.keys, cache.keys, **EXACT)
    assert_close(memory.values, cache.values, **EXACT)


def test_dropout_of_weights_happens_in_training_alone():
    attention = MultiHeadAttention(8, 2, dropout=0.5)
    x = torch.randn(9, 3, 8)
    assert not torch.equal(attention(x)[0], attention(x)[0])
    assert not torch.equal(attention(x, need_weights=True)[0], attention(x, need_weights=True)[0])
    attention.eval()
    assert torch.equal(attention(x)[0], attention(x)[0])


def test_lower_precision_stays_near_and_leaves_gradients_in_full():
    attention = MultiHeadAttention(32, 4)
    x = torch.randn(9, 3, 32)
    expected, _ = attention(x, causal=True)
    with torch.autocast("cpu", torch.bfloat16):
        outputs, _ = attention(x, causal=True)
    assert outputs.dtype == torch.bfloat16
    assert_close(outputs.float(), expected, rtol=0, atol=0.03)
    outputs.float().square().sum().backward()
    lower = [parameter.grad.clone() for parameter in attention.parameters()]
    attention.zero_grad()
    expected.square().sum().backward()
    for a, parameter in zip(lower, attention.parameters(), strict=True):
        assert a.dtype == torch.float32
        assert (a - parameter.grad).norm() < 0.02 * parameter.grad.norm()


def test_each_product_starts_xavier_uniform():
    attention = MultiHeadAttention(60, 3)
    bound = (6 / 120) ** 0.5
    for weight in (*attention.in_proj_weight.chunk(3), attention.out_proj.weight):
        assert weight.abs().max().item() == pytest.approx(bound, rel=0.01)
        assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
    assert not bool(attention.in_proj_bias.any())
    assert not bool(attention.out_proj.bias.any())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((6, 4), "heads = 4 must divide size = 6"), ((6, 0), "heads = 0"), ((6, 2, 1.0), "dropout = 1.0")],
)
def test_settings_that_cannot_be_are_refused(arguments, words):
    with pytest.raises(SettingError, match=words):
        MultiHeadAttention(*arguments)


def test_shapes_that_do_not_fit_are_refused():
    attention, x = MultiHeadAttention(6, 2), torch.randn(5, 3, 6)
    with pytest.raises(ShapeError, match=r"queries have shape \(5, 3, 7\), expected \(time, batch, 6\)"):
        attention(torch.randn(5, 3, 7))
    with pytest.raises(ShapeError, match=r"keys have shape \(0, 3, 6\)"):
        attention(x, torch.randn(0, 3, 6))
    with pytest.raises(ShapeError, match="3 sequences of queries came with 2 of keys"):
        attention(x, torch.randn(4, 2, 6))
    with pytest.raises(ShapeError, match=r"mask is torch.bool \(3, 4\), expected bool, .* \(3, 2, 5, 5\)"):
        attention(x, mask=torch.ones(3, 4, dtype=torch.bool))
    with pytest.raises(ShapeError, match=r"mask is torch\.float32"):
        attention(x, mask=torch.ones(5, 5))
    with pytest.raises(ShapeError, match=r"mask is torch.bool \(1, 3, 2, 5, 5\)"):
        attention(x, mask=torch.ones(1, 3, 2, 5, 5, dtype=torch.bool))


@pytest.mark.parametrize(
    "other", [nn.MultiheadAttention(8, 2), nn.MultiheadAttention(6, 3), nn.MultiheadAttention(6, 2, bias=False)]
)
def test_weights_of_another_layer_are_refused(other):
    with pytest.raises(SettingError, match="does not fit this one of 6 features, 2 heads"):
        MultiHeadAttention(6, 2).load_torch(other)
