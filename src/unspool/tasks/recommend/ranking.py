"""Ranking of all items after the known part of each history, by any scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unspool.inputs.items.fitted import FittedItems
from unspool.tasks.recommend.data import Histories
from unspool.tasks.recommend.scores import Ranked, rank_of_targets

__all__ = ["SCORES_IN_MEMORY", "Queries", "Scores", "most_targets", "rank_by", "ranked"]

SCORES_IN_MEMORY = 8_000_000
"""Most scores, queries by items, that are computed at once."""
_MOST_SCORES, _LEAST = 2_000_000_000, 500  # most scores of an evaluation, and least targets with very many items


@dataclass(frozen=True, eq=False)
class Queries:
    """Histories with the item that came next."""

    histories: list[NDArray[np.int64]]
    """Known items of each history, oldest first, from 0; may be empty."""
    targets: NDArray[np.int64]
    """The next item, -1 if the model has no such item, (queries,)."""
    users: list[NDArray[np.int64]] | None = None
    """Features of the user of each history; None without features of users."""

    @classmethod
    def of(
        cls,
        items: FittedItems,
        examples: Histories,
        most: int | None = None,
        users: Sequence[NDArray[np.int64]] | None = None,
    ) -> Queries:
        """Return a query for each target of some histories; of more than `most`, evenly spaced ones.

        Args:
            items: The items of the model.
            examples: The histories.
            most: Most queries. None: all.
            users: Features of the user of each history.
        """
        places = items.table(examples.names)[examples.flat]
        known = np.concatenate([[0], np.cumsum(places >= 0)])
        counts = examples.lengths - examples.targets
        owners = np.repeat(np.arange(len(examples)), counts)
        steps = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
        events = examples.offsets[owners] + examples.targets[owners] + steps
        if most is not None and len(events) > most:
            chosen = np.linspace(0, len(events) - 1, most).astype(np.int64)
            owners, events = owners[chosen], events[chosen]
        flat = places[places >= 0].astype(np.int64)
        begins, ends = known[examples.offsets[owners]], known[events]
        histories = [flat[begin:end] for begin, end in zip(begins, ends, strict=True)]
        own = None if users is None else [users[owner] for owner in owners.tolist()]
        return cls(histories, places[events].astype(np.int64), own)

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, places: NDArray[np.int64]) -> Queries:
        """Return the queries at some indices."""
        users = None if self.users is None else [self.users[place] for place in places]
        return Queries([self.histories[place] for place in places], self.targets[places], users)

    def with_users(self) -> list[NDArray[np.int64]]:
        """Return the histories, each after the features of its user."""
        if self.users is None:
            return self.histories
        return [np.concatenate(parts) for parts in zip(self.users, self.histories, strict=True)]

    def blocks(self, items: int) -> Iterator[NDArray[np.int64]]:
        """Yield the indices of the queries in blocks whose scores fit into memory."""
        size = max(1, SCORES_IN_MEMORY // items)
        for begin in range(0, len(self), size):
            yield np.arange(begin, min(begin + size, len(self)))


def most_targets(items: int) -> int:
    """Return the number of targets that an evaluation ranks at most; with very many items, a sample."""
    return max(_LEAST, _MOST_SCORES // items)


Scores = Iterator[tuple[NDArray[np.int64], NDArray[Any]]]
"""Indices of queries, and the score of each item for them, (queries, items)."""


def rank_by(
    queries: Queries, score: Callable[[Sequence[NDArray[np.int64]]], Any], items: int, k: int, *, hide: bool
) -> Ranked:
    """Rank all items by a function from histories to scores, (histories, items); see `ranked`."""

    def scores() -> Scores:
        for places in queries.blocks(items):
            block = np.array(score([queries.histories[place] for place in places]))
            for row, place in enumerate(places if hide else []):
                block[row, queries.histories[place]] = -np.inf
            yield places, block

    return ranked(queries, scores(), items, k)


def ranked(queries: Queries, scores: Scores, items: int, k: int) -> Ranked:
    """Rank all items for each query.

    Args:
        queries: Histories and targets.
        scores: Scores of all items, minus infinity for items that must not be recommended.
        items: Number of items.
        k: Length of the lists.
    """
    k = min(k, items)
    result = Ranked(
        np.full(len(queries), np.inf), np.zeros((len(queries), k), np.int64), np.zeros(len(queries), np.int64)
    )
    for places, block in scores:
        result.ranks[places] = rank_of_targets(block, queries.targets[places])
        best = np.argpartition(-block, k - 1, axis=1)[:, :k]
        own = np.take_along_axis(block, best, 1)
        order = np.lexsort((best, -own), axis=1)
        result.lists[places] = np.take_along_axis(best, order, 1)
        result.lengths[places] = np.isfinite(own).sum(1)
    return result
