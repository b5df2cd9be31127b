"""Base of networks that answer questions about stories: output and cross-entropy loss."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from unspool.data import IGNORED, Stories
from unspool.models.loss import Loss

__all__ = ["Answering", "MemoryOutput"]


class MemoryOutput(NamedTuple):
    """Logits, attention weights and gates of a memory network."""

    logits: Tensor  # score of every answer, (batch, answers)
    weights: Tensor  # of each hop over the sentences, (hops, slots, batch), zero in the padding
    gates: Tensor | None = None  # of each hop, between 0 and 1, (hops, batch, size); None without gates


class Answering(nn.Module):
    """Base of networks that choose an answer to a question about a story."""

    def forward(self, batch: Stories) -> MemoryOutput:
        """Return the logits of every answer to every question."""
        raise NotImplementedError

    def loss(self, batch: Stories, carry: Any = None) -> Loss:
        """Return -log p of the target answers, summed over questions, in nats."""
        logits = self(batch).logits.float()
        total = F.cross_entropy(logits, batch.answers, ignore_index=IGNORED, reduction="sum")
        return Loss(total, int((batch.answers != IGNORED).sum()))
