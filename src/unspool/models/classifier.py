"""Many to one: read a sequence, then say its label, or its labels."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from unspool.data import Labelled, Tokens, Vectors
from unspool.layers import Dropout, FeedForward, Projected, Readout, Recurrent, SequenceDropout
from unspool.models.loss import Loss

__all__ = ["ClassifierModel", "ClassifierOutput"]


class ClassifierOutput(NamedTuple):
    """What a classifier returns."""

    logits: Tensor  # (batch, labels)
    weights: Tensor | None  # of an attention or mean readout, (time, batch)


class ClassifierModel(nn.Module):
    """Embed, run, read out, decide.

    Args:
        embedding: From a batch to vectors, (time, batch, features).
        encoder: The recurrent stack, a Transformer's, or a feed-forward network; none makes the averaged bag of
            embeddings (Iyyer et al. 2015, without hidden layers), the baseline that recurrence is compared with.
        readout: From states to one vector.
        num_labels: Number of labels.
        several: Whether a text may have several labels, or none.
        dropout: Share of features dropped before and after the encoder.
        input_dropout: Share of features dropped before the encoder, where it differs.
        class_weights: How much each label counts in the loss, (labels,); all alike if omitted.
        label_smoothing: Share of the target spread over all labels.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        embedding: nn.Module,
        encoder: Recurrent | Projected | FeedForward | None,
        readout: Readout,
        num_labels: int,
        *,
        several: bool = False,
        dropout: float = 0.0,
        input_dropout: float | None = None,
        variational: bool = False,
        class_weights: Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding, self.encoder, self.readout = embedding, encoder, readout
        self.input_dropout = SequenceDropout(
            dropout if input_dropout is None else input_dropout, variational=variational
        )
        self.output_dropout = Dropout(dropout)
        self.output = nn.Linear(readout.size, num_labels)
        self.several, self.label_smoothing = several, label_smoothing
        self.register_buffer("class_weights", class_weights, persistent=False)

    def forward(self, tokens: Tokens | Vectors) -> ClassifierOutput:
        """Score every label for every sequence."""
        vectors = self.input_dropout(self.embedding(tokens))
        states = vectors if self.encoder is None else self.encoder(vectors, tokens.lengths).outputs
        vector, weights = self.readout(states, tokens.lengths)
        return ClassifierOutput(self.output(self.output_dropout(vector)), weights)

    def loss(self, batch: Labelled, carry: Any = None) -> Loss:
        """Cross-entropy of the right labels, summed over sequences."""
        logits = self(batch.tokens).logits.float()
        if self.several:
            targets = batch.targets
            if self.label_smoothing:
                targets = targets * (1 - self.label_smoothing) + self.label_smoothing / 2
            total = F.binary_cross_entropy_with_logits(logits, targets, pos_weight=self.class_weights, reduction="sum")
        else:
            total = F.cross_entropy(
                logits,
                batch.targets,
                weight=self.class_weights,
                label_smoothing=self.label_smoothing,
                reduction="sum",
            )
        return Loss(total, len(batch.targets))
