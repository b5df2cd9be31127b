"""Two ways of answering, trained side by side: finding a pair, and writing."""

from __future__ import annotations

from typing import Any

from torch import nn

from unspool.data import Paired
from unspool.models.encoder_decoder import EncoderDecoder
from unspool.models.loss import Loss
from unspool.models.retriever import Lookups, Retriever

__all__ = ["AssistantModel"]


class AssistantModel(nn.Module):
    """A retriever and, if there is one, a generator; each learns from batches of its own kind.

    Args:
        retriever: Finds the pair that a question belongs to.
        generator: Writes an answer, unit by unit.
    """

    def __init__(self, retriever: Retriever, generator: EncoderDecoder | None) -> None:
        super().__init__()
        self.retriever, self.generator = retriever, generator
        self.progress = 1.0

    def loss(self, batch: Lookups | Paired, carry: Any = None) -> Loss:
        """The loss of whichever the batch is for."""
        if isinstance(batch, Lookups):
            return self.retriever.loss(batch)
        assert self.generator is not None
        self.generator.progress = self.progress
        return self.generator.loss(batch)
