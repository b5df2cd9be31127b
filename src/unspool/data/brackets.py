"""Bracket matching tasks on random text and on C code: predict after each character whether all are closed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from unspool.data.algorithms import Array, Chance, Exercise, ExerciseKind
from unspool.errors import DataError

__all__ = ["Brackets", "BracketsInCode", "code_depths", "comments", "depths"]

_PAIRS = {")": "(", "]": "[", "}": "{"}
_SIGNS = "()[]{}abcdefgh"
_NOT_CODE = re.compile(r"//[^\n]*|/\*.*?(?:\*/|\Z)|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])+'", re.S)
_CHARACTERS = 97  # tab, line end, the 94 visible characters of ASCII and the blank; all others share one index


def depths(text: str, kinds: str = "([{") -> NDArray[np.int64]:
    """Return the number of open brackets of some kinds after each character, int64 (characters,), never below 0."""
    counts = np.zeros(len(text), np.int64)
    depth = 0
    for place, sign in enumerate(text):
        if sign in kinds:
            depth += 1
        elif sign in _PAIRS and _PAIRS[sign] in kinds:
            depth = max(0, depth - 1)
        counts[place] = depth
    return counts


def code_depths(text: str, kinds: str = "([{") -> NDArray[np.int64]:
    """Return `depths` of C code, without brackets in comments, strings and character constants."""
    return depths(_code_only(text), kinds)


def comments(text: str) -> NDArray[np.bool_]:
    """Return whether a comment of C code is open after each character, bool (characters,)."""
    inside = np.zeros(len(text), np.bool_)
    for match in _NOT_CODE.finditer(text):
        if match[0].startswith("/"):
            last = match.end() - match[0].endswith("*/")
            inside[match.start() + 1 : last] = True
    return inside


def _code_only(text: str) -> str:
    """Replace comments, strings and character constants by blanks of equal length."""
    return _NOT_CODE.sub(lambda match: " " * len(match[0]), text)


class Brackets(ExerciseKind):
    """Read random brackets of three kinds among letters; after each character, output whether all are closed.

    Args:
        deepest: Most brackets open at once.
    """

    name: ClassVar[str] = "brackets"
    form: ClassVar[str] = "(a[b]{})c"

    def __init__(self, deepest: int = 8) -> None:
        self.deepest, self.inputs, self.outputs = deepest, len(_SIGNS), 1

    def draw(self, chance: Chance, batch: int, length: int) -> Exercise:
        texts = [self._text(chance, length) for _ in range(batch)]
        return _lay(
            np.stack([self.encode(text) for text in texts], axis=1), np.stack([depths(text) for text in texts], axis=1)
        )

    def _text(self, chance: Chance, length: int) -> str:
        """Draw a text with matching brackets; the last ones may stay open."""
        opened: list[str] = []
        signs = []
        for draw, which in zip(chance.random(length), chance.integers(0, 8, length), strict=True):
            if draw < 0.25 and len(opened) < self.deepest:
                opened.append("([{"[which % 3])
                signs.append(opened[-1])
            elif draw < 0.5 and opened:
                signs.append({"(": ")", "[": "]", "{": "}"}[opened.pop()])
            else:
                signs.append(_SIGNS[6 + which])
        return "".join(signs)

    def encode(self, text: str) -> Array:
        """Encode a text as one-hot rows, float32 (characters, inputs).

        Raises:
            DataError: If the text has other characters.
        """
        places = [_SIGNS.find(sign) for sign in text]
        if not places or -1 in places:
            raise self._wrong(text)
        return np.eye(self.inputs, dtype=np.float32)[places]

    def depths(self, text: str) -> NDArray[np.int64]:
        """Return the number of open brackets after each character, int64 (characters,)."""
        return depths(text)

    def read(self, text: str) -> Exercise:
        return _lay(self.encode(text)[:, None], self.depths(text)[:, None])

    def show(self, answer: Array) -> str:
        """Return `.` for each step at which all brackets are closed, `|` for the others."""
        return "".join("." if row[0] > 0.5 else "|" for row in answer)

    def tokens(self, exercise: Exercise) -> list[str]:
        return [_SIGNS[place] for place in exercise.inputs[:, 0].argmax(-1).tolist()]


class BracketsInCode(Brackets):
    """Read C code from a line on which all brackets are closed; after each character, output whether all are closed.

    Args:
        texts: Source texts in C, joined by line ends.

    Raises:
        DataError: If the code has fewer than 2 characters.
    """

    form: ClassVar[str] = "if (a[0]) { b(); }"

    def __init__(self, texts: Sequence[str]) -> None:
        super().__init__()
        self.inputs = _CHARACTERS + 1
        text = "\n".join(texts)
        self._codes = _codes(text)
        code = _code_only(text)
        self._depths = depths(code)
        line_ends = np.flatnonzero(_codes(code) == 1)  # without line ends inside comments
        self._starts = line_ends[self._depths[line_ends] == 0] + 1
        self._starts = np.concatenate([[0], self._starts[self._starts < len(text)]])
        if len(text) < 2:
            raise DataError(f"{len(text)} characters of code are too few; expected at least 2")

    def draw(self, chance: Chance, batch: int, length: int) -> Exercise:
        length = min(length, len(self._codes))
        fitting = self._starts[: np.searchsorted(self._starts, len(self._codes) - length, side="right")]
        places = fitting[chance.integers(0, len(fitting), batch)] + np.arange(length)[:, None]
        return _lay(np.eye(self.inputs, dtype=np.float32)[self._codes[places]], self._depths[places])

    def encode(self, text: str) -> Array:
        if not text:
            raise self._wrong(text)
        return np.eye(self.inputs, dtype=np.float32)[_codes(text)]

    def depths(self, text: str) -> NDArray[np.int64]:
        return code_depths(text)

    def tokens(self, exercise: Exercise) -> list[str]:
        signs = ["\t", "\n", *map(chr, range(32, 127)), "\ufffd"]
        return [signs[place] for place in exercise.inputs[:, 0].argmax(-1).tolist()]


def _codes(text: str) -> NDArray[np.int64]:
    table = np.full(128, _CHARACTERS, np.int64)
    table[9], table[10] = 0, 1
    table[32:127] = np.arange(2, _CHARACTERS)
    return table[np.minimum(np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32), 127)]


def _lay(inputs: Array, deep: NDArray[np.int64]) -> Exercise:
    """Return exercises of encoded texts, (time, batch, inputs), and the depth after each character, (time, batch)."""
    targets = (deep == 0).astype(np.float32)[..., None]
    return Exercise.of(inputs, targets, np.ones(deep.shape, np.bool_))
