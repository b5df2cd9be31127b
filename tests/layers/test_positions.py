"""Positions: the paper's formula in numbers, any length, and what learned ones refuse."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from unspool.errors import SettingError, ShapeError
from unspool.layers import LearnedPositions, SinusoidalPositions

MAKE = {"sinusoidal": SinusoidalPositions, "learned": lambda size: LearnedPositions(size, 500)}


def test_waves_have_the_values_of_the_formula():
    vectors = SinusoidalPositions(4)(torch.zeros(3, 2, 4))
    expected = torch.tensor(
        [
            [0, 1, 0, 1],
            [math.sin(1), math.cos(1), math.sin(0.01), math.cos(0.01)],  # 10000 to the power of 2/4 is 100
            [0.90930, -0.41615, 0.02000, 0.99980],  # the same at position 2
        ]
    )
    assert_close(vectors[:, 0], expected, rtol=0, atol=5e-6)
    assert torch.equal(vectors[:, 0], vectors[:, 1])


@pytest.mark.parametrize("size", [1, 5, 8])
def test_far_positions_and_odd_widths_follow_the_formula(size):
    vectors = SinusoidalPositions(size).double()(torch.zeros(3001, 1, size, dtype=torch.float64))
    for position in (0, 7, 3000):
        for feature in range(size):
            wave = math.sin if feature % 2 == 0 else math.cos
            value = wave(position / 10000 ** ((feature - feature % 2) / size))
            assert vectors[position, 0, feature].item() == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("kind", MAKE)
def test_a_start_shifts_all_sequences_or_each(kind):
    positions = MAKE[kind](6)
    inputs = torch.randn(5, 3, 6)
    whole = positions(torch.zeros(40, 1, 6))
    assert_close(positions(inputs), inputs + whole[:5])
    assert_close(positions(inputs, 9), inputs + whole[9:14])
    shifted = positions(inputs, torch.tensor([0, 31, 2]))
    for row, start in enumerate((0, 31, 2)):
        assert_close(shifted[:, row], inputs[:, row] + whole[start : start + 5, 0])


def test_the_table_of_waves_grows_and_is_not_saved():
    positions = SinusoidalPositions(6)
    short = positions(torch.zeros(3, 1, 6))
    assert_close(positions(torch.zeros(200, 1, 6))[:3], short)
    assert_close(positions(torch.zeros(3, 1, 6)), short)
    assert not positions.state_dict()
    assert positions(torch.zeros(3, 1, 6, dtype=torch.float64)).dtype == torch.float64


def test_learned_vectors_learn_where_they_were_used():
    positions = LearnedPositions(4, 10)
    inputs = torch.randn(3, 2, 4, requires_grad=True)
    cotangent = torch.randn(3, 2, 4)
    positions(inputs, 2).backward(cotangent)
    expected = torch.zeros(10, 4)
    expected[2:5] = cotangent.sum(1)
    assert_close(positions.weight.grad, expected)
    assert_close(inputs.grad, cotangent)
    assert list(positions.state_dict()) == ["weight"]


def test_learned_positions_end_with_a_sentence():
    positions = LearnedPositions(4, 10)
    positions(torch.zeros(10, 2, 4))
    words = r"a sequence has 11 steps, and positions were learned for 10 \(max_length\); shorten"
    with pytest.raises(ShapeError, match=words):
        positions(torch.zeros(11, 2, 4))
    with pytest.raises(ShapeError, match=words):
        positions(torch.zeros(2, 2, 4), torch.tensor([1, 9]))


@pytest.mark.parametrize("kind", MAKE)
def test_another_width_is_refused(kind):
    with pytest.raises(ShapeError, match=r"inputs have shape \(3, 2, 5\), expected \(time, batch, 6\)"):
        MAKE[kind](6)(torch.zeros(3, 2, 5))


def test_sizes_below_one_are_refused():
    with pytest.raises(SettingError, match="size = 0"):
        SinusoidalPositions(0)
    with pytest.raises(SettingError, match="max_length = 0"):
        LearnedPositions(4, 0)


def test_another_thread_may_exchange_the_table():
    class Raced(SinusoidalPositions):
        """A shorter table of another thread replaces each new one at once."""

        def __setattr__(self, name, value):
            super().__setattr__(name, value[:1] if name == "table" else value)

    inputs = torch.zeros(9, 1, 4)
    assert_close(Raced(4)(inputs), SinusoidalPositions(4)(inputs), rtol=0, atol=0)
