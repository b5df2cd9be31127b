"""Typed arguments of a command from the spans that a network tagged, corrected by the parsers of the slots' kinds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from unspool.commands import Command, Slot
from unspool.commands.kinds.numbers import NumberKind
from unspool.commands.stop_words import STOP_WORDS
from unspool.commands.template import template_words, words_after
from unspool.commands.tokens import tokenize
from unspool.data import SlotSpan
from unspool.errors import SlotError
from unspool.tasks.command.quantities import count_before, fraction_after, units_of
from unspool.tasks.command.spacing import Spacing

__all__ = ["Argument", "resolve"]

_SURE_FIRST = ("choice", "boolean", "datetime", "duration", "date", "time", "number", "integer", "list", "text")
"""Kinds in the order in which they take their part of a sentence: the most specific first."""
_NUMBERS = NumberKind()
_EDGES = " \t\n,;:.!?"
_PADDING = ("please", "thanks", "thank you", "for me", "will you", "would you")
"""Words at the end of a sentence that belong to no free text."""
_BEFORE_ITEMS = ("plus", "and", "also", "some more", "down")
_AFTER_ITEMS = ("added", "down", "on", "onto", "on to", "to", "in", "too", "as well", "also", "and", "plus")
"""Words that no list of items begins or ends with."""
_HYPHENATED = re.compile(r"(?:(?<=\w-)\w|-\w)[\w-]*")
"""The rest of a word that a span ends in, after a hyphen."""
_VERB = re.compile(r"[^\W\d_]+ (?=(?:a|an|some) )", re.IGNORECASE)
"""One word before the article of the first item, at the beginning of a sentence."""


_WORD = re.compile(r"[\w'’-]+")


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
    tagged fills its slot if the sentence has exactly as many free values as there are empty slots of that kind. A unit
    gives an empty number its value: 1 in `a mile`, 1/2 in `half a mile`. Free text goes on to the end of the sentence
    unless a word follows that a template has after the text. Free text and lists also take the words directly before
    them that no template has, except for the first word of the sentence: a verb may stand there that no template has.

    Args:
        command: The command.
        text: The sentence.
        spans: Tagged spans; those of slots that the command does not have are left out.
        now: The moment that relative times count from.
        without: Names of slots that stay empty.
    """
    spaced = Spacing.of((command,)).apart(text)
    if not spaced.pieces:
        return _resolved(command, text, spans, now, set(without))
    moved = [SlotSpan(span.slot, *spaced.new(span.start, span.end)) for span in spans]
    result = {}
    for name, argument in _resolved(command, spaced.text, moved, now, set(without)).items():
        start, end = spaced.old(argument.start, argument.end)
        value, kind = argument.value, command.slot(name).kind
        if kind.name in ("text", "list"):
            value = kind.parse(text[start:end], now)  # without the new spaces
        result[name] = Argument(value, start, end, text[start:end])
    return result


def _resolved(
    command: Command, text: str, spans: Iterable[SlotSpan], now: datetime, without: set[str]
) -> dict[str, Argument]:
    tagged: dict[str, list[SlotSpan]] = {}
    for span in spans:
        tagged.setdefault(span.slot, []).append(span)
    slots = [slot for slot in command.slots if slot.name not in without]
    slots.sort(key=lambda slot: _SURE_FIRST.index(_kind(slot)) if _kind(slot) in _SURE_FIRST else 0)
    found: dict[str, Argument] = {}
    for slot in slots:
        own = tagged.get(slot.name, [])
        if _kind(slot) == "text" and own:
            own = [_to_the_end(command, slot, text, own[0], [*tagged.values()], found.values()), *own[1:]]
        if own and _kind(slot) in ("text", "list"):
            begin = _from_the_left(command, text, own[0].start, [*tagged.values()])
            own = [own[0]._replace(start=begin), *own[1:]]
        argument = _from_spans(slot, text, own, now, found.values())
        if argument is not None:
            found[slot.name] = argument
    for kind in dict.fromkeys(_kind(slot) for slot in slots):
        empty = [slot for slot in slots if slot.name not in found and _kind(slot) == kind]
        if empty and kind not in ("text", "list"):
            found |= _untagged(empty, command, text, now, found)
    found |= _quantities(command, text, now, found, {slot.name for slot in slots})
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
        if _kind(slot) in ("text", "list") and (rest := _HYPHENATED.match(text, end)) and text[end - 1 : end].strip():
            end = rest.end()
        if _kind(slot) == "list":
            start, end = _items(text, start, end)
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
    free = _free_values(empty[0], text, now, found)
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
    """Return the values of a slot's kind that no argument has; a choice is not the sign of a number, as in `-8`."""
    numbers = _NUMBERS.find(text, now) if slot.kind.name == "choice" else []
    return [
        Argument(value, start, end, text[start:end])
        for start, end, value in slot.kind.find(text, now)
        if not _overlaps(start, end, found.values())
        and not any(first == start and last > end for first, last, _ in numbers)
    ]


