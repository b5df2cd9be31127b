"""Tables of Unicode properties for C: letters of words, white space, lower case, as Python has them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["bounds", "cased_bounds", "ignorable_bounds", "lower_ranges", "space_codes", "word_bounds"]

_CODES = 0x110000


def bounds(has: Callable[[str], bool]) -> NDArray[np.uint32]:
    """Return the code points where a property begins and ends, in turn."""
    flags = np.fromiter((has(chr(code)) for code in range(_CODES)), np.bool_, _CODES)
    return (np.flatnonzero(np.diff(flags, prepend=False, append=False))).astype(np.uint32)


@cache
def word_bounds() -> NDArray[np.uint32]:
    r"""Return the bounds of what `units.word_pattern` takes as part of a word: `\w` and combining marks."""
    return bounds(lambda c: c.isalnum() or c == "_" or (c >= "\u0300" and unicodedata.category(c)[0] == "M"))


def space_codes() -> NDArray[np.uint32]:
    """Return all code points of white space."""
    return np.array([code for code in range(0x3001) if chr(code).isspace()], np.uint32)


@cache
def lower_ranges() -> NDArray[np.int32]:
    """Return ranges of capital letters, (ranges, 4): first, last, distance of two, what to add; without İ."""
    lowered = [(code, ord(low)) for code in range(_CODES) if len(low := chr(code).lower()) == 1 and low != chr(code)]
    ranges: list[list[int]] = []
    for code, low in lowered:
        if ranges:
            first, last, stride, distance = ranges[-1]
            gap = code - last
            if low - code == distance and gap <= 2 and (first == last or gap == stride):
                ranges[-1] = [first, code, gap, distance]
                continue
        ranges.append([code, code, 1, low - code])
    return np.array(ranges, np.int32)


@cache
def cased_bounds() -> NDArray[np.uint32]:
    """Return the bounds of cased letters, after which a sigma is a final one."""
    return bounds(_cased)


@cache
def ignorable_bounds() -> NDArray[np.uint32]:
    """Return the bounds of marks that may stand between a letter and a final sigma."""
    return bounds(lambda c: f"A{c}Σ".lower()[-1] == "ς" and not _cased(c) and f"1{c}Σ".lower()[-1] == "σ")


def _cased(c: str) -> bool:
    return f"{c}Σ".lower()[-1] == "ς" and f"A{c}Σ".lower()[-1] == "ς"
