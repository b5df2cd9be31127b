"""`unspool tune`: table, folder and way on; killed and resumed; wrong command lines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import SMALL, Shell, write_reviews

import unspool

pytest.importorskip("optuna", reason="tuning needs optuna, of the extra tune")

TINY = ("--hidden", "4", "--embedding", "3", "--device", "cpu", "--seed", "1", "--threads", "1", "--no-ngrams")
SPACE = "learning_rate = [1e-9, 0.01, 0.03]\ndropout = [0.0, 0.1]\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuning")
    write_reviews(folder / "train.tsv")
    write_reviews(folder / "test.tsv", 10, seed=1)
    (folder / "space.toml").write_text(SPACE)
    (folder / "empty.toml").write_text("")
    return folder


def words(place: Path, out: Path, *more: str, trials: int = 4) -> list[str]:
    data = ["tune", "classify", str(place / "train.tsv"), "--test", str(place / "test.tsv"), "--out", str(out)]
    limits = ["--epochs", "2", "--minutes", "30", "--trials", str(trials), "--space", str(place / "space.toml")]
    return [*data, *limits, *TINY, *more]


def trainings(out: Path) -> list[tuple[int, int, float]]:
    """Trial, rung and score of every training in the journal, in order."""
    journal = out / "trials.journal"
    lines = journal.read_text().splitlines(keepends=True) if journal.exists() else []
    found = []
    for line in lines:
        attributes = json.loads(line).get("user_attr", {}) if line.endswith("\n") else {}
        if "trainings" in attributes:
            found.append((json.loads(line)["trial_id"], *attributes["trainings"][-1][:2]))
    return found


@pytest.mark.slow
def test_a_killed_tuning_goes_on_and_repeats_no_training(shell: Shell, place: Path, tmp_path: Path) -> None:
    out = tmp_path / "t"
    environment = {**os.environ, "PYTHONPATH": str(Path(unspool.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "unspool", "--quiet", *words(place, out)], env=environment, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    while len(trainings(out)) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the tuning ended before it was killed"
    before = trainings(out)
    assert len(before) >= 2

    outcome = shell("tune", "--resume", out)
    after = trainings(out)
    assert after[: len(before)] == before
    assert len({each[:2] for each in after}) == len(after)
    rows = [line.split("  ")[0] for line in outcome.stdout.splitlines()]
    assert rows[0] == "on valid"
    assert any(row.startswith("#0 default") for row in rows)
    assert {"majority class", "linear n-grams"} <= set(rows)
    assert sum(row.startswith("#") for row in rows) == 4
    assert "best model on test: accuracy" in outcome.stderr
    assert all(len(line) <= 80 for line in outcome.stderr.splitlines() if line.startswith("#"))
    assert {path.name for path in out.iterdir()} == {"best", "recipe.toml", "trials.journal", "tuning.json"}

    again = json.loads(shell("tune", "--resume", out, "--json").stdout)
    assert len(again["trials"]) == 4
    assert trainings(out) == after
    best = next(trial for trial in again["trials"] if trial["number"] == again["best"])
    recipe = ("--recipe", out / "recipe.toml")
    trained = shell("train", "classify", place / "train.tsv", *recipe, "--out", tmp_path / "m", "--json")
    assert json.loads(trained.stdout)["valid"]["nats"] == best["trainings"][-1]["score"]


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--space", "none.toml"], 2, "none.toml: no such search space file"),
        (["--hidden", "x"], 2, "network.hidden = 'x'"),
        (["--minutes", "0"], 2, "--minutes 0.0: expected a number of minutes above 0"),
        (["--learning-rate", "0.1", "--dropout", "0.2"], 2, "all of its settings are fixed: training.learning_rate"),
        (["--valid-fraction", "0"], 2, "pass --valid FILE, or set --valid-fraction 0.1"),
        (["--no-such", "1"], 2, "there is no flag --no-such"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(
    shell: Shell, place: Path, tmp_path: Path, more: list[str], code: int, said: str
) -> None:
    assert said in shell.refuses(*words(place, tmp_path / "t", *more), code=code)
    assert not (tmp_path / "t").exists()


def test_an_empty_space_is_refused(shell: Shell, place: Path, tmp_path: Path) -> None:
    said = shell.refuses(*words(place, tmp_path / "t", "--space", str(place / "empty.toml")), code=2)
    assert "empty.toml leaves nothing to tune, since it is empty; pass another one with --space" in said


def test_a_folder_without_a_tuning_does_not_resume(shell: Shell, place: Path, tmp_path: Path) -> None:
    assert "holds no tuning: it has no tuning.json" in shell.refuses("tune", "--resume", tmp_path)
    assert "is no folder" in shell.refuses("tune", "--resume", tmp_path / "none", code=2)
    assert "is missing" in shell.refuses("tune", "classify", place / "train.tsv", *SMALL, code=2)


def test_a_worker_that_is_killed_is_a_failure_of_its_trial(place: Path, tmp_path: Path) -> None:
    from unspool.settings import to_record
    from unspool.tasks import TASKS
    from unspool.tuning.job import Job
    from unspool.tuning.pools import Processes

    settings = TASKS["classify"].settings().replace(epochs=100_000, hidden=4, threads=1, patience=None, ngrams=False)

    def job(trial: int, file: str) -> Job:
        folder = str(tmp_path / str(trial))
        return Job(
            trial=trial,
            rung=0,
            task="classify",
            settings=to_record(settings),
            folder=folder,
            train=(str(place / file),),
        )

    pool, never = Processes(1, 1), time.monotonic() + 10_000
    try:
        pool.start(job(1, "none.tsv"))
        outcome = pool.wait(300, never)
        assert outcome is not None
        assert "no such file" in outcome.failure
        pool.start(job(2, "train.tsv"))
        assert not pool.has_room
        while not (tmp_path / "2/training/log.jsonl").exists():
            assert pool.wait(0.1, never) is None
        pool._workers[0].process.kill()
        outcome = pool.wait(300, never)
        assert outcome is not None
        assert outcome.failure == "its process ended with signal 9, perhaps for want of memory"
        assert pool.has_room
        pool.start(job(3, "none.tsv"))  # a new process
        pool.stop()
    finally:
        pool.close()
    assert not pool.running
