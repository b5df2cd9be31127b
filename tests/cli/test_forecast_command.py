"""Forecasts on the command line: train, predict in every form, pictures, and wrong words."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from click.testing import CliRunner

from unspool.cli import unspool


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("forecasts")
    start = np.datetime64("2010-01", "M")
    season = [10 * np.sin(np.pi * step / 6) + step / 4 + 50 for step in range(120)]
    rows = [f"{start + step},{value:.3f}" for step, value in enumerate(season)]
    (place / "sales.csv").write_text("\n".join(["month,units", *rows]) + "\n")
    words = [*["train", "forecast"], str(place / "sales.csv"), "--horizon", "6", "--hidden", "8", "--epochs", "3"]
    done = CliRunner().invoke(unspool, [*words, "--threads", "1", "--out", str(place / "m")])
    assert done.exit_code == 0, done.stderr
    assert "last season (12) (test)" in done.stdout
    assert "coverage" in done.stdout
    assert "steps every month, a season of 12" in done.stderr
    return place


def run(*words):
    return CliRunner().invoke(unspool, list(map(str, words)))


def test_predict_goes_on_from_the_training_data(folder):
    shown = run("predict", folder / "m")
    head, *rows = shown.stdout.splitlines()
    assert head.split() == ["time", "value", "low", "high"]
    assert [row.split()[0] for row in rows] == [f"2020-{month:02}" for month in range(1, 7)]
    again = run("predict", folder / "m", folder / "sales.csv")
    assert again.stdout == shown.stdout


def test_json_and_csv_hold_the_same_numbers(folder):
    record = json.loads(run("predict", folder / "m", "--json").stdout)
    rows = list(csv.DictReader(io.StringIO(run("predict", folder / "m", "--csv", "--horizon", "4").stdout)))
    assert record["times"][:4] == [row["time"] for row in rows]
    assert record["channels"]["units"]["low"][:4] == pytest.approx([float(row["low"]) for row in rows])
    assert record["interval"] == 0.8


def test_a_longer_horizon_is_announced(folder):
    shown = run("predict", folder / "m", "--horizon", "9")
    assert len(shown.stdout.splitlines()) == 10
    assert "the model was trained for 6 steps" in shown.stderr


def test_a_plot_is_an_svg_with_the_numbers_of_the_forecast(folder):
    assert run("predict", folder / "m", "--plot", folder / "next.svg").exit_code == 0
    root = ET.fromstring((folder / "next.svg").read_text())
    lines = [each for each in root.iter() if each.tag.endswith("polyline")]
    assert len(lines) == 2
    assert len(lines[1].get("points").split()) == 7  # from the last value over six steps
    assert len([each for each in root.iter() if each.tag.endswith("polygon")]) == 1
    again = run("predict", folder / "m", "--plot", folder / "next.svg")
    assert again.exit_code == 2
    assert "next.svg exists already; name another file, or add --overwrite" in again.stderr
    assert again.stdout == ""
    assert run("predict", folder / "m", "--plot", folder / "next.svg", "--overwrite").exit_code == 0


def test_evaluate_check_info_and_inspect_take_a_forecaster(folder):
    assert "steps 1 to 2" in run("evaluate", folder / "m", folder / "sales.csv").stdout
    checked = run("check", "forecast", folder / "sales.csv")
    assert checked.exit_code == 0
    assert "120 steps" in checked.stdout
    assert "forecast" in run("info", folder / "m").stdout
    assert "layer 1" in run("inspect", folder / "m", folder / "sales.csv").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--json", "--csv"], "--json and --csv: choose one"),
        (["--begin", "now"], "--begin: a model of the task 'forecast' forecasts series"),
        (["--horizon", "0"], "0 is not in the range"),
        (["--future", "sales.csv"], "trained without known columns"),
        (["nothing.csv"], "nothing.csv"),
    ],
)
def test_wrong_words_are_answered_in_a_sentence(folder, words, message, monkeypatch):
    monkeypatch.chdir(folder)
    done = run("predict", "m", *words)
    assert done.exit_code in (1, 2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_bad_tables_stop_a_training(folder, tmp_path):
    lines = (folder / "sales.csv").read_text().splitlines()
    for change, message in (
        ([*lines[:5], lines[4], *lines[5:]], "bad.csv:6: time 2010-04 came twice"),
        ([*lines[:5], "2010-05,inf", *lines[6:]], "bad.csv:6: column 'units' is infinite"),
    ):
        (tmp_path / "bad.csv").write_text("\n".join(change))
        done = run("train", "forecast", tmp_path / "bad.csv", "--out", tmp_path / "m")
        assert done.exit_code == 1
        assert message in done.stderr
        assert not (tmp_path / "m").exists()
