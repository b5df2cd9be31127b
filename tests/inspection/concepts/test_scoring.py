"""Scores of units against plain definitions, coverage of intervals, and the level of corrected p values."""

from __future__ import annotations

import numpy as np
import pytest

from unspool.inspection.concepts.controls import best_threshold, control_labels, lookup_score, sparse_probe
from unspool.inspection.concepts.scoring import Shifts, mean_interval, prediction_score, score_units


def smooth(generator: np.random.Generator, length: int, columns: int, decay: float = 0.9) -> np.ndarray:
    """First-order autoregressive series, (length, columns)."""
    noise = generator.normal(size=(length, columns))
    series = np.zeros_like(noise)
    for step in range(1, length):
        series[step] = decay * series[step - 1] + noise[step]
    return series


def test_r2_is_that_of_the_line_of_the_first_part():
    generator = np.random.default_rng(1)
    x, y = smooth(generator, 500, 3), smooth(generator, 500, 1)
    y += 2 * x[:, :1] - 0.5 * x[:, 1:2]
    first, second = slice(0, 250), slice(250, 500)
    scores = score_units((x[first], y[first]), (x[second], y[second]), "numeric")
    for unit in range(3):
        slope, offset = np.polyfit(x[first, unit], y[first, 0], 1)
        errors = y[second, 0] - slope * x[second, unit] - offset
        expected = 1 - (errors**2).sum() / ((y[second, 0] - y[second, 0].mean()) ** 2).sum()
        assert scores.held_out[unit, 0] == pytest.approx(expected, abs=1e-9)
        assert scores.direction[unit, 0] == np.sign(slope)
        assert scores.selection[unit, 0] == pytest.approx(np.corrcoef(x[first, unit], y[first, 0])[0, 1] ** 2)


def test_auc_counts_pairs_with_ties_as_half():
    generator = np.random.default_rng(2)
    x = generator.integers(0, 6, (120, 2)).astype(float)
    y = (generator.random((120, 3)) < 0.4).astype(float)
    y[:, 0] = (x[:, 0] + generator.normal(size=120) < 2).astype(float)  # a falling unit
    first, second = slice(0, 60), slice(60, 120)
    scores = score_units((x[first], y[first]), (x[second], y[second]), "binary")
    for unit in range(2):
        for target in range(3):
            rises = pairs(x[first, unit], y[first, target]) >= 0.5
            expected = pairs(x[second, unit], y[second, target])
            assert scores.held_out[unit, target] == pytest.approx(expected if rises else 1 - expected)
    assert scores.direction[0, 0] == -1
    assert scores.held_out[0, 0] > 0.7


def pairs(x: np.ndarray, y: np.ndarray) -> float:
    ones, zeros = x[y == 1][:, None], x[y == 0][None, :]
    return float(((ones > zeros) + 0.5 * (ones == zeros)).mean())


@pytest.mark.parametrize("kind", ["numeric", "binary"])
def test_intervals_cover_the_score_of_dependent_tokens(kind):
    def draw(seed: int, length: int = 1500) -> tuple[np.ndarray, np.ndarray]:
        generator = np.random.default_rng(seed)
        label = smooth(generator, length, 1)
        unit = label + smooth(generator, length, 1)
        return unit, (label if kind == "numeric" else (label > 0)).astype(float)

    first = draw(1000, 20_000)
    truth = score_units(first, draw(1001, 50_000), kind).held_out[0, 0]
    inside = naive = 0
    for seed in range(60):
        scores = score_units(first, draw(seed), kind)
        inside += scores.low[0, 0] <= truth <= scores.high[0, 0]
        naive += abs(scores.held_out[0, 0] - truth) < 0.02
    assert inside >= 52  # 95 % of 60 is 57; tokens as samples would give an interval of some ±0.02
    assert naive < 45


def test_mean_interval_is_exact_for_independent_blocks():
    generator = np.random.default_rng(4)
    values, mask = generator.normal(3, 1, 5000), np.arange(5000) % 3 == 0
    mean, half = mean_interval(values, mask)
    assert mean == pytest.approx(values[mask].mean())
    assert half == pytest.approx(2.01 * values[mask].std() / np.sqrt(mask.sum()), rel=0.3)


