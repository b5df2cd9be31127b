"""`call`: run a command's function within its time limit, and say in a sentence what went wrong."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from unspool.commands.definition import Command
from unspool.errors import CommandError, SlotError

__all__ = ["Outcome", "call", "running_calls"]

_log = logging.getLogger(__name__)
_running: set[threading.Thread] = set()


class Outcome(NamedTuple):
    """What came of a call."""

    text: str | None
    """What the function returned, as text; None if it failed."""
    error: str | None
    """What went wrong, in a sentence; None if the function returned."""
    seconds: float
    """Time of the call."""


def call(command: Command, values: Mapping[str, Any], now: datetime | None = None) -> Outcome:
    """Call a command's function in a thread, for at most its time limit.

    Python can't end a thread: a function that goes on beyond the limit may still do what it does.

    Args:
        command: The command.
        values: Value of each slot; a text of another kind than free text is parsed. Others keep their default.
        now: The moment that relative values in texts count from; the present if omitted.

    Raises:
        CommandError: If the command has no function, or there is no such slot.
    """
    if command.function is None:
        raise CommandError(f"{command.name} has no function here; load the file of commands, and bind it")
    for name in values:
        if name not in {slot.name for slot in command.slots}:
            raise CommandError(f"{command.name} has no argument {name!r}")
    arguments: dict[str, Any] = {}
    for slot in command.slots:
        if slot.name in values:
            value = values[slot.name]
            if isinstance(value, str) and slot.kind.name not in ("text", "choice"):
                try:
                    value = slot.kind.parse(value, now or datetime.now())
                except SlotError as error:
                    return Outcome(None, f"{command.name} can't take {slot.name}: {error.message}", 0.0)
            arguments[slot.name] = value
        elif slot.required:
            return Outcome(None, f"{command.name} needs {slot.name}: {slot.question}", 0.0)
        elif _has_no_default(command, slot.name):
            arguments[slot.name] = None
    return _run(command, arguments)


def running_calls() -> int:
    """Return the number of functions that are running, those beyond their time limit included."""
    return len(_running)


def _run(command: Command, arguments: dict[str, Any]) -> Outcome:
    results: list[tuple[str | None, BaseException | None]] = []

    def work() -> None:
        try:
            results.append((_text_of(command, arguments), None))
        except BaseException as error:  # SystemExit ends a command, not the program
            results.append((None, error))
        finally:
            _running.discard(threading.current_thread())

    thread = threading.Thread(target=work, name=f"command {command.name}", daemon=True)
    _running.add(thread)
    begin = time.monotonic()
    thread.start()
    thread.join(command.limit)
    seconds = time.monotonic() - begin
    if not results:
        limit = f"{command.limit:g} second{'' if command.limit == 1 else 's'}"
        return Outcome(
            None, f"{command.name} did not return within its limit of {limit}; it may still be running", seconds
        )
    text, error = results[0]
    if error is None:
        return Outcome(text, None, seconds)
    _log.error("%s failed", command.name, exc_info=error)
    reason = f"{type(error).__name__}: {error}".rstrip(": ")
    return Outcome(None, f"{command.name} failed: {reason}", seconds)


def _text_of(command: Command, arguments: dict[str, Any]) -> str:
    result = command.function(**arguments) if command.function else None
    if inspect.iscoroutine(result):
        result = asyncio.run(result)
    return "Done." if result is None else str(result)


def _has_no_default(command: Command, name: str) -> bool:
    parameter = inspect.signature(command.function).parameters[name] if command.function else None
    return parameter is not None and parameter.default is parameter.empty
