"""What all networks that answer questions about stories share: what they return, and how they learn."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from unspool.data import IGNORED, Stories
from unspool.models.loss import Loss

__all__ = ["Answering", "MemoryOutput"]


class MemoryOutput(NamedTuple):
    """What a memory network returns."""

    logits: Tensor  # score of every answer, (batch, answers)
    weights: Tensor  # how much each hop took from each sentence, (hops, slots, batch), zero in the padding
    gates: Tensor | None = None  # how far each hop's gate was open, (hops, batch, size), where hops have gates


class Answering(nn.Module):
    """A network that chooses an answer to a question about a story; it learns by cross-entropy."""

    def forward(self, batch: Stories) -> MemoryOutput:
        """Score every answer to every question."""
        raise NotImplementedError

    def loss(self, batch: Stories, carry: Any = None) -> Loss:
        """-log p of the right answers, summed over questions, in nats."""
        logits = self(batch).logits.float()
        total = F.cross_entropy(logits, batch.answers, ignore_index=IGNORED, reduction="sum")
        return Loss(total, int((batch.answers != IGNORED).sum()))
