"""The forecaster from tables to model folder and back, on series that a small network learns in seconds."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

import unspool
from unspool import Forecaster
from unspool.errors import DataError, ModelFolderError, SettingError, UsageError
from unspool.training import Reporter

SILENT = Reporter()
SMALL = {"hidden": 12, "dropout": 0.0, "batch_size": 32, "threads": 1, "learning_rate": 3e-3}
STEPS, SEASON, HORIZON = 480, 12, 6


def seasonal(steps=STEPS, *, seed=0, level=50.0, noise=1.0, phase=0):
    """A season of twelve whose size follows a slow wave, and noise."""
    place = np.arange(steps)
    size = 8 + 3 * np.sin(2 * np.pi * place / 97)
    wave = size * np.sin(2 * np.pi * (place + phase) / SEASON) + 4 * np.cos(4 * np.pi * place / SEASON)
    return level + wave + noise * np.random.default_rng(seed).normal(size=steps)


def months(steps=STEPS):
    start = np.datetime64("1980-01", "M")
    return [str(start + each) for each in range(steps)]


def write_table(path, columns):
    rows = zip(*columns.values(), strict=True)
    lines = [",".join("" if cell != cell else str(cell) for cell in row) for row in rows]
    path.write_text("\n".join([",".join(columns), *lines]) + "\n")
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Two channels with missing values, a gap in the times, and a known column that moves the first channel."""
    values, promo = seasonal(), (np.random.default_rng(9).random(STEPS) < 0.2).astype(float)
    sales = values + 12 * promo
    sales[[40, 41, 200]] = np.nan
    columns = {"month": months(), "sales": sales, "heat": seasonal(seed=5, level=-3, phase=4), "promo": promo}
    kept = [place for place in range(STEPS) if place not in (100, 101)]
    picked = {name: [column[place] for place in kept] for name, column in columns.items()}
    return write_table(tmp_path_factory.mktemp("series") / "sales.csv", picked)


