"""The pointwise functions in float32 against float64: how many units of the last place they are off."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch

from unspool.cells import Cell
from unspool.engine import unroll

NEAR = {"sigmoid": 3, "tanh": 5, "exp": 2, "log": 2, "log1p": 3}  # units of the last place


def units_off(actual, right):
    """The distance in units of the last place of float32; what is below its smallest normal number counts as that."""
    smallest = torch.finfo(torch.float32).tiny
    unit = 2.0 ** (right.abs().clamp_min(smallest).log2().floor() - 23)
    return float(((actual.double() - right).abs() / unit).max())


class Shown(NamedTuple):
    h: torch.Tensor


class Pointwise(Cell):
    """Shows a function of its input."""

    function = ""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.weight = self.parameter(hidden_size)

    def initial_state(self, batch_size):
        return Shown(self.weight.new_zeros(batch_size, self.hidden_size))

    def step(self, x, state, *context):
        return getattr(torch, self.function)(x + state.h), state


@pytest.mark.parametrize("function", NEAR)
def test_functions_are_right_to_some_units_of_the_last_place(function):
    chance = torch.Generator().manual_seed(5)
    x = torch.cat([scale * torch.randn(4, 100, 64, generator=chance) for scale in (0.01, 1, 10, 30)]).clamp(-80, 80)
    if function.startswith("log"):  # of numbers near 0 and 1, of large ones, and of the smallest
        x = torch.cat([x.abs(), 1 + 0.1 * x, 1e-38 * x.abs(), 1e36 * x.abs()]).clamp_min(1e-45)
        x = torch.cat([x, -x.clamp_max(0.99)]) if function == "log1p" else x
    cell = type("Shown", (Pointwise,), {"function": function})(64, 64)
    with torch.no_grad():
        found, _ = unroll(cell, x, backend="cpu")
    right = getattr(torch, function)(x.double())
    assert units_off(found, right) <= NEAR[function]


@pytest.mark.parametrize("function", NEAR)
def test_functions_keep_to_their_limits(function):
    odd = torch.tensor([0.0, -0.0, 1e-30, 1e4, -1e4, torch.inf, -torch.inf, torch.nan] * 2).expand(4, 3, 16)
    cell = type("Shown", (Pointwise,), {"function": function})(16, 16)
    with torch.no_grad():
        found, _ = unroll(cell, odd, backend="cpu")
    torch.testing.assert_close(found, getattr(torch, function)(odd), rtol=1e-6, atol=1e-34, equal_nan=True)
