"""Typed arguments of a command from the spans that a network tagged, corrected by the parsers of the slots' kinds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from unspool.commands import Command, Slot
from unspool.data import SlotSpan
from unspool.errors import SlotError

__all__ = ["Argument", "resolve"]

_SURE_FIRST = ("choice", "boolean", "datetime", "duration", "date", "time", "number", "integer", "list", "text")
"""Kinds in the order in which they take their part of a sentence: the most specific first."""
_EDGES = " \t\n,;:.!?"
_PADDING = ("please", "thanks", "thank you", "for me", "will you", "would you")
"""Words at the end of a sentence that belong to no free text."""


class Argument(NamedTuple):
    """A typed argument and its place in the sentence."""

    value: Any
    start: int
    """Offset of the first character; -1 for a value from elsewhere."""
    end: int
    text: str
    """The value as written."""


def resolve(
    command: Command, text: str, spans: Iterable[SlotSpan], now: datetime, *, without: Iterable[str] = ()
) -> dict[str, Argument]:
    """Return the arguments of a command that a sentence gives.

    A tagged span is parsed by the kind of its slot. If the parser refuses the span, a value that the parser finds in
    the sentence and that overlaps the span takes its place; a value of choice, number, time or length that nobody
    tagged fills its slot if the sentence has exactly as many free values as there are empty slots of that kind.

    Args:
        command: The command.
        text: The sentence.
        spans: Tagged spans; those of slots that the command does not have are left out.
        now: The moment that relative times count from.
        without: Names of slots that stay empty.
    """
    tagged: dict[str, list[SlotSpan]] = {}
    for span in spans:
        tagged.setdefault(span.slot, []).append(span)
    slots = [slot for slot in command.slots if slot.name not in set(without)]
    slots.sort(key=lambda slot: _SURE_FIRST.index(_kind(slot)) if _kind(slot) in _SURE_FIRST else 0)
    found: dict[str, Argument] = {}
    for slot in slots:
        argument = _from_spans(slot, text, tagged.get(slot.name, ()), now, found.values())
        if argument is not None:
            found[slot.name] = argument
    for kind in dict.fromkeys(_kind(slot) for slot in slots):
        empty = [slot for slot in slots if slot.name not in found and _kind(slot) == kind]
        if empty and kind not in ("text", "list"):
            found |= _untagged(empty, command, text, now, found)
    return {slot.name: found[slot.name] for slot in command.slots if slot.name in found}


def _kind(slot: Slot) -> str:
    return slot.kind.name


def _from_spans(
    slot: Slot, text: str, spans: Sequence[SlotSpan], now: datetime, taken: Iterable[Argument]
) -> Argument | None:
    """Parse the tagged spans of a slot, the first that is a value; a list takes all of them."""
    taken = list(taken)
    spans = [span for span in spans if not _overlaps(span.start, span.end, taken)]
    if not spans:
        return None
    if _kind(slot) == "list":
        spans = [SlotSpan(slot.name, spans[0].start, spans[-1].end)]
    for span in spans:
        start, end = _trimmed(text, span.start, span.end)
        for first, last, value in slot.kind.find(text, now):  # a longer value around the span: ten -> ten minutes
            if first <= start and end <= last and not _overlaps(first, last, taken):
                return Argument(value, first, last, text[first:last])
        try:
            return Argument(slot.kind.parse(text[start:end], now), start, end, text[start:end])
        except SlotError:
            pass
        for first, last, value in slot.kind.find(text, now):
            if first < end and last > start and not _overlaps(first, last, taken):
                return Argument(value, first, last, text[first:last])
    return None


def _untagged(
    empty: Sequence[Slot], command: Command, text: str, now: datetime, found: Mapping[str, Argument]
) -> dict[str, Argument]:
    """Fill the empty slots of one kind with the free values of the sentence, if there are as many of both."""
    free = [
        Argument(value, start, end, text[start:end])
        for start, end, value in empty[0].kind.find(text, now)
        if not _overlaps(start, end, found.values())
    ]
    alike = [slot for slot in empty if slot.kind == empty[0].kind]
    if len(alike) < len(empty):  # choices with different values
        return {slot.name: hits[0] for slot in empty if len(hits := _free_values(slot, text, now, found)) == 1}
    if len(free) != len(empty):
        required = [slot for slot in empty if slot.required]
        if len(free) != len(required):
            return {}
        empty = required
    order = [name for template in command.parsed_templates for name in template.slots]
    ordered = sorted(empty, key=lambda slot: order.index(slot.name) if slot.name in order else len(order))
    return {slot.name: argument for slot, argument in zip(ordered, free, strict=True)}


def _free_values(slot: Slot, text: str, now: datetime, found: Mapping[str, Argument]) -> list[Argument]:
    return [
        Argument(value, start, end, text[start:end])
        for start, end, value in slot.kind.find(text, now)
        if not _overlaps(start, end, found.values())
    ]


def _overlaps(start: int, end: int, others: Iterable[Argument]) -> bool:
    return any(start < other.end and end > other.start for other in others)


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Leave out marks at both ends of a span, and words of politeness at the end of a sentence."""
    while start < end and text[start] in _EDGES:
        start += 1
    changed = True
    while changed:
        changed = False
        while end > start and text[end - 1] in _EDGES:
            end -= 1
        for words in _PADDING:
            if text[start:end].lower().endswith(f" {words}"):
                end -= len(words)
                changed = True
    return start, end
