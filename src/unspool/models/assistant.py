"""Assistant model: a retriever and an optional generator, trained side by side."""

from __future__ import annotations

from typing import Any

from torch import nn

from unspool.data import Paired
from unspool.models.encoder_decoder import EncoderDecoder
from unspool.models.loss import Loss
from unspool.models.retriever import Lookups, Retriever

__all__ = ["AssistantModel"]


class AssistantModel(nn.Module):
    """Retriever and optional generator; each trains on batches of its own kind.

    Args:
        retriever: Finds the pair for a question.
        generator: Generates an answer, unit by unit. None: no generator.
    """

    def __init__(self, retriever: Retriever, generator: EncoderDecoder | None) -> None:
        super().__init__()
        self.retriever, self.generator = retriever, generator
        self.progress = 1.0

    def loss(self, batch: Lookups | Paired, carry: Any = None) -> Loss:
        """Return the loss of the part that the batch belongs to."""
        if isinstance(batch, Lookups):
            return self.retriever.loss(batch)
        assert self.generator is not None
        self.generator.progress = self.progress
        return self.generator.loss(batch)
