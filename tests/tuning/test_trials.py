"""The search over settings: what is sampled, what goes on, and what the journal holds, with scores from a formula."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from unspool.tasks.space import Choice, Float, Int, LogFloat
from unspool.tuning.lengths import Lengths
from unspool.tuning.result import Training, Tuning

optuna = pytest.importorskip("optuna", reason="tuning needs optuna, of the extra tune")

from unspool.tuning.search import Search  # noqa: E402 - needs optuna

SPACE = {
    "rate": LogFloat(1e-4, 1e-1),
    "decay": Float(0, 1),
    "pooling": Choice(("max", "mean")),
    "hidden": Int(8, 64, 8),
}
DEFAULT = {"rate": 1e-3, "decay": 0.1, "pooling": "last", "hidden": 30}
LENGTHS = Lengths("epochs", (1, 3, 9))


def search(folder: Any, **options: Any) -> Search:
    return Search(folder, SPACE, DEFAULT, LENGTHS, **{"higher_is_better": False, "seed": 5, **options})


def loss(settings: Any, draw: random.Random) -> float:
    return (math.log10(settings["rate"]) + 2) ** 2 + 0.1 * abs(settings["decay"] - 0.5) + draw.gauss(0, 0.02)


def run(it: Search, count: int) -> None:
    draw = random.Random(3)
    for _ in range(count):
        trial = it.begin()
        assert trial is not None
        for rung in range(3):
            if not it.add(trial.number, Training(rung, loss(trial.settings, draw), {}, 1.0, "done"), full=rung == 2):
                break
        if it.trials[trial.number].state == "running":
            it.stop(trial.number)


def test_the_sampler_approaches_what_is_good(tmp_path):
    it = search(tmp_path)
    run(it, 40)
    trials = it.trials
    assert trials[0].settings == DEFAULT  # though two of its values lie outside of the space
    assert trials[0].state == "complete"
    late = [abs(math.log10(trial.settings["rate"]) + 2) for trial in trials[20:]]
    early = [abs(math.log10(trial.settings["rate"]) + 2) for trial in trials[1:11]]
    assert sum(late) / len(late) < 0.6 * sum(early) / len(early)
    assert all(trial.settings["hidden"] % 8 == 0 for trial in trials[1:])
    states = [trial.state for trial in trials]
    assert states.count("stopped") > states.count("complete") > 1
    shares = it.importance()
    assert next(iter(shares)) == "rate"
    assert shares["rate"] > 0.5
    assert sum(shares.values()) == pytest.approx(1)


def test_the_best_third_goes_on(tmp_path):
    it = search(tmp_path)
    goes_on = []
    for score in (5.0, 4.0, 6.0, 3.0, 4.5, 2.0, 2.5):
        trial = it.begin()
        assert trial is not None
        goes_on.append(it.add(trial.number, Training(0, score, {}, 1.0, "done"), full=False))
    assert goes_on == [True, True, False, True, False, True, True]  # of seven, two: 2.0 and 2.5


def test_higher_may_be_better(tmp_path):
    it = search(tmp_path, higher_is_better=True)
    for score, expected in ((5.0, True), (4.0, False), (6.0, True)):
        trial = it.begin()
        assert trial is not None
        assert it.add(trial.number, Training(0, score, {}, 1.0, "done"), full=False) is expected


def test_another_process_finds_the_same_trials(tmp_path):
    it = search(tmp_path)
    run(it, 5)
    half = it.begin()
    assert half is not None
    it.add(half.number, Training(0, 0.5, {"accuracy": 0.75}, 2.5, "minutes"), full=False)
    again = search(tmp_path)
    assert again.trials == it.trials
    assert [trial.number for trial in again.running] == [half.number]
    again.complete(half.number, 0.5)
    assert search(tmp_path).running == []
    again.fail(again.begin().number, "broken")  # type: ignore[union-attr]
    assert search(tmp_path).trials[-1].failure == "broken"


def test_settings_queued_by_a_killed_process_are_tried_next(tmp_path, monkeypatch):
    space = {"decay": Choice((0.1, 0.2, 0.3)), "pooling": Choice(("max", "mean"))}

    def opened(name):
        return Search(tmp_path / name, space, {**DEFAULT, "pooling": "max"}, LENGTHS, higher_is_better=False, seed=5)

    def killed(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    (tmp_path / "killed").mkdir()
    (tmp_path / "whole").mkdir()
    for number in range(3):
        it = opened("killed")
        with monkeypatch.context() as patch:
            patch.setattr(optuna.Study, "ask", killed)  # the trial is queued by then
            with pytest.raises(KeyboardInterrupt):
                it.begin()
        assert len(opened("killed").trials) == number
        settings = []
        for name in ("killed", "whole"):
            it = opened(name)
            trial = it.begin()
            assert trial is not None
            assert trial.number == number
            settings.append(trial.settings)
            it.add(number, Training(0, 1.0, {}, 1.0, "done"), full=True)
        assert settings[0] == settings[1]


def test_a_journal_is_optuna_s_own(tmp_path):
    run(search(tmp_path), 3)
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "trials.journal"))
    study = optuna.load_study(study_name="unspool", storage=optuna.storages.JournalStorage(backend))
    assert len(study.trials) == 3
    assert study.trials[1].params.keys() == SPACE.keys()


def tuning(*trials: Any, **changes: Any) -> Tuning:
    from unspool.tuning import Trial

    made = [
        Trial(number, settings, trainings, state, failure) for number, settings, trainings, state, failure in trials
    ]
    values: dict[str, Any] = {
        "task": "classify", "folder": "here", "metric": "nats", "higher_is_better": False, "main_metric": "accuracy",
        "lengths": LENGTHS, "settings": ("training.learning_rate", "network.hidden"), "trials": tuple(made),
        "baselines": {"majority": {"accuracy": 0.5}},
    }  # fmt: skip
    return Tuning(**{**values, **changes})


def trained(rung: int, score: float) -> tuple[Training, ...]:
    return (Training(rung, score, {"accuracy": 1 - score, "nats": score}, 1.25, "done"),)


def test_the_table_ranks_longer_trainings_first():
    settings = {"training.learning_rate": 0.00321, "network.hidden": 64}
    result = tuning(
        (0, settings, trained(2, 0.5), "complete", None),
        (1, {**settings, "network.hidden": 8}, trained(2, 0.25), "complete", None),
        (2, settings, trained(0, 0.125), "stopped", None),
        (3, settings, (), "failed", "the loss became nan"),
        (4, settings, (), "running", None),
    )
    assert [trial.number for trial in result.ranking] == [1, 0, 2]
    head, rows = result.table()
    assert head == ["on valid", "nats", "accuracy", "learning_rate", "hidden", "seconds"]
    assert rows[0] == ["#1", "0.25", "0.75", "0.00321", "8", "1.2"]
    assert rows[1][0] == "#0 default"
    assert rows[2][0] == "#2 (1 epoch)"
    assert rows[3] == ["majority", "", "0.5", "", "", ""]
    assert result.note() == "2 of 5 trials had the full length of 9 epochs; 1 was stopped earlier; 1 failed"
    assert result.line(2) == "#2   nats 0.125  best 0.25 (#1)  1 epoch  learning_rate=0.0032 hidden=64"
    assert result.line(3) == "#3   failed: the loss became nan"
    assert tuning(*[(n, settings, trained(2, n / 10), "complete", None) for n in range(1, 9)]).best.number == 1  # type: ignore[union-attr]


def test_the_default_stands_in_the_table_however_bad():
    rows = tuning(*((number, {}, trained(2, 9.0 - number), "complete", None) for number in range(9))).table()[1]
    assert [row[0] for row in rows] == ["#8", "#7", "#6", "#5", "#4", "#0 default", "majority"]
