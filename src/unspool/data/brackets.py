"""Brackets: after each character, is every bracket closed? Made up, or in real C code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from unspool.data.algorithms import Array, Chance, Exercise, ExerciseKind
from unspool.errors import DataError

__all__ = ["Brackets", "BracketsInCode", "code_depths", "depths"]

_PAIRS = {")": "(", "]": "[", "}": "{"}
_SIGNS = "()[]{}abcdefgh"
_NOT_CODE = re.compile(r"//[^\n]*|/\*.*?(?:\*/|\Z)|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])+'", re.S)
_CHARACTERS = 97  # tab, line end, the 94 visible characters of ASCII and the blank; all others are one


def depths(text: str) -> NDArray[np.int64]:
    """How many brackets are open after each character, (characters,); one too many that closes counts as none."""
    found = np.zeros(len(text), np.int64)
    depth = 0
    for place, sign in enumerate(text):
        if sign in "([{":
            depth += 1
        elif sign in _PAIRS:
            depth = max(0, depth - 1)
        found[place] = depth
    return found


def code_depths(text: str) -> NDArray[np.int64]:
    """As `depths`, of C code: brackets in comments, strings and character constants do not count."""
    return depths(_code_only(text))


def _code_only(text: str) -> str:
    """The text with blanks for comments, strings and character constants, so that all else stays where it is."""
    return _NOT_CODE.sub(lambda match: " " * len(match[0]), text)


class Brackets(ExerciseKind):
    """Read brackets of three kinds among letters, made up; after each, say whether all are closed.

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
        """Brackets that match; the last ones may stay open."""
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
        """A text as rows with a single 1, (characters, inputs).

        Raises:
            DataError: If it has other signs.
        """
        places = [_SIGNS.find(sign) for sign in text]
        if not places or -1 in places:
            raise self._wrong(text)
        return np.eye(self.inputs, dtype=np.float32)[places]

    def depths(self, text: str) -> NDArray[np.int64]:
        """How many brackets that count are open after each character, (characters,)."""
        return depths(text)

    def read(self, text: str) -> Exercise:
        return _lay(self.encode(text)[:, None], self.depths(text)[:, None])

    def show(self, answer: Array) -> str:
        """A point where all are closed, a bar where one is open."""
        return "".join("." if row[0] > 0.5 else "|" for row in answer)

    def tokens(self, exercise: Exercise) -> list[str]:
        return [_SIGNS[place] for place in exercise.inputs[:, 0].argmax(-1).tolist()]


class BracketsInCode(Brackets):
    """The same in C code: stretches of text that begin where everything is closed.

    Args:
        texts: The code.

    Raises:
        DataError: If there is no place at which to begin.
    """

    form: ClassVar[str] = "if (a[0]) { b(); }"

    def __init__(self, texts: Sequence[str]) -> None:
        super().__init__()
        self.inputs = _CHARACTERS + 1
        text = "\n".join(texts)
        self._codes = _codes(text)
        code = _code_only(text)
        self._depths = depths(code)
        line_ends = np.flatnonzero(_codes(code) == 1)  # those inside a comment are no place to begin
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
    """Exercises of encoded texts, (time, batch, inputs), and of how deep each character stands, (time, batch)."""
    targets = (deep == 0).astype(np.float32)[..., None]
    return Exercise.of(inputs, targets, np.ones(deep.shape, np.bool_))
