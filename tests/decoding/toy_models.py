"""Step models small enough to count out, and searches written plainly enough to believe."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unspool.data import END
from unspool.decoding import DecodingSettings, Hypothesis

LONG = 10_000  # a width that no toy fills


class ToyState(NamedTuple):
    seed: Tensor  # which table, (batch,)
    past: tuple[Tensor, None]  # what was read, as a cache grows, (batch, 1, time, 1)
    padding: Tensor  # of the source, bool (batch, source); never changed
    attention: Tensor | None  # (batch, source)


class Toy:
    """Log-probabilities from a table, by sequence and by the last two units read; it counts the rows that it reads."""

    def __init__(self, *, vocabulary: int = 4, seeds: int = 6, source: int = 5, attends: bool = True) -> None:
        shape = (seeds, vocabulary, vocabulary, vocabulary)
        self.table = (2 * torch.randn(shape)).log_softmax(-1)
        self.looks = 2 * torch.randn(seeds, vocabulary, source)
        self.vocabulary, self.attends, self.longest = vocabulary, attends, source
        self.rows: list[int] = []

    def start(self, seeds: list[int], sources: list[int] | None = None) -> ToyState:
        lengths = torch.tensor(sources or [self.longest] * len(seeds), dtype=torch.long)
        padding = torch.arange(max(lengths, default=0)) >= lengths[:, None]
        past = torch.zeros(len(seeds), 1, 0, 1, dtype=torch.long)
        return ToyState(torch.tensor(seeds, dtype=torch.long), (past, None), padding, None)

    def advance(self, ids: Tensor, state: ToyState) -> tuple[Tensor, ToyState]:
        self.rows.append(len(ids))
        past = torch.cat([state.past[0], ids[:, None, None, None]], dim=2)
        before = past[:, 0, -2, 0] if past.shape[2] > 1 else torch.zeros_like(ids)
        attention = None
        if self.attends:
            looks = self.looks[state.seed, ids, : state.padding.shape[1]].masked_fill(state.padding, float("-inf"))
            attention = looks.softmax(-1)
        return self.table[state.seed, before, ids], state._replace(past=(past, None), attention=attention)


class One(NamedTuple):
    """A hypothesis of a plain search."""

    ids: tuple[int, ...]
    nats: tuple[float, ...]
    finished: bool
    score: float = 0.0


class Plain:
    """The rules of one sequence, by the letter."""

    def __init__(
        self,
        toy: Toy,
        seed: int,
        limit: int,
        settings: DecodingSettings,
        *,
        source: int | None = None,
        prefix: list[int] | None = None,
        forbidden: set[int] = frozenset(),  # type: ignore[assignment]
    ) -> None:
        self.toy, self.seed, self.limit, self.settings = toy, seed, limit, settings
        self.source, self.prefix, self.forbidden = source or toy.longest, prefix or [], forbidden

    def read(self, ids: tuple[int, ...]) -> tuple[int, int]:
        return (0, END, *ids)[-2:]  # type: ignore[return-value]

    def followers(self, ids: tuple[int, ...]) -> list[tuple[int, float]]:
        """What may follow, with its log-probability."""
        before, last = self.read(ids)
        nats = self.toy.table[self.seed, before, last].tolist()
        if len(ids) < len(self.prefix):
            forced = self.prefix[len(ids)]
            return [(forced, nats[forced])]
        return [(unit, nats[unit]) for unit in range(self.toy.vocabulary) if self.allowed(ids, unit)]

    def allowed(self, ids: tuple[int, ...], unit: int) -> bool:
        if unit in self.forbidden or (unit == END and len(ids) < self.settings.min_length):
            return False
        size = self.settings.no_repeat_ngram
        if unit == END or size == 0:
            return True
        run = (*ids, unit)[-size:]
        return len(run) < size or all(ids[at : at + size] != run for at in range(len(ids) - size + 1))

    def attention(self, ids: tuple[int, ...], steps: int) -> Tensor:
        read = (END, *ids)[:steps]
        return self.toy.looks[self.seed, list(read), : self.source].softmax(-1)

    def scored(self, ids: tuple[int, ...], nats: tuple[float, ...], *, finished: bool) -> One:
        score = sum(nats) / ((5 + len(nats)) / 6) ** self.settings.length_penalty
        if self.settings.coverage_penalty:
            coverage = self.attention(ids, len(nats)).sum(0).tolist()
            score += self.settings.coverage_penalty * sum(math.log(min(max(share, 1e-10), 1)) for share in coverage)
        return One(ids, nats, finished, score)

    def everything(self, ids: tuple[int, ...] = (), nats: tuple[float, ...] = ()) -> Iterator[One]:
        """All that can be written."""
        followers = self.followers(ids)
        if not followers or len(nats) == self.limit:
            yield self.scored(ids, nats, finished=False)
            return
        for unit, value in followers:
            if unit == END:
                yield self.scored(ids, (*nats, value), finished=True)
            else:
                yield from self.everything((*ids, unit), (*nats, value))

    def beam(self, width: int) -> list[One]:
        """Follow the best beginnings to their very ends, never stopping early."""
        live: list[tuple[tuple[int, ...], tuple[float, ...]]] = [((), ())]
        found: list[One] = []
        while live:
            candidates = []
            for ids, nats in live:
                if len(nats) == self.limit or not self.followers(ids):
                    found.append(self.scored(ids, nats, finished=False))
                    continue
                candidates += [((*ids, unit), (*nats, value)) for unit, value in self.followers(ids)]
            candidates.sort(key=lambda candidate: -sum(candidate[1]))
            chosen, live = candidates[:width], []
            for ids, nats in chosen:
                if ids[-1] == END:
                    found.append(self.scored(ids[:-1], nats, finished=True))
                    width -= 1
                else:
                    live.append((ids, nats))
        return best_first(found)


def best_first(found: list[One]) -> list[One]:
    return sorted(found, key=lambda one: (not one.finished, -one.score))


def same(actual: list[Hypothesis], expected: list[One]) -> None:
    """Compare what was found, unit for unit and number for number."""
    assert [(tuple(one.ids), one.finished) for one in actual] == [(one.ids, one.finished) for one in expected]
    for mine, theirs in zip(actual, expected, strict=True):
        assert math.isclose(mine.score, theirs.score, rel_tol=1e-5, abs_tol=1e-6)
        assert math.isclose(mine.log_probability, sum(theirs.nats), rel_tol=1e-6, abs_tol=1e-9)
        assert mine.token_log_probabilities == list(theirs.nats)


def fields(hypotheses: list[list[Hypothesis]]) -> list[Any]:
    """All that they hold, to compare exactly."""
    return [
        [
            (
                *(one.ids, one.score, one.log_probability, one.token_log_probabilities, one.finished),
                None if one.attention is None else one.attention.tolist(),
            )
            for one in several
        ]
        for several in hypotheses
    ]


class Fixed:
    """The same log-probabilities for whatever was read; the state counts the steps."""

    def __init__(self, chances: list[float] | Callable[[int], list[float]]) -> None:
        self.chances = chances if callable(chances) else lambda step: chances

    def advance(self, ids: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        rows = [self.chances(int(step)) for step in state]
        return torch.tensor(rows).log(), state + 1
