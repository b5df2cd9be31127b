"""Assistants with commands: trained from pairs and a Python file, saved, resumed without its code."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

import unspool
import unspool.training.clock
from unspool import Assistant, CommandParser
from unspool.errors import CommandError, DataError, ModelFolderError, UnfinishedTrainingWarning, UsageError
from unspool.tasks.answer.budget import budget_of
from unspool.training import Reporter

PAIRS = [
    ("where is the spare key", "under the mat"), ("where did we put the spare key", "under the mat"),
    ("how do i reset the router", "hold the button"), ("how can i restart the router", "hold the button"),
    ("who are you", "your assistant"), ("what is your name", "your assistant"),
]  # fmt: skip
COMMANDS = """
import pathlib
from datetime import timedelta
from typing import Literal
from unspool.commands import command

pathlib.Path(__file__).with_name("ran").touch()

@command("set a timer for {length}", "wake me in {length}", "[start a] timer {length}")
def set_timer(length: timedelta) -> str:
    return f"timer for {length}"

@command("turn {state} the {device}", "switch {state} the {device}", confirm=True)
def switch(device: Literal["light", "fan"], state: Literal["on", "off"]) -> str:
    return f"{device} {state}"
"""
OPTIONS = {"threads": 1, "seed": 2, "sentences": 60}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("assistant")
    (place / "pairs.tsv").write_text("question\tanswer\n" + "".join(f"{one}\t{other}\n" for one, other in PAIRS))
    (place / "commands.py").write_text(COMMANDS)
    Assistant(**OPTIONS).fit([place / "pairs.tsv", place / "commands.py"], out=place / "model")
    return place


def said(turn) -> tuple[str, str]:
    return turn.kind, turn.reply


def test_questions_are_answered_and_commands_carried_out(folder):
    assistant = unspool.load(folder / "model")
    dialogue = assistant.dialogue(folder / "commands.py")
    assert said(dialogue.say("where is the spare key")) == ("answer", "under the mat")
    assert said(dialogue.say("please set a timer for a quarter of an hour")) == ("did", "timer for 0:15:00")
    assert said(dialogue.say("switch off the fan")) == ("confirm", "Turn off the fan: shall I?")
    assert said(dialogue.say("no, the other one")) == ("confirm", "Turn off the light: shall I?")
    assert said(dialogue.say("yes")) == ("did", "light off")
    assert dialogue.say("zebras hold umbrellas").kind == "refuse"
    assert assistant.ask("who are you").answer == "your assistant"
    assert "Commands: set_timer, switch." in assistant.introduction()


def test_a_folder_runs_no_code(folder, tmp_path):
    shutil.copytree(folder / "model", tmp_path / "model")
    (folder / "ran").unlink(missing_ok=True)
    before = set(sys.modules)
    assistant = unspool.load(tmp_path / "model")
    assert assistant.act("set a timer for 5 minutes").kind == "would"
    assert not (folder / "ran").exists()
    assert not [name for name in set(sys.modules) - before if "commands_file" in name or name == "commands"]
    assert isinstance(unspool.load(tmp_path / "model" / "commands"), CommandParser)


def test_a_saved_assistant_keeps_its_commands(folder, tmp_path):
    assistant = unspool.load(folder / "model")
    assistant.add([("what is the wifi called", "attic")])
    assistant.save(tmp_path / "copy")
    copy = unspool.load(tmp_path / "copy")
    assert copy.ask("what is the wifi called").answer == "attic"
    for text in ("wake me in 3 hours", "turn on the light", "where did we put the spare key", "hm"):
        assert copy.dialogue().understand(text) == assistant.dialogue().understand(text)


@pytest.mark.slow
def test_training_goes_on_without_the_file(folder, tmp_path):
    shutil.copytree(folder / "model", tmp_path / "model")
    shutil.rmtree(tmp_path / "model" / "commands")
    with pytest.warns(UnfinishedTrainingWarning, match="has commands, and their training has not begun"):
        assert unspool.load(tmp_path / "model").parser is None
    (folder / "ran").unlink(missing_ok=True)
    again = Assistant(**OPTIONS).fit(folder / "pairs.tsv", out=tmp_path / "model", resume=True)
    assert not (folder / "ran").exists()
    expected = unspool.load(folder / "model")
    for text in ("wake me in 3 hours", "turn on the light"):
        assert again.dialogue().understand(text) == expected.dialogue().understand(text)
    for name, weight in expected.parser.model.state_dict().items():
        assert weight.equal(again.parser.model.state_dict()[name]), name


def test_parser_alone(folder, tmp_path):
    CommandParser(epochs=3, plan=False, **OPTIONS).fit(folder / "commands.py", out=tmp_path / "p")
    parse = unspool.load(tmp_path / "p").predict("turn on the fan")
    assert parse.arguments == {"device": "fan", "state": "on"}
    assert parse.missing == ()
    assert json.loads(json.dumps(parse.record()))["slots"][0]["value"] == "on"
    assert [slot.slot for slot in parse.slots] == ["state", "device"]


def test_damaged_or_foreign_commands_are_refused(folder, tmp_path):
    place = tmp_path / "model"
    shutil.copytree(folder / "model", place)
    path = place / "vocabulary" / "commands.json"
    record = json.loads(path.read_text())
    record["commands"][0]["name"] = "other"
    path.write_text(json.dumps(record))
    with pytest.raises(ModelFolderError, match="its commands are not those of the assistant"):
        unspool.load(place)
    path.write_text("{")
    with pytest.raises(ModelFolderError):
        unspool.load(place)
    other = tmp_path / "other.py"
    other.write_text(COMMANDS.replace("def set_timer(length", "def set_clock(length"))
    with pytest.raises(CommandError, match="command 'set_timer' is not in the file"):
        unspool.load(folder / "model").dialogue(other)


def test_wrong_data(folder, tmp_path):
    with pytest.raises(DataError, match="holds commands, and there are no questions and answers"):
        Assistant(**OPTIONS).fit(folder / "commands.py")
    with pytest.raises(UsageError, match="commands came twice"):
        Assistant(**OPTIONS).fit([folder / "pairs.tsv", folder / "commands.py"], commands=folder / "commands.py")
    (tmp_path / "bad.py").write_text("x = 1\n")
    with pytest.raises(CommandError, match="no commands"):
        Assistant(**OPTIONS).fit([folder / "pairs.tsv", tmp_path / "bad.py"], out=tmp_path / "m")
    assert not (tmp_path / "m").exists()


class Clock:
    """A clock that goes on by a second whenever somebody looks at it."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1
        return self.now


