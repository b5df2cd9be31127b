"""Sequence classifier: embedding, encoder, pooling, and scores of labels."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from unspool.data import Labelled, Tokens, Vectors
from unspool.layers import Dropout, FeedForward, Projected, Readout, Recurrent, SequenceDropout
from unspool.models.loss import Loss

__all__ = ["ClassifierModel", "ClassifierOutput"]


class ClassifierOutput(NamedTuple):
    """Logits and pooling weights of a classifier."""

    logits: Tensor  # (batch, labels)
    weights: Tensor | None  # of attention or mean pooling, (time, batch); else None


class ClassifierModel(nn.Module):
    """Sequence classifier, for one label or several per sequence.

    Args:
        embedding: From a batch to vectors, (time, batch, features).
        encoder: Recurrent stack, Transformer encoder or feed-forward network. None: the embeddings themselves, for a
            bag of words (the deep averaging network of Iyyer et al. 2015, without hidden layers).
        readout: Pooling of the states.
        num_labels: Number of labels.
        several: Whether a sequence may have several labels, or none.
        dropout: Dropout rate before and after the encoder.
        input_dropout: Dropout rate before the encoder. None: `dropout`.
        variational: Whether the dropout before the encoder uses one mask per sequence.
        class_weights: Weight of each label in the loss, (labels,). None: equal weights.
        label_smoothing: Fraction of the target distributed over all labels, at least 0 and less than 1.
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
        """Return the logits of every label for every sequence."""
        vectors = self.input_dropout(self.embedding(tokens))
        states = vectors if self.encoder is None else self.encoder(vectors, tokens.lengths).outputs
        vector, weights = self.readout(states, tokens.lengths)
        return ClassifierOutput(self.output(self.output_dropout(vector)), weights)

    def loss(self, batch: Labelled, carry: Any = None) -> Loss:
        """Return the cross-entropy of the target labels, summed over sequences, in nats."""
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
