"""Other programs: no shell, no flags out of a text, and one sentence for each failure."""

from __future__ import annotations

import shutil

import pytest

from spoken_tones import NOTE, program
from unspool.errors import MachineError, UsageError
from unspool.voice.programs import fill, run_program, split_command
from unspool.voice.speaker import find_speaker

NASTY = "two; touch x && $(touch y) `touch z` | \"quoted\" 'twice' *"


def test_a_text_is_one_argument_whatever_it_holds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    speaker = find_speaker(f"{program(tmp_path, 'note.py', NOTE)} said.txt -- {{text}} --text={{text}}")
    for text in (NASTY, "--version", "one\n line", "..."):
        speaker.say(text)
    lines = [eval(line) for line in (tmp_path / "said.txt").read_text().splitlines()]
    assert lines == [
        ["--", NASTY, f"--text={NASTY}"],
        ["--", " --version", "--text=--version"],
        ["--", "one line", "--text=one line"],
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own programs", "said.txt"]


def test_placeholders_of_another_name_stay():
    assert fill(["a", "{wav}", "x{text}y"], {"text": "b c"}) == ["a", "{wav}", "xb cy"]


def test_failures_are_sentences(tmp_path):
    source = "import sys; print('first', file=sys.stderr); print('no sound card', file=sys.stderr); sys.exit(3)"
    words = split_command(program(tmp_path, "fail.py", source), "--speak")
    with pytest.raises(MachineError, match=r"speaking: .* failed with exit code 3: no sound card"):
        run_program(words, limit=30, flag="speaking")
    slow = split_command(program(tmp_path, "wait.py", "import time; time.sleep(9)"), "-x")
    with pytest.raises(MachineError, match=r"did not end within 0\.2 seconds"):
        run_program(slow, limit=0.2, flag="waiting")
    with pytest.raises(UsageError, match=r"has no \{text\}"):
        find_speaker(program(tmp_path, "wait.py", ""))


def test_the_first_installed_speaker_is_found(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: name if name in ("spd-say", "say") else None)
    assert find_speaker().words[0] == "say"
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert find_speaker() is None