class Notes(Reporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, message: str) -> None:
        self.lines.append(message)


def test_a_budget_is_divided():
    assert budget_of(None, commands=True) == (None, None)
    assert budget_of(3, commands=False) == (3, None)
    assert budget_of(2, commands=True) == (1.5, 0.5)
    assert budget_of(20, commands=True) == (19, 1)
    assert budget_of(2, commands=True).note(generator=True) == (
        "budget: 2 minutes, 1.5 for the questions and the generator, 0.5 for the commands"
    )
    assert budget_of(1, commands=False).note(generator=False) == "budget: 1 minute for the questions"
    assert budget_of(None, commands=False).note(generator=True) == ""


@pytest.mark.parametrize(("options", "said", "limits"), [
    ({"minutes": 2}, "note: budget: 2 minutes, 1.5 for the questions and the generator, 0.5 for the commands", (90, 30)),  # noqa: E501
    ({}, "note: budget: 6 minutes, 5 for the questions and the generator, 1 for the commands", (300, 60)),
])  # fmt: skip
def test_a_budget_is_announced_before_training_and_kept(folder, tmp_path, monkeypatch, options, said, limits):
    monkeypatch.setattr(unspool.training.clock, "time", Clock())
    notes, small = Notes(), {"hidden": 8, "embedding": 8, "vocabulary.size": 260}
    assistant = Assistant(generator=True, **{**OPTIONS, **small, **options})
    if not options:
        monkeypatch.setattr(CommandParser, "fit", lambda self, *_, **__: self)
    else:
        assistant.settings = assistant.settings.replace(**{"training.epochs": 100_000})
    files = [folder / "pairs.tsv", folder / "commands.py"]
    assistant.fit(files, out=tmp_path / "m", reporter=notes)
    assert said in notes.lines
    assert notes.lines.index(said) < next(place for place, line in enumerate(notes.lines) if line.startswith("network"))
    assert assistant._time_limit() == limits[0] / 60
    assert assistant.parser is not None
    if options:
        assert assistant.parser.settings.training.minutes == limits[1] / 60
        assert limits[0] <= assistant.record.training["seconds"] < limits[0] + 30  # an update looks a few times
        assert assistant.record.training["stopped"] == "minutes"
    assert unspool.load(tmp_path / "m").settings.training.minutes == sum(limits) / 60 if options else True
