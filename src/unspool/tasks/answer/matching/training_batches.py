"""Training batches of the retriever: questions with word dropout, candidate keys and targets."""

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
    """Index among the pair's wordings; None for a sentence of an answer."""
    words: list[str]
    alike: frozenset[int] = frozenset()
    """All pairs with this wording, if there are several."""


class LookupSource:
    """Training batches in which each wording of each pair is a query once per epoch.

    Word dropout removes random words of a query. With probability `hold_out`, the key of the pair omits the wording, so
    that its paraphrases and answers must match: paraphrases become similar. If answers resemble their questions, their
    sentences are queries too. A wording of several pairs has each pair as a target in turn, and the others are not
    negatives. Seed, epoch and batch index determine all random choices.

    Args:
        questions: The pairs.
        bags: Bags of the pairs, in the same order.
        batch_size: Queries per batch.
        candidates: Candidate keys per batch: the keys of its pairs, and random others.
        word_dropout: Dropout rate of the words of a query, between 0 and 1.
        hold_out: Probability that the key of a pair omits the wording of a query, between 0 and 1.
        seed: Random seed.

    Raises:
        DataError: If there are fewer than two pairs.
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
        self._wordings = [
            _Query(pair, place, split_words(text), shared.get(wording_key(text), frozenset()))
            for pair, each in enumerate(questions)
            for place, text in enumerate(each.wordings)
        ]
        self._answer_sentences = [
            _Query(pair, None, split_words(sentence))
            for pair, each in enumerate(questions)
            for answer in each.answers
            for sentence in _sentences(answer)
        ]
        self._sentences = min(len(self._answer_sentences), round(bags.answer_weight * len(self._wordings)))
        self._keys = [bags.key(pair) for pair in range(len(bags))]

    def __len__(self) -> int:
        return -(-(len(self._wordings) + self._sentences) // self.batch_size)

    def epoch(self, number: int, *, start: int = 0) -> Iterator[Lookups]:
        """Yield the batches of an epoch in order, from batch `start` on."""
        generator = np.random.default_rng([self.seed, number])
        sentences = generator.permutation(len(self._answer_sentences))[: self._sentences]
        queries = [*self._wordings, *(self._answer_sentences[place] for place in sentences)]
        order = generator.permutation(len(queries))
        for place in range(start, len(self)):
            indices = order[place * self.batch_size : (place + 1) * self.batch_size]
            yield self._batch([queries[each] for each in indices], np.random.default_rng([self.seed, number, place]))

    def _batch(self, queries: Sequence[_Query], generator: np.random.Generator) -> Lookups:
        texts = [leave_out(query.words, self.word_dropout, generator) for query in queries]
        held_out: dict[int, set[int]] = {}
        for query in queries:
            if query.wording is not None and generator.random() < self._chance(query.pair):
                held_out.setdefault(query.pair, set()).add(query.wording)
        pairs = self._pairs(queries, generator)
        places = {pair: place for place, pair in enumerate(pairs)}
        keys = [self.bags.key(pair, held_out[pair]) if pair in held_out else self._keys[pair] for pair in pairs]
        # an empty key could not match
        keys = [key if len(key.ids) else self._keys[pair] for key, pair in zip(keys, pairs, strict=True)]
        targets = torch.tensor([places[query.pair] for query in queries])
        bags = Bags.of([self.bags.vocabulary.bag(text) for text in texts])
        return Lookups(bags, Bags.of(keys), targets, _ignored(queries, places))

    def _chance(self, pair: int) -> float:
        """Probability of holding out a wording; lower for a single wording, by the answers' similarity to questions."""
        return self.hold_out if len(self.bags.wordings[pair]) > 1 else self.hold_out * self.bags.answer_weight

    def _pairs(self, queries: Sequence[_Query], generator: np.random.Generator) -> list[int]:
        own = list(dict.fromkeys(query.pair for query in queries))
        if len(self.bags) <= self.candidates:
            others = np.arange(len(self.bags))
        else:
            others = generator.choice(len(self.bags), self.candidates, replace=False)
        return list(dict.fromkeys([*own, *others.tolist()]))[: max(self.candidates, len(own))]


def _ignored(queries: Sequence[_Query], places: Mapping[int, int]) -> torch.Tensor | None:
    """Mask of the keys of other pairs with a query's wording, bool (queries, keys); None if there are none."""
    both = [(row, places[pair]) for row, query in enumerate(queries) for pair in query.alike.intersection(places)]
    own = [(row, places[query.pair]) for row, query in enumerate(queries)]
    if not set(both).difference(own):
        return None
    ignored = torch.zeros(len(queries), len(places), dtype=torch.bool)
    ignored[tuple(torch.tensor(both).T)] = True
    ignored[tuple(torch.tensor(own).T)] = False
    return ignored


def leave_out(words: Sequence[str], share: float, generator: np.random.Generator) -> list[str]:
    """Remove a random share of words; return all words if none would remain."""
    rest = [word for word, draw in zip(words, generator.random(len(words)), strict=True) if draw >= share]
    return rest or list(words)


def _sentences(answer: str) -> list[str]:
    sentences = [each for each in _SENTENCE.split(answer) if len(each) > _SHORTEST_SENTENCE]
    return sentences[:_SENTENCES_OF_AN_ANSWER]
