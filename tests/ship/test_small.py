"""Rounded weights: the numbers that they stand for, their bounds, their bytes."""

from __future__ import annotations

import numpy as np
import pytest

from unspool.ship.small import GROUP, round_to_int4, round_to_int8


@pytest.fixture
def matrix() -> np.ndarray:
    rng = np.random.default_rng(3)
    matrix = rng.normal(size=(7, 75)).astype(np.float32) * rng.uniform(0.01, 10, (7, 1)).astype(np.float32)
    matrix[2] = 0
    matrix[3] = 0.25
    return matrix


def test_8_bits_are_within_half_a_step_of_each_row(matrix):
    small = round_to_int8(matrix)
    step = np.abs(matrix).max(1, keepdims=True) / 127
    assert np.all(np.abs(small.dense() - matrix) <= step * 0.5001 + 1e-12)
    assert np.all(small.dense()[2] == 0)
    assert small.values.min() >= -127
    assert small.nbytes == 7 * 75 + 7 * 4


def test_4_bits_are_at_most_as_far_as_evenly_spaced_numbers(matrix):
    small = round_to_int4(matrix)
    squares = []
    for start in range(0, 75, GROUP):
        block, dense = matrix[:, start : start + GROUP], small.dense()[:, start : start + GROUP]
        low, step = block.min(1, keepdims=True), np.ptp(block, 1, keepdims=True) / 15
        even = low + np.rint((block - low) / np.where(step > 0, step, 1)) * step
        squares.append([np.square(dense - block).sum(), np.square(even - block).sum()])
        assert np.all(np.abs(dense - block) <= step * 2.4 + 1e-6)  # an eighth of the range is cut at each end at most
    assert all(mine <= other * 1.0001 for mine, other in squares)
    assert sum(mine for mine, _ in squares) < 0.97 * sum(other for _, other in squares)
    np.testing.assert_array_equal(small.dense()[2:4], matrix[2:4])
    assert small.nbytes == 7 * 38 + 2 * 7 * 3 * 4
    np.testing.assert_allclose(round_to_int4(small.dense()).dense(), small.dense(), atol=1e-5)


def test_packed_values_read_back(matrix):
    small = round_to_int4(matrix)
    packed = small.packed().reshape(7, 38)
    back = np.stack([packed & 15, packed >> 4], 2).reshape(7, 76)[:, :75]
    np.testing.assert_array_equal(back, small.values)
    eight = round_to_int8(matrix)
    np.testing.assert_array_equal(eight.packed().view(np.int8).reshape(7, 75), eight.values)
