"""Embedding table whose vectors are sums: one of the row's own, and those of its features."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unspool.errors import SettingError
from unspool.randomness import generator_on

__all__ = ["Bags", "FeatureTable"]


class Bags(NamedTuple):
    """Weighted features of some rows, row after row."""

    offsets: Tensor
    """Start of each row in `features`, and the end of the last, int64 (rows + 1,)."""
    features: Tensor
    """Ids of features, int64 (entries,)."""
    weights: Tensor
    """Weight of each, float32 (entries,)."""
    count: int  # type: ignore[assignment]
    """Number of features that exist."""


class FeatureTable(nn.Embedding):
    r"""Table of vectors, each the sum of an own vector :math:`o` and of the vectors :math:`f` of the row's features.

    .. math:: v_i = o_i + \sum_k w_{ik} f_k

    A row without an own vector, such as a new item, has that of its features. Source: LightFM, Kula 2015,
    arXiv:1507.08439, section 3. Training hides the own vectors of some rows with features, so that the features alone
    come close (DropoutNet, Volkovs et al. 2017). Feature vectors begin at zero.

    Args:
        rows: Number of rows; row 0 is padding.
        size: Width of a vector.
        bags: Features of the first rows; later rows have none.
        dropout: Share of the own vectors that training hides, at least 0 and less than 1.
    """

    offsets: Tensor
    entries: Tensor
    shares: Tensor

    def __init__(self, rows: int, size: int, bags: Bags, *, dropout: float = 0.0) -> None:
        super().__init__(rows, size, padding_idx=0)
        if not 0 <= dropout < 1:
            raise SettingError(f"feature_dropout = {dropout}: expected at least 0 and less than 1")
        offsets = torch.cat([bags.offsets, bags.offsets[-1:].expand(rows + 1 - len(bags.offsets))])
        for name, part in (("offsets", offsets), ("entries", bags.features), ("shares", bags.weights)):
            self.register_buffer(name, part, persistent=False)
        self.features = nn.Parameter(torch.zeros(bags.count, size))
        self.dropout = dropout
        self._whole: tuple[tuple[int, ...], Tensor] | None = None

    def forward(self, input: Tensor) -> Tensor:
        """Return the vectors of ids of any shape, (..., size)."""
        ids = input.reshape(-1)
        begins, lengths = self.offsets[ids], self.offsets[ids + 1] - self.offsets[ids]
        starts = lengths.cumsum(0) - lengths
        places = torch.repeat_interleave(begins - starts, lengths)
        places = places + torch.arange(len(places), device=ids.device)
        sums = self._sums(self.entries[places], starts, self.shares[places])
        own = F.embedding(ids, self.weight, padding_idx=self.padding_idx)
        vectors: Tensor = self._visible(own, lengths) + sums
        return vectors.view(*input.shape, -1)

    def whole(self) -> Tensor:
        """Return the vectors of all rows, (rows, size); computed once for the same weights without gradients."""
        if self.training or torch.is_grad_enabled():
            return self._rows()
        parts = self.weight, self.features
        key = tuple(number for part in parts for number in (part.data_ptr(), part._version))
        if self._whole is None or self._whole[0] != key:
            self._whole = key, self._rows()
        return self._whole[1]

    def train(self, mode: bool = True) -> FeatureTable:
        """Set training or evaluation mode; forget vectors that `whole` computed."""
        self._whole = None
        return super().train(mode)

    def _rows(self) -> Tensor:
        sums = self._sums(self.entries, self.offsets[:-1], self.shares)
        return self._visible(self.weight, self.offsets.diff()) + sums

    def _sums(self, features: Tensor, starts: Tensor, weights: Tensor) -> Tensor:
        """Return the weighted sum of the vectors of each bag, (bags, size)."""
        return F.embedding_bag(
            features, self.features, starts, mode="sum", per_sample_weights=weights.to(self.features.dtype)
        )

    def _visible(self, own: Tensor, features: Tensor) -> Tensor:
        """Hide some own vectors of rows with features in training."""
        if not self.training or self.dropout == 0:
            return own
        numbers = torch.rand(len(own), device=own.device, generator=generator_on(own.device))
        return own.masked_fill(((numbers < self.dropout) & (features > 0))[:, None], 0.0)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, features={len(self.features)}, dropout={self.dropout}"
