"""The scan of a linear recurrence against its loop."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from cases import TOLERANCE
from unspool.engine import linear_scan

EXACT = TOLERANCE[torch.float64]


def loop(a: Tensor, b: Tensor, start: Tensor) -> Tensor:
    states = []
    for decay, added in zip(a, b, strict=True):
        start = decay * start + added
        states.append(start)
    return torch.stack(states)


def draw(time: int, *shape: int) -> list[Tensor]:
    a, b, start = torch.randn(time, *shape), torch.randn(time, *shape), torch.randn(*shape)
    return [part.double().requires_grad_() for part in (a.tanh(), b, start)]


@pytest.mark.parametrize("time", [*range(1, 51), 100, 257])
def test_scan_equals_the_loop(time):
    leaves = draw(time, 2, 3)
    cotangent = torch.randn(time, 2, 3).double()
    actual, expected = linear_scan(*leaves), loop(*leaves)
    assert_close(actual, expected, **EXACT)
    gradients = torch.autograd.grad(actual, leaves, cotangent)
    expected_gradients = torch.autograd.grad(expected, leaves, cotangent)
    for name, gradient, right in zip(("a", "b", "start"), gradients, expected_gradients, strict=True):
        assert_close(gradient, right, **EXACT, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("time", [1, 2, 7, 18])
def test_scan_passes_gradcheck(time):
    assert torch.autograd.gradcheck(linear_scan, draw(time, 2, 2))


def test_decays_of_zero_and_one_stay_exact():
    a = torch.ones(40, 1, 3)
    a[17, 0, 1] = 0
    b = torch.zeros_like(a)
    b[17, 0, 1] = 5
    start = torch.tensor([[2.0, 3.0, -1.0]])
    states = linear_scan(a, b, start)
    assert torch.equal(states[-1], torch.tensor([[2.0, 5.0, -1.0]]))
    assert torch.equal(states[16], start)
    assert torch.equal(states[:, 0, 0], torch.full((40,), 2.0))


def test_a_long_scan_does_not_overflow():
    a = torch.full((5000, 1, 1), 0.5)
    states = linear_scan(a, torch.ones_like(a), torch.zeros(1, 1))
    assert_close(states[-1], torch.tensor([[2.0]]))
