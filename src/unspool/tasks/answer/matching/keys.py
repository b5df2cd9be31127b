"""A key for each pair: the sum of its wordings, and of its answers as one more."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from unspool.data import Bag, Bags, NgramVocabulary, Question
from unspool.models import Retriever

__all__ = ["KeyIndex", "PairBags", "add", "answer_weight", "evenly_spread"]


class PairBags:
    """The bags of pairs, each wording of length 1.

    Args:
        questions: The pairs.
        vocabulary: What their texts are counted in.
        answer_weight: How much all answers of a pair count in its key, beside each wording with 1.
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
        """The key of a pair, some of its wordings left out; empty where nothing is left."""
        kept = [bag for place, bag in enumerate(self.wordings[pair]) if place not in without]
        return add([*kept, _scaled(self.answers[pair], self.answer_weight)])

    def keys(self) -> Bags:
        """The keys of all pairs."""
        return Bags.of([self.key(pair) for pair in range(len(self))])


class KeyIndex:
    """Encoded keys by entry, so that a question touches only keys that it shares something with.

    Args:
        model: What encodes them.
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
        """Scores of a question against every key, (keys,): what `Retriever.scores` gives."""
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
    """How much answers tell about questions, between 0 and 1, by the pairs themselves.

    It is the share of questions whose own answers are nearest to them among all answers: near 1 where answers take up
    what was asked, near 0 in small talk. No two pairs need ask the same.

    Args:
        pairs: The pairs.
        at_most: How many pairs, evenly spread, are looked at.
    """
    chosen = evenly_spread(len(pairs), at_most)
    plain = Retriever(len(pairs.vocabulary), 1, balance=0.0)
    index = KeyIndex(plain, Bags.of([pairs.answers[pair] for pair in chosen]))
    right = 0
    for place, pair in enumerate(chosen):
        scores = index.scores(pairs.wordings[pair][0])
        own, scores[place] = scores[place], 0.0
        right += bool(own > scores.max())
    return right / len(chosen)


def add(bags: Sequence[Bag]) -> Bag:
    """The sum of bags."""
    ids, places = np.unique(np.concatenate([bag.ids for bag in bags]), return_inverse=True)
    values = np.bincount(places, weights=np.concatenate([bag.values for bag in bags]), minlength=len(ids))
    return Bag(ids, values.astype(np.float32), 0.0)


def evenly_spread(count: int, at_most: int) -> list[int]:
    """At most so many places out of `count`, evenly spread."""
    kept = min(count, at_most)
    return [place * count // kept for place in range(kept)]


def _scaled(bag: Bag, factor: float) -> Bag:
    return Bag(bag.ids, bag.values * np.float32(factor), 0.0) if factor else Bag(bag.ids[:0], bag.values[:0], 0.0)


def _unit(bag: Bag) -> Bag:
    """A bag's known entries, of length 1; nothing stays nothing."""
    length = float(np.linalg.norm(bag.values))
    return _scaled(bag, 1 / length) if length else _scaled(bag, 0)
