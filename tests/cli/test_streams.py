"""Standard streams that are closed or full: one sentence, exit code 1, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import SMALL

import unspool

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")

VERBS = {
    "predict": ("classifier", "test.txt"),
    "evaluate": ("classifier", "test.tsv"),
    "generate": ("writer", "--length", "5", "--seed", "1"),
    "inspect": ("classifier", "a cold film"),
    "info": ("classifier",),
    "doctor": (),
}


@pytest.fixture
def sh(models):
    """Runs a command line in a shell of its own, with redirections, where the models are."""
    (models / "test.txt").write_text("a cold film\n")

    def run(words, redirections):
        environment = os.environ | {"PYTHONPATH": str(Path(unspool.__file__).parents[1])}
        environment.pop("PYTHONUNBUFFERED", None)
        line = f"{sys.executable} -m unspool {' '.join(map(repr, words))} {redirections}"
        return subprocess.run(
            line, shell=True, capture_output=True, text=True, env=environment, cwd=models, check=False
        )

    return run


@pytest.mark.parametrize("verb", VERBS)
def test_a_full_device_as_output(sh, verb):
    ran = sh([verb, *VERBS[verb]], "> /dev/full")
    assert (ran.returncode, ran.stderr) == (
        1,
        "unspool: standard output can't be written: No space left on device\n",
    )


@pytest.mark.parametrize("verb", ["predict", "doctor"])
def test_a_closed_output(sh, verb):
    ran = sh([verb, *VERBS[verb]], ">&-")
    assert ran.returncode == 1
    assert ran.stderr == "unspool: standard output is closed; send it to a file, or to /dev/null\n"


@pytest.mark.parametrize("words", [("predict", "classifier", "-"), ("inspect", "classifier", "-")], ids=str)
def test_a_closed_input(sh, words):
    ran = sh(words, "<&-")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == "unspool: standard input: there is nothing to read\n"


def test_a_closed_input_that_nobody_reads(sh):
    ran = sh(["predict", *VERBS["predict"]], "<&-")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.endswith("a cold film\n")


@pytest.mark.parametrize("redirections", ["2> /dev/full", "2>&-"])
def test_training_goes_on_where_nobody_can_be_told_of_it(sh, models, redirections, tmp_path):
    ran = sh(["train", "classify", "train.tsv", "--out", str(tmp_path / "new"), *SMALL], redirections)
    assert ran.returncode == 0
    assert ran.stdout.splitlines()[0].split()[0] == "accuracy"
    assert (tmp_path / "new" / "model.safetensors").exists()


def test_a_training_whose_table_can_t_be_written_has_its_model(sh, tmp_path):
    ran = sh(["train", "classify", "train.tsv", "--out", str(tmp_path / "new"), *SMALL], "> /dev/full")
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1].startswith("unspool: standard output can't be written")
    assert (tmp_path / "new" / "model.safetensors").exists()
