"""Softmax output layer whose training loss compares each target with a sample of the classes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unspool.engine import linear
from unspool.layers.feature_table import FeatureTable
from unspool.layers.softmax import FullSoftmax
from unspool.randomness import generator_on

__all__ = ["SampledSoftmax"]


class SampledSoftmax(FullSoftmax):
    r"""A full softmax in evaluation, and a sampled softmax with logQ correction in training.

    A batch draws n negatives with replacement from :math:`q \propto \mathrm{count}^{0.75}`, the same for all targets.
    The loss of a target y is the cross-entropy over y and the negatives, with corrected logits of the negatives

    .. math:: s'_j = s_j - \log(n\, q_j)

    so that their sum of exponentials estimates the one over all classes other than y, and loss and gradient tend to
    those of the full softmax as n grows. Negatives equal to the target do not count. Source: Bengio and Senécal 2008,
    doi:10.1109/TNN.2007.912312. Differs from the logQ correction of Yi et al. 2019, doi:10.1145/3298689.3346996, whose
    target is corrected too, since there it is drawn from q.

    Args:
        input_size: Width of the input vectors.
        vocab_size: Number of classes.
        negatives: Number of negatives, n.
        tied: Embedding table to tie the weights to; see `FullSoftmax`.
        trained: Number of classes that occur in training; see `FullSoftmax`.
    """

    cumulative: Tensor

    def __init__(
        self,
        input_size: int,
        vocab_size: int,
        negatives: int,
        *,
        tied: nn.Parameter | FeatureTable | None = None,
        trained: int | None = None,
    ) -> None:
        super().__init__(input_size, vocab_size, tied=tied, trained=trained)
        self.negatives = negatives
        self.register_buffer("cumulative", torch.arange(1, vocab_size + 1, dtype=torch.float64) / vocab_size)

    @torch.no_grad()
    def sample_by(self, counts: Tensor) -> None:
        """Set the proposal distribution from the counts of the classes, (vocabulary,); those without are not drawn."""
        shares = counts.double().pow(0.75).cumsum(0)
        self.cumulative.copy_(shares / shares[-1])

    def loss(self, inputs: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """Return the sum of -log p over targets, (items,), for vectors (items, input), in nats; sampled in training."""
        if not self.training:
            return super().loss(inputs, targets, label_smoothing=label_smoothing)
        if self.project is not None:
            inputs = self.project(inputs)
        device = inputs.device
        draws = torch.rand(self.negatives, generator=generator_on(device), device=device, dtype=torch.float64)
        negatives = torch.searchsorted(self.cumulative, draws).clamp(max=len(self.cumulative) - 1)
        rows = self._rows(torch.cat([targets, negatives]))
        own = (inputs * rows[: len(targets)]).sum(-1) + self.bias[targets]
        others = linear(inputs, rows[len(targets) :], self.bias[negatives]).float() - self._log_q(negatives)
        others = others.masked_fill(targets[:, None] == negatives, float("-inf"))
        logits = torch.cat([own.float()[:, None], others], 1)
        return -logits.log_softmax(1)[:, 0].sum()

    def _rows(self, classes: Tensor) -> Tensor:
        """Return the weights of some classes, (classes, width)."""
        return F.embedding(classes, self.weight) if self.table is None else self.table(classes)

    def _log_q(self, classes: Tensor) -> Tensor:
        """Return log(n q), (classes,), float32."""
        before = torch.where(classes > 0, self.cumulative[(classes - 1).clamp(min=0)], 0.0)
        shares = self.cumulative[classes] - before
        return (shares.clamp(min=1e-12) * self.negatives).log().float()
