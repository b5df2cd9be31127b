"""How texts are split into units: the same by Python here and by the stored `tokenizers` form."""

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
    """What is done to a text before it is split."""

    lowercase: bool
    digits_to_zero: bool


# Python's white space, spelled out so that the stored pattern means the same.
NOT_BLANK = re.compile(r"[^\s\x1c-\x1f]+")
LINE = re.compile(r"[^\n]*\n|[^\n]+")
_STORED_BLANK = r"[^\s\x1c-\x1f]+"
_STORED_WORD = r"<(?i:pad|unk|eos)>|[\p{L}\p{M}\p{N}_]+(?:['’][\p{L}\p{M}\p{N}_]+)*|[^\p{L}\p{M}\p{N}_\s\x1c-\x1f]"


@cache
def word_pattern(ascii: bool) -> re.Pattern[str]:
    """A word, inner apostrophes included, or one mark of punctuation; accents written apart belong to the word."""
    marks = "" if ascii else _marks()
    return re.compile(rf"<(?i:pad|unk|eos)>|[\w{marks}]+(?:['’][\w{marks}]+)*|[^\w\s{marks}]")


def _marks() -> str:
    """The combining characters of Unicode, as ranges of a pattern."""
    ranges: list[list[int]] = []
    for code in range(0x300, 0xE0200):
        if unicodedata.category(chr(code))[0] == "M":
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


def clean(text: str) -> str:
    """The text with halves of surrogate pairs, which are no characters, as question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def normalise(text: str, *, lowercase: bool, digits_to_zero: bool) -> str:
    """The text in lower case, its digits 1 to 9 read as 0, where that is wanted."""
    text = clean(text)
    if lowercase:
        # Character by character, as the stored form does it: no sigma of its own at the end of a word.
        text = text.lower() if text.isascii() else "".join(map(str.lower, text))
    return re.sub("[1-9]", "0", text) if digits_to_zero else text


def code_points(text: str) -> NDArray[np.integer]:
    """The number of each character in Unicode, (characters,)."""
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), np.uint8)
    return np.frombuffer(text.encode("utf-32-le"), "<u4")


def character_table(ids: dict[str, int]) -> NDArray[np.int32]:
    """Ids by code point; one more place at the end, for all the characters beyond."""
    codes = {ord(name): id for name, id in ids.items() if len(name) == 1}
    table = np.full(max(codes, default=0) + 2, UNKNOWN, np.int32)
    for code, id in codes.items():
        table[code] = id
    return table


def dress(tokenizer: Tokenizer, units: Units, *, lowercase: bool, digits_to_zero: bool) -> Tokenizer:
    """A tokenizer with the model of this one, and what belongs before and after it; nothing else is taken over."""
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