@pytest.fixture(scope="module")
def trained(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "m"
    model = Forecaster(horizon=HORIZON, known="promo", epochs=16, lookback=36, **SMALL)
    return model.fit(str(table), out=folder, reporter=SILENT), folder


def future(steps=HORIZON, promo=1.0):
    start = np.datetime64(months()[-1]) + 1
    return {"month": [str(start + each) for each in range(steps)], "promo": [promo] * steps}


# ---- learning --------------------------------------------------------------------------------------------------------


def test_a_forecaster_beats_naive_forecasts_and_its_intervals_hold(trained):
    model, _ = trained
    scores, baselines = model.record.metrics["test"], model.record.baselines
    assert set(baselines) == {"last value", f"last season ({SEASON})", "linear"}
    assert scores["mae"] < 0.75 * baselines[f"last season ({SEASON})"]["mae"]
    assert scores["crps"] < scores["mae"]
    assert 0.7 <= scores["coverage"] <= 0.9


def test_the_known_column_moves_the_forecast(trained):
    model, _ = trained
    with_promo, without = (model.predict(future=future(promo=each))[0] for each in (1.0, 0.0))
    difference = np.array(with_promo.channels["sales"].values) - np.array(without.channels["sales"].values)
    assert difference.mean() == pytest.approx(12, abs=4)


def test_the_clock_and_the_windows_are_learned(trained):
    fitted = trained[0].fitted
    assert (fitted.clock.name, fitted.season, fitted.lookback, fitted.horizon) == ("every month", 12, 36, 6)
    assert (fitted.channels, fitted.covariates) == (("sales", "heat"), ("promo",))
    assert {name.partition(" ")[2] for name in fitted.calendar} == {"month"}


def test_a_forecast_has_times_intervals_and_units(trained):
    model, _ = trained
    forecast = model.predict(future=future())[0]
    assert forecast.times == ["2020-01", "2020-02", "2020-03", "2020-04", "2020-05", "2020-06"]
    sales = forecast.channels["sales"]
    for low, value, high in zip(sales.low, sales.values, sales.high, strict=True):
        assert low <= value <= high
    levels = np.array([sales.quantiles[level] for level in sorted(sales.quantiles)])
    assert (np.diff(levels, axis=0) >= 0).all()
    assert abs(np.mean(forecast.channels["heat"].values) + 3) < 10
    record = json.loads(json.dumps(forecast.record()))
    assert record["channels"]["sales"]["quantiles"]["0.5"] == sales.values
    columns = forecast.to_columns()
    assert columns["channel"] == ["sales"] * 6 + ["heat"] * 6
    assert len({len(column) for column in columns.values()}) == 1


def test_a_longer_horizon_goes_on_and_says_so(trained):
    model, _ = trained
    short, long = model.predict(future=future())[0], model.predict(future=future(15), horizon=15)[0]
    assert long.channels["sales"].values[:6] == pytest.approx(short.channels["sales"].values, rel=1e-5)
    assert (len(long.times), bool(long.caution), bool(short.caution)) == (15, True, False)
    assert model.predict(future=future(), horizon=2)[0].channels["heat"].values == pytest.approx(
        short.channels["heat"].values[:2], rel=1e-5
    )


# ---- storing ---------------------------------------------------------------------------------------------------------


def test_a_loaded_model_forecasts_the_same(trained, table):
    model, folder = trained
    loaded = unspool.load(folder, Forecaster)
    assert loaded.predict(future=future())[0].record() == model.predict(future=future())[0].record()
    assert loaded.evaluate(str(table)) == model.evaluate(str(table))
    assert torch.equal(loaded.model.network.output.weight, model.model.network.output.weight)


def test_a_file_is_continued_like_the_training_data(trained, table):
    model, _ = trained
    assert model.predict(str(table), future=future())[0].record() == model.predict(future=future())[0].record()
    rows = [line.split(",") for line in table.read_text().split()]
    cut = dict(zip(rows[0], map(list, zip(*rows[1:-1], strict=True)), strict=True))
    earlier = model.predict(cut, future={"month": ["2019-12", "2020-01"], "promo": [0, 0]}, horizon=2)[0]
    assert earlier.times == ["2019-12", "2020-01"]


def test_a_killed_training_resumes_to_the_same_bits(tmp_path):
    data = {"month": months(160), "x": seasonal(160)}
    settings = {**SMALL, "horizon": 3, "lookback": 12, "dropout": 0.2, "epochs": 4}
    settings |= {"schedule": "constant", "warmup": 0}
    whole = Forecaster(**settings).fit(data, out=tmp_path / "a", reporter=SILENT)

    Forecaster(**{**settings, "epochs": 2}).fit(data, out=tmp_path / "b", reporter=SILENT)
    resumed = Forecaster(**settings).fit(data, out=tmp_path / "b", resume=True, reporter=SILENT)
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, resumed.model.state_dict()[name]), name
    assert whole.record.metrics == resumed.record.metrics


def test_a_damaged_state_is_refused(trained, tmp_path):
    import shutil

    folder = tmp_path / "m"
    shutil.copytree(trained[1], folder)
    file = folder / "vocabulary" / "series.json"
    record = json.loads(file.read_text())
    for change in (
        {"sizes": [1, 2]},
        {"factors": [[1.0]], "offsets": [[0.0]]},
        {"covariate_mean": []},
        {"channels": ["a"]},
        {"unit": "fortnight"},
        {"count": 0},
        {"calendar": ["sin weather"]},
        {"calendar": ["sin hour"]},  # no feature of months
        {"ends": [{**record["ends"][0], "start": 10**30}]},
    ):
        file.write_text(json.dumps({**record, **change}))
        with pytest.raises(ModelFolderError, match=r"series\.json"):
            unspool.load(folder)


# ---- several series, tests in files ----------------------------------------------------------------------------------


