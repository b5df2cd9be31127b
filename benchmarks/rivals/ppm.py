"""Prediction by partial matching: an order-8 PPM-D over characters, in plain Python.

Each context holds the symbols that followed it, with counts. The longest context predicts first. For a symbol without a
count there, the model escapes to the next shorter context. In a context with n counts over q symbols, a symbol of count
c has probability (2c - 1) / 2n, and the escape q / 2n. Shorter contexts exclude the symbols of the longer ones (full
exclusion). Training counts a symbol in the context that predicted it and in the longer ones (update exclusion).

Source: Cleary and Witten 1984; Howard 1993 for method D. Differs: a context that counts all symbols left of the
alphabet has no escape, so the probabilities sum to one exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

__all__ = ["PPM"]

UNKNOWN = "\0"
"""Stands for all characters outside the alphabet."""


class PPM:
    """Counts of the symbols behind each context.

    Args:
        alphabet: All characters that may come; one place more is for all others.
        order: Length of the longest context, in characters.
    """

    def __init__(self, alphabet: Iterable[str], order: int = 8) -> None:
        self.alphabet, self.order = frozenset(alphabet) | {UNKNOWN}, order
        self._contexts: dict[str, dict[str, int]] = {}

    def learn(self, text: str) -> PPM:
        """Count a text."""
        text = self._encode(text)
        for place in range(len(text)):
            self._update(text[max(0, place - self.order) : place], text[place])
        return self

    def nats(self, text: str, before: str = "", *, adapt: bool = False) -> list[float]:
        """Return the negative log-likelihood of each character given those before it, in nats.

        Args:
            text: The text to score.
            before: Text in front of it, at least its last `order` characters.
            adapt: Whether each character is counted once it is scored, as compressors do.
        """
        whole = self._encode(before[-self.order :] + text)
        begin, nats = len(whole) - len(text), []
        for place in range(begin, len(whole)):
            history, symbol = whole[max(0, place - self.order) : place], whole[place]
            nats.append(-math.log(self.probability(history, symbol)))
            if adapt:
                self._update(history, symbol)
        return nats

    def probability(self, history: str, symbol: str) -> float:
        """Return the probability of a symbol of the alphabet behind a history of at most `order` characters."""
        probability, exclusions = 1.0, set[str]()
        for begin in range(len(history) + 1):
            counts = self._contexts.get(history[begin:])
            if counts is None:
                continue
            if exclusions:
                counts = {each: count for each, count in counts.items() if each not in exclusions}
                if not counts:
                    continue
            whole = 2 * sum(counts.values())
            if len(exclusions) + len(counts) == len(self.alphabet):
                whole -= len(counts)  # no symbol is left to escape to
            count = counts.get(symbol)
            if count is not None:
                return probability * (2 * count - 1) / whole
            probability *= len(counts) / whole
            exclusions.update(counts)
        return probability / (len(self.alphabet) - len(exclusions))

    def _update(self, history: str, symbol: str) -> None:
        contexts = self._contexts
        for begin in range(len(history) + 1):
            context = history[begin:]
            counts = contexts.get(context)
            if counts is None:
                contexts[context] = {symbol: 1}
            elif symbol in counts:
                counts[symbol] += 1
                return
            else:
                counts[symbol] = 1

    def _encode(self, text: str) -> str:
        strange = set(text) - self.alphabet
        return text.translate({ord(each): UNKNOWN for each in strange}) if strange else text
