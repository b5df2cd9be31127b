"""Texts as input: vocabulary, optional character spellings of words, encoding, and the text encoder network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch

from unspool.cells import Cell
from unspool.data import UNKNOWN, Examples, Sequences, Spelling, Vocabulary, refuse_empty
from unspool.errors import DataError, SettingError
from unspool.inputs.contract import Encoder, FittedInput
from unspool.inputs.encoders import reading_stack
from unspool.inputs.network_settings import EncoderSettings
from unspool.inputs.text.settings import VocabularySettings
from unspool.layers import CharacterComposition, Recurrent, TokenEmbedding, WordDropout

__all__ = ["FittedText", "Text", "learned_vocabulary", "token_embedding"]

Text = str | list[str]
"""A text, or a list of its words."""


class FittedText(FittedInput[Text]):
    """Text input, encoded as vocabulary ids.

    Args:
        vocabulary: The vocabulary of units.
        spelling: The character vocabulary, for networks with a character-level encoder.
    """

    kind: ClassVar[str] = "text"

    def __init__(self, vocabulary: Vocabulary, spelling: Spelling | None = None) -> None:
        self.vocabulary, self.spelling = vocabulary, spelling

    @classmethod
    def learn(cls, values: Sequence[Text], columns: Sequence[str], settings: Any) -> Self:
        """Learn the vocabulary, and the characters if the network has a character-level encoder."""
        fitted = cls(learned_vocabulary(values, settings.vocabulary))
        if settings.network.characters != "none":
            fitted.spelling = Spelling.learn(fitted.words(text) for text in values)
        return fitted

    @property
    def has_words(self) -> bool:
        """See `FittedInput.has_words`."""
        return True

    def value(self, value: Any, where: str) -> Text:
        """Check a text or a list of words; see `FittedInput.value`."""
        if isinstance(value, str):
            return value
        if isinstance(value, list | tuple) and all(isinstance(word, str) for word in value):
            return list(value)
        raise DataError(f"{type(value).__name__} {value!r:.40} came; expected a text or a list of words", where)

    def text(self, value: Text) -> str:
        """Return the text; see `FittedInput.text`."""
        return value if isinstance(value, str) else " ".join(value)

    def words(self, text: Text) -> list[str]:
        """Return the units of a text in their original spelling; a list of words is returned unchanged."""
        return text if isinstance(text, list) else self.vocabulary.encode_with_offsets(text).units

    def encode(self, values: Sequence[Text], where: Sequence[str]) -> Examples:
        """Encode texts; see `FittedInput.encode`."""
        if self.vocabulary.units in ("word", "blank"):
            tokens = Sequences.of(
                self.vocabulary.encode_words(text) if isinstance(text, list) else self.vocabulary.encode(text)
                for text in values
            )
        else:
            tokens = self.vocabulary.encode_batch(" ".join(t) if isinstance(t, list) else t for t in values)
        return self._spelled(tokens, (self.words(text) for text in values), where)

    def encode_sentences(self, sentences: Sequence[list[str]], where: Sequence[str]) -> Examples:
        """Encode sentences with one id per word.

        Raises:
            DataError: If a sentence has no word.
        """
        return self._spelled(Sequences.of(map(self.vocabulary.encode_words, sentences)), sentences, where)

    def _spelled(self, tokens: Sequences, words: Iterable[list[str]], where: Sequence[str]) -> Examples:
        refuse_empty(tokens, where)
        if self.spelling is None:
            return Examples(tokens)
        forms, spellings = self.spelling.spell(words)
        return Examples(tokens, None, forms, spellings)

    def encoder(self, network: Any, cell: str | type[Cell[Any]]) -> Encoder:
        """Build the text encoder: recurrent layers, a Transformer, or only embeddings for `bag`."""
        embedding = token_embedding(network, self.vocabulary, self.spelling)
        if network.network == "feedforward":
            raise SettingError("network = feedforward reads rows of numbers, and these data are texts")
        if network.network == "bag":
            return Encoder(embedding, None, embedding.output_size, "mean")
        stack = reading_stack(network, network.network, cell, embedding.output_size)
        directions = stack.directions if isinstance(stack, Recurrent) else 1
        return Encoder(embedding, stack, stack.output_size, getattr(network, "pooling", "max"), directions=directions)

    def positions(self, value: Text) -> tuple[str, ...]:
        """Return the units of a text."""
        return tuple(self.words(value))

    def features(self, values: Sequence[Text]) -> list[list[str]]:
        """Return the words of each text in lower case."""
        return [[word.lower() for word in self.words(text)] for text in values]

    def summary(self) -> str:
        """Return an empty string: texts are the default input."""
        return ""

    def save(self, folder: Path) -> None:
        """Write `vocabulary.json` and, with a spelling, `characters.json` into a folder."""
        self.vocabulary.save(folder)
        if self.spelling is not None:
            self.spelling.save(folder)

    @classmethod
    def load(cls, folder: Path, settings: Any) -> Self:
        """Read the files that `save` wrote; see `FittedInput.load`."""
        spelled = settings.network.characters != "none"
        return cls(Vocabulary.load(folder), Spelling.load(folder) if spelled else None)


def learned_vocabulary(texts: Iterable[str] | Iterable[Sequence[str]], settings: VocabularySettings) -> Vocabulary:
    """Learn a vocabulary from texts, or from sentences as lists of words; see `Vocabulary.learn`."""
    return Vocabulary.learn(
        texts,
        units=settings.units,
        max_size=settings.size,
        min_count=settings.min_count,
        lowercase=settings.lowercase,
        digits_to_zero=settings.digits_to_zero,
    )


def token_embedding(network: EncoderSettings, vocabulary: Vocabulary, spelling: Spelling | None) -> TokenEmbedding:
    """Build the token embedding: a table, word dropout, and a character-level encoder if there is a spelling."""
    characters = None
    if network.characters != "none" and spelling is not None:
        characters = CharacterComposition(
            network.characters,
            len(spelling),
            network.character_embedding,
            network.character_hidden,
            dropout=network.character_dropout,
        )
    dropout = None
    if network.word_dropout:
        counts = torch.tensor(vocabulary.counts, device="cpu") if vocabulary.counts else None
        dropout = WordDropout(network.word_dropout, unknown=UNKNOWN, counts=counts)
    return TokenEmbedding(len(vocabulary), network.embedding, characters=characters, word_dropout=dropout)
