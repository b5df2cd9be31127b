"""Values of a sentence replaced by the name of their kind: `set a timer for ten minutes` becomes `… for durationvalue`.

For labelled data, whose slots have no kinds, `delexicalize` replaces tagged values by the names of their slots.

A model that learned templates with a few values then reads every number, length of time, time and date alike. Source:
delexicalization, after Henderson et al. 2014, "Word-based dialog state tracking with recurrent neural networks".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from unspool.commands import Command, CommandSet, SlotKind
from unspool.commands.english.numbers import ends_number
from unspool.commands.tokens import tokenize
from unspool.data import SlotSpan, Utterance
from unspool.tasks.command.quantities import count_before, fraction_after, units_of
from unspool.tasks.command.spacing import MovedText, Spacing

__all__ = ["ValueMasks", "delexicalize"]

_MASKED = ("datetime", "duration", "date", "time", "number", "integer")
"""Kinds that are masked; of values that begin together, the longest is, then the first of these kinds."""
_OF_UNIT = "of a unit"  # `and a half` in `a cup and a half`, which the mask of the number stands for
_NO_WORD = re.compile(r"[\W_]+")
_NOW = datetime(2026, 6, 3, 10, 0)  # where a value stands does not depend on the moment


class ValueMasks:
    """Masks the values of the kinds that some commands have, and the counts before their units: `half a pound`.

    Args:
        kinds: The kinds, each name once.
        commands: The commands, for their units and the forms of their choices.
    """

    def __init__(self, kinds: Iterable[SlotKind], commands: Sequence[Command] = ()) -> None:
        self._kinds = sorted(kinds, key=lambda kind: _MASKED.index(kind.name))
        self._spacing = Spacing.of(commands)
        units = {command.slot(unit).kind: None for command in commands for _, unit in units_of(command)}
        self._units = tuple(units)
        self._last: tuple[str, MovedText] | None = None  # a sentence is masked for the network, its tags and n-grams

    @classmethod
    def of(cls, commands: CommandSet | None) -> ValueMasks:
        """Return the masks of commands; without any, texts stay as they are."""
        kinds: dict[str, SlotKind] = {}
        for command in commands or ():
            for slot in command.slots:
                kind = getattr(slot.kind, "item", slot.kind)
                if kind.name in _MASKED:
                    kinds.setdefault("number" if kind.name == "integer" else kind.name, kind)
        return cls(kinds.values(), tuple(commands or ()))

    def mask(self, text: str) -> MovedText:
        """Replace the values of a text, and set numbers apart from units and symbols."""
        last = self._last
        if last is None or last[0] != text:
            last = self._last = text, self._masked(text)
        return last[1]

    def _masked(self, text: str) -> MovedText:
        spaced = self._spacing.apart(text)
        pieces = [(start, end, " ") for start, end, _, _ in spaced.pieces]
        done = 0
        for start, end, name in self._values(spaced.text):
            if start >= done:
                pieces = [piece for piece in pieces if not start < piece[0] < end]  # spaces inside the value
                word = f"{'number' if name == 'integer' else name}value"
                pieces.append((start, end, "" if name == _OF_UNIT else word))
                done = end
        masked, moved, done = "", [], 0
        for start, end, new in sorted(pieces):
            masked += spaced.text[done:start]
            moved.append((len(masked), len(masked) + len(new), *spaced.old(start, end)))
            masked += new
            done = end
        return MovedText(masked + spaced.text[done:], tuple(moved))

    def _values(self, text: str) -> list[tuple[int, int, str]]:
        """Return start, end and kind of all values, those that begin together in the order of their precedence."""
        hits = [
            (start, -end, rank, kind.name)
            for rank, kind in enumerate(self._kinds)
            for start, end, _ in kind.find(text, _NOW)
        ]
        tokens = tokenize(text) if self._units else []
        index = {token.start: place for place, token in enumerate(tokens)}
        for unit in self._units:
            for start, end, _ in unit.find(text, _NOW):
                count = count_before(tokens, index[start])
                if count is not None:
                    hits.append((tokens[count[0]].start, -tokens[index[start] - 1].end, len(_MASKED), "number"))
                after = next((place for place, token in enumerate(tokens) if token.start >= end), len(tokens))
                more = fraction_after(tokens, after)
                if more is not None and (count is not None or ends_number(tokens, index[start])):
                    hits.append((end, -tokens[more[0] - 1].end, 0, _OF_UNIT))
        return [(start, -minus_end, name) for start, minus_end, _, name in sorted(hits)]

    def utterance(self, utterance: Utterance) -> Utterance:
        """Mask a sentence and move its slots."""
        if not self._kinds:
            return utterance
        masked = self.mask(utterance.text)
        slots = [SlotSpan(span.slot, *masked.new(span.start, span.end)) for span in utterance.slots]
        return utterance._replace(text=masked.text, slots=_apart(slots))

    def texts(self, texts: Sequence[str]) -> list[str]:
        """Mask several texts."""
        return [self.mask(text).text for text in texts] if self._kinds else list(texts)


def delexicalize(text: str, slots: Iterable[SlotSpan]) -> str:
    """Replace the values of slots by the names of the slots: `from boston` becomes `from fromloccitynamevalue`.

    Args:
        text: The sentence.
        slots: Its slots in order; of two that overlap, the first is replaced.
    """
    result, end = "", 0
    for span in slots:
        if span.start >= end:
            result += f"{text[end : span.start]}{_NO_WORD.sub('', span.slot).lower()}value"
            end = span.end
    return result + text[end:]


def _apart(slots: Sequence[SlotSpan]) -> tuple[SlotSpan, ...]:
    """Leave out a slot that shares a mask with the slot before it."""
    kept: list[SlotSpan] = []
    for slot in slots:
        if not kept or slot.start >= kept[-1].end:
            kept.append(slot)
    return tuple(kept)
