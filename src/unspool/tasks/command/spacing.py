"""Numbers set apart from the units and symbols of choices: `12/4` becomes `12 / 4`, and `5km` becomes `5 km`."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from unspool.commands import Command, SlotKind
from unspool.commands.english.numbers import match_fraction
from unspool.commands.kinds.choice import ChoiceKind, is_spoken
from unspool.commands.tokens import tokenize

__all__ = ["MovedText", "Spacing"]


class MovedText(NamedTuple):
    """A text in which pieces were replaced, and the way back."""

    text: str
    pieces: tuple[tuple[int, int, int, int], ...]
    """Start and end of each piece in the new text, and of the part of the old text that the piece replaces."""

    def old(self, start: int, end: int) -> tuple[int, int]:
        """Convert a span of the new text to the old one; a part of a piece becomes the whole part that it replaces."""
        return self._moved(start, end, new_to_old=True)

    def new(self, start: int, end: int) -> tuple[int, int]:
        """Convert a span of the old text to the new one; a part of a replaced text becomes the whole piece."""
        return self._moved(start, end, new_to_old=False)

    def _moved(self, start: int, end: int, *, new_to_old: bool) -> tuple[int, int]:
        rows = [row if new_to_old else (row[2], row[3], row[0], row[1]) for row in self.pieces]
        return _place(rows, start, at_end=False), _place(rows, end, at_end=True)


class Spacing:
    """Puts spaces between numbers and the forms of choices.

    Args:
        forms: Words and symbols of the choices.
    """

    def __init__(self, forms: Iterable[str]) -> None:
        forms = sorted({form for form in forms if form and not form[0].isdigit()}, key=lambda form: (-len(form), form))
        units = "|".join(re.escape(form) for form in forms if is_spoken(form))
        signs = "|".join(re.escape(form) for form in forms if not is_spoken(form))
        self._units = re.compile(rf"(?<=\d)(?:{units})(?![^\W\d_])", re.IGNORECASE) if units else None
        # Two numbers with one sign between them; a date, a time or a telephone number has more signs.
        number = r"\d[\d.,]*"
        self._signs = (
            re.compile(rf"(?<![\w/:.])(?<!\w[-−])({number})\s*({signs})(?=\s*\.?{number}(?![\d.,]*[-/:]\d))")
            if signs
            else None
        )

    @classmethod
    def of(cls, commands: Iterable[Command]) -> Spacing:
        """Return the spacing for the choices of the commands that have a number too."""
        forms: set[str] = set()
        for command in commands:
            kinds: list[SlotKind] = [slot.kind for slot in command.slots]
            if any(kind.name in ("number", "integer") for kind in kinds):
                forms.update(form for kind in kinds if isinstance(kind, ChoiceKind) for form in kind.forms)
        return cls(forms)

    def apart(self, text: str) -> MovedText:
        """Return the text with spaces where a number and a form touch."""
        places: set[int] = set()
        for match in self._units.finditer(text) if self._units else ():
            places |= {match.start(), match.end()}
        for match in self._signs.finditer(text) if self._signs else ():
            if not _is_fraction(text[match.start() :]):
                places |= {match.start(2), match.end(2)}
        spaced, pieces, done = "", [], 0
        for place in sorted(places):
            if not 0 < place < len(text) or text[place - 1].isspace() or text[place].isspace():
                continue
            if text[place] in ",.;:!?" and not text[place + 1 : place + 2].isdigit():
                continue
            spaced += text[done:place]
            pieces.append((len(spaced), len(spaced) + 1, place, place))
            spaced += " "
            done = place
        return MovedText(spaced + text[done:], tuple(pieces))


def _is_fraction(text: str) -> bool:
    """Return whether a text begins with a fraction such as `1/2`."""
    tokens = tokenize(text[:20])
    match = match_fraction(tokens, 0)
    return match is not None and match[0] == 3


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