def test_a_test_file_goes_on_from_the_training_file(tmp_path):
    names = ["id", *(f"V{number}" for number in range(1, 121))]
    series = {f"S{place}": seasonal(126 - place, seed=place, level=20.0 * (place + 1)) for place in range(4)}
    lines = [
        ",".join([name, *map(str, values[:-6])]) + "," * (place) for place, (name, values) in enumerate(series.items())
    ]
    later = [",".join([name, *map(str, values[-6:])]) for name, values in series.items()]
    (tmp_path / "train.csv").write_text("\n".join([",".join(names), *lines]))
    (tmp_path / "test.csv").write_text("\n".join([",".join(names[:7]), *later]))
    model = Forecaster(horizon=6, season=12, layout="rows", lookback=24, epochs=3, valid_fraction=0.05, **SMALL)
    model.fit(tmp_path / "train.csv", test=tmp_path / "test.csv", reporter=SILENT)
    scale = [np.abs(values[12:-6] - values[:-18]).mean() for values in series.values()]
    naive = [np.abs(values[-6:] - values[-18:-12]).mean() for values in series.values()]
    expected = np.mean(np.array(naive) / np.array(scale))
    assert model.record.baselines["last season (12)"]["mase"] == pytest.approx(expected, rel=1e-5)
    forecasts = {each.series: each for each in model.predict()}
    assert set(forecasts) == set(series)
    assert forecasts["S2"].times[0] == "124"


# ---- recurrent networks, streams, traces -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stepwise():
    values = {"value": list(seasonal(200))}
    settings = {**SMALL, "network": "recurrent", "horizon": 4, "lookback": 30, "season": 12, "epochs": 2}
    return Forecaster(**settings).fit(values, reporter=SILENT), values


def test_a_stream_of_a_recurrent_network_keeps_its_state(stepwise):
    model, values = stepwise
    history = np.array(values["value"][-30:])
    stream = model.stream(history)
    assert stream.keeps_state
    assert stream.forecast().values == pytest.approx(model.predict(history).values, rel=1e-5)
    grown = stream.update(51.0)
    model.fitted.lookback = 31  # a state reaches beyond a look-back
    try:
        expected = model.predict(np.append(history, 51.0)).values
    finally:
        model.fitted.lookback = 30
    assert grown.values == pytest.approx(expected, rel=1e-4)
    missing = stream.update(math.nan)
    assert all(map(math.isfinite, missing.values))
    with pytest.raises(DataError, match="expected one finite number"):
        stream.update([1.0, 2.0])


def test_a_stream_of_another_network_reads_its_window():
    values = seasonal(160)
    model = Forecaster(**SMALL, horizon=4, lookback=24, season=12, epochs=1).fit({"value": values}, reporter=SILENT)
    stream = model.stream(values[:60])
    assert not stream.keeps_state
    assert stream.update(values[60]).values == pytest.approx(model.predict(values[:61]).values, rel=1e-5)


def test_a_trace_has_gates_at_times(trained, stepwise):
    model, _ = trained
    trace = model.trace()
    assert trace.tokens == ("2017-01", "2017-07", "2018-01", "2018-07", "2019-01", "2019-07")
    assert trace.array("layer 1 / update").shape == (6, 12)
    edited = model.trace("", ["layer 1 / h[1,2] = 0 @ 2"]).array("layer 1 / h")
    assert not edited[1, :2].any()
    assert edited[1, 2:].any()
    steps = stepwise[0].trace()
    assert len(steps.tokens) == 30
    assert steps.array("layer 1 / reset").shape == (30, 12)


def test_a_backtest_forecasts_only_from_before(trained, table):
    model, _ = trained
    back = model.backtest(str(table), most=3)
    assert [origin.forecast.times[0] for origin in back.origins] == ["2018-07", "2019-01", "2019-07"]
    first = back.origins[0]
    promo = dict(zip(months(), np.random.default_rng(9).random(STEPS) < 0.2, strict=True))
    assert first.truth["heat"] == pytest.approx(seasonal(seed=5, level=-3, phase=4)[462:468])
    assert promo[first.forecast.times[0]] in (True, False)
    assert set(back.scores()) == {"mae", "smape", "coverage"}
    assert "<svg" in back.svg()


