import importlib

import pytest
from command_line import files_in

from unspool import load


@pytest.fixture
def small(monkeypatch):
    module = importlib.import_module("unspool.cli.demo")
    for name, value in {"_TRAIN": 60, "_VALID": 20, "_TEST": 42}.items():
        monkeypatch.setattr(module, name, value)
    for name, value in {"hidden": 4, "embedding": 4, "epochs": 2}.items():
        monkeypatch.setitem(module._SETTINGS, name, value)


def test_demo_keeps_what_it_trained_where_it_is_told_to(shell, tmp_path, small):
    done = shell("demo", "agreement", "--out", tmp_path / "d")
    for part in ("bag", "Elman", "LSTM", "6 (more than in training)", "forget", "cancelling", "unspool train classify"):
        assert part in done.stdout
    assert [line.split()[0] for line in done.stderr.splitlines()[1:]] == ["bag", "Elman", "LSTM"]
    assert load(tmp_path / "d" / "lstm").settings.network.cell == "lstm"
    assert {"train.tsv", "valid.tsv", "test.tsv"} <= files_in(tmp_path / "d")
    shell("evaluate", tmp_path / "d" / "lstm", tmp_path / "d" / "test.tsv")
    assert "nothing is overwritten" in shell.refuses("demo", "--out", tmp_path / "d", code=2)


def test_demo_leaves_nothing_behind_otherwise(shell, tmp_path, small, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert shell("demo", "--quiet").stderr == ""
    assert files_in(tmp_path) == set()


@pytest.mark.learn
def test_the_lstm_learns_agreement_and_the_bag_can_not(shell):
    rows = [line for line in shell("demo", "--quiet").stdout.splitlines() if line.endswith(" %")]
    hard = next(line for line in rows if line.startswith("any, most of the other number"))
    bag, elman, lstm = (int(word) for word in hard.replace("%", " ").split()[-3:])
    assert bag <= 60
    assert bag + 15 <= elman <= lstm
    assert lstm >= 97
