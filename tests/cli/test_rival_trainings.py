"""Two trainings into one model folder, as processes of their own: the second is refused, whatever the first does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import SMALL, write_reviews

SLOW = [*map(str, SMALL), "--threads", "1", "--batch-size", "1", "--no-baselines", "--epochs", "100000"]
SLOW += ["--validate-every", "20", "--patience", "100000"]


def start(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "unspool", *map(str, words)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process: subprocess.Popen[str], beginning: str) -> None:
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line.startswith(beginning):
            return
    pytest.fail(f"the training ended before it said {beginning!r}: {lines}")


def outcome(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=300)
    assert "Traceback" not in errors
    return process.returncode, (errors.splitlines() or [""])[-1]


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.suffix != ".partial"}


@pytest.mark.slow
def test_a_second_training_is_refused_until_the_first_is_killed(tmp_path):
    data, folder = write_reviews(tmp_path / "train.tsv"), tmp_path / "m"
    first = start("train", "classify", data, "--out", folder, *SLOW)
    wait_for(first, "epoch 20")
    sentence = f"unspool: {folder} is in training already, by process {first.pid} on "
    for words in (
        ["train", "classify", data, "--out", folder, *SLOW],
        ["train", "classify", data, "--out", folder, "--resume", *SLOW],
        ["train", "--resume", folder],
    ):
        code, last = outcome(start(*words))
        assert code == 2
        assert last.startswith(sentence)
        assert last.endswith("; wait until it ends, stop it, or choose another folder")
    assert first.poll() is None
    first.kill()
    first.communicate()
    resumed = start("train", "--resume", folder)
    wait_for(resumed, "going on after update")
    resumed.send_signal(signal.SIGINT)
    code, last = outcome(resumed)
    assert (code, "all is saved up to update" in last) == (130, True)
    assert not (folder / "training" / "lock").exists()


def test_of_trainings_that_start_at_once_one_goes_on(tmp_path):
    data, folder = write_reviews(tmp_path / "train.tsv"), tmp_path / "m"
    words = ["train", "classify", data, "--out", folder, *SMALL, "--threads", "1", "--no-baselines"]
    rivals = [start(*words) for _ in range(3)]
    codes, sentences = zip(*map(outcome, rivals), strict=True)
    assert sorted(codes) == [0, 2, 2]
    for code, sentence in zip(codes, sentences, strict=True):
        refused = "is in training already" in sentence or "is not empty; nothing is overwritten" in sentence
        assert refused == (code == 2)
    assert {"model.safetensors", "unspool.json"} <= {path.name for path in files(folder)}
    assert {path.name for path in files(folder)}.isdisjoint({"lock"})
