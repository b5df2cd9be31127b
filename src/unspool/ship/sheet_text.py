"""Text in and text out of a sheet: splitting, vocabulary, spelling, n-grams; labels, tags, joining."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Labels", "Ngrams", "QuestionNgrams", "Replies", "Spelling", "TagNames", "TextFront", "Units", "Writing"]


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
class QuestionNgrams:
    r"""Words and character n-grams of a question, with tf-idf weights; a bag, and the row `unknown`.

    The first `most_characters` characters of a text, in NFKC, case-folded, with ’ as ', cut again, give the words:
    matches of `\w+(?:'\w+)*|[^\w\s]`. Entries are each word after a blank, and the pieces of `<word>`, as in `Ngrams`,
    from `shortest` to `longest`. An entry that comes :math:`c` times weighs :math:`(1 + \ln c) w`. One outside the
    vocabulary adds :math:`(1 + \ln c)^2 u` to `unknown`.
    """

    entries: tuple[str, ...]
    weights: NDArray[np.float32]
    """The factor w of each entry, (entries,)."""
    unknown: float
    """The square u of the factor of other entries."""
    shortest: int
    longest: int
    most_characters: int


@dataclass(frozen=True, eq=False)
class TextFront:
    """From a text to the inputs of a program; a list of words is not split further."""

    units: Units
    spelling: Spelling | None = None
    ngrams: Ngrams | None = None
    question: QuestionNgrams | None = None
    """With this, only `bag` and `unknown` are made, and `units` has no names."""
    words: bool = False
    """Whether texts come split into words, as in the data of a tagger."""
    most_units: int = 0
    """Units of a text that are read, the first ones; 0: all."""


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
    scheme: str | None = None
    """Scheme of spans that the tags are written in; None if tags mark no spans."""


@dataclass(frozen=True, eq=False)
class Writing:
    """From units to text: blanks join words, and the end unit is a line end; other units stand side by side."""

    units: Units


@dataclass(frozen=True, eq=False)
class Replies:
    r"""From the scores of stored pairs, a row, to an answer.

    If the words of the question, joined by blanks, are a wording of some pairs (`exact`), or without the marks
    . ? ! … , ; at its end (`exact_without_marks`), the pair among these with the highest score wins, with the
    confidence 1. Otherwise the pair with the highest score wins, with the confidence
    :math:`1 / (1 + e^{\beta (\alpha_0 - \alpha)})` of its score. Of equal scores the first pair wins. Below the
    threshold the answer is `unknown`.
    """

    questions: tuple[str, ...]
    """A wording of each pair."""
    answers: tuple[str, ...]
    exact: dict[str, tuple[int, ...]]
    exact_without_marks: dict[str, tuple[int, ...]]
    scale: float
    """β."""
    nothing: float
    """α0, the score of no pair."""
    threshold: float
    unknown: str
