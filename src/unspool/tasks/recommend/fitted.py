"""Fitted state of a recommender: items with titles, counts, and the weights of a mixture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from unspool.errors import DataError
from unspool.inputs.items.fitted import FittedItems
from unspool.inputs.items.titles import read_titles
from unspool.tasks.contracts import Fitted
from unspool.tasks.recommend.counting import Counts
from unspool.tasks.recommend.data import Histories
from unspool.tasks.recommend.settings import RecommenderSettings

__all__ = ["FittedRecommender", "known_histories"]


@dataclass
class FittedRecommender(Fitted):
    """Items and counts of a recommender."""

    items: FittedItems
    counts: Counts | None = None

    @classmethod
    def learn(cls, examples: Histories, settings: RecommenderSettings) -> Self:
        """Learn the items of the training data, their titles and their counts; see `Fitted.learn`."""
        counts = np.bincount(examples.flat, minlength=len(examples.names))
        there = np.flatnonzero(counts)
        if len(there) < 2:
            raise DataError(f"the training data have {len(there)} item; expected two or more")
        titles = {} if settings.data.titles is None else read_titles(settings.data.titles)
        names = [examples.names[code] for code in there]
        if titles and not titles.keys() & set(names):
            raise DataError(
                f"no item of the data, such as {names[0]!r}, is in the table of titles, which has {next(iter(titles))!r}",
                settings.data.titles,
            )
        return cls(FittedItems.of_counts(names, counts[there].tolist(), titles))

    def save(self, folder: Path) -> None:
        """See `Fitted.save`."""
        self.items.save(folder)

    @classmethod
    def load(cls, folder: Path, settings: RecommenderSettings) -> Self:
        """See `Fitted.load`."""
        return cls(FittedItems.load(folder, settings))


def known_histories(items: FittedItems, examples: Histories) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the events of the items that a model has, from 0, (events,), and the start of each history."""
    places = items.table(examples.names)[examples.flat]
    known = places >= 0
    lengths = np.bincount(examples.owners()[known], minlength=len(examples))
    return places[known], np.concatenate([[0], np.cumsum(lengths)])
