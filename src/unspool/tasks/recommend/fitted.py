"""Fitted state of a recommender: items with titles, counts, and the weights of a mixture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from unspool.errors import DataError, ModelFolderError, counted, option
from unspool.inputs.items.fitted import FittedItems
from unspool.inputs.items.titles import read_titles
from unspool.reading import read_json
from unspool.tasks.contracts import Fitted
from unspool.tasks.recommend.counting import Counts, SparseRows
from unspool.tasks.recommend.data import Histories
from unspool.tasks.recommend.mixture import NETWORK_ALONE, Mixture
from unspool.tasks.recommend.ranking import Queries, most_targets
from unspool.tasks.recommend.settings import RecommenderSettings
from unspool.training import checkpoint
from unspool.writing import replace_file

__all__ = ["FittedRecommender", "counted_histories", "known_histories"]

_NEIGHBOURS = 128  # of an item in a mixture
_COUNTS, _MIXTURE = "counts.safetensors", "mixture.json"
_REPEATED = 0.05  # share of repeated targets above which a note says so


@dataclass
class FittedRecommender(Fitted):
    """Items, counts and mixture of a recommender."""

    items: FittedItems
    hides: bool = True
    """Whether items of the history are never recommended."""
    counts: Counts | None = None
    """Counts of the training data, for the mixture; None without one."""
    mixture: Mixture = NETWORK_ALONE

    @classmethod
    def learn(cls, examples: Histories, settings: RecommenderSettings) -> Self:
        """Learn the items of the training data, their titles and their counts; see `Fitted.learn`."""
        counts = np.bincount(examples.flat, minlength=len(examples.names))
        there = np.flatnonzero(counts)
        if len(there) < 2:
            raise DataError(f"the training data have {counted(len(there), 'items')}; expected two or more")
        names = [examples.names[code] for code in there]
        titles = {} if settings.data.titles is None else read_titles(settings.data.titles)
        if titles and not titles.keys() & set(names):
            raise DataError(
                f"no item of the data, such as {names[0]!r}, is in the table of titles, "
                f"which has {next(iter(titles))!r}",
                settings.data.titles,
            )
        fitted = cls(FittedItems.of_counts(names, counts[there].tolist(), titles), settings.seen == "hide")
        if settings.mix:
            fitted.counts = counted_histories(fitted.items, examples).trimmed(_NEIGHBOURS)
        return fitted

    def restart(self, train: Any, held_out: Any) -> Self:
        """Drop the weights of the mixture, which are fitted after training; see `Fitted.restart`."""
        self.mixture = NETWORK_ALONE
        return self

    def refuse_strangers(self, examples: Histories) -> None:
        """See `Fitted.refuse_strangers`."""
        if not (self.items.table(examples.names)[examples.flat] >= 0).any():
            raise DataError(
                f"no item of these data is one of the model's: the data have {examples.names[0]!r}, the model has "
                f"{self.items.items[0]!r}"
            )

    def score_notes(self, examples: Histories) -> list[str]:
        """Return notes on targets that can't be recommended; see `Fitted.score_notes`."""
        queries = Queries.of(self.items, examples)
        notes, most = [], most_targets(len(self.items))
        if len(queries) > most:
            notes.append(
                f"with {len(self.items):,} items, {most:,} of {len(queries):,} targets are ranked, evenly spaced"
            )
        if strange := int((queries.targets < 0).sum()):
            notes.append(
                f"{counted(strange, 'targets')} of {len(queries):,} were not in the training data, and count as missed"
            )
        repeated = sum(target in history for history, target in zip(queries.histories, queries.targets, strict=True))
        if self.hides and repeated > _REPEATED * len(queries):
            notes.append(
                f"{repeated:,} of {len(queries):,} targets were in the history before, and count as missed; "
                f"{option('seen', 'rank')} recommends such items too"
            )
        return notes

    def save(self, folder: Path) -> None:
        """See `Fitted.save`."""
        self.items.save(folder)
        if self.counts is not None:
            rows = {"chain": self.counts.chain, "neighbours": self.counts.neighbours}
            arrays = {
                f"{name}.{part}": array for name, matrix in rows.items() for part, array in matrix._asdict().items()
            }
            checkpoint.write(folder / _COUNTS, {name: torch.from_numpy(array) for name, array in arrays.items()}, {})
            record = _Mixture(**self.mixture._asdict())
            replace_file(folder / _MIXTURE, msgspec.json.encode(record) + b"\n")

    @classmethod
    def load(cls, folder: Path, settings: RecommenderSettings) -> Self:
        """See `Fitted.load`."""
        fitted = cls(FittedItems.load(folder, settings), settings.seen == "hide")
        if (folder / _COUNTS).exists():
            fitted.counts = _read_counts(folder / _COUNTS, fitted.items)
            record = read_json(folder / _MIXTURE, _Mixture, "the weights of the mixture")
            fitted.mixture = Mixture(**{name: getattr(record, name) for name in Mixture._fields})
        return fitted


_Weight = Annotated[float, msgspec.Meta(ge=0, le=1e6)]


class _Mixture(msgspec.Struct):
    network: _Weight
    chain: _Weight
    neighbours: _Weight
    epsilon: Annotated[float, msgspec.Meta(gt=0, le=1)]


def _read_counts(path: Path, items: FittedItems) -> Counts:
    """Read the counts of a model folder, which may come from a stranger."""
    tensors, _ = checkpoint.read(path)
    matrices = []
    for name in ("chain", "neighbours"):
        parts = [tensors.get(f"{name}.{part}") for part in SparseRows._fields]
        if any(part is None or part.dim() != 1 for part in parts):
            raise ModelFolderError(f"{path} is damaged: it lacks a part of {name!r}")
        offsets, columns, values = (part.numpy() for part in parts if part is not None)
        matrix = SparseRows(offsets.astype(np.int64), columns.astype(np.int32), values.astype(np.float32))
        if not matrix.is_sound(len(items)):
            raise ModelFolderError(f"{path} is damaged: {name!r} does not fit a model of {len(items)} items")
        matrices.append(matrix)
    return Counts(items.counts.astype(np.float64), *matrices)


def known_histories(items: FittedItems, examples: Histories) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the events of the items that a model has, from 0, (events,), and the start of each history."""
    places = items.table(examples.names)[examples.flat]
    known = places >= 0
    lengths = np.bincount(examples.owners()[known], minlength=len(examples))
    return places[known], np.concatenate([[0], np.cumsum(lengths)])


def counted_histories(items: FittedItems, examples: Histories) -> Counts:
    """Count the histories of training data."""
    return Counts.learn(*known_histories(items, examples), len(items))