# ---- what is refused -------------------------------------------------------------------------------------------------


def test_what_can_not_be_learned_is_refused(tmp_path):
    def fit(columns, **settings):
        path = write_table(tmp_path / "a.csv", columns)
        return Forecaster(**{**SMALL, "epochs": 1, **settings}).fit(path, reporter=SILENT)

    ok = {"month": months(60), "x": seasonal(60)}
    with pytest.raises(DataError, match=r"a\.csv:2: .*constant in 'x': all training values are 3"):
        fit({"month": months(60), "x": np.full(60, 3.0)})
    with pytest.raises(DataError, match=r"a\.csv:2: .* and a look-back of 70 with a horizon of 3 needs 73"):
        fit(ok, horizon=3, lookback=70)
    with pytest.raises(DataError, match=r"too few to hold some out for a horizon of 50"):
        fit(ok, horizon=50)
    with pytest.raises(SettingError, match="horizon"):
        fit(ok, horizon=0)
    with pytest.raises(SettingError, match="quantiles"):
        fit(ok, quantiles="0.1,0.9")
    with pytest.raises(SettingError, match="split"):
        fit(ok, split="1,2,3,4")


def test_what_can_not_be_forecast_is_refused(trained):
    model, _ = trained
    with pytest.raises(DataError, match=r"6 of the 6 steps after 2019-12 lack 'promo'"):
        model.predict()
    with pytest.raises(DataError, match=r"2 of the 6 steps after 2019-12 lack 'promo'"):
        model.predict(future=future(4))
    with pytest.raises(DataError, match=r"has 5 steps; the model needs 36"):
        model.predict({"month": months(5), "sales": [1] * 5, "heat": [2] * 5, "promo": [0] * 5}, future=future())
    with pytest.raises(DataError, match=r"expected \(steps, 2\)"):
        model.predict(np.zeros(40))
    with pytest.raises(UsageError, match="horizon = 0"):
        model.predict(horizon=0)
    with pytest.raises(UsageError, match="known columns"):
        model.stream()
    with pytest.raises(UsageError, match="has not been trained"):
        Forecaster().predict()


def test_a_server_reads_no_files(stepwise, table):
    model, values = stepwise
    text = " ".join(f"{value:.6f}" for value in values["value"][-30:])
    assert model.predict([text])[0].values == pytest.approx(
        model.predict(np.array(values["value"][-30:])).values, rel=1e-3
    )
    model.fitted.refuse_files()
    try:
        with pytest.raises(DataError, match="text 1"):
            model.predict([str(table)])
    finally:
        model.fitted.reads_files = True


@pytest.mark.parametrize("loss", ["absolute", "squared"])
def test_points_get_intervals_from_the_validation_errors(loss):
    values = {"month": months(300), "x": seasonal(300)}
    settings = {**SMALL, "horizon": 3, "lookback": 24, "network": "linear", "epochs": 3, "loss": loss}
    model = Forecaster(**settings, choose_by="mae", valid_fraction=0.3).fit(values, reporter=SILENT)
    assert 0.65 <= model.record.metrics["test"]["coverage"] <= 0.95
    forecast = model.predict()[0]
    assert all(
        low < value < high for low, value, high in zip(forecast.low, forecast.values, forecast.high, strict=True)
    )


def test_gates_have_gradients_and_networks_compare(tmp_path):
    values = write_table(tmp_path / "a.csv", {"month": months(120), "x": seasonal(120)})
    settings = {"training.epochs": 1, "horizon": 3, "training.threads": 1, "network.hidden": 8}
    found = unspool.compare("forecast", values, networks=["linear", "gru"], reporter=SILENT, **settings)
    assert [run.network for run in found.runs] == ["linear", "gru"]
