r"""Recommenders that only count: popularity, a Markov chain with decay, and item neighbours by cosine.

With a history :math:`i_1 \dots i_n` and the decay :math:`d`:

.. math::
    s_{\mathrm{chain}}(j) &= \sum_{k=0}^{9} d^k\, c(i_{n-k} \to j) \\
    s_{\mathrm{near}}(j) &= \sum_{k=0}^{n-1} d^k \frac{u(i_{n-k}, j)}{\sqrt{u(i_{n-k})\, u(j)}}

:math:`c(i \to j)` counts how often j followed i at once, and :math:`u` counts users with one item, or with both.
Equal scores of the chain are in order of popularity. Sources: Sarwar et al. 2001, doi:10.1145/371920.372071 (item
neighbours); Rendle et al. 2010, doi:10.1145/1772690.1772773 (Markov chains of items).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["DECAY", "Counts", "SparseRows"]

DECAY = 0.8
_CHAIN = 10  # items of a history that the chain reads
_REACH = 50  # items that the neighbours read; .8 ** 50 is 1e-5
_TINY = 1e-4  # weight of popularity beside counts, which are at least .8 ** 9
_MOST_PAIRS = 100_000_000  # pairs of items of a user that are counted; of more data, an even sample of the users
_BLOCK = 8_000_000  # pairs in memory
_DENSE = 36_000_000  # cells of a dense table of counts


class SparseRows(NamedTuple):
    """Sparse square matrix, row by row."""

    offsets: NDArray[np.int64]
    """Start of each row, and the end of the last, (rows + 1,)."""
    columns: NDArray[np.int32]
    values: NDArray[np.float32]

    @classmethod
    def of(cls, codes: NDArray[np.int64], values: NDArray[Any], size: int) -> Self:
        """Build from sorted cell codes, row * size + column, and the value of each cell."""
        rows, columns = np.divmod(codes, size)
        offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=size))])
        return cls(offsets, columns.astype(np.int32), values.astype(np.float32))

    def sums(self, items: NDArray[Any], weights: NDArray[Any], owners: NDArray[Any], count: int) -> Any:
        """Return weighted sums of rows, float64 (count, size).

        Args:
            items: Rows to add, (rows,).
            weights: Weight of each, (rows,).
            owners: Index of the sum that each belongs to, (rows,).
            count: Number of sums.
        """
        size = len(self.offsets) - 1
        lengths = self.offsets[items + 1] - self.offsets[items]
        ends = np.cumsum(lengths)
        places = np.arange(ends[-1] if len(ends) else 0) + np.repeat(self.offsets[items] - ends + lengths, lengths)
        values = self.values[places] * np.repeat(weights, lengths)
        cells = np.repeat(owners * size, lengths) + self.columns[places]
        return (
            np.bincount(cells, weights=values, minlength=count * size)
            .astype(np.float64, copy=False)
            .reshape(count, size)
        )

    def is_sound(self, size: int) -> bool:
        """Return whether the arrays fit together, for data from a stranger."""
        offsets, cells = self.offsets, len(self.columns)
        return bool(
            len(offsets) == size + 1
            and offsets[0] == 0
            and offsets[-1] == cells == len(self.values)
            and (np.diff(offsets) >= 0).all()
            and (cells == 0 or (self.columns.min() >= 0 and self.columns.max() < size))
            and (np.isfinite(self.values).all() and (self.values >= 0).all())
        )

    def largest(self, most: int) -> SparseRows:
        """Return the matrix with only the largest values of each row, ties by column."""
        rows = np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))
        order = np.lexsort((self.columns, -self.values, rows))
        rank = np.arange(len(order)) - np.repeat(self.offsets[:-1], np.diff(self.offsets))
        keep = np.sort(order[rank < most])
        offsets = np.concatenate([[0], np.cumsum(np.minimum(np.diff(self.offsets), most))])
        return SparseRows(offsets, self.columns[keep], self.values[keep])


@dataclass(frozen=True, eq=False)
class Counts:
    """Counts of a training set: how often each item occurs, what follows it at once, and who has both of two."""

    popularity: NDArray[np.float64]
    """Events of each item, (items,)."""
    chain: SparseRows
    """Number of times that the column followed the row at once."""
    neighbours: SparseRows
    """Cosine of the users of two different items."""

    @classmethod
    def learn(cls, flat: NDArray[Any], offsets: NDArray[np.int64], size: int) -> Self:
        """Count histories.

        Args:
            flat: Items of all histories, from 0 to `size` - 1, oldest first, (events,).
            offsets: Start of each history, and the end of the last, (histories + 1,).
            size: Number of items.
        """
        flat = flat.astype(np.int64)
        last = np.zeros(len(flat), np.bool_)
        last[offsets[1:][np.diff(offsets) > 0] - 1] = True
        pairs = (flat[:-1] * size + flat[1:])[~last[:-1]] if len(flat) else flat
        codes, counts = np.unique(pairs, return_counts=True)
        popularity = np.bincount(flat, minlength=size).astype(np.float64)
        return cls(popularity, SparseRows.of(codes, counts, size), _cosines(flat, offsets, size))

    def trimmed(self, most: int) -> Counts:
        """Return the counts with only the nearest neighbours of each item."""
        return Counts(self.popularity, self.chain, self.neighbours.largest(most))

    def with_new(self, count: int) -> Counts:
        """Return the counts with more items, at the end, that nobody has."""
        grown = (
            matrix._replace(offsets=np.concatenate([matrix.offsets, np.repeat(matrix.offsets[-1:], count)]))
            for matrix in (self.chain, self.neighbours)
        )
        return Counts(np.concatenate([self.popularity, np.zeros(count)]), *grown)

    @property
    def size(self) -> int:
        """Number of items."""
        return len(self.popularity)

    def popular(self, histories: Sequence[NDArray[Any]]) -> Any:
        """Return the scores of popularity, the same for each history, (histories, items)."""
        return np.broadcast_to(self.popularity, (len(histories), self.size))

    def chained(self, histories: Sequence[NDArray[Any]], last: int = _CHAIN, *, ties: bool = True) -> Any:
        """Return the scores of the Markov chain over the last items, (histories, items); `ties`: by popularity."""
        scores = self._decayed(self.chain, histories, last)
        return scores + _TINY / max(1, self.popularity.sum()) * self.popularity if ties else scores

    def near(self, histories: Sequence[NDArray[Any]], last: int = _REACH) -> Any:
        """Return the scores of the neighbours of the items, (histories, items)."""
        return self._decayed(self.neighbours, histories, last)

    def _decayed(self, matrix: SparseRows, histories: Sequence[NDArray[Any]], last: int) -> Any:
        recent = [history[-last:][::-1] for history in histories]
        lengths = np.array([len(history) for history in recent], np.int64)
        items = np.concatenate([*recent, np.empty(0, np.int64)]).astype(np.int64)
        ages = np.arange(len(items)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return matrix.sums(items, DECAY**ages, np.repeat(np.arange(len(recent)), lengths), len(recent))


def _cosines(flat: NDArray[np.int64], offsets: NDArray[np.int64], size: int) -> SparseRows:
    """Return the cosine of the users of all pairs of different items that a user has."""
    owners = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    owned = np.unique(owners * size + flat)  # each item of a user once
    owners, items = np.divmod(owned, size)
    lengths = np.bincount(owners, minlength=len(offsets) - 1)
    if (total := int((lengths**2).sum())) > _MOST_PAIRS:
        keep = (owners % (total // _MOST_PAIRS + 1)) == 0
        items, lengths = items[keep], lengths * (np.arange(len(lengths)) % (total // _MOST_PAIRS + 1) == 0)
    starts = np.cumsum(lengths) - lengths
    users = np.bincount(items, minlength=size).astype(np.float64)
    codes, counts = _count_pairs(items, starts, lengths, size)
    rows, columns = np.divmod(codes, size)
    return SparseRows.of(codes, counts / np.sqrt(users[rows] * users[columns]), size)


def _count_pairs(
    items: NDArray[np.int64], starts: NDArray[np.int64], lengths: NDArray[np.int64], size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the codes, row * size + column, and the counts of all pairs of different items of a user, sorted."""
    dense = np.zeros(size * size, np.int64) if size * size <= _DENSE else None
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    ends = np.cumsum(lengths**2)
    begin = 0
    while begin < len(lengths):
        before = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, before + _BLOCK, "right")))
        pairs = _pairs(items, starts[begin:end], lengths[begin:end], size)
        if dense is not None:
            dense += np.bincount(pairs, minlength=len(dense))
        else:
            parts.append(np.unique(pairs, return_counts=True))
        begin = end
    if dense is not None:
        codes = np.flatnonzero(dense)
        return codes, dense[codes]
    if not parts:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    codes, places = np.unique(np.concatenate([part[0] for part in parts]), return_inverse=True)
    counts = np.bincount(places, weights=np.concatenate([part[1] for part in parts]))
    return codes, counts.astype(np.int64)


def _pairs(
    items: NDArray[np.int64], starts: NDArray[np.int64], lengths: NDArray[np.int64], size: int
) -> NDArray[np.int64]:
    """Return the codes of all pairs of different items of some users."""
    first = np.arange(int(lengths.sum())) + np.repeat(starts - np.cumsum(lengths) + lengths, lengths)
    partners = np.repeat(lengths, lengths)
    one = np.repeat(items[first], partners)
    ends = np.cumsum(partners)
    within = np.arange(int(partners.sum())) - np.repeat(ends - partners, partners)
    other = items[np.repeat(np.repeat(starts, lengths), partners) + within]
    codes: NDArray[np.int64] = (one * size + other)[one != other]
    return codes
