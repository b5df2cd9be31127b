"""Constraints on the next unit: forbidden units, minimum length, no repeated n-gram, forced prefix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor

from unspool.decoding.settings import DecodingSettings
from unspool.errors import SettingError

__all__ = ["Rules", "repeating"]

Ints = NDArray[np.int64]
_NEVER = float("-inf")


class Rules:
    """The constraints of one search over a batch.

    Args:
        settings: `min_length` and `no_repeat_ngram` apply.
        limits: Maximum length of each sequence, (sequences,).
        end: The unit that ends a sequence.
        forbidden: Units that never occur, bool (vocabulary,).
        prefix: Units that each sequence must begin with.

    Raises:
        SettingError: If the number of prefixes differs from that of sequences, or one is too long or has the end.
    """

    def __init__(
        self,
        settings: DecodingSettings,
        limits: Ints,
        *,
        end: int,
        forbidden: Tensor | None,
        prefix: Sequence[Sequence[int]] | None,
    ) -> None:
        self._end, self._forbidden = end, forbidden
        self._least, self._ngram = settings.min_length, settings.no_repeat_ngram
        self._prefix, self._forced = None, 0
        if prefix is not None:
            self._prefix, self._forced = _table(prefix, limits, end)

    @property
    def needs_history(self) -> bool:
        """Whether `apply` needs all earlier units."""
        return self._ngram > 0

    def apply(self, log_probabilities: Tensor, step: int, owners: Ints, history: Ints | None) -> Tensor:
        """Set forbidden units to -inf.

        Args:
            log_probabilities: In nats, (rows, vocabulary).
            step: Number of units so far.
            owners: The sequence of each row, (rows,).
            history: Units so far, (rows, step); None unless `needs_history`.

        Returns:
            The log-probabilities, or a modified copy.

        Raises:
            SettingError: If the end, `forbidden` or a prefix does not fit the vocabulary.
        """
        if step == 0:
            self._fit(log_probabilities.shape[1], log_probabilities.device)
        scores = log_probabilities
        if self._forbidden is not None:
            scores = scores.index_fill(1, self._forbidden, _NEVER)  # by index, since they are few
        if step < self._least:
            scores = _own(scores, log_probabilities)
            scores[:, self._end] = _NEVER
        if history is not None and step >= self._ngram > 0:
            rows, units = repeating(history, self._ngram)
            if len(rows):
                scores = _own(scores, log_probabilities)
                scores[torch.from_numpy(rows).to(scores.device), torch.from_numpy(units).to(scores.device)] = _NEVER
        if step < self._forced:
            scores = self._force(scores, log_probabilities, step, owners)
        return scores

    def _fit(self, size: int, device: torch.device) -> None:
        if not 0 <= self._end < size:
            raise SettingError(f"the end is unit {self._end}, and the vocabulary ends at {size - 1}")
        if self._forbidden is not None:
            if self._forbidden.shape != (size,):
                raise SettingError(f"forbidden has {self._forbidden.numel()} units, and the vocabulary {size}")
            self._forbidden = self._forbidden.nonzero().squeeze(1).to(device)
        if self._prefix is not None and self._forced and self._prefix.max() >= size:
            raise SettingError(f"a prefix has unit {self._prefix.max()}, and the vocabulary ends at {size - 1}")

    def _force(self, scores: Tensor, log_probabilities: Tensor, step: int, owners: Ints) -> Tensor:
        assert self._prefix is not None
        units = self._prefix[owners, step]
        forced = np.flatnonzero(units >= 0)
        rows = torch.from_numpy(forced).to(scores.device)
        columns = torch.from_numpy(units[forced]).to(scores.device)
        scores = _own(scores, log_probabilities)
        scores[rows] = _NEVER
        # a forced unit occurs even if its probability is 0
        scores[rows, columns] = log_probabilities[rows, columns].clamp(min=torch.finfo(scores.dtype).min)
        return scores


def repeating(history: Ints, size: int) -> tuple[Ints, Ints]:
    """Find units that would repeat an n-gram.

    Args:
        history: Units of each row, (rows, steps).
        size: Length of the n-gram, at least 1.

    Returns:
        Rows and units, (pairs,) each; a pair may occur twice.
    """
    before = size - 1
    followers = history[:, before:]  # the unit after every run of size - 1 units except the last run
    if followers.shape[1] == 0:
        same = np.zeros(followers.shape, dtype=bool)
    elif before == 0:
        same = np.ones(followers.shape, dtype=bool)
    else:
        runs = sliding_window_view(history, before, axis=1)  # (rows, steps - size + 2, size - 1)
        same = (runs[:, :-1] == runs[:, -1:]).all(-1)
    rows, places = np.nonzero(same)
    return rows, followers[rows, places]


def _own(scores: Tensor, original: Tensor) -> Tensor:
    """Return a copy that may be modified, unless `scores` is one already."""
    return scores.clone() if scores is original else scores


def _table(prefix: Sequence[Sequence[int]], limits: Ints, end: int) -> tuple[Ints, int]:
    """Return the prefixes as a table, (sequences, longest), -1 past the end of each; and the longest."""
    if len(prefix) != len(limits):
        raise SettingError(f"there are {len(prefix)} prefixes for {len(limits)} sequences")
    longest = max(map(len, prefix), default=0)
    table = np.full((len(prefix), longest), -1, dtype=np.int64)
    for number, (units, limit) in enumerate(zip(prefix, limits.tolist(), strict=True), 1):
        if len(units) > limit:
            raise SettingError(f"prefix {number} has {len(units)} units, more than the maximum length, {limit}")
        if end in units or any(unit < 0 for unit in units):
            raise SettingError(f"prefix {number} has the end, or a unit below 0: expected units of the vocabulary")
        table[number - 1, : len(units)] = units
    return table, longest
