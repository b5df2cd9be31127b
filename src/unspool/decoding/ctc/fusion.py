r"""Scores that a search adds to CTC: language models by word or character (shallow fusion), and grammars.

The search ranks an output y by

.. math:: \log p(y \mid x) + \alpha \log p_{\mathrm{LM}}(y) + \beta |y|

with the weight α and a bonus β per unit of the language model. Source: Graves and Jaitly 2014, section 4; Hannun et al.
2014, arXiv:1408.2873, equation 2.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

from unspool.decoding.ngrams import END_OF_SENTENCE, SPACE, UNKNOWN_UNIT, Context, NgramModel

__all__ = ["CharacterFusion", "Fusion", "NoFusion", "WordFusion"]

_LEAST = -20 * math.log(10)  # a model without <unk> must not forbid new words


class Fusion(ABC):
    """Score of an output, unit by unit. States are compared by nothing: each output has one."""

    @abstractmethod
    def start(self) -> Any:
        """Return the state before the first unit."""

    @abstractmethod
    def advance(self, state: Any, unit: int) -> tuple[float, Any]:
        """Return the score that a unit adds, in nats, and the state after it; -inf forbids the unit."""

    @abstractmethod
    def finish(self, state: Any) -> float:
        """Return the score that the end of the output adds, in nats; -inf forbids the end here."""

    def pending(self, state: Any) -> float:
        """Return an estimate of the score that an unfinished word will add, for ranking during the search."""
        return 0.0

    def units(self, state: Any) -> Sequence[int] | None:
        """Return the units that may follow; None: all."""
        return None


class NoFusion(Fusion):
    """No language model: every output scores 0."""

    def start(self) -> None:
        """Return None."""

    def advance(self, state: None, unit: int) -> tuple[float, None]:
        """Return 0."""
        return 0.0, None

    def finish(self, state: None) -> float:
        """Return 0."""
        return 0.0


class CharacterFusion(Fusion):
    """Language model by character: scores every unit and the end.

    Args:
        model: Model over characters, with `<space>` for a blank.
        texts: Text of each unit of the search; a text of several characters scores each.
        weight: α, at least 0.
        bonus: β per character, in nats.
    """

    def __init__(self, model: NgramModel, texts: Sequence[str], weight: float, bonus: float = 0.0) -> None:
        self._model, self._weight, self._bonus = model, weight, bonus
        self._texts = [[SPACE if character == " " else character for character in text] for text in texts]
        self._cache: dict[tuple[Context, int], tuple[float, Context]] = {}

    def start(self) -> Context:
        """See `Fusion.start`."""
        return self._model.start()

    def advance(self, state: Context, unit: int) -> tuple[float, Context]:
        """See `Fusion.advance`."""
        result = self._cache.get((state, unit))
        if result is None:
            total, context = 0.0, state
            for character in self._texts[unit]:
                nats, context = self._model.advance(context, character)
                total += self._weight * nats + self._bonus
            result = self._cache[state, unit] = total, context
        return result

    def finish(self, state: Context) -> float:
        """See `Fusion.finish`."""
        return self._weight * self._model.advance(state, END_OF_SENTENCE)[0]


class _Words(NamedTuple):
    context: Context
    word: str  # characters of the unfinished word


class WordFusion(Fusion):
    """Language model by word: scores a word at the blank after it, or at the end.

    Args:
        model: Model over words.
        texts: Text of each unit of the search; a blank ends a word.
        weight: α, at least 0.
        bonus: β per word, in nats.
        unknown: Score that a word outside the model adds, in nats, at most 0.
    """

    def __init__(
        self, model: NgramModel, texts: Sequence[str], weight: float, bonus: float = 0.0, unknown: float = -5.0
    ) -> None:
        self._model, self._texts, self._weight, self._bonus, self._unknown = model, list(texts), weight, bonus, unknown
        self._prefixes = {word[:end] for word in model.units for end in range(len(word) + 1)}
        self._cache: dict[tuple[Context, str], tuple[float, Context]] = {}
        # Ranking estimate of a word that no known word starts like.
        self._strange = weight * max(_LEAST, model.advance((), UNKNOWN_UNIT)[0]) + bonus + unknown

    def start(self) -> _Words:
        """See `Fusion.start`."""
        return _Words(self._model.start(), "")

    def advance(self, state: _Words, unit: int) -> tuple[float, _Words]:
        """See `Fusion.advance`."""
        total, context, word = 0.0, *state
        for character in self._texts[unit]:
            if character != " ":
                word += character
            elif word:
                nats, context = self._score(context, word)
                total, word = total + nats, ""
        return total, _Words(context, word)

    def finish(self, state: _Words) -> float:
        """See `Fusion.finish`."""
        total, context = self._score(state.context, state.word) if state.word else (0.0, state.context)
        return total + self._weight * self._model.advance(context, END_OF_SENTENCE)[0]

    def pending(self, state: _Words) -> float:
        """Return the score of an unknown word, if no word of the model starts like the unfinished one."""
        return 0.0 if state.word in self._prefixes else self._strange

    def _score(self, context: Context, word: str) -> tuple[float, Context]:
        result = self._cache.get((context, word))
        if result is None:
            nats, after = self._model.advance(context, word)
            strange = 0.0 if word in self._model else self._unknown
            result = self._cache[context, word] = self._weight * max(_LEAST, nats) + self._bonus + strange, after
        return result
