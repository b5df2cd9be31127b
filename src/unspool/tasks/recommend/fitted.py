"""Fitted state of a recommender: items with titles, counts, and the weights of a mixture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from unspool.errors import DataError, ModelFolderError, UsageError, counted, option
from unspool.inputs.items.features import Entries, FittedFeatures
from unspool.inputs.items.fitted import FittedItems
from unspool.inputs.items.tables import read_items, read_titles, read_users
from unspool.reading import read_json
from unspool.tasks.contracts import Fitted
from unspool.tasks.recommend.alike import most_alike
from unspool.tasks.recommend.counting import Counts, SparseRows
from unspool.tasks.recommend.data import Histories
from unspool.tasks.recommend.mixture import NETWORK_ALONE, Mixture
from unspool.tasks.recommend.ranking import Queries, most_targets
from unspool.tasks.recommend.settings import RecommenderSettings
from unspool.training import checkpoint
from unspool.writing import replace_file

__all__ = ["FittedRecommender", "counted_histories", "known_histories"]

_NEIGHBOURS = 128  # of an item in a mixture
_COUNTS, _MIXTURE, _FEATURES = "counts.safetensors", "mixture.json", "features.safetensors"
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
    users_table: str | None = None
    """Path of the table of users, which the model folder does not hold."""
    _users: tuple[str, dict[str, NDArray[np.int64]]] | None = None
    """Features of each user of a table, as indices after those of the items, and its path."""
    _alike: NDArray[np.int64] | None = None

    @classmethod
    def learn(cls, examples: Histories, settings: RecommenderSettings) -> Self:
        """Learn the items of the training data, their titles and their counts; see `Fitted.learn`."""
        counts = np.bincount(examples.flat, minlength=len(examples.names))
        there = np.flatnonzero(counts)
        if len(there) < 2:
            raise DataError(f"the training data have {counted(len(there), 'items')}; expected two or more")
        names, data = [examples.names[code] for code in there], settings.data
        table = None if data.items is None else read_items(data.items)
        titles = {} if table is None else table.titles
        if data.titles is not None:
            titles |= read_titles(data.titles)
            _refuse_other_names(names, titles, "item", "the table of titles", data.titles)
        items = FittedItems.of_counts(names, counts[there].tolist(), titles)
        if table is not None:
            _refuse_other_names(names, table.places, "item", "the table of items", table.path)
            items.item_features = FittedFeatures.learn(table, names)
            items.entries = items.item_features.encode(table, items.items)
            new = [name for name in table.places if name not in set(names)]
            items = items.with_new(new, titles, items.item_features.encode(table, new))
        fitted = cls(items, settings.seen == "hide", users_table=data.users)
        if data.users is not None:
            rows = read_users(data.users)
            _refuse_other_names(examples.users, rows.places, "user", "the table of users", rows.path)
            items.user_features = FittedFeatures.learn(rows, examples.users)
        if settings.mix:
            fitted.counts = counted_histories(fitted.items, examples).trimmed(_NEIGHBOURS)
        return fitted

    @property
    def alike(self) -> NDArray[np.int64] | None:
        """Items whose mean counts each new item takes, (new, items); None if there is no new item."""
        items = self.items
        if items.entries is None or items.item_features is None or items.trained == len(items):
            return None
        if self._alike is None:
            self._alike = most_alike(items.entries, len(items.item_features), items.trained)
        return self._alike

    def add_items(self, path: str) -> int:
        """Add the items of a table that the model lacks, with their features; return their number.

        Raises:
            DataError: If the table is missing or bad, lacks a column of features, or repeats a title of the model.
        """
        items = self.items
        if items.item_features is None:
            raise UsageError(
                f"this model learned no features of items, so it can't rank new ones; train it with "
                f"{option('items', 'TABLE')}"
            )
        table = read_items(path)
        known = set(items.items)
        new = [name for name in table.places if name not in known]
        entries = items.item_features.encode(table, new)
        if new:
            self.items = items.with_new(new, table.titles, entries)
            self._alike = None
            self.counts = None if self.counts is None else self.counts.with_new(len(new))
        return len(new)

    def user_places(self, users: Sequence[str]) -> list[NDArray[np.int64]]:
        """Return the features of users, which the table of users lists, as indices after those of the items.

        Raises:
            DataError: If the table is missing or bad.
        """
        items, none = self.items, np.empty(0, np.int64)
        if items.user_features is None or self.users_table is None:
            return [none] * len(users)
        if self._users is None or self._users[0] != self.users_table:
            rows = read_users(self.users_table)
            entries = items.user_features.encode(rows, list(rows.places))
            self._users = self.users_table, dict(zip(rows.places, entries.rows(), strict=True))
        table = self._users[1]
        return [table[user] + len(items) if user in table else none for user in users]

    def user_names(self, users: Sequence[str]) -> list[list[str]]:
        """Return the names of the features of users; see `user_places`."""
        return [[self.items.name(place) for place in row.tolist()] for row in self.user_places(users)]

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
        if short := int((examples.lengths < 2).sum()):
            notes.append(f"{counted(short, 'histories')} of one item leave nothing to predict, and are not scored")
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
        if self.items.entries is not None:
            parts = self.items.entries._asdict()
            checkpoint.write(folder / _FEATURES, {name: torch.from_numpy(part) for name, part in parts.items()}, {})
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
        fitted = cls(FittedItems.load(folder, settings), settings.seen == "hide", users_table=settings.data.users)
        if fitted.items.item_features is not None:
            fitted.items.entries = _read_entries(folder / _FEATURES, fitted.items)
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


def _refuse_other_names(names: Sequence[str], listed: Mapping[str, object], role: str, table: str, path: str) -> None:
    """Refuse a table without any item or user of the data.

    Raises:
        DataError: If there is none.
    """
    if not listed.keys() & set(names):
        has = f"which has {next(iter(listed))!r}" if listed else "which is empty"
        raise DataError(f"no {role} of the data, such as {names[0]!r}, is in {table}, {has}", path)


def _read_entries(path: Path, items: FittedItems) -> Entries:
    """Read the features of the items of a model folder, which may come from a stranger."""
    tensors, _ = checkpoint.read(path)
    parts = [tensors.get(name) for name in Entries._fields]
    if any(part is None or part.dim() != 1 for part in parts):
        raise ModelFolderError(f"{path} is damaged: it lacks a part of the features")
    offsets, features, weights = (part.numpy() for part in parts if part is not None)
    entries = Entries(offsets.astype(np.int64), features.astype(np.int64), weights.astype(np.float32))
    if not entries.is_sound(len(items), len(items.item_features or ())):
        raise ModelFolderError(f"{path} is damaged: the features do not fit a model of {len(items)} items")
    return entries


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
