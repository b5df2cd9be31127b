"""Features of items and users: the columns of a table as categories, bins of numbers, and words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from unspool.data.times import parse_time
from unspool.data.vectors import is_number
from unspool.errors import DataError
from unspool.inputs.items.tables import FeatureRows

__all__ = ["Entries", "FeatureColumn", "FittedFeatures"]

Kind = Literal["number", "date", "category", "words"]

_BINS = 16  # of a column of numbers
_MOST_VALUES = 20_000  # of a column, the most frequent ones
_RAREST = 2  # rows that a value needs
_MISSING = ("", "nan", "n/a", "na", "null", "none", "-")  # cells without a value, in lower case
_VARIED, _SENTENCE = 0.5, 1.5  # share of different cells, and mean words of a cell, above which a column holds words
_LISTED = 4  # most values that a summary names
_WORD = re.compile(r"\w+")
_ADDRESS = ("http://", "https://")


class Entries(NamedTuple):
    """Weighted features of some rows, row after row."""

    offsets: NDArray[np.int64]
    """Start of each row in `features`, and the end of the last, (rows + 1,)."""
    features: NDArray[np.int64]
    """Index of each feature, (entries,)."""
    weights: NDArray[np.float32]
    """Weight of each: 1 / √n in a cell with n values, (entries,)."""

    def rows(self) -> Iterator[NDArray[np.int64]]:
        """Yield the features of each row."""
        for begin, end in zip(self.offsets[:-1], self.offsets[1:], strict=True):
            yield self.features[begin:end]

    def followed_by(self, other: Entries) -> Entries:
        """Return these rows, then others."""
        offsets = np.concatenate([self.offsets, other.offsets[1:] + self.offsets[-1]])
        return Entries(
            offsets, np.concatenate([self.features, other.features]), np.concatenate([self.weights, other.weights])
        )

    def is_sound(self, rows: int, features: int) -> bool:
        """Return whether the arrays fit together, for data from a stranger."""
        offsets, entries = self.offsets, len(self.features)
        return bool(
            len(offsets) == rows + 1
            and offsets[0] == 0
            and offsets[-1] == entries == len(self.weights)
            and (np.diff(offsets) >= 0).all()
            and (entries == 0 or (self.features.min() >= 0 and self.features.max() < features))
            and np.isfinite(self.weights).all()
        )


class FeatureColumn(msgspec.Struct, frozen=True):
    """A column whose cells are features."""

    name: str
    kind: Kind
    values: list[str]
    """Names of the features: categories, words, or bins of numbers in ascending order."""
    edges: list[float] = []
    """Limits between the bins, ascending, one fewer than bins; of a column of 0 and 1 none, and one value."""

    @property
    def is_flag(self) -> bool:
        """Whether the numbers of the column are 0 and 1, of which 1 is a feature."""
        return self.kind == "number" and len(self.values) == 1

    def is_sound(self) -> bool:
        """Return whether the parts fit together, for data from a stranger."""
        if self.kind in ("category", "words") or self.is_flag:
            return not self.edges and len(set(self.values)) == len(self.values)
        return len(self.edges) == len(self.values) - 1 and bool(np.all(np.diff(self.edges) >= 0))


class FittedFeatures:
    """Columns of a table, and the features that their cells may have.

    Args:
        columns: The columns.
    """

    def __init__(self, columns: Sequence[FeatureColumn]) -> None:
        self.columns = tuple(columns)
        self.names = tuple(f"{column.name} = {value}" for column in columns for value in column.values)
        self._by_name = {name: place for place, name in enumerate(self.names)}
        self._places: list[dict[str, int]] = []
        begin = 0
        for column in columns:
            self._places.append({value: begin + place for place, value in enumerate(column.values)})
            begin += len(column.values)

    @classmethod
    def learn(cls, rows: FeatureRows, trained: Iterable[str]) -> FittedFeatures:
        """Find the kind of each column in the rows that occur in training, and its values.

        Args:
            rows: The table.
            trained: Names of the rows in the training data.

        Raises:
            DataError: If a column of numbers or dates holds another cell, or no column holds a feature.
        """
        places = [place for name in trained if (place := rows.places.get(name)) is not None]
        columns = [
            column
            for name, cells in rows.columns.items()
            if (column := _learn(name, [cells[place] for place in places], cells, rows)) is not None and column.values
        ]
        if not columns:
            raise DataError(
                f"no column holds a value that some {rows.role}s of the training data share, and others lack; "
                f"the columns are {', '.join(rows.header)}",
                rows.path,
            )
        return cls(columns)

    def __len__(self) -> int:
        return len(self.names)

    def summary(self) -> str:
        """Return the columns with their values or kinds, in words: `sex (F, M), genre (18 categories)`."""
        nouns = {"category": "categories", "words": "words", "number": "bins of numbers", "date": "bins of dates"}
        parts = []
        for column in self.columns:
            values = column.values
            if column.is_flag:
                parts.append(f"{column.name} (0 or 1)")
            elif column.kind in ("category", "words") and len(values) <= _LISTED:
                parts.append(f"{column.name} ({', '.join(values)})")
            else:
                parts.append(f"{column.name} ({len(values):,} {nouns[column.kind]})")
        return ", ".join(parts)

    def place(self, name: str) -> int | None:
        """Return the index of a feature by its name, such as `genre = Comedy`; None if there is none."""
        return self._by_name.get(" ".join(name.split()))

    def encode(self, rows: FeatureRows, names: Sequence[str]) -> Entries:
        """Return the features of some rows; a name that the table lacks, and a new value, have none.

        Raises:
            DataError: If a column is missing, or a column of numbers or dates holds another cell.
        """
        for column in self.columns:
            if column.name not in rows.columns:
                raise DataError(
                    f"there is no column {column.name!r}; the columns are {', '.join(rows.header)}, and the model's "
                    f"features are {', '.join(each.name for each in self.columns)}",
                    rows.path,
                )
        cells = [rows.columns[column.name] for column in self.columns]
        lengths: list[int] = []
        features: list[int] = []
        weights: list[float] = []
        for name in names:
            place, before = rows.places.get(name), len(features)
            for column, values, ids in zip(self.columns, cells, self._places, strict=True):
                if place is not None:
                    own = self._of_cell(column, ids, values[place], rows.where[place])
                    features += own
                    weights += [max(1, len(own)) ** -0.5] * len(own)
            lengths.append(len(features) - before)
        offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        return Entries(offsets, np.array(features, np.int64), np.array(weights, np.float32))

    def of_values(self, values: Mapping[str, Any], where: str) -> list[int]:
        """Return the features of one row: values by the names of their columns, in the order of the columns.

        Raises:
            DataError: If there is no such column or category, or a number is none.
        """
        by_name = {column.name.casefold(): place for place, column in enumerate(self.columns)}
        features: list[int] = []
        cells = {}
        for name, value in values.items():
            place = by_name.get(name.strip().casefold())
            if place is None:
                raise DataError(
                    f"there is no feature {name.strip()!r}; the features are "
                    f"{', '.join(each.name for each in self.columns)}",
                    where,
                )
            cells[place] = value
        for place, column in enumerate(self.columns):
            if place in cells:
                own = self._of_cell(column, self._places[place], cells[place], where)
                if not own and column.kind == "category" and str(cells[place]).strip():
                    few = ", ".join(column.values[:8]) + ", ..." * (len(column.values) > 8)
                    raise DataError(f"{column.name} = {cells[place]!r:.40}: expected one of {few}", where)
                features += own
        return features

    def _of_cell(self, column: FeatureColumn, ids: Mapping[str, int], cell: Any, where: str) -> list[int]:
        if column.kind in ("category", "words"):
            parts = _words(cell) if column.kind == "words" else _categories(cell)
            return [ids[part] for part in dict.fromkeys(parts) if part in ids]
        if _is_empty(cell):
            return []
        number = _number(cell, column.kind, column.name, where)
        if column.is_flag:
            return [ids[column.values[0]]] if number else []
        return [ids[column.values[int(np.searchsorted(column.edges, number, "right"))]]]


def _learn(name: str, cells: Sequence[Any], whole: Sequence[Any], rows: FeatureRows) -> FeatureColumn | None:
    """Return a column with its kind and values by the cells of the training data; None if it holds none."""
    filled = [cell for cell in cells if not _is_empty(cell)]
    if not filled or all(str(cell).startswith(_ADDRESS) for cell in filled):
        return None
    tests: tuple[tuple[Kind, Any], ...] = (("number", _is_float), ("date", _is_date))
    for kind, test in tests:
        if all(map(test, filled)):
            numbers = [
                _number(cell, kind, name, where)
                for cell, where in zip(whole, rows.where, strict=True)
                if not _is_empty(cell)
            ]
            return _binned(name, kind, np.array(numbers))
    texts = [str(cell) for cell in filled]
    words = [_words(cell) for cell in filled]
    varied = len(set(texts)) > _VARIED * len(texts)
    is_text = varied and sum(map(len, words)) > _SENTENCE * len(words) and not any("|" in text for text in texts)
    is_text = is_text or name == rows.title
    parts = words if is_text else [_categories(cell) for cell in filled]
    counts = Counter(part for each in parts for part in set(each))
    common = counts.most_common(_MOST_VALUES)
    values = [value for value, count in common if _RAREST <= count < len(cells)]
    return FeatureColumn(name, "words" if is_text else "category", sorted(values))


def _binned(name: str, kind: Kind, numbers: NDArray[np.float64]) -> FeatureColumn:
    """Return a column of numbers with bins of about equal frequency; few different numbers are a bin each."""
    different = np.unique(numbers)
    if len(different) == 1:
        return FeatureColumn(name, kind, [])
    if different.tolist() == [0.0, 1.0]:
        return FeatureColumn(name, kind, ["1"])
    write = _day if kind == "date" else "{:g}".format
    if len(different) <= _BINS:
        edges = (different[1:] + different[:-1]) / 2
        return FeatureColumn(name, kind, _named([write(number) for number in different]), edges.tolist())
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, _BINS + 1)[1:-1]))
    inner = [f"{write(one)} to {write(two)}" for one, two in pairwise(edges)]
    values = [f"below {write(edges[0])}", *inner, f"from {write(edges[-1])}"]
    return FeatureColumn(name, kind, _named(values), edges.tolist())


def _named(values: list[str]) -> list[str]:
    """Number names that rounding made equal."""
    counts = Counter(values)
    return [value if counts[value] == 1 else f"{value} ({place})" for place, value in enumerate(values, 1)]


def _number(cell: Any, kind: Kind, column: str, where: str) -> float:
    if kind == "number" and is_number(cell):
        return float(cell)
    if kind == "date" and _is_date(cell):
        return float(parse_time(cell)[0].astype("M8[s]").astype(np.int64))
    what = "a finite number" if kind == "number" else "a date such as 2026-11-30"
    raise DataError(f"column {column!r} holds {cell!r:.40}; expected {what}, or an empty cell", where)


def _is_float(cell: Any) -> bool:
    """Return whether a cell is a number, also an infinite one, which `_number` refuses."""
    return is_number(cell) or str(cell).strip().casefold().lstrip("+-") in ("inf", "infinity")


def _is_date(cell: Any) -> bool:
    try:
        parse_time(cell)
    except DataError:
        return False
    return not is_number(cell)


def _day(seconds: float) -> str:
    return str(np.datetime64(int(seconds), "s").astype("M8[D]"))


def _is_empty(cell: Any) -> bool:
    if isinstance(cell, str):
        return cell.strip().casefold() in _MISSING
    return cell is None or cell == [] or cell != cell


def _categories(cell: Any) -> list[str]:
    """Return the categories of a cell, a list or a text with | between; a whole number has no decimal point."""
    if _is_empty(cell):
        return []
    parts = cell if isinstance(cell, list) else str(cell).split("|")
    if isinstance(cell, float) and cell.is_integer():
        parts = [int(cell)]
    return [text for part in parts if (text := " ".join(str(part).split()))]


def _words(cell: Any) -> list[str]:
    return [] if _is_empty(cell) else _WORD.findall(str(cell).casefold())