def _quantities(
    command: Command, text: str, now: datetime, found: Mapping[str, Argument], slots: set[str]
) -> dict[str, Argument]:
    """Return the numbers that a unit gives or changes: `a mile`, `half a pound`, `two cups and a half`."""
    result: dict[str, Argument] = {}
    for name, unit_name in units_of(command):
        unit, number = found.get(unit_name), found.get(name)
        if unit is None or name not in slots:
            continue
        tokens = tokenize(text)
        first = next(index for index, token in enumerate(tokens) if token.end > unit.start)
        after = next((index for index, token in enumerate(tokens) if token.start >= unit.end), len(tokens))
        count, more = count_before(tokens, first), fraction_after(tokens, after)
        hits = command.slot(name).kind.find(text, now)
        direct = [hit for hit in hits if hit[1] <= unit.start and text[hit[1] : unit.start].strip(" -") in ("", "of")]
        if direct:
            start, end, value = direct[-1]
        elif count is not None:
            value, start, end = count[1], tokens[count[0]].start, tokens[first - 1].end
        else:
            continue
        if more is not None:
            value, end = value + more[1], tokens[more[0] - 1].end
        if number is not None and not _overlaps(start, end, [number]):
            continue  # the number stands elsewhere
        if command.slot(name).kind.name == "number" or value == int(value):
            as_type = float if command.slot(name).kind.name == "number" else int
            result[name] = Argument(as_type(value), start, end, text[start:end])
    return result


def _to_the_end(
    command: Command,
    slot: Slot,
    text: str,
    span: SlotSpan,
    tagged: Sequence[Sequence[SlotSpan]],
    taken: Iterable[Argument],
) -> SlotSpan:
    """Extend free text to the end, unless another value or a word that a template has after the text follows."""
    tail = {token.text for token in tokenize(text[span.end :]) if token.text[0].isalnum()}
    if any(other.start >= span.end and other.slot != slot.name for spans in tagged for other in spans):
        return span
    if any(argument.end > span.end for argument in taken):
        return span
    after = {word for template in command.parsed_templates for word in words_after(template.parts, slot.name)}
    return span if tail & after else SlotSpan(span.slot, span.start, len(text))


def _from_the_left(command: Command, text: str, start: int, tagged: Sequence[Sequence[SlotSpan]]) -> int:
    """Return where free text begins that may lack its first words: `light bulbs` for `bulbs` in `bung light bulbs`."""
    known: frozenset[str] = frozenset()
    words = [(word.start(), word.end()) for word in _WORD.finditer(text[:start])]
    for first, end in reversed(words[1:]):
        word = text[first:end].lower()
        if text[end:start].strip(" ") or any(span.start < end and first < span.end for row in tagged for span in row):
            break
        if not known:
            known = STOP_WORDS.union(*(template_words(template.parts) for template in command.parsed_templates))
        if word in known:
            break
        start = first
    return start


def _overlaps(start: int, end: int, others: Iterable[Argument]) -> bool:
    return any(start < other.end and end > other.start for other in others)


def _items(text: str, start: int, end: int) -> tuple[int, int]:
    """Leave out words at both ends of a list that are no part of an item, and a verb: `whack a bag of ice`."""
    verb = None if start else _VERB.match(text[:end])
    if verb is not None:
        start += verb.end()
    changed = True
    while changed:
        before = start, end
        for words in _BEFORE_ITEMS:
            if text[start:end].lower().startswith(f"{words} "):
                start, end = _trimmed(text, start + len(words), end)
        for words in _AFTER_ITEMS:
            if text[start:end].lower().endswith(f" {words}"):
                start, end = _trimmed(text, start, end - len(words))
        changed = before != (start, end)
    return start, end


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
