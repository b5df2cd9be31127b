"""Base of networks that answer questions about stories: output and cross-entropy loss."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from unspool.data import IGNORED, Stories
from unspool.models.loss import Loss

__all__ = ["Answering", "MemoryOutput", "handles_of_hops"]


class MemoryOutput(NamedTuple):
    """Logits, attention weights and gates of a memory network."""

    logits: Tensor  # score of every answer, (batch, answers)
    weights: Tensor  # of each hop over the sentences, (hops, slots, batch), zero in the padding
    gates: Tensor | None = None  # of each hop, between 0 and 1, (hops, batch, size); None without gates


def handles_of_hops(hops: int) -> tuple[nn.Module, ...]:
    """Return an empty module for each hop, under which `unspool.layers.change_attention` changes its weights."""
    return tuple(nn.Module() for _ in range(hops))


class Answering(nn.Module):
    """Base of networks that choose an answer to a question about a story.

    Attributes:
        looks: For each hop, what stands for its attention in `unspool.layers.change_attention`. A plain tuple, so that
            these modules are no part of the network's weights or of its graph.
    """

    looks: tuple[nn.Module, ...]

    def forward(self, batch: Stories) -> MemoryOutput:
        """Return the logits of every answer to every question."""
        raise NotImplementedError

    def loss(self, batch: Stories, carry: Any = None) -> Loss:
        """Return -log p of the target answers, summed over questions, in nats."""
        logits = self(batch).logits.float()
        total = F.cross_entropy(logits, batch.answers, ignore_index=IGNORED, reduction="sum")
        return Loss(total, int((batch.answers != IGNORED).sum()))
