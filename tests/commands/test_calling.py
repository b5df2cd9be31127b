"""`call`: texts, time limits and exceptions of a command's function."""

from __future__ import annotations

import logging
import sys
import threading
from datetime import datetime, timedelta

import pytest
from house_commands import HOUSE, Room

from unspool.commands import CommandSet, Outcome, call, calling, command, command_of
from unspool.commands.calling import running_calls
from unspool.errors import CommandError

NOW = datetime(2026, 11, 30, 18, 0)


def test_values_and_defaults_reach_the_function():
    assert call(HOUSE["switch"], {"device": "fan", "state": "on"}).text == "fan on KITCHEN"
    assert (
        call(HOUSE["switch"], {"device": "fan", "state": "on", "room": Room.LIVING_ROOM}).text == "fan on LIVING_ROOM"
    )
    assert call(HOUSE["remind"], {"what": "tea"}).text == "tea: None"
    assert call(HOUSE["add_items"], {"items": ["a"]})[:2] == ("Done.", None)
    outcome = call(HOUSE["set_timer"], {"length": timedelta(minutes=10)})
    assert isinstance(outcome, Outcome)
    assert outcome.text == "A timer of 0:10:00 runs."
    assert 0 <= outcome.seconds < 10


def test_a_text_of_another_kind_is_parsed():
    assert call(HOUSE["remind"], {"what": "tea", "when": "in ten minutes"}, NOW).text == "tea: 2026-11-30 18:10:00"
    assert call(HOUSE["set_timer"], {"length": "ten"}, NOW).error == (
        "set_timer can't take length: 'ten' is not a duration; expected something like 'ten minutes'"
    )


def test_an_optional_argument_without_default_is_none():
    @command("x [{a}]")
    def act(a: int | None):
        return a

    assert call(command_of(act), {}).text == "Done."
    assert call(command_of(act), {"a": 3}).text == "3"


def test_a_missing_value_is_asked_for_and_an_unknown_one_refused():
    assert call(HOUSE["set_timer"], {}).error == "set_timer needs length: How long?"
    with pytest.raises(CommandError, match="set_timer has no argument 'room'"):
        call(HOUSE["set_timer"], {"room": 1})
    with pytest.raises(CommandError, match="set_timer has no function here; load the file of commands"):
        call(CommandSet.from_record(HOUSE.record())["set_timer"], {"length": timedelta(1)})


def test_a_function_that_never_returns_is_given_up():
    gate = threading.Event()

    @command("wait", limit=0.05)
    def wait() -> None:
        gate.wait()

    others = set(threading.enumerate())
    outcome = call(command_of(wait), {})
    assert outcome.text is None
    assert outcome.error == "wait did not return within its limit of 0.05 seconds; it may still be running"
    (waiting,) = set(threading.enumerate()) - others
    assert waiting in calling._running
    assert running_calls() >= 1
    gate.set()
    waiting.join(10)
    assert waiting not in calling._running


def test_an_exception_is_a_sentence_and_its_traceback_in_the_log(caplog):
    @command("divide by {number}")
    def divide(number: float) -> str:
        return str(1 / number)

    with caplog.at_level(logging.ERROR, "unspool"):
        outcome = call(command_of(divide), {"number": 0.0})
    assert outcome[:2] == (None, "divide failed: ZeroDivisionError: float division by zero")
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info[0] is ZeroDivisionError
    assert "return str(1 / number)" in caplog.text


def test_what_ends_a_program_ends_only_the_command():
    @command("quit")
    def leave() -> None:
        sys.exit("bye")

    @command("stop")
    def stop() -> None:
        raise KeyboardInterrupt

    class Odd:
        def __str__(self) -> str:
            raise ValueError("no text")

    @command("odd")
    def odd() -> Odd:
        return Odd()

    assert call(command_of(leave), {}).error == "leave failed: SystemExit: bye"
    assert call(command_of(stop), {}).error == "stop failed: KeyboardInterrupt"
    assert call(command_of(odd), {}).error == "odd failed: ValueError: no text"


def test_results_become_text_and_coroutines_are_awaited():
    @command("one")
    async def one() -> int:
        return 1

    @command("two")
    def two() -> list[int]:
        return [2]

    assert call(command_of(one), {}).text == "1"
    assert call(command_of(two), {}).text == "[2]"
