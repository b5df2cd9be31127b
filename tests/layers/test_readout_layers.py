"""Readouts against a loop over sequences."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from cases import TOLERANCE
from unspool.layers import Readout

LENGTHS = torch.tensor([6, 1, 4, 3])


def by_hand(readout: Readout, states: Tensor) -> tuple[Tensor, Tensor | None]:
    """One sequence, (time, size), without padding."""
    if readout.pooling == "last":
        half = readout.size // readout.directions
        return torch.cat([states[-1, :half], states[0, half:]]), None
    if readout.pooling == "max":
        return torch.stack([column.max() for column in states.T]), None
    if readout.pooling == "mean":
        weights = [torch.tensor(1 / len(states))] * len(states)
    else:
        matrix, bias, vector = readout.project.weight, readout.project.bias, readout.score.weight[0]
        powers = [torch.exp(vector @ torch.tanh(matrix @ state + bias)) for state in states]
        weights = [power / sum(powers) for power in powers]
    return sum(weight * state for weight, state in zip(weights, states, strict=True)), torch.stack(weights)


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
def test_readout_equals_the_loop(pooling, directions):
    readout = Readout(pooling, 8, directions)
    states = torch.randn(6, 4, 8) - 3  # below zero, where a maximum would see a padding of zeros
    padding = torch.arange(6)[:, None] >= LENGTHS
    states[padding] = float("nan")
    states.requires_grad_()
    vector, weights = readout(states, LENGTHS)
    for column, length in enumerate(LENGTHS.tolist()):
        expected, expected_weights = by_hand(readout, states[:length, column])
        assert_close(vector[column], expected, **TOLERANCE[torch.float32])
        if expected_weights is None:
            assert weights is None
        else:
            assert_close(weights[:length, column], expected_weights.float(), **TOLERANCE[torch.float32])
            assert torch.count_nonzero(weights[length:, column]) == 0
    (gradient,) = torch.autograd.grad(vector.square().sum(), states)
    assert gradient.isfinite().all()
    assert torch.count_nonzero(gradient[padding]) == 0
