"""Values of a sentence replaced by the name of their kind: `set a timer for ten minutes` becomes `… for durationvalue`.

A model that learned templates with a few values then reads every number, length of time, time and date alike. Source:
delexicalization, after Henderson et al. 2014, "Word-based dialog state tracking with recurrent neural networks".
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from unspool.commands import CommandSet, SlotKind
from unspool.data import SlotSpan, Utterance

__all__ = ["MaskedText", "ValueMasks"]

_MASKED = ("datetime", "duration", "date", "time", "number", "integer")
"""Kinds that are masked; of values that begin together, the longest is, then the first of these kinds."""
_NOW = datetime(2026, 6, 3, 10, 0)  # where a value stands does not depend on the moment


class MaskedText(NamedTuple):
    """A text with masks, and the way back."""

    text: str
    pieces: tuple[tuple[int, int, int, int], ...]
    """Start and end of each mask in the new text, and of its value in the old one."""

    def old(self, start: int, end: int) -> tuple[int, int]:
        """Convert a span of the new text to the old one; a part of a mask becomes the whole value."""
        return self._moved(start, end, new_to_old=True)

    def new(self, start: int, end: int) -> tuple[int, int]:
        """Convert a span of the old text to the new one; a part of a value becomes the whole mask."""
        return self._moved(start, end, new_to_old=False)

    def _moved(self, start: int, end: int, *, new_to_old: bool) -> tuple[int, int]:
        rows = [row if new_to_old else (row[2], row[3], row[0], row[1]) for row in self.pieces]
        return _place(rows, start, at_end=False), _place(rows, end, at_end=True)


class ValueMasks:
    """Masks the values of the kinds that some commands have.

    Args:
        kinds: The kinds, each name once.
    """

    def __init__(self, kinds: Iterable[SlotKind]) -> None:
        self._kinds = sorted(kinds, key=lambda kind: _MASKED.index(kind.name))

    @classmethod
    def of(cls, commands: CommandSet | None) -> ValueMasks:
        """Return the masks of commands; without any, texts stay as they are."""
        kinds: dict[str, SlotKind] = {}
        for command in commands or ():
            for slot in command.slots:
                kind = getattr(slot.kind, "item", slot.kind)
                if kind.name in _MASKED:
                    kinds.setdefault("number" if kind.name == "integer" else kind.name, kind)
        return cls(kinds.values())

    def mask(self, text: str) -> MaskedText:
        """Replace the values of a text."""
        hits = [
            (start, -end, rank, kind.name)
            for rank, kind in enumerate(self._kinds)
            for start, end, _ in kind.find(text, _NOW)
        ]
        masked, pieces, done = "", [], 0
        for start, minus_end, _, name in sorted(hits):
            if start < done:
                continue
            word = f"{'number' if name == 'integer' else name}value"
            masked += text[done:start]
            pieces.append((len(masked), len(masked) + len(word), start, -minus_end))
            masked += word
            done = -minus_end
        return MaskedText(masked + text[done:], tuple(pieces))

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


def _place(rows: Sequence[tuple[int, int, int, int]], place: int, *, at_end: bool) -> int:
    """Move one offset; inside a piece, to the piece's start, or to its end."""
    index = bisect_right(rows, place, key=lambda row: row[0]) - 1
    if index < 0:
        return place
    first, last, other_first, other_last = rows[index]
    if place >= last:
        return place - last + other_last
    if place == first:
        return other_first
    return other_last if at_end else other_first


def _apart(slots: Sequence[SlotSpan]) -> tuple[SlotSpan, ...]:
    """Leave out a slot that shares a mask with the slot before it."""
    kept: list[SlotSpan] = []
    for slot in slots:
        if not kept or slot.start >= kept[-1].end:
            kept.append(slot)
    return tuple(kept)
