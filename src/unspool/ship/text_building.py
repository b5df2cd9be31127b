"""Text fronts of sheets, from a vocabulary, a spelling and n-grams."""

from __future__ import annotations

from unspool.data import Spelling as FittedSpelling
from unspool.data import Vocabulary
from unspool.data.spelling import LONGEST
from unspool.ship.sheet_text import Ngrams, Spelling, TextFront, Units

__all__ = ["text_front", "units_of"]


def units_of(vocabulary: Vocabulary) -> Units:
    """Return splitting and vocabulary."""
    subwords = vocabulary.units in ("bpe", "unigram")
    return Units(
        vocabulary.units,
        tuple(vocabulary.unit(id) for id in range(len(vocabulary))),
        vocabulary.lowercase,
        vocabulary.digits_to_zero,
        vocabulary.tokenizer_json() if subwords else None,
    )


def text_front(
    vocabulary: Vocabulary,
    spelling: FittedSpelling | None = None,
    ngrams: Ngrams | None = None,
    *,
    words: bool = False,
    most_units: int = 0,
) -> TextFront:
    """Return the text front of a model; see `TextFront`."""
    characters = None
    if spelling is not None:
        names = tuple(spelling.vocabulary.unit(id) for id in range(len(spelling)))
        characters = Spelling(names, LONGEST)
    return TextFront(units_of(vocabulary), characters, ngrams, words=words, most_units=most_units)
