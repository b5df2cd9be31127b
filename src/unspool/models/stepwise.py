"""Stepwise model: a recurrent stack with an output at every step, for algorithmic exercises."""

from __future__ import annotations

from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from unspool.data import Exercise
from unspool.layers import Recurrent
from unspool.models.loss import Loss

__all__ = ["StepwiseModel"]


class StepwiseModel(nn.Module):
    """Recurrent stack over vectors, with an output at every step.

    Args:
        encoder: The recurrent stack.
        outputs: Number of outputs per step.
        answers: `bits`: outputs are logits of 1; `numbers`: outputs are the numbers themselves.
    """

    def __init__(self, encoder: Recurrent, outputs: int, *, answers: Literal["bits", "numbers"] = "bits") -> None:
        super().__init__()
        self.encoder, self.answers = encoder, answers
        self.output = nn.Linear(encoder.output_size, outputs)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the outputs of every step, (time, batch, outputs): logits of 1, or numbers."""
        answer: Tensor = self.output(self.encoder(inputs, lengths).outputs)
        return answer

    def loss(self, batch: Exercise, carry: Any = None) -> Loss:
        """Return the sum over counted steps: cross-entropy of bits in nats, or squared error of numbers."""
        predictions, targets = self(batch.inputs, batch.lengths)[batch.counted].float(), batch.targets[batch.counted]
        if self.answers == "bits":
            total = F.binary_cross_entropy_with_logits(predictions, targets, reduction="sum")
        else:
            total = F.mse_loss(predictions, targets, reduction="sum")
        return Loss(total, targets.numel())
