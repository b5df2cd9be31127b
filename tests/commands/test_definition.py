"""`@command`: what it reads from a function, and how it refuses one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Annotated, Any, Literal, Optional, Union

import pytest
from house_commands import HOUSE, Room, set_timer

import unspool
from unspool.commands import Slot, command, command_of
from unspool.commands.kinds.lists import ListKind
from unspool.commands.kinds.moments import DateKind, DurationKind
from unspool.commands.kinds.numbers import IntegerKind
from unspool.commands.kinds.text import TextKind
from unspool.errors import CommandError


def test_a_function_stays_as_it_is_and_carries_its_command():
    assert set_timer(timedelta(minutes=10)) == "A timer of 0:10:00 runs."
    assert set_timer.__name__ == "set_timer"
    made = command_of(set_timer)
    assert made is HOUSE["set_timer"]
    assert (made.name, made.confirm, made.limit, made.description) == ("set_timer", False, 10, "Set a timer.")
    assert made.templates == ("set a timer for {length}", "wake me in {length}")
    assert made.examples == ("timer, ten minutes please",)
    assert made.slots == (Slot("length", DurationKind(), question="How long?"),)
    assert re.fullmatch(r".*house_commands\.py:\d+", made.where)
    assert unspool.command is command


def test_slots_have_defaults_questions_and_synonyms():
    device, state, room = HOUSE["switch"].slots
    assert device.kind.forms == ("light", "lamp", "fan")
    assert (device.question, state.question) == ("Which device: light or fan?", "Which state: on or off?")
    assert (room.required, room.default, room.kind.forms) == (
        False,
        Room.KITCHEN,
        ("kitchen", "living room", "parlour", "lounge"),
    )
    assert HOUSE["switch"].unfilled({"state": "on"}) == (device,)
    assert HOUSE["switch"].slot("room") is room
    with pytest.raises(KeyError, match="no slot 'rome'"):
        HOUSE["switch"].slot("rome")


def test_annotations():
    @command("a {a} b {b} c {c} d {d} e {e} f {f}")
    def many(
        a: int | None,
        b: Optional[date],  # noqa: UP045
        c: list[int],
        d: Annotated[str, "What should it say?"],
        e: Sequence[str] = (),
        *,
        f: Annotated[Union[datetime, None], "When then?"] = None,  # noqa: UP007
    ) -> None: ...

    slots = command_of(many).slots
    assert [slot.kind for slot in slots[:4]] == [IntegerKind(), DateKind(), ListKind(IntegerKind()), TextKind()]
    assert [slot.required for slot in slots] == [False, False, True, True, False, False]
    assert [slot.question for slot in slots[3:]] == ["What should it say?", "Which e?", "When then?"]


def test_a_language_needs_its_order_of_day_and_month():
    @command("on {day}", day_first=False)
    def plan(day: date) -> None: ...

    assert command_of(plan).slots[0].kind == DateKind(day_first=False)


class Empty(Enum):
    pass


def function_of(annotation: Any) -> Any:
    def act(x: Any) -> None: ...

    act.__annotations__["x"] = annotation
    return act


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (dict, "argument 'x': there are no values for dict; expected str, int, float"),
        (int | str, "argument 'x': int | str is one of several types; expected one"),
        (list[list[int]], "list[list[int]]: expected a list of plain values"),
        (list[dict], "there are no values for dict"),
        (Literal[b"a"], "Literal[b'a']: expected texts, integers or members of an enum"),
        (Literal["on", "On"], "'On' means both 'on' and 'On'"),
        (Empty, "the enum Empty has no members"),
        (Any, "there are no values for Any"),
        (timedelta(1), "there are no values for"),
        ("Nowhere", "an annotation can't be read: name 'Nowhere' is not defined"),
        ("list[", "an annotation can't be read"),
    ],
)
def test_an_annotation_without_values_is_refused(annotation, message):
    with pytest.raises(CommandError, match=re.escape(message)) as raised:
        command("do {x}")(function_of(annotation))
    assert re.match(r".*test_definition\.py:\d+: act: ", str(raised.value))


def test_errors_name_the_function_and_its_line():
    def timer(length: timedelta) -> None: ...

    def untyped(length) -> None: ...

    def rest(*lengths: int) -> None: ...

    def only(length: int, /) -> None: ...

    def choose(device: Literal["light", "fan"]) -> None: ...

    cases = [
        (
            timer,
            ("set {lenght}",),
            {},
            "timer has no argument 'lenght', which 'set {lenght}' names; its arguments: length (did",
        ),
        (timer, ("set {length} or {length}",), {}, "a sentence of 'set {length} or {length}' holds {length} twice"),
        (timer, ("set {length",), {}, "'{' is not closed"),
        (timer, (), {}, "timer has no template; expected one such as"),
        (timer, ("x {length}",), {"examples": ["a {b=c}"]}, "timer has no argument 'b'"),
        (timer, ("x {length}",), {"limit": 0}, "limit=0; expected seconds above 0"),
        (timer, ("x {length}",), {"limit": float("nan")}, "limit=nan"),
        (timer, ("x {length}",), {"limit": True}, "limit=True"),
        (timer, ("x {length}",), {"name": ""}, "'' is no name of a command"),
        (timer, (3,), {}, "the template 3 is not a text"),
        (
            timer,
            ("x {length}",),
            {"synonyms": {"length": {"a": ["b"]}}},
            "has synonyms, but timedelta has no list of values",
        ),
        (
            timer,
            ("x {length}",),
            {"synonyms": {"lenth": {}}},
            "synonyms for 'lenth', which is no argument (did you mean 'length'?)",
        ),
        (timer, ("x {length}",), {"language": "de"}, "durations are read in English only"),
        (untyped, ("x {length}",), {}, "the argument 'length' has no type; write length: str, or another type"),
        (rest, ("x",), {}, "the argument *lengths: 'int' can't be a slot"),
        (only, ("x {length}",), {}, "can't be a slot"),
        (
            choose,
            ("x {device}",),
            {"synonyms": {"device": {"lihgt": ["lamp"]}}},
            "synonyms of 'lihgt': the choices are light, fan (did",
        ),
        (choose, ("x {device}",), {"synonyms": {"device": {"light": ["fan"]}}}, "'fan' means both 'light' and 'fan'"),
        (set_timer, ("x {length}",), {}, "set_timer is a command already"),
    ]
    for function, templates, options, message in cases:
        with pytest.raises(CommandError, match=re.escape(message)) as raised:
            command(*templates, **options)(function)
        assert str(raised.value).startswith(f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}: ")


def test_a_decorator_without_brackets_or_a_function_without_one_is_refused():
    with pytest.raises(CommandError, match="has no template; write @command"):

        @command
        def act() -> None: ...

    with pytest.raises(CommandError, match="print is not a command; put @command"):
        command_of(print)
