"""Settings of the text vocabulary: tokenization, normalisation and size."""

from __future__ import annotations

from typing import Literal

from unspool.settings import PositiveInt, Settings

__all__ = ["VocabularySettings"]


class VocabularySettings(Settings):
    """Tokenization and vocabulary of texts."""

    units: Literal["word", "blank", "character", "bpe", "unigram"] = "word"
    """Tokenization: word (splits off punctuation), blank (splits at white space only), character, or subwords learned
    from the training data (bpe, unigram)."""
    lowercase: bool = False
    """Whether the vocabulary lookup ignores case."""
    digits_to_zero: bool = False
    """Whether the vocabulary lookup replaces every digit by 0, so that new numbers share their units."""
    min_count: PositiveInt = 1
    """Minimum number of occurrences; rarer units map to the unknown unit."""
    size: PositiveInt | None = None
    """Maximum vocabulary size. None: all units; for subwords, 8,000."""
