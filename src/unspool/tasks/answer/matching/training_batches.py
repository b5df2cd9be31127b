"""What the retriever is trained on: questions with words left out, and the keys that they should find."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from unspool.data import Bags, Question, shared_wordings, split_words, wording_key
from unspool.errors import DataError
from unspool.models import Lookups
from unspool.tasks.answer.matching.keys import PairBags

__all__ = ["LookupSource", "leave_out"]

_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_SENTENCES_OF_AN_ANSWER = 6
_SHORTEST_SENTENCE = 10  # characters


class _Query(NamedTuple):
    pair: int
    wording: int | None
    """Place among the pair's wordings; None for a sentence of an answer."""
    words: list[str]
    alike: frozenset[int] = frozenset()
    """All pairs that have this wording, where there are several."""


class LookupSource:
    """Batches in which every wording of every question looks for its pair, once in an epoch.

    Words are left out at random, and now and then the wording itself is left out of its pair's key, which must then be
    found by the pair's other wordings and its answers: so paraphrases learn to find each other. Where answers tell
    something, their sentences ask too. A wording that several pairs have looks for each of them in turn, and is not
    pushed away from the others. A batch's order, and all that is random in it, is a function of the seed, the
    epoch and its place.

    Args:
        questions: The pairs.
        bags: Their bags, in the same order.
        batch_size: Queries of a batch.
        candidates: Keys that a batch's queries choose from: those of its own pairs, and others drawn at random.
        word_dropout: Share of a query's words left out.
        hold_out: How often a wording is left out of its pair's key.
        seed: Decides, with the epoch's number, what happens.

    Raises:
        DataError: If there are fewer than two pairs: there would be nothing to choose from.
    """

    def __init__(
        self,
        questions: Sequence[Question],
        bags: PairBags,
        *,
        batch_size: int = 64,
        candidates: int = 512,
        word_dropout: float = 0.3,
        hold_out: float = 0.5,
        seed: int = 0,
    ) -> None:
        if len(questions) < 2:
            raise DataError("one pair only: expected at least two, there would be nothing to choose from")
        self.bags, self.batch_size, self.candidates, self.seed = bags, batch_size, candidates, seed
        self.word_dropout, self.hold_out = word_dropout, hold_out
        shared = {wording: frozenset(pairs) for wording, pairs in shared_wordings(questions).items()}
        self._asked = [
            _Query(pair, place, split_words(text), shared.get(wording_key(text), frozenset()))
            for pair, each in enumerate(questions)
            for place, text in enumerate(each.wordings)
        ]
        self._said = [
            _Query(pair, None, split_words(sentence))
            for pair, each in enumerate(questions)
            for answer in each.answers
            for sentence in _sentences(answer)
        ]
        self._sentences = min(len(self._said), round(bags.answer_weight * len(self._asked)))
        self._keys = [bags.key(pair) for pair in range(len(bags))]

    def __len__(self) -> int:
        return -(-(len(self._asked) + self._sentences) // self.batch_size)

    def epoch(self, number: int, *, start: int = 0) -> Iterator[Lookups]:
        """The batches of an epoch in its order, the first `start` left out."""
        generator = np.random.default_rng([self.seed, number])
        said = generator.permutation(len(self._said))[: self._sentences]
        queries = [*self._asked, *(self._said[place] for place in said)]
        order = generator.permutation(len(queries))
        for place in range(start, len(self)):
            chosen = order[place * self.batch_size : (place + 1) * self.batch_size]
            yield self._batch([queries[each] for each in chosen], np.random.default_rng([self.seed, number, place]))

    def _batch(self, queries: Sequence[_Query], generator: np.random.Generator) -> Lookups:
        texts = [leave_out(query.words, self.word_dropout, generator) for query in queries]
        held_out: dict[int, set[int]] = {}
        for query in queries:
            if query.wording is not None and generator.random() < self._chance(query.pair):
                held_out.setdefault(query.pair, set()).add(query.wording)
        pairs = self._pairs(queries, generator)
        places = {pair: place for place, pair in enumerate(pairs)}
        keys = [self.bags.key(pair, held_out[pair]) if pair in held_out else self._keys[pair] for pair in pairs]
        # a key of which nothing is left could not be found
        keys = [key if len(key.ids) else self._keys[pair] for key, pair in zip(keys, pairs, strict=True)]
        targets = torch.tensor([places[query.pair] for query in queries])
        bags = Bags.of([self.bags.vocabulary.bag(text) for text in texts])
        return Lookups(bags, Bags.of(keys), targets, _ignored(queries, places))

    def _chance(self, pair: int) -> float:
        """How often a wording is held out: the last one only as far as answers tell what was asked."""
        return self.hold_out if len(self.bags.wordings[pair]) > 1 else self.hold_out * self.bags.answer_weight

    def _pairs(self, queries: Sequence[_Query], generator: np.random.Generator) -> list[int]:
        own = list(dict.fromkeys(query.pair for query in queries))
        if len(self.bags) <= self.candidates:
            others = np.arange(len(self.bags))
        else:
            others = generator.choice(len(self.bags), self.candidates, replace=False)
        return list(dict.fromkeys([*own, *others.tolist()]))[: max(self.candidates, len(own))]


def _ignored(queries: Sequence[_Query], places: Mapping[int, int]) -> torch.Tensor | None:
    """True at the keys of other pairs that have a query's wording, bool (queries, keys); None: nowhere."""
    both = [(row, places[pair]) for row, query in enumerate(queries) for pair in query.alike.intersection(places)]
    own = [(row, places[query.pair]) for row, query in enumerate(queries)]
    if not set(both).difference(own):
        return None
    ignored = torch.zeros(len(queries), len(places), dtype=torch.bool)
    ignored[tuple(torch.tensor(both).T)] = True
    ignored[tuple(torch.tensor(own).T)] = False
    return ignored


def leave_out(words: Sequence[str], share: float, generator: np.random.Generator) -> list[str]:
    """Words without a random share of them, in their order; all of them where none would be left."""
    kept = [word for word, draw in zip(words, generator.random(len(words)), strict=True) if draw >= share]
    return kept or list(words)


def _sentences(answer: str) -> list[str]:
    sentences = [each for each in _SENTENCE.split(answer) if len(each) > _SHORTEST_SENTENCE]
    return sentences[:_SENTENCES_OF_AN_ANSWER]
