"""Tuning in this process: what wins, what is fixed, what goes on after an interruption, and what is refused."""

from __future__ import annotations

import json
import os
import random
import re
import signal
from pathlib import Path
from typing import Any

import pytest

import unspool
from unspool import Classifier, Tagger
from unspool.cells import GRUCell
from unspool.errors import (
    DataError,
    Interrupted,
    MissingExtraError,
    ModelFolderError,
    SettingError,
    TrainingError,
    UsageError,
)
from unspool.settings import make, read_recipe
from unspool.training import Reporter

pytest.importorskip("optuna", reason="tuning needs optuna, of the extra tune")

GOOD, BAD, OTHER = ("fine", "joy", "warm"), ("dull", "slow", "cold"), ("a", "film", "the", "end", "story")
TINY: dict[str, Any] = {
    "hidden": 4, "embedding": 5, "threads": 1, "ngrams": False, "batch_tokens": 100, "device": "cpu", "dropout": 0.0,
}  # fmt: skip
RATES = {"learning_rate": [1e-9, 3e-2]}


class Lines(Reporter):
    """Keeps what is reported."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def reviews(count: int, seed: int = 0) -> list[tuple[str, str]]:
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        words = [draw.choice(OTHER) for _ in range(draw.randint(1, 5))]
        words.insert(draw.randint(0, len(words)), draw.choice(BAD if number % 2 else GOOD))
        rows.append((" ".join(words), "bad" if number % 2 else "good"))
    return rows


def tuned(out: Path, data: Any = None, **options: Any) -> Any:
    options = {"minutes": 30, "epochs": 3, "trials": 3, "space": RATES, "reporter": Lines(), **TINY, **options}
    return unspool.tune("classify", reviews(60) if data is None else data, out=out, **options)


def trainings(out: Path) -> list[tuple[int, int]]:
    """Trial and rung of every training in the journal, in order."""
    lines = [json.loads(line) for line in (out / "trials.journal").read_text().splitlines()]
    return [
        (line["trial_id"], line["user_attr"]["trainings"][-1][0])
        for line in lines
        if "trainings" in line.get("user_attr", {})
    ]


def test_the_value_that_learns_wins(tmp_path):
    lines, seen = Lines(), []
    result = tuned(tmp_path / "t", reporter=lines, on_trial=lambda so_far: seen.append(len(so_far.trials)))
    assert [trial.number for trial in result.trials] == [0, 1, 2]
    assert result.best.settings == {"training.learning_rate": 3e-2}
    assert result.best.state == "complete"
    assert result.default.settings == {"training.learning_rate": 4e-3}  # planned
    assert result.default.state == "complete"  # never stopped
    assert {trial.settings["training.learning_rate"] for trial in result.trials[1:]} == {1e-9, 3e-2}
    assert result.metric == "nats"
    assert result.best.last.score < result.default.last.score
    assert "linear n-grams" in result.baselines
    assert len(seen) == 3
    trials = [line for line in lines.notes if line.startswith("#")]
    assert len(trials) == 3
    assert all(len(line) <= 80 for line in trials)
    assert re.match(r"#0   nats 0\.\d+  best 0\.\d+ \(#\d\)  default$", next(line for line in trials if "#0 " in line))
    assert {path.name for path in (tmp_path / "t").iterdir()} == {
        "best",
        "recipe.toml",
        "trials.journal",
        "tuning.json",
    }
    assert isinstance(result.load(), Classifier)


def test_a_bad_trial_is_stopped_after_its_shortest_training(tmp_path):
    result = tuned(tmp_path / "t", epochs=9, space={"learning_rate": [1e-9]}, trials=2)
    assert result.lengths.values == (1, 3, 9)
    assert result.trials[1].state == "stopped"
    assert [training.rung for training in result.trials[1].trainings] == [0]
    assert [training.rung for training in result.trials[0].trainings] == [0, 1, 2]
    assert result.best is result.trials[0] or result.best.number == 0


def test_a_finite_space_ends_when_all_was_tried(tmp_path):
    result = tuned(tmp_path / "t", space={"learning_rate": [4e-3, 1e-2], "pooling": ["max", "mean"]}, trials=None)
    settings = [tuple(trial.settings.values()) for trial in result.trials]
    assert len(settings) == 4
    assert len(set(settings)) == 4
    assert settings[0] == (4e-3, "mean")  # the default


@pytest.mark.parametrize("length", [{"epochs": 3}, {"epochs": 400, "trial_minutes": 0.02}])
def test_the_recipe_repeats_the_best_model(tmp_path, length):
    out = tmp_path / "t"
    result = tuned(out, trials=2, **length)
    recipe = make(Classifier.settings_type, read_recipe(out / "recipe.toml"))
    again = Classifier(recipe).fit(reviews(60), out=tmp_path / "again", reporter=Reporter())
    assert again.record.metrics["valid"]["nats"] == result.best.last.score
    assert again.record.training["updates"] == unspool.load(out / "best").record.training["updates"]
    weights = [(folder / "model.safetensors").read_bytes() for folder in (out / "best", tmp_path / "again")]
    assert weights[0] == weights[1]
    assert result.recipe["training.learning_rate"] == result.best.settings["training.learning_rate"]
    assert ("training.course" in result.recipe) == ("trial_minutes" in length)


def test_a_setting_that_is_passed_is_fixed(tmp_path):
    space = {"learning_rate": [1e-3, 3e-2], "hidden": {"kind": "int", "low": 2, "high": 8}}
    result = tuned(tmp_path / "t", space=space, trials=4)  # hidden is passed
    assert {tuple(trial.settings) for trial in result.trials} == {("training.learning_rate",)}
    assert unspool.load(tmp_path / "t/best").settings.network.hidden == 4


def test_test_data_are_scored_once_by_the_best_model(tmp_path, monkeypatch):
    scored = []
    final = Classifier._final_score
    monkeypatch.setattr(
        Classifier,
        "_final_score",
        lambda self, model, data: scored.append(len(data.values)) or final(self, model, data),
    )
    result = tuned(tmp_path / "t", trials=2, test_fraction=0.25)
    assert scored.count(15) == 1
    assert scored[-1] == 15
    assert set(scored[:-1]) == {4}  # a tenth of what is left
    assert result.test == unspool.load(tmp_path / "t/best").record.metrics["test"]
    assert "best model on test: accuracy" in str(result)
    again = tuned(tmp_path / "t", trials=2, test_fraction=0.25, resume=True)
    assert scored.count(15) == 1
    assert again.test == result.test


def test_ctrl_c_ends_with_the_way_on_and_a_resume_repeats_nothing(tmp_path):
    out = tmp_path / "t"
    with pytest.raises(Interrupted, match=r"stopped after 1 trial, the best model so far \(nats .*; go on with: "):
        tuned(out, on_trial=lambda _: os.kill(os.getpid(), signal.SIGINT))
    before = trainings(out)
    assert before
    result = tuned(out, resume=True)
    after = trainings(out)
    assert after[: len(before)] == before
    assert len(set(after)) == len(after)
    assert [trial.state != "running" for trial in result.trials] == [True] * 3
    assert result.best.settings == {"training.learning_rate": 3e-2}
    unbroken = tuned(tmp_path / "whole")
    assert [trial.settings for trial in result.trials] == [trial.settings for trial in unbroken.trials]
    assert result.best.last.score == unbroken.best.last.score


def test_a_line_that_a_kill_has_cut_is_dropped(tmp_path):
    out = tmp_path / "t"
    before = tuned(out)
    with (out / "trials.journal").open("a") as file:
        file.write('{"op_code":4,"worker')
    after = tuned(out, resume=True, trials=4, space=RATES)
    assert after.trials[:3] == before.trials
    (out / "trials.journal").write_text('{"op_code"\n' + (out / "trials.journal").read_text())
    with pytest.raises(ModelFolderError, match=r"trials\.journal is damaged"):
        tuned(out, resume=True)


def test_time_before_a_resume_counts(tmp_path):
    out = tmp_path / "t"
    with pytest.raises(TrainingError, match="the time was up before the first training had ended; allow more minutes"):
        tuned(out, minutes=1e-5)
    result = tuned(out, minutes=30, resume=True)
    assert len(result.trials) == 3
    record = json.loads((out / "tuning.json").read_text())
    assert record["seconds"] > 0
    record["seconds"] = 31 * 60.0
    (out / "tuning.json").write_text(json.dumps(record))
    over = tuned(out, minutes=30, trials=9, resume=True)
    assert over.trials == result.trials
    assert over.seconds > 31 * 60


def test_the_time_limit_cuts_a_training(tmp_path):
    out = tmp_path / "t"
    with pytest.raises(TrainingError, match="the time was up before the first training had ended"):
        tuned(out, minutes=0.04, epochs=1_000_000, patience=None)
    assert trainings(out) == []
    assert (out / "trials/0000-0/unspool.json").is_file()  # a resume goes on with it


def test_a_signal_inside_of_a_training_stops_the_tuning(tmp_path, monkeypatch):
    fit = Classifier.fit

    def interrupted(self, *data, **options):
        if "0001" in str(options["out"]):
            raise Interrupted("stopped; all is saved")
        return fit(self, *data, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "fit", interrupted)
        with pytest.raises(Interrupted, match=r"stopped after 1 trial, .*; go on with: unspool\.tune\(\.\.\., out="):
            tuned(tmp_path / "t")
    assert [trial.state for trial in tuned(tmp_path / "t", resume=True).trials].count("running") == 0


def test_a_trial_that_fails_is_counted_and_the_others_go_on(tmp_path, monkeypatch):
    fit = Classifier.fit

    def broken(self, *data, **options):
        if self.settings.training.learning_rate == 1e-9:
            raise TrainingError("the loss became nan")
        return fit(self, *data, **options)

    monkeypatch.setattr(Classifier, "fit", broken)
    lines = Lines()
    result = tuned(tmp_path / "t", reporter=lines)
    assert [trial.state for trial in result.trials].count("failed") == 1
    failed = next(trial for trial in result.trials if trial.state == "failed")
    assert failed.failure == "the loss became nan"
    assert f"#{failed.number:<3} failed: the loss became nan" in lines.notes
    assert "1 failed" in result.note()
    with pytest.raises(TrainingError, match="the loss became nan"):
        tuned(tmp_path / "u", learning_rate=1e-9, space={"pooling": ["max", "mean"]})
    tries = {"learning_rate": [1e-9], "weight_decay": {"kind": "float", "low": 0, "high": 1}}
    with pytest.raises(TrainingError, match="5 trials in a row failed, the last one with: the loss became nan"):
        tuned(tmp_path / "v", space=tries, trials=None)


def test_other_tasks_and_cells_of_the_user(tmp_path):
    words = [["Time", "flies"], ["Ann", "sleeps"]] * 15
    tags = [["NOUN", "VERB"]] * 30
    result = unspool.tune(
        Tagger, words, tags, out=tmp_path / "t", space={"learning_rate": [1e-2]}, trials=2, epochs=1, cell=GRUCell,
        hidden=4, embedding=4, character_hidden=4, character_embedding=3, reporter=Lines(), baselines=False,
    )  # fmt: skip
    assert (result.metric, result.task, result.baselines) == ("accuracy", "tag", {})
    assert result.load().settings.network.cell == "gru"


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"space": {"hiden": [1]}}, SettingError, "space: there is no setting 'hiden'"),
        ({"space": {"hidden": [1, 2]}}, UsageError, "leaves nothing to tune, since all of its settings are fixed"),
        ({"valid_fraction": 0.0}, UsageError, r"there is none; pass valid=FILE, or set valid_fraction=0.1"),
        ({"training.minutes": 3}, SettingError, "training.minutes can't be set, .* trial_minutes=N or epochs=N"),
        ({"minutes": 0}, SettingError, "minutes=0: expected a number of minutes above 0"),
        ({"trials": 0}, SettingError, "trials=0: expected a whole number from 1"),
        ({"jobs": 2}, UsageError, "jobs=2 needs data in files"),
        ({"no_such": 1}, SettingError, "there is no setting 'no_such'"),
        ({"data": [("a joy", "pos")]}, DataError, "1 example can't be split"),
    ],
)
def test_what_can_t_be_tuned_is_refused_and_leaves_nothing(tmp_path, options, error, said):
    with pytest.raises(error, match=said):
        tuned(tmp_path / "t", **options)
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({}, UsageError, "holds a tuning; go on with resume=True"),
        ({"resume": True, "hidden": 5}, SettingError, r"begun with other settings \(network.hidden\)"),
        ({"resume": True, "epochs": 4}, SettingError, "begun with other settings .*training.epochs"),
        ({"resume": True, "space": {"pooling": ["max"]}}, SettingError, r"other settings \(space\)"),
        ({"resume": True, "data": reviews(60, seed=1)}, DataError, "the train data are not those of the tuning"),
    ],
)
def test_another_tuning_in_the_folder_is_refused(tmp_path, options, error, said):
    tuned(tmp_path / "t", trials=1)
    before = (tmp_path / "t/trials.journal").read_bytes()
    with pytest.raises(error, match=said):
        tuned(tmp_path / "t", **options)
    assert (tmp_path / "t/trials.journal").read_bytes() == before
    assert unspool.load(tmp_path / "t/best")


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for resume in (False, True):
        with pytest.raises(UsageError, match="is not empty and holds no tuning"):
            tuned(tmp_path, resume=resume)
    with pytest.raises(UsageError, match="is a file"):
        tuned(tmp_path / "notes.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 1}', '{"format": 9}'])
def test_a_damaged_record_is_named(tmp_path, content):
    (tmp_path / "tuning.json").write_text(content)
    with pytest.raises(ModelFolderError, match=r"tuning.json is damaged|newer Unspool"):
        tuned(tmp_path, resume=True)


def test_the_extra_is_named_when_optuna_is_missing(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=re.escape("pip install -c constraints.txt '.[tune]'")):
        tuned(tmp_path / "t")
    assert not (tmp_path / "t").exists()
