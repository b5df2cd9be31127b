"""Dropout with cheap random numbers: its share, its mean, its gradient."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from unspool.layers.residual import add_dropout, drop_values, keep_mask


@pytest.mark.parametrize("rate", [0.001, 0.1, 0.5, 0.97])
def test_what_is_kept_has_the_share_asked_for_and_keeps_the_mean(rate):
    mask = keep_mask((401, 7, 503), rate, torch.float64)  # not a whole number of random words
    kept = mask != 0
    deviation = (rate * (1 - rate) / mask.numel()) ** 0.5
    assert kept.double().mean().item() == pytest.approx(1 - rate, abs=5 * deviation)
    assert_close(mask[kept], torch.full_like(mask[kept], 1 / (1 - rate)), rtol=2e-4 if rate < 0.9 else 1e-3, atol=0)
    for axis in range(3):  # nothing repeats along an axis
        near = kept.narrow(axis, 0, kept.shape[axis] - 1) == kept.narrow(axis, 1, kept.shape[axis] - 1)
        assert near.double().mean().item() == pytest.approx((1 - rate) ** 2 + rate**2, abs=0.005)


def test_the_seed_decides():
    torch.manual_seed(1)
    first = keep_mask((9, 9), 0.5, torch.float32)
    assert not torch.equal(first, keep_mask((9, 9), 0.5, torch.float32))
    torch.manual_seed(1)
    assert torch.equal(first, keep_mask((9, 9), 0.5, torch.float32))


def test_sum_and_gradients_are_those_of_the_parts():
    residual = torch.randn(5, 3, 4, dtype=torch.float64, requires_grad=True)
    inputs = torch.randn(5, 3, 4, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(1)
    outputs = add_dropout(residual, inputs, 0.4)
    torch.manual_seed(1)
    expected = residual + drop_values(inputs, 0.4)
    assert_close(outputs, expected)
    assert bool((outputs == residual).any())
    cotangent = torch.randn_like(outputs)
    for a, b in zip(
        torch.autograd.grad(outputs, [residual, inputs], cotangent),
        torch.autograd.grad(expected, [residual, inputs], cotangent),
        strict=True,
    ):
        assert_close(a, b)

    def run(residual, inputs):
        torch.manual_seed(1)
        return add_dropout(residual, inputs, 0.4)

    assert torch.autograd.gradgradcheck(run, (residual, inputs))


def test_a_block_of_lower_precision_is_added_in_the_residuals():
    residual, inputs = torch.randn(5, 4), torch.randn(5, 4, dtype=torch.bfloat16, requires_grad=True)
    outputs = add_dropout(residual, inputs, 0.5)
    assert outputs.dtype == torch.float32
    outputs.sum().backward()
    assert inputs.grad.dtype == torch.bfloat16
    assert_close(outputs, residual + inputs.grad.float() * inputs.float(), rtol=1e-3, atol=1e-3)


def test_rate_zero_changes_nothing():
    x, y = torch.randn(3, 4), torch.randn(3, 4)
    assert torch.equal(drop_values(x, 0.0), x)
    assert torch.equal(add_dropout(x, y, 0.0), x + y)
