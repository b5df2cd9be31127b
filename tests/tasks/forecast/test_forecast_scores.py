"""Scores, baselines and corrections of forecasts, against formulas and published figures."""

from __future__ import annotations

import numpy as np
import pytest

from unspool.data import SeriesTable
from unspool.inputs.series.windows import Scaling, WindowSet, scaling_of
from unspool.settings import make
from unspool.tasks.forecast.baselines import LinearRegression, last_season, last_value
from unspool.tasks.forecast.correction import fit_correction
from unspool.tasks.forecast.data import open_data
from unspool.tasks.forecast.scores import ForecastScores
from unspool.tasks.forecast.settings import ForecasterSettings


def test_scores_are_those_of_their_definitions():
    generator = np.random.default_rng(4)
    scalings = [Scaling(*(np.abs(generator.normal(size=1)) + 1 for _ in range(3))) for _ in range(2)]
    levels = (0.1, 0.5, 0.9)
    forecast = np.sort(generator.normal(size=(3, 5, 3)), -1).astype(np.float32)
    future = generator.normal(size=(3, 5)).astype(np.float32)
    counted = generator.random((3, 5)) > 0.2
    sequence = np.array([0, 1, 0, 0, 1])
    scores = ForecastScores(scalings, 1, levels, 0.8)
    scores.add(forecast[:, :2], future[:, :2], counted[:, :2], sequence[:2])
    scores.add(forecast[:, 2:], future[:, 2:], counted[:, 2:], sequence[2:])
    squares, absolute, pinballs, inside = [], [], [], []
    by_series = {0: ([], []), 1: ([], [])}
    for step in range(3):
        for window in range(5):
            if not counted[step, window]:
                continue
            place, y, f = int(sequence[window]), float(future[step, window]), forecast[step, window].astype(float)
            mean, deviation, seasonal = (float(part[0]) for part in scalings[place])
            squares.append((y - f[1]) ** 2)
            absolute.append(abs(y - f[1]))
            pinballs.append(np.mean([2 * max(q * (y - v), (q - 1) * (y - v)) for q, v in zip(levels, f, strict=True)]))
            inside.append(f[0] <= y <= f[2])
            true, guess = y * deviation + mean, f[1] * deviation + mean
            by_series[place][0].append(abs(true - guess) / seasonal)
            by_series[place][1].append(200 * abs(true - guess) / (abs(true) + abs(guess)))
    expected = {
        "mse": np.mean(squares),
        "mae": np.mean(absolute),
        "mase": np.mean([np.mean(part[0]) for part in by_series.values()]),
        "smape": np.mean([np.mean(part[1]) for part in by_series.values()]),
        "crps": np.mean(pinballs),
        "coverage": np.mean(inside),
    }
    assert scores.scores() == pytest.approx(expected, rel=1e-5)


def test_a_point_has_a_crps_that_is_its_mae():
    scores = ForecastScores([Scaling(*np.ones((3, 1)))], 1, (0.5,), 0.8)
    generator = np.random.default_rng(0)
    forecast, future = (generator.normal(size=(4, 6)).astype(np.float32) for _ in range(2))
    scores.add(forecast[..., None], future, np.ones((4, 6), bool), np.zeros(6, np.int64))
    assert scores.scores()["crps"] == pytest.approx(scores.scores()["mae"])
    assert "coverage" not in scores.scores()


def test_scaling_leaves_missing_values_out():
    values = np.array([[1.0], [np.nan], [3.0], [5.0], [9.0]])
    scaling = scaling_of(values, 2)
    assert (scaling.mean[0], scaling.deviation[0]) == (4.5, pytest.approx(np.std([1, 3, 5, 9])))
    assert scaling.seasonal[0] == np.mean([2, 6])  # 3 - 1 and 9 - 3; 5 has nothing two steps before
    assert np.isnan(scaling_of(values[:2], 2).seasonal[0])


def test_naive_forecasts_repeat_what_was_seen():
    past = np.array([[1.0, 10], [2, 20], [3, 30], [4, 0]], np.float32)
    observed = np.array([[1, 1], [1, 1], [1, 1], [1, 0]], bool)
    assert last_value(past, observed, 2).tolist() == [[4, 30], [4, 30]]
    assert last_season(past, observed, 5, 3)[:, 0].tolist() == [2, 3, 4, 2, 3]
    assert last_season(past, observed, 3, 2)[:, 1].tolist() == [30, 30, 30]


