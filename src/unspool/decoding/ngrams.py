"""`NgramModel`, a backoff n-gram language model over words or characters, learned from sentences.

Source: Katz 1987 for the backoff form, Chen and Goodman 1998 for the probabilities (`models.kneser_ney`)::

    p(w | h) = p*(w | h)                                  if the n-gram hw is listed
             = backoff(h) p(w | h without its first unit)  otherwise
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Literal, NamedTuple

import numpy as np

from unspool.errors import DataError
from unspool.models.kneser_ney import KneserNey

__all__ = ["BEGIN", "END_OF_SENTENCE", "SPACE", "UNKNOWN_UNIT", "Entry", "NgramModel", "units_of"]

BEGIN, END_OF_SENTENCE, UNKNOWN_UNIT = "<s>", "</s>", "<unk>"
SPACE = "<space>"
"""Unit of a blank in a model by character."""

_LOG10 = math.log(10)
_DIGITS = 7  # decimals of a logarithm, in memory and in ARPA files
_NEVER = -99.0  # log10 probability of the begin unit, as ARPA files write it
_MISSING = -100.0  # log10 probability of an unknown unit, if the model lists none

By = Literal["word", "character"]
Context = tuple[int, ...]


class Entry(NamedTuple):
    """Numbers of one n-gram, as base-10 logarithms."""

    probability: float
    backoff: float = 0.0


class NgramModel:
    """Backoff n-gram model.

    Args:
        units: Names of the units, with `<s>` and `</s>`; `<unk>` stands for all other units.
        levels: The n-grams of each order, the shortest first: indices of units, and their entry.

    Raises:
        DataError: If `<s>` or `</s>` is missing, or there is no n-gram.
    """

    def __init__(self, units: Sequence[str], levels: Sequence[dict[Context, Entry]]) -> None:
        self.units, self.levels = tuple(units), list(levels)
        self._ids = {unit: id for id, unit in enumerate(self.units)}
        for unit in (BEGIN, END_OF_SENTENCE):
            if (self._ids.get(unit, -1),) not in (self.levels or [{}])[0]:
                raise DataError(f"the language model lists no {unit}; expected {BEGIN} and {END_OF_SENTENCE}")
        self._unknown = self._ids.get(UNKNOWN_UNIT, -1)

    @classmethod
    def learn(cls, sentences: Iterable[Sequence[str]], *, order: int = 3) -> NgramModel:
        """Learn an interpolated model with modified Kneser-Ney smoothing.

        Args:
            sentences: Units of each sentence; empty sentences are left out.
            order: Maximum n-gram length, in units, at least 1.

        Raises:
            DataError: If there is no sentence.
        """
        texts = [list(sentence) for sentence in sentences if sentence]
        if not texts:
            raise DataError("a language model needs text, and there is no sentence")
        special = (BEGIN, END_OF_SENTENCE, UNKNOWN_UNIT)
        units = [*special, *sorted(set(chain.from_iterable(texts)).difference(special))]
        ids = {unit: id for id, unit in enumerate(units)}
        tokens = np.fromiter((ids[unit] for text in texts for unit in (BEGIN, *text, END_OF_SENTENCE)), np.int64)
        counted = KneserNey.learn(tokens, len(units), order=order, max_tokens=len(tokens), begin=0)
        levels = []
        for grams, probabilities, backoffs in counted.entries():
            with np.errstate(divide="ignore"):
                logarithms = [np.log10(row).round(_DIGITS) for row in (probabilities, backoffs)]
            rows = zip(grams.tolist(), *(np.maximum(row, _NEVER).tolist() for row in logarithms), strict=True)
            levels.append({tuple(gram): Entry(probability, backoff) for gram, probability, backoff in rows})
        return cls(units, levels)

    @property
    def order(self) -> int:
        """Maximum n-gram length, in units."""
        return len(self.levels)

    def __contains__(self, unit: object) -> bool:
        return unit in self._ids

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(level):,}" for level in self.levels)
        return f"NgramModel(order {self.order}, {len(self.units):,} units, n-grams by order: {counts})"

    def start(self) -> Context:
        """Return the context at the begin of a sentence."""
        return self._trimmed((self._ids[BEGIN],))

    def advance(self, context: Context, unit: str) -> tuple[float, Context]:
        """Return the log-probability of a unit after a context, in nats, and the next context.

        Args:
            context: A context from `start` or `advance`.
            unit: The unit; `</s>` ends the sentence.
        """
        id = self._ids.get(unit, self._unknown)
        return self._log10(context, id) * _LOG10, self._trimmed((*context, id))

    def log_probability(self, sentence: Sequence[str]) -> float:
        """Return the log-probability of a sentence and its end, in nats."""
        context, total = self.start(), 0.0
        for unit in (*sentence, END_OF_SENTENCE):
            nats, context = self.advance(context, unit)
            total += nats
        return total

    def perplexity(self, sentences: Iterable[Sequence[str]]) -> float:
        """Return the perplexity per unit of some sentences, with one end unit per sentence."""
        texts = [list(sentence) for sentence in sentences]
        total = sum(map(self.log_probability, texts))
        return math.exp(-total / sum(len(text) + 1 for text in texts))

    def _log10(self, context: Context, id: int) -> float:
        backoff = 0.0
        for length in range(len(context), -1, -1):
            shorter = context[len(context) - length :]
            entry = self.levels[length].get((*shorter, id)) if length < self.order else None
            if entry is not None:
                return backoff + entry.probability
            if length:
                backoff += self.levels[length - 1].get(shorter, Entry(0.0)).backoff
        return backoff + _MISSING

    def _trimmed(self, context: Context) -> Context:
        """Return the longest end of a context that the model lists: a longer one predicts the same."""
        context = context[len(context) - self.order + 1 :] if self.order > 1 else ()
        while context and context not in self.levels[len(context) - 1]:
            context = context[1:]
        return context


def units_of(text: str, by: By) -> list[str]:
    """Return the units of a text for a language model: its words, or its characters with `<space>` for blanks."""
    words = text.split()
    return words if by == "word" else [SPACE if character == " " else character for character in " ".join(words)]
