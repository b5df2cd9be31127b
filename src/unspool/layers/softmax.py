"""Output layers over a vocabulary: full softmax, with tied weights or without, and adaptive softmax."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unspool.engine import linear
from unspool.errors import SettingError
from unspool.layers.feature_table import FeatureTable
from unspool.layers.linear_cross_entropy import linear_cross_entropy

__all__ = ["AdaptiveSoftmax", "FullSoftmax"]


class FullSoftmax(nn.Module):
    """A softmax over the whole vocabulary.

    Args:
        input_size: Width of the input vectors.
        vocab_size: Number of units.
        tied: Embedding table, (vocabulary, size), to tie the weights to (Press and Wolf 2017, arXiv:1608.05859; Inan
            et al. 2017, arXiv:1611.01462), or a table with features, whose first rows count. A linear projection maps
            the input to its width if the two differ.
        trained: Number of classes that occur in training, the first ones; the loss leaves the others out, such as new
            items. All if omitted.
    """

    def __init__(
        self,
        input_size: int,
        vocab_size: int,
        *,
        tied: nn.Parameter | FeatureTable | None = None,
        trained: int | None = None,
    ) -> None:
        super().__init__()
        self.table = tied if isinstance(tied, FeatureTable) else None
        own = tied.get_parameter("weight") if isinstance(tied, FeatureTable) else tied
        width = input_size if own is None else own.shape[1]
        self.project = nn.Linear(input_size, width, bias=False) if width != input_size else None
        if own is None:
            self.weight = nn.Parameter(torch.empty(vocab_size, width).uniform_(-(width**-0.5), width**-0.5))
        else:
            self.weight = own
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        self.trained = vocab_size if trained is None else trained

    @torch.no_grad()
    def start_from(self, counts: NDArray[np.int64]) -> None:
        """Set the bias to the logarithm of the units' relative frequencies, counted with one more of each.

        The network then starts at the entropy of the units, instead of learning their frequencies first. Source:
        Meister et al. 2022, arXiv:2212.09686.

        Args:
            counts: Number of occurrences of each unit, (vocabulary,).
        """
        shares = torch.from_numpy(counts).to(self.bias)[: self.trained] + 1
        self.bias[: self.trained] = (shares / shares.sum()).log()

    def vectors(self) -> Tensor:
        """Return the weights of all classes, (vocabulary, width), with those of their features."""
        return self.weight if self.table is None else self.table.whole()[: len(self.bias)]

    def logits(self, inputs: Tensor) -> Tensor:
        """Return the logits, (..., vocabulary), of vectors (..., input)."""
        if self.project is not None:
            inputs = self.project(inputs)
        return linear(inputs, self.vectors(), self.bias)

    def log_probabilities(self, inputs: Tensor) -> Tensor:
        """Return log-probabilities in nats, (..., vocabulary), float32, of vectors (..., input)."""
        return self.logits(inputs).float().log_softmax(-1)

    def loss(self, inputs: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """Return the sum of -log p over targets, (items,), for vectors (items, input), in nats.

        With label smoothing, return the sum of divergences of `linear_cross_entropy`.
        """
        if self.project is not None:
            inputs = self.project(inputs)
        weight, bias = self.vectors()[: self.trained], self.bias[: self.trained]
        return linear_cross_entropy(inputs, weight, bias, targets, label_smoothing=label_smoothing)


class AdaptiveSoftmax(nn.Module):
    """Adaptive softmax: rare units in clusters with narrower vectors, for vocabularies of 50,000 units and more.

    Ids must be in order of descending frequency. Source: Grave et al. 2017, arXiv:1609.04309.

    Args:
        input_size: Width of the input vectors.
        vocab_size: Number of units.
        cutoffs: End of each cluster, ascending, less than `vocab_size`; a twentieth and a quarter of it if omitted.
    """

    def __init__(self, input_size: int, vocab_size: int, *, cutoffs: Sequence[int] | None = None) -> None:
        super().__init__()
        limits = list(cutoffs) if cutoffs is not None else sorted({max(1, vocab_size // 20), max(2, vocab_size // 4)})
        narrowest = max(0, int(math.log(input_size, 4)))  # each cluster has a quarter of the width before
        limits = [limit for limit in limits if limit < vocab_size][: max(1, narrowest)]
        if input_size < 4:
            raise SettingError(f"an adaptive softmax needs vectors at least 4 wide, not {input_size}; use a full one")
        self.softmax = nn.AdaptiveLogSoftmaxWithLoss(input_size, vocab_size, limits or [max(1, vocab_size - 1)])

    def log_probabilities(self, inputs: Tensor) -> Tensor:
        """Return log-probabilities in nats, (..., vocabulary), float32, of vectors (..., input)."""
        flat = inputs.reshape(-1, inputs.shape[-1])
        return self.softmax.log_prob(flat).float().view(*inputs.shape[:-1], -1)

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the sum of -log p over targets, (items,), for vectors (items, input), in nats."""
        total: Tensor = -self.softmax(inputs, targets).output.float().sum()
        return total