@pytest.mark.parametrize("kind", ["numeric", "binary"])
def test_p_values_hold_their_level_over_all_units(kind):
    smallest = []
    for seed in range(60):
        generator = np.random.default_rng(seed)
        units, label = smooth(generator, 2000, 40), smooth(generator, 2000, 1, 0.95)
        values = label if kind == "numeric" else (label > 0).astype(float)
        shifts = Shifts(values[1000:])
        scores = score_units((units[:1000], values[:1000]), (units[1000:], values[1000:]), kind, shifts)
        smallest.append(shifts.p_values(scores.deviation).min())
    assert sum(p <= 0.05 for p in smallest) <= 8  # 3 expected of 60
    assert np.median(smallest) > 0.2


def test_a_unit_that_carries_the_label_has_the_smallest_p():
    generator = np.random.default_rng(5)
    units, label = smooth(generator, 8000, 40), smooth(generator, 8000, 1)
    units[:, 17] = -label[:, 0] + 0.5 * units[:, 17]
    shifts = Shifts(label[4000:])
    scores = score_units((units[:4000], label[:4000]), (units[4000:], label[4000:]), "numeric", shifts)
    p = shifts.p_values(scores.deviation)[:, 0]
    assert p.argmin() == scores.selection[:, 0].argmax() == 17
    assert p[17] == pytest.approx(shifts.smallest)
    assert scores.direction[17, 0] == -1
    assert np.delete(p, 17).min() > 0.05


def test_the_p_value_counts_shifts_and_not_tokens():
    label = np.repeat([0.0, 1.0, 0.0, 1.0], 500)[:, None]  # four long stretches: few independent shifts
    shifts = Shifts(label)
    deviation = shifts.add(label + np.random.default_rng(0).normal(0, 0.1, label.shape))
    assert shifts.smallest > 0.05
    assert shifts.p_values(deviation)[0, 0] > 0.05


def test_units_in_several_chunks_equal_units_at_once():
    generator = np.random.default_rng(6)
    units, label = smooth(generator, 600, 70), smooth(generator, 600, 2)
    whole = Shifts(label[300:])
    scores = score_units((units[:300], label[:300]), (units[300:], label[300:]), "numeric", whole)
    parts = Shifts(label[300:])
    for begin in (0, 30, 60):
        part = slice(begin, min(begin + 30, 70))
        some = score_units((units[:300, part], label[:300]), (units[300:, part], label[300:]), "numeric", parts)
        np.testing.assert_allclose(some.held_out, scores.held_out[part])
        np.testing.assert_allclose(some.deviation, scores.deviation[part])
    np.testing.assert_allclose(parts.maxima, whole.maxima)


def test_a_constant_unit_scores_nothing():
    y = np.arange(100.0)[:, None]
    scores = score_units((np.ones((100, 1)), y), (np.ones((100, 1)), y), "numeric", Shifts(y))
    assert scores.held_out[0, 0] == pytest.approx(0)
    assert scores.deviation[0, 0] == 0


def test_lookup_predicts_the_mean_of_each_key():
    keys = (np.array([0, 0, 1, 1]), np.array([0, 1, 2]))
    labels = (np.array([0.0, 2.0, 5.0, 7.0]), np.array([1.0, 6.0, 3.5]))  # key 2 is new: the mean of all
    assert lookup_score(keys, labels, "numeric") == pytest.approx(1)
    assert prediction_score(np.array([3.0, 3.0, 3.0]), np.array([1.0, 3.0, 5.0]), "numeric") == pytest.approx(0)


def test_the_control_task_depends_on_the_token_alone():
    ids = np.random.default_rng(0).integers(0, 9, 400)
    labels = control_labels(ids, np.arange(400.0), np.random.default_rng(1))
    assert all(len(set(labels[ids == token])) == 1 for token in range(9))
    assert len(set(labels)) > 5


def test_the_sparse_probe_finds_the_units_that_add_up():
    generator = np.random.default_rng(7)
    units = smooth(generator, 3000, 12, 0.5)
    label = units[:, 3] - 2 * units[:, 8] + 0.1 * generator.normal(size=3000)
    probe = sparse_probe((units[:1500], label[:1500]), (units[1500:], label[1500:]), "numeric", size=2)
    assert set(probe.units) == {3, 8}
    assert probe.score > 0.98


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_the_threshold_separates(direction):
    values = np.array([0.1, 0.2, 0.3, 0.7, 0.8, 0.9]) * direction
    threshold = best_threshold(values, np.array([False, False, False, True, True, True]), direction)
    assert 0.3 < threshold * direction < 0.7
