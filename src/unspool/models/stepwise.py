"""Numbers in, numbers out, step by step: what reads and writes algorithmic exercises."""

from __future__ import annotations

from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from unspool.data import Exercise
from unspool.layers import Recurrent
from unspool.models.loss import Loss

__all__ = ["StepwiseModel"]


class StepwiseModel(nn.Module):
    """Run a recurrent stack over vectors and answer at every step.

    Args:
        encoder: The recurrent stack.
        outputs: Numbers of an answer.
        answers: `bits`: each number is the logit of a 1; `numbers`: each is the answer itself.
    """

    def __init__(self, encoder: Recurrent, outputs: int, *, answers: Literal["bits", "numbers"] = "bits") -> None:
        super().__init__()
        self.encoder, self.answers = encoder, answers
        self.output = nn.Linear(encoder.output_size, outputs)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """What is answered at every step, (time, batch, outputs): chances of a 1 as logits, or numbers."""
        answer: Tensor = self.output(self.encoder(inputs, lengths).outputs)
        return answer

    def loss(self, batch: Exercise, carry: Any = None) -> Loss:
        """Of the steps that are counted: cross-entropy of every bit, in nats, or the squared error of every number."""
        said, right = self(batch.inputs, batch.lengths)[batch.counted].float(), batch.targets[batch.counted]
        if self.answers == "bits":
            total = F.binary_cross_entropy_with_logits(said, right, reduction="sum")
        else:
            total = F.mse_loss(said, right, reduction="sum")
        return Loss(total, right.numel())
