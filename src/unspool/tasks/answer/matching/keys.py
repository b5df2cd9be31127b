"""Retrieval keys of pairs (weighted sums of wordings and answers), and an index that scores questions against them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from unspool.data import Bag, Bags, NgramVocabulary, Question
from unspool.models import Retriever

__all__ = ["KeyIndex", "PairBags", "add", "answer_weight", "evenly_spread"]


class PairBags:
    """Bags of n-grams of the pairs, normalised to unit length per wording.

    Args:
        questions: The pairs.
        vocabulary: The n-gram vocabulary.
        answer_weight: Weight of a pair's answers in its key; each wording has weight 1.
    """

    def __init__(
        self, questions: Sequence[Question], vocabulary: NgramVocabulary, *, answer_weight: float = 1.0
    ) -> None:
        self.vocabulary, self.answer_weight = vocabulary, answer_weight
        self.wordings = [[_unit(vocabulary.bag(text)) for text in each.wordings] for each in questions]
        self.answers = [_unit(add([_unit(vocabulary.bag(text)) for text in each.answers])) for each in questions]

    def __len__(self) -> int:
        return len(self.wordings)

    def key(self, pair: int, without: Collection[int] = ()) -> Bag:
        """Return the key of a pair, without some of its wordings; possibly empty."""
        wordings = [bag for place, bag in enumerate(self.wordings[pair]) if place not in without]
        return add([*wordings, _scaled(self.answers[pair], self.answer_weight)])

    def keys(self) -> Bags:
        """Return the keys of all pairs."""
        return Bags.of([self.key(pair) for pair in range(len(self))])


class KeyIndex:
    """Inverted index of encoded keys: scoring visits only keys that share an entry with the question.

    Args:
        model: The retriever that encodes keys and questions.
        keys: The keys.
    """

    def __init__(self, model: Retriever, keys: Bags) -> None:
        self.model = model
        with torch.inference_mode():
            encoded = model.encode(keys)
        ids, counts = encoded.ids.numpy(), np.diff(encoded.offsets.numpy())
        order = np.argsort(ids, kind="stable")
        self._vectors, self._shares = encoded.vectors.numpy(), encoded.shares.numpy()
        self._rows = np.repeat(np.arange(len(counts)), counts)[order]
        self._values = encoded.values.numpy()[order]
        self._begins = np.concatenate([[0], np.bincount(ids, minlength=len(model.importance)).cumsum()])

    def __len__(self) -> int:
        return len(self._vectors)

    def scores(self, question: Bag) -> NDArray[np.float64]:
        """Score a question against all keys, (keys,), with the same result as `Retriever.scores`."""
        with torch.inference_mode():
            query = self.model.encode(Bags.of([question]))
        ids, values = query.ids.numpy(), query.values.numpy()
        begins, counts = self._begins[ids], self._begins[ids + 1] - self._begins[ids]
        ends = counts.cumsum()
        places = np.arange(counts.sum()) + np.repeat(begins - ends + counts, counts)
        products = self._values[places] * np.repeat(values, counts)
        shared = np.bincount(self._rows[places], weights=products, minlength=len(self))
        alike = self._vectors @ query.vectors[0].numpy()
        balance = self.model.balance
        scores: NDArray[np.float64] = (shared + balance * alike) / (1 + balance * float(query.shares) * self._shares)
        return scores


def answer_weight(pairs: PairBags, *, at_most: int = 512) -> float:
    """Estimate the similarity of answers to their questions, between 0 and 1.

    The result is the share of questions whose own answers are the most similar of all answers: near 1 for answers that
    repeat words of the question, near 0 for small talk. The estimate needs no paraphrases.

    Args:
        pairs: The pairs.
        at_most: Maximum number of pairs, evenly spread.
    """
    subset = evenly_spread(len(pairs), at_most)
    plain = Retriever(len(pairs.vocabulary), 1, balance=0.0)
    index = KeyIndex(plain, Bags.of([pairs.answers[pair] for pair in subset]))
    right = 0
    for place, pair in enumerate(subset):
        scores = index.scores(pairs.wordings[pair][0])
        own, scores[place] = scores[place], 0.0
        right += bool(own > scores.max())
    return right / len(subset)


def add(bags: Sequence[Bag]) -> Bag:
    """Return the sum of bags."""
    ids, places = np.unique(np.concatenate([bag.ids for bag in bags]), return_inverse=True)
    values = np.bincount(places, weights=np.concatenate([bag.values for bag in bags]), minlength=len(ids))
    return Bag(ids, values.astype(np.float32), 0.0)


def evenly_spread(count: int, at_most: int) -> list[int]:
    """Return at most `at_most` evenly spread indices below `count`."""
    size = min(count, at_most)
    return [place * count // size for place in range(size)]


def _scaled(bag: Bag, factor: float) -> Bag:
    return Bag(bag.ids, bag.values * np.float32(factor), 0.0) if factor else Bag(bag.ids[:0], bag.values[:0], 0.0)


def _unit(bag: Bag) -> Bag:
    """Normalise the vocabulary entries of a bag to unit length; an empty bag stays empty."""
    length = float(np.linalg.norm(bag.values))
    return _scaled(bag, 1 / length) if length else _scaled(bag, 0)
