"""Tokenization of texts into units, equal in Python and in the stored `tokenizers` file."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Literal, TypedDict

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers

__all__ = [
    "END",
    "LINE",
    "NOT_BLANK",
    "PADDING",
    "SPECIAL",
    "UNITS",
    "UNKNOWN",
    "Flags",
    "Units",
    "character_table",
    "clean",
    "code_points",
    "dress",
    "normalise",
    "word_pattern",
]

PADDING, UNKNOWN, END = 0, 1, 2
SPECIAL = ("<pad>", "<unk>", "<eos>")

Units = Literal["word", "blank", "character", "bpe", "unigram"]
UNITS: tuple[Units, ...] = ("word", "blank", "character", "bpe", "unigram")


class Flags(TypedDict):
    """Normalization of a text before tokenization."""

    lowercase: bool
    digits_to_zero: bool


# Python's white space, written out because `\s` of the stored pattern has fewer characters.
NOT_BLANK = re.compile(r"[^\s\x1c-\x1f]+")
LINE = re.compile(r"[^\n]*\n|[^\n]+")
_STORED_BLANK = r"[^\s\x1c-\x1f]+"
_STORED_WORD = r"<(?i:pad|unk|eos)>|[\p{L}\p{M}\p{N}_]+(?:['’][\p{L}\p{M}\p{N}_]+)*|[^\p{L}\p{M}\p{N}_\s\x1c-\x1f]"


@cache
def word_pattern(ascii: bool) -> re.Pattern[str]:
    """Return a pattern for words, with inner apostrophes and combining marks, and for single punctuation marks."""
    marks = "" if ascii else _marks()
    return re.compile(rf"<(?i:pad|unk|eos)>|[\w{marks}]+(?:['’][\w{marks}]+)*|[^\w\s{marks}]")


def _marks() -> str:
    """Return Unicode's combining characters as ranges of a pattern."""
    ranges: list[list[int]] = []
    for code in range(0x300, 0xE0200):
        if unicodedata.category(chr(code))[0] == "M":
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


def clean(text: str) -> str:
    """Replace halves of surrogate pairs, which are no characters, by question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def normalise(text: str, *, lowercase: bool, digits_to_zero: bool) -> str:
    """Return the text, optionally in lower case, and with the digits 1 to 9 as 0."""
    text = clean(text)
    if lowercase:
        # Character by character, like the stored tokenizer, which has no rule for a final sigma.
        text = text.lower() if text.isascii() else "".join(map(str.lower, text))
    return re.sub("[1-9]", "0", text) if digits_to_zero else text


def code_points(text: str) -> NDArray[np.integer]:
    """Return the code points of a text, unsigned integers (characters,)."""
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), np.uint8)
    return np.frombuffer(text.encode("utf-32-le"), "<u4")


def character_table(ids: dict[str, int]) -> NDArray[np.int32]:
    """Return ids by code point, int32; the last entry, the unknown unit, is for all higher code points."""
    codes = {ord(name): id for name, id in ids.items() if len(name) == 1}
    table = np.full(max(codes, default=0) + 2, UNKNOWN, np.int32)
    for code, id in codes.items():
        table[code] = id
    return table


def dress(tokenizer: Tokenizer, units: Units, *, lowercase: bool, digits_to_zero: bool) -> Tokenizer:
    """Return a tokenizer with the model of another one and the normalizer, pre-tokenizer and decoder for its units."""
    tokenizer = Tokenizer(tokenizer.model)
    steps = [normalizers.Lowercase()] * lowercase + [normalizers.Replace(Regex("[1-9]"), "0")] * digits_to_zero
    if steps:
        tokenizer.normalizer = normalizers.Sequence(steps)
    bytes_of_lines = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split("\n", "merged_with_previous"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.pre_tokenizer = {
        "word": pre_tokenizers.Split(Regex(_STORED_WORD), "removed", invert=True),
        "blank": pre_tokenizers.Split(Regex(_STORED_BLANK), "removed", invert=True),
        "character": pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated"),
        "bpe": bytes_of_lines,
        "unigram": bytes_of_lines,
    }[units]
    if units in ("bpe", "unigram"):
        tokenizer.decoder = decoders.ByteLevel()
    elif units == "character":
        tokenizer.decoder = decoders.Fuse()
    return tokenizer
