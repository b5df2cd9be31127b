"""Commands in a model folder: JSON there and back, and records that someone else wrote."""

from __future__ import annotations

import contextlib
import copy
import json
import random
from datetime import date, datetime, time, timedelta

import pytest
from house_commands import HOUSE

from unspool.commands import CommandSet, command
from unspool.commands.records import kind_from_record
from unspool.errors import ModelFolderError

NOW = datetime(2026, 11, 30, 18, 0)


@command("all of {a} {b} {c} {d} {e} {f} {g} {h}", day_first=False)
def everything(
    a: int = 3,
    b: float = 0.5,
    c: timedelta = timedelta(minutes=1),
    d: time = time(7, 30),
    e: date = date(2027, 5, 3),
    f: datetime = datetime(2027, 5, 3, 12),
    g: bool = True,
    h: list[str] = ["a"],  # noqa: B006
) -> None: ...


def test_commands_come_back_from_json():
    commands = CommandSet.of([everything])
    record = json.loads(json.dumps(commands.record(), allow_nan=False))
    again = CommandSet.from_record(record)
    assert again.record() == record
    assert [slot.kind for slot in again["everything"].slots] == [slot.kind for slot in commands["everything"].slots]
    defaults = [slot.default for slot in again["everything"].slots]
    assert defaults == [slot.default for slot in commands["everything"].slots]


def test_a_model_without_the_code_reads_and_writes_like_the_author_s():
    record = json.loads(json.dumps(HOUSE.record()))
    again = CommandSet.from_record(record)
    assert again.record() == record
    assert again.utterances(most=500, seed=1) == HOUSE.utterances(most=500, seed=1)
    assert again.grammar().root == HOUSE.grammar().root
    assert again["switch"].slot("room").kind.parse("lounge", NOW) == "LIVING_ROOM"
    assert again["switch"].slot("room").kind.speak("LIVING_ROOM") == "living room"


def test_a_default_that_is_no_value_of_its_slot_is_left_out():
    @command("x {a}")
    def act(a: int = None) -> None: ...  # noqa: RUF013

    @command("y {b}")
    def do(b: str = 3) -> None: ...

    slots = [each["slots"][0] for each in CommandSet.of([act, do]).record()["commands"]]
    assert [slot["default"] for slot in slots] == [None, None]


def damaged():
    """Records with one thing wrong, by the path to it."""
    wrong = {
        ("commands",): [[], None, {}, "x", [3], [{}]],
        ("commands", 0, "name"): ["", 3, "x" * 101, "a\nb", None, "switch"],
        ("commands", 0, "templates"): ["x", [3], [""], ["{length"], ["{nothing}"], ["a" * 1001], ["x"] * 1001, ["((("]],
        ("commands", 0, "examples"): [["{length=}"], ["{other=3}"], None],
        ("commands", 0, "confirm"): [1, "yes", None],
        ("commands", 0, "limit"): [0, -1, "3", 1e300, None, True],
        ("commands", 0, "slots"): [None, [{}], [{"name": "length"}], []],
        ("commands", 0, "slots", 0, "kind"): [
            None, {}, {"kind": "code"}, {"kind": "list"}, {"kind": "choice"}, {"kind": "text", "topic": "x"},
            {"kind": "list", "item": {"kind": "list", "item": {"kind": "text"}}}, {"kind": "text", "more": 1},
            {"kind": "choice", "choices": [["a", []]]}, {"kind": "choice", "choices": [["a", ["?"]]]},
            {"kind": "choice", "choices": [["a", ["x"]], ["b", ["X"]]]}, {"kind": "choice", "choices": [[None, ["x"]]]},
            {"kind": "boolean", "choices": [["a", ["x"]]]}, {"kind": "date", "language": "q" * 21},
            {"kind": "date", "language": "nowhere"}, {"kind": "date", "day_first": 1},
        ],
        ("commands", 0, "slots", 0, "default"): ["x", True, 1e300, [], {}],
        ("commands", 1, "slots", 2, "default"): ["GARAGE", 3, True],
        ("more",): [1],
        ("commands", 0, "function"): ["os.system"],
    }  # fmt: skip
    for path, values in wrong.items():
        for value in values:
            yield pytest.param(path, value, id=f"{'.'.join(map(str, path))}={str(value)[:40]}")


@pytest.mark.parametrize(("path", "value"), list(damaged()))
def test_a_damaged_record_is_refused_in_one_sentence(path, value):
    record = copy.deepcopy(HOUSE.record())
    place = record
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ModelFolderError) as raised:
        CommandSet.from_record(record)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 700


def test_records_of_nonsense_are_refused():
    for record in (None, 3, [], "x", {"commands": {"a": 1}}):
        with pytest.raises(ModelFolderError):
            CommandSet.from_record(record)
    with pytest.raises(ModelFolderError, match="a slot's kind is damaged"):
        kind_from_record({"kind": "code"})
    deep = {"kind": "text"}
    for _ in range(5000):
        deep = {"kind": "list", "item": deep}
    with pytest.raises(ModelFolderError):
        kind_from_record(deep)


def test_random_damage_never_raises_anything_else():
    draw = random.Random(9)
    text = json.dumps(HOUSE.record())
    for _ in range(300):
        start = draw.randrange(len(text))
        broken = (
            text[:start]
            + draw.choice(["", "null", "[]", '"x"', "1e999", "{", "|", "\\u0000"])
            + text[start + draw.randrange(9) :]
        )
        try:
            record = json.loads(broken)
        except ValueError:
            continue
        with contextlib.suppress(ModelFolderError):
            CommandSet.from_record(record).utterances(most=20, seed=1)
