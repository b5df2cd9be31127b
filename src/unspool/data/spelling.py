"""Character ids of words, for character-level word embeddings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from unspool.data.examples import Sequences
from unspool.data.vocabulary import Vocabulary

__all__ = ["LONGEST", "Spelling"]

LONGEST = 40
"""Most characters of a word; a longer one, mostly an address, is cut in the middle."""


class Spelling:
    """Encodes words as character ids.

    Attributes:
        vocabulary: The vocabulary of characters.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    @classmethod
    def learn(cls, sentences: Iterable[Sequence[str]], *, min_count: int = 1) -> Self:
        """Build the vocabulary of the characters of words.

        Args:
            sentences: Sentences as sequences of words.
            min_count: Minimum number of occurrences; rarer characters map to the unknown unit.
        """
        return cls(Vocabulary.learn(sentences, units="character", min_count=min_count))

    def __len__(self) -> int:
        return len(self.vocabulary)

    def encode(self, words: Iterable[str]) -> Sequences:
        """Return the character ids of each word; a word of more than 40 characters gives its first and last 20."""
        half = LONGEST // 2
        shortened = (word if len(word) <= LONGEST else word[:half] + word[-half:] for word in words)
        return self.vocabulary.encode_batch(word or "\ufffd" for word in shortened)

    def spell(self, sentences: Iterable[Sequence[str]]) -> tuple[Sequences, Sequences]:
        """Encode each distinct word of sentences once.

        Returns:
            The `forms` and `spellings` of `Examples`: for each sentence, the index of each word's spelling; and the
            spellings.
        """
        places: dict[str, int] = {}
        forms = Sequences.of([places.setdefault(word, len(places)) for word in words] for words in sentences)
        return forms, self.encode(places)

    def save(self, folder: Path, name: str = "characters") -> None:
        """Write the vocabulary of characters into a folder."""
        self.vocabulary.save(folder, name)

    @classmethod
    def load(cls, folder: Path, name: str = "characters") -> Self:
        """Read the files of `save`.

        Raises:
            ModelFolderError: If a file is missing or damaged.
        """
        return cls(Vocabulary.load(folder, name))
