"""Text in and text out of a sheet: splitting, vocabulary, spelling, n-grams; labels, tags, joining."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Labels", "Ngrams", "Spelling", "TagNames", "TextFront", "Units", "Writing"]


@dataclass(frozen=True, eq=False)
class Units:
    """Splitting of a text into units, and their ids: 0 padding, 1 the unknown unit, 2 the end of a text.

    `word` and `blank` follow `data.units.word_pattern` and `str.split`; `character` takes every code point. Halves of
    surrogate pairs become `?` first. `lowercase` lowers every code point by itself (`str.lower`), and `digits_to_zero`
    replaces 1 to 9 by 0, before the look-up.
    """

    units: Literal["word", "blank", "character", "bpe", "unigram"]
    names: tuple[str, ...]
    """The unit of each id."""
    lowercase: bool
    digits_to_zero: bool
    tokenizer: str | None = None
    """Content of `tokenizer.json` for subwords; None for other units."""


@dataclass(frozen=True, eq=False)
class Spelling:
    """Characters of a unit, as written in the text; of a longer one, the first and the last half of `longest`.

    An empty unit is spelled as the replacement character U+FFFD. Ids are those of `Units`, without lower case.
    """

    names: tuple[str, ...]
    longest: int


@dataclass(frozen=True, eq=False)
class Ngrams:
    r"""Words, word n-grams and character n-grams of a text, with tf-idf weights; a bag.

    The units of a text as written, the first `most_words` of them, are lowered (`str.lower`). Entries are: for each
    length up to `orders`, the words of every place joined by blanks, after a blank; and if `longest` is above 0, the
    pieces of every word: of `<word>`, all substrings of length 2 to `longest`, until a length is no shorter than
    `<word>`, which gives `<word>` itself and ends. An entry that comes :math:`c` times weighs :math:`(1 + \ln c) r`.
    The weights of word entries, which begin with a blank, are divided by their Euclidean norm, at least 1e-12, and so
    are the others; in double precision, rounded to single precision at last. The order is that of ascending ids.
    """

    entries: tuple[str, ...]
    rarity: NDArray[np.float64]
    """The factor r of each entry, (entries,)."""
    orders: int
    longest: int
    most_words: int


@dataclass(frozen=True, eq=False)
class TextFront:
    """From a text to the inputs of a program; a list of words is not split further."""

    units: Units
    spelling: Spelling | None = None
    ngrams: Ngrams | None = None


@dataclass(frozen=True, eq=False)
class Labels:
    """From probabilities, a row, to labels: the most probable, of equal ones the first; or all above thresholds."""

    names: tuple[str, ...]
    several: bool = False
    thresholds: NDArray[np.float64] | None = None
    """With `several`: minimum probability of each label, (labels,)."""


@dataclass(frozen=True, eq=False)
class TagNames:
    """From places, (time, batch), to one tag for each unit."""

    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Writing:
    """From units to text: blanks join words, and the end unit is a line end; other units stand side by side."""

    units: Units
