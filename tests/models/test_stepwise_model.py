"""The network that does exercises: its loss against sums taken by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unspool.data import Adding, Copy
from unspool.layers import Recurrent
from unspool.models import StepwiseModel


@pytest.mark.parametrize("cell", ["gru", "ntm(slots=6, width=3)"])
def test_bits_are_scored_by_cross_entropy_where_an_answer_is_wanted(cell):
    exercise = Copy(3).draw(np.random.default_rng(1), 4, 5)
    model = StepwiseModel(Recurrent(cell, 4, 7), 3)
    result = model.loss(exercise)
    probabilities = model(exercise.inputs).detach().double().sigmoid()
    expected = 0.0
    for step in range(6, 11):
        for column in range(4):
            for bit in range(3):
                chance = probabilities[step, column, bit]
                expected -= torch.log(chance if exercise.targets[step, column, bit] else 1 - chance)
    assert result.count == 5 * 4 * 3
    assert result.total.item() == pytest.approx(float(expected), rel=1e-5)


def test_numbers_are_scored_by_their_squared_error():
    exercise = Adding().draw(np.random.default_rng(1), 4, 5)
    model = StepwiseModel(Recurrent("gru", 2, 7), 1, answers="numbers")
    result = model.loss(exercise)
    last = model(exercise.inputs)[-1, :, 0].detach()
    assert result.count == 4
    assert result.total.item() == pytest.approx(float((last - exercise.targets[-1, :, 0]).square().sum()), rel=1e-5)
