"""Judge of memories: find the stored question nearest to a new one, in plain numpy."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from unspool.data.ngrams import split_pieces, split_words
from unspool.ship.memory import Memory

__all__ = ["MemoryJudge"]

_MARKS = frozenset(".?!…,;")

Bag = dict[int, float]


class MemoryJudge:
    """Replies from a memory.

    Args:
        memory: The memory.
    """

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self._ids = {entry: id for id, entry in enumerate(memory.entries)}
        keys = [self._key(pair) for pair in range(len(memory.wordings))]
        self._postings: dict[int, list[tuple[int, float]]] = {}
        for pair, key in enumerate(keys):
            for id, value in key.items():
                self._postings.setdefault(id, []).append((pair, value))
        self._vectors = [self._vector(key) for key in keys]
        self._exact: tuple[dict[str, list[int]], dict[str, list[int]]] = ({}, {})
        for pair, wordings in enumerate(memory.wordings):
            for both in {_forms(text) for text in wordings}:
                for pairs, form in zip(self._exact, both, strict=True):
                    pairs.setdefault(form, []).append(pair)

    def reply(self, question: str) -> str:
        """Return the first answer of the nearest question, or the refusal."""
        pair, confidence = self.nearest(question)
        return self.memory.answers[pair][0] if confidence >= self.memory.threshold else self.memory.refusal

    def nearest(self, question: str) -> tuple[int, float]:
        """Return the nearest stored question and the confidence."""
        evidence = self.scores(question)
        scores = evidence.copy()
        forms = zip(self._exact, _forms(question), strict=True)
        exact = next((pairs[form] for pairs, form in forms if form in pairs), [])
        scores[exact] = 1.0
        pair = int(np.lexsort((-evidence, -scores))[0])
        memory = self.memory
        sure = 1 / (1 + math.exp(min(700.0, memory.scale * (memory.nothing - float(scores[pair])))))
        return pair, 1.0 if exact else sure

    def scores(self, question: str) -> NDArray[np.float64]:
        """Return the scores of all stored questions, (pairs,)."""
        bag, unknown = self._bag(question)
        query = self._encoded(bag, unknown)
        scores = np.zeros(len(self.memory.wordings))
        for id, value in query.items():
            for pair, other in self._postings.get(id, ()):
                scores[pair] += value * other
        if self.memory.vectors is None:
            return scores
        vector, share = self._vector(query)
        balance = self.memory.balance
        vectors = np.array([part for part, _ in self._vectors])
        shares = np.array([part for _, part in self._vectors])
        return np.asarray((scores + balance * (vectors @ vector)) / (1 + balance * share * shares))

    def _bag(self, text: str) -> tuple[Bag, float]:
        """Return the values of entries, without their importance, and the sum of squares of the unknown ones."""
        counts: Counter[str] = Counter()
        for word in split_words(text):
            counts.update((f" {word}", *split_pieces(word, self.memory.shortest, self.memory.longest)))
        values = {entry: 1 + math.log(count) for entry, count in counts.items()}
        unknown = sum((value * self.memory.unknown) ** 2 for entry, value in values.items() if entry not in self._ids)
        known = ((self._ids[entry], value) for entry, value in values.items() if entry in self._ids)
        return {id: value * float(self.memory.rarity[id]) for id, value in known}, unknown

    def _key(self, pair: int) -> Bag:
        memory = self.memory
        wordings = [_unit(self._bag(text)[0]) for text in memory.wordings[pair]]
        answers = _unit(_sum(_unit(self._bag(text)[0]) for text in memory.answers[pair]))
        return self._encoded(_sum([*wordings, {id: memory.answer_weight * value for id, value in answers.items()}]), 0)

    def _encoded(self, bag: Bag, unknown: float) -> Bag:
        values = {id: value * float(self.memory.importance[id]) for id, value in bag.items()}
        length = math.sqrt(max(sum(value * value for value in values.values()) + unknown, 1e-30))
        return {id: value / length for id, value in values.items()}

    def _vector(self, values: Bag) -> tuple[NDArray[np.float64], float]:
        """Return the vector of an encoded bag, and the share of its length that has vectors."""
        vectors = self.memory.vectors
        if vectors is None:
            return np.zeros(0), 1.0
        have = {id: value for id, value in values.items() if id < len(vectors)}
        total = sum((value * vectors[id].astype(float) for id, value in have.items()), np.zeros(vectors.shape[1]))
        part, whole = (math.sqrt(max(sum(v * v for v in bag.values()), 1e-30)) for bag in (have, values))
        return total / max(float(np.linalg.norm(total)), 1e-12) * part, part / whole


def _unit(bag: Bag) -> Bag:
    length = math.sqrt(sum(value * value for value in bag.values()))
    return {id: value / length for id, value in bag.items()} if length else {}


def _sum(bags: list[Bag] | Iterator[Bag]) -> Bag:
    total: Bag = {}
    for bag in bags:
        for id, value in bag.items():
            total[id] = total.get(id, 0.0) + value
    return total


def _forms(text: str) -> tuple[str, str]:
    words = split_words(text)
    end = len(words)
    while end > 1 and words[end - 1] in _MARKS:
        end -= 1
    return " ".join(words), " ".join(words[:end])