def test_ridge_regression_learns_a_linear_recurrence():
    generator = np.random.default_rng(1)
    values = np.zeros(400)
    values[:2] = generator.normal(size=2)
    for step in range(2, 400):
        values[step] = 1.6 * values[step - 1] - values[step - 2] + 1e-3 * generator.normal()
    scaling = Scaling(np.zeros(1), np.ones(1), np.ones(1))
    from unspool.data import Series

    series = Series("", np.datetime64(0, "s"), values[:, None], np.zeros((400, 0)))
    windows = WindowSet.of([series], [scaling], [np.zeros((400, 0), np.float32)], [(0, 400)], lookback=12, horizon=4)
    assert len(windows) == 400 - 12 - 4 + 1
    batch = windows.batch(np.arange(len(windows)))
    predicted = LinearRegression.learn(windows).predict(batch.past.numpy(), batch.observed.numpy())
    naive = last_value(batch.past.numpy(), batch.observed.numpy(), 4)
    errors = [np.abs(each - batch.future.numpy()).mean() for each in (predicted, naive)]
    assert errors[0] < 0.1 * errors[1]


def test_a_correction_makes_intervals_hold_on_fresh_data():
    """Intervals that are far too narrow, over noise whose size differs from window to window."""
    levels = (0.1, 0.5, 0.9)

    def draw(seed):
        generator = np.random.default_rng(seed)
        scale = np.exp(generator.normal(size=(1, 3000)))
        future = (scale * generator.standard_t(4, size=(6, 3000)) * np.arange(1, 7)[:, None]).astype(np.float32)
        spread = np.broadcast_to(0.2 * scale, future.shape)
        return np.stack([-spread, 0 * spread, spread], -1).astype(np.float32), future

    forecast, future = draw(0)
    counted = np.random.default_rng(2).random(future.shape) > 0.1
    correction = fit_correction(forecast, future, counted, levels, independent=1e9)
    other, fresh = draw(1)
    corrected = correction.apply(other, 1)
    for step in range(6):
        inside = (fresh[step] >= corrected[step, :, 0]) & (fresh[step] <= corrected[step, :, 2])
        assert 0.77 <= inside.mean() <= 0.83
    assert np.array_equal(corrected[..., 1], other[..., 1])


def test_few_independent_windows_move_the_quantiles_by_a_part_of_the_way():
    generator = np.random.default_rng(4)
    future = generator.normal(size=(4, 500)).astype(np.float32)
    forecast = np.broadcast_to(np.float32([-0.4, 0, 0.4]), (4, 500, 3))
    counted = np.ones(future.shape, bool)
    whole, half, none = (
        fit_correction(forecast, future, counted, (0.1, 0.5, 0.9), independent=each).factors for each in (1e12, 30, 0)
    )
    assert whole[:, [0, 2]] == pytest.approx(1.2816 / 0.4, rel=0.1)
    assert np.allclose(half, np.sqrt(whole))
    assert np.array_equal(none, np.ones_like(none))


def test_a_correction_gives_points_an_interval():
    generator = np.random.default_rng(3)
    point = generator.normal(size=(4, 500)).astype(np.float32)
    forecast = np.repeat(point[..., None], 3, -1)
    future = (point + generator.exponential(size=point.shape) - np.log(2)).astype(np.float32)
    correction = fit_correction(forecast, future, np.ones(point.shape, bool), (0.1, 0.5, 0.9), independent=5)
    low, _, high = np.moveaxis(correction.apply(forecast, 1), -1, 0)
    assert np.mean(future < low) == pytest.approx(0.1, abs=0.03)
    assert np.mean(future > high) == pytest.approx(0.1, abs=0.03)


def test_few_values_are_not_corrected():
    forecast = np.zeros((2, 3, 3), np.float32)
    assert fit_correction(forecast, forecast[..., 0], np.ones((2, 3), bool), (0.1, 0.5, 0.9), independent=3) is None


def test_naive_scores_of_the_m4_competition_are_the_published_ones(data):
    """Makridakis et al. 2020, `Evaluation and Ranks.xlsx`, hourly: sMAPE and MASE of Naive and seasonal naive."""
    settings = make(ForecasterSettings, {"layout": "rows"})
    tables = []
    for name in ("Hourly-train.csv", "Hourly-test.csv"):
        reader = open_data(settings, str(data("m4_hourly") / name))
        tables.append(SeriesTable.of(reader, reader.layout).series)
    scalings = [scaling_of(each.values, 24) for each in tables[0]]
    found = {}
    for name in ("naive", "seasonal"):
        scores = ForecastScores(scalings, 1, (0.5,), 0.8)
        for place, (before, after) in enumerate(zip(*tables, strict=True)):
            past = before.values[-48:].astype(np.float64)
            seen = np.ones(past.shape, bool)
            forecast = last_value(past, seen, 48) if name == "naive" else last_season(past, seen, 48, 24)
            mean, deviation = scalings[place].mean, scalings[place].deviation
            scaled = [(part - mean) / deviation for part in (forecast, after.values)]
            scores.add(scaled[0][..., None], scaled[1], np.ones((48, 1), bool), np.array([place]))
        found[name] = scores.scores()
    assert (found["naive"]["smape"], found["naive"]["mase"]) == pytest.approx((43.003, 11.608), abs=6e-4)
    assert (found["seasonal"]["smape"], found["seasonal"]["mase"]) == pytest.approx((13.912, 1.193), abs=6e-4)
