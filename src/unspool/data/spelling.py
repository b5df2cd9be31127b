"""How words are spelled, for embeddings composed from characters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from unspool.data.examples import Sequences
from unspool.data.vocabulary import Vocabulary

__all__ = ["Spelling"]

_LONGEST = 40  # characters; of a longer word (an address, mostly) the beginning and the end


class Spelling:
    """Turns words into character ids.

    Attributes:
        vocabulary: The characters.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    @classmethod
    def learn(cls, sentences: Iterable[Sequence[str]], *, min_count: int = 1) -> Self:
        """Collect the characters of words."""
        return cls(Vocabulary.learn(sentences, units="character", min_count=min_count))

    def __len__(self) -> int:
        return len(self.vocabulary)

    def encode(self, words: Iterable[str]) -> Sequences:
        """The characters of each word; of a word of more than 40, the first and last 20."""
        half = _LONGEST // 2
        shortened = (word if len(word) <= _LONGEST else word[:half] + word[-half:] for word in words)
        return self.vocabulary.encode_batch(word or "\ufffd" for word in shortened)

    def spell(self, sentences: Iterable[Sequence[str]]) -> tuple[Sequences, Sequences]:
        """Spell each different word of sentences once.

        Returns:
            For each sentence the place of each word's spelling, and the spellings: the `forms` and `spellings`
            of `Examples`.
        """
        places: dict[str, int] = {}
        forms = Sequences.of([places.setdefault(word, len(places)) for word in words] for words in sentences)
        return forms, self.encode(places)

    def save(self, folder: Path, name: str = "characters") -> None:
        """Write the characters into a folder, as a vocabulary."""
        self.vocabulary.save(folder, name)

    @classmethod
    def load(cls, folder: Path, name: str = "characters") -> Self:
        """Read what `save` wrote.

        Raises:
            ModelFolderError: If a file is missing or damaged.
        """
        return cls(Vocabulary.load(folder, name))
