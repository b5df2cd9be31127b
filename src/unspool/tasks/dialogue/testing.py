"""Test of an assistant on sentences with their expected calls and answers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from unspool.commands import CommandSet
from unspool.data.files import decode_json, decode_line, name_of, numbered_lines
from unspool.errors import DataError, SlotError, UsageError
from unspool.settings import nearest

if TYPE_CHECKING:
    from unspool.tasks.dialogue.dialogue import Dialogue

__all__ = ["Case", "CaseResult", "check_case", "holds_calls", "read_cases", "run_cases", "scores_of"]


class Case(NamedTuple):
    """A sentence with what the assistant should do."""

    where: str
    """`file:line`."""
    text: str
    call: str | None
    """Name of the command; None if no function may be called."""
    arguments: Mapping[str, Any]
    """Expected arguments, as texts or JSON; those that are left out must keep their default."""
    answer: str | None
    """Expected answer of a question; None: not checked."""
    now: datetime | None


class CaseResult(NamedTuple):
    """A case with what the assistant understood."""

    case: Case
    call: str | None
    """The command that the assistant would call, or ask about; None if it answers or refuses."""
    arguments: dict[str, Any]
    """The arguments as JSON."""
    missing: tuple[str, ...]
    """Required arguments that the assistant would ask for."""
    answer: str
    right: bool
    """Whether command and arguments, or the answer, are as expected."""

    def record(self) -> dict[str, Any]:
        """Return the fields as JSON."""
        case = {"text": self.case.text, "expected": self.case.call, "where": self.case.where}
        return {**case, "call": self.call, "arguments": self.arguments, "answer": self.answer, "right": self.right}


def holds_calls(path: str) -> bool:
    """Whether the first line of a file is a JSON object with `call`."""
    if not path.endswith((".jsonl", ".json", ".ndjson")):
        return False
    try:
        line = next((raw for _, raw in numbered_lines(path) if raw.strip()), b"")
        return isinstance(value := json.loads(line), dict) and "call" in value
    except (ValueError, DataError):
        return False


def read_cases(path: str, commands: CommandSet) -> list[Case]:
    """Read a file of cases: `{"text": ..., "call": "set_timer", "arguments": {"length": "ten minutes"}}` on each line.

    `call` is null for sentences that no command may answer; `answer` and `now` (ISO 8601) may stand beside.

    Raises:
        DataError: If a line is no such object, or names an unknown command or argument.
    """
    cases = []
    for number, raw in numbered_lines(path):
        where = f"{name_of(path)}:{number}"
        if raw.strip():
            cases.append(_case(decode_json(decode_line(raw, where), where), commands, where))
    if not cases:
        raise DataError("there is nothing to read", name_of(path))
    return cases


def check_case(value: Any, commands: CommandSet, where: str) -> None:
    """Refuse an object that `read_cases` would refuse, or whose arguments are no values of their kinds.

    Args:
        value: The object.
        commands: The commands of the model.
        where: Place of the object, for messages.

    Raises:
        DataError: If the object does not fit.
    """
    case = _case(value, commands, where)
    if case.call is not None:
        _values(case, commands)


def _case(value: Any, commands: CommandSet, where: str) -> Case:
    if not isinstance(value, dict) or not isinstance(value.get("text"), str) or "call" not in value:
        raise DataError('expected an object like {"text": "stop", "call": "stop_music", "arguments": {}}', where)
    call, arguments = value["call"], value.get("arguments", {})
    if call is not None and call not in commands:
        raise DataError(f"there is no command {call!r}{nearest(str(call), commands.names)}", where)
    if not isinstance(arguments, dict):
        raise DataError(f"arguments are {type(arguments).__name__}; expected an object of values by name", where)
    if call is not None:
        slots = [slot.name for slot in commands[call].slots]
        for name in arguments:
            if name not in slots:
                raise DataError(f"{call} has no argument {name!r}{nearest(name, slots)}", where)
    now = value.get("now")
    try:
        moment = None if now is None else datetime.fromisoformat(now)
    except (TypeError, ValueError):
        raise DataError(f"now = {now!r}; expected a moment such as 2026-06-03T10:00", where) from None
    return Case(where, value["text"], call, arguments, value.get("answer"), moment)


def run_cases(dialogue: Dialogue, cases: Iterable[Case]) -> list[CaseResult]:
    """Let an assistant understand each sentence alone, and compare; no function is called.

    Raises:
        DataError: If an expected argument is no value of its kind.
        UsageError: If the assistant has no commands.
    """
    if dialogue.commands is None:
        raise UsageError("this model learned no commands, so it can't be tested on calls")
    results = []
    for case in cases:
        guess = dialogue.understand(case.text, case.now)
        right = guess.call == case.call
        if right and guess.call is not None:
            right = _values(case, dialogue.commands) == _with_defaults(dialogue.commands, guess.call, guess.arguments)
        if right and guess.call is None and case.answer is not None:
            right = guess.answer == case.answer
        results.append(CaseResult(case, *guess, right))
    return results


def scores_of(results: Iterable[CaseResult]) -> dict[str, float]:
    """Score the results of `run_cases`.

    Returns:
        Of the sentences with a call: `calls`, the share with the right function and arguments, and `functions`, the
        share with the right function. Of the others: `acted`, the share on which a function would have been called,
        with all that it needs, and `answers`, the share with the right answer if any is given.
    """
    results = list(results)
    inside = [each for each in results if each.case.call is not None]
    outside = [each for each in results if each.case.call is None]
    answers = [each for each in outside if each.case.answer is not None]
    shares: dict[str, list[bool]] = {
        "calls": [each.right for each in inside],
        "functions": [each.call == each.case.call for each in inside],
        "acted": [each.call is not None and not each.missing for each in outside],
        "answers": [each.right for each in answers],
    }
    return {name: sum(rows) / len(rows) for name, rows in shares.items() if rows}


def _values(case: Case, commands: CommandSet) -> dict[str, Any]:
    """Return the expected arguments as JSON, with defaults."""
    assert case.call is not None
    command, values = commands[case.call], {}
    for name, value in case.arguments.items():
        kind = command.slot(name).kind
        text = ", ".join(map(str, value)) if isinstance(value, list) else value
        if isinstance(text, str):
            try:
                values[name] = kind.to_json(kind.parse(text, case.now or datetime.now()))
            except SlotError as error:
                raise DataError(f"argument {name!r}: {error.message}", case.where) from None
        else:
            values[name] = value
    return _with_defaults(commands, case.call, values)


def _with_defaults(commands: CommandSet, call: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return all arguments as JSON, texts without case."""
    filled = {}
    for slot in commands[call].slots:
        default = None if slot.default is None else slot.kind.to_json(slot.default)
        value = values.get(slot.name, default)
        filled[slot.name] = _plain(value)
    return filled


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.casefold()
    return [_plain(each) for each in value] if isinstance(value, list) else value
