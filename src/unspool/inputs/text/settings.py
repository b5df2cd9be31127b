"""Settings of texts as input: the units that they are split into."""

from __future__ import annotations

from typing import Literal

from unspool.settings import PositiveInt, Settings

__all__ = ["VocabularySettings"]


class VocabularySettings(Settings):
    """What the text is cut into."""

    units: Literal["word", "blank", "character", "bpe", "unigram"] = "word"
    """Units of text: word (letters apart from punctuation), blank (split at white space only), character, or subwords
    learned from the data (bpe, unigram)."""
    lowercase: bool = False
    """Whether words are looked up in lower case."""
    digits_to_zero: bool = False
    """Whether every digit is looked up as 0, so that unseen numbers look like seen ones."""
    min_count: PositiveInt = 1
    """Rarer units count as unknown."""
    size: PositiveInt | None = None
    """Most units to keep (subwords: how many to learn, 8,000 if not said). None: all."""
