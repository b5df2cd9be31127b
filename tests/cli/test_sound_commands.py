"""Sounds on the command line: training on folders, several files to predict, lists of paths, and bad files."""

from __future__ import annotations

import numpy as np
import pytest
from command_line import Shell

from sound_samples import sweep, sweeps, write_wav

SMALL = [
    "--hidden",
    "5",
    "--channels",
    "5",
    "--epochs",
    "1",
    "--seed",
    "1",
    "--threads",
    "1",
    "--no-baselines",
    "--no-plan",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    for number, (pair, label) in enumerate(zip(*sweeps(15), strict=True)):
        write_wav(folder / "data" / label / f"{number}.wav", *pair)
    outcome = Shell()("train", "classify", folder / "data", "--out", folder / "m", "--valid-fraction", "0.3", *SMALL)
    assert "columns: audio = 'audio', label = 'label'" in outcome.stderr
    assert outcome.stderr.count("sounds, in a folder for each label") == 1
    return folder


def test_several_files_and_lists_of_paths_are_labelled(place, tmp_path):
    one, other = place / "data" / "up" / "1.wav", place / "data" / "down" / "2.wav"
    lines = Shell()("predict", place / "m", one, other).stdout.splitlines()
    assert [line.split("\t")[2] for line in lines] == [str(one), str(other)]
    (place / "list.txt").write_text("data/up/1.wav\n\ndata/down/2.wav\n")
    again = Shell()("predict", place / "m", place / "list.txt").stdout.splitlines()
    assert [again[0], again[2]] == lines
    assert again[1] == ""
    assert Shell()("predict", place / "m", stdin=f"{one}\n").stdout.splitlines() == lines[:1]
    assert len(Shell()("predict", place / "m", place / "data").stdout.splitlines()) == 15


def test_a_model_of_sounds_is_scored_and_inspected(place):
    assert "accuracy" in Shell()("evaluate", place / "m", place / "data").stdout
    out = Shell()("inspect", place / "m", place / "data" / "up" / "1.wav").stdout
    assert "0.02s" in out
    assert "layer 1 forward" in out


def test_bad_files_get_one_sentence(place, tmp_path):
    silent = write_wav(tmp_path / "silent.wav", np.zeros(800))
    assert Shell().refuses("predict", place / "m", silent) == f"{silent}: the recording is silent: every sample is 0"
    missing = tmp_path / "missing.wav"
    assert f"{missing}: no such file" in Shell().refuses("predict", place / "m", missing)
    assert "no such file" in Shell().refuses("inspect", place / "m", missing)
    write_wav(tmp_path / "data" / "a" / "1.wav", sweep("up", 1))
    write_wav(tmp_path / "data" / "b" / "2.wav", np.zeros(800))
    message = Shell().refuses("train", "classify", tmp_path / "data", "--out", tmp_path / "m", *SMALL)
    assert "data/b/2.wav: the recording is silent" in message
    assert "--skip-bad" in message
    longest = ["--longest", "0.01", "--out", tmp_path / "m", *SMALL]
    assert "pass --longest SECONDS" in Shell().refuses("train", "classify", place / "data", *longest)


def test_check_reads_sounds(place):
    out = Shell()("check", "classify", place / "data", code=None).stdout
    assert "up" in out
