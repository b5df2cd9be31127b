"""Sequence tagger: one tag per token, by softmax or a conditional random field."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from unspool.data import IGNORED, Labelled, Tokens
from unspool.layers import LinearChainCRF, Projected, Recurrent, SequenceDropout, TokenEmbedding
from unspool.models.loss import Loss

__all__ = ["TaggerModel"]


class TaggerModel(nn.Module):
    """Sequence tagger, with independent tags (softmax) or a conditional random field.

    Args:
        embedding: Embedding of the tokens.
        encoder: Recurrent stack or Transformer encoder.
        num_tags: Number of tags.
        crf: Conditional random field over the tags. None: independent tags.
        dropout: Dropout rate before and after the encoder.
        variational: Whether that dropout uses one mask per sequence.
        label_smoothing: Fraction of the target distributed over all tags, at least 0 and less than 1 (without a CRF).
    """

    def __init__(
        self,
        embedding: TokenEmbedding,
        encoder: Recurrent | Projected,
        num_tags: int,
        *,
        crf: LinearChainCRF | None = None,
        dropout: float = 0.0,
        variational: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding, self.encoder, self.crf = embedding, encoder, crf
        self.input_dropout = SequenceDropout(dropout, variational=variational)
        self.output_dropout = SequenceDropout(dropout, variational=variational)
        self.output = nn.Linear(encoder.output_size, num_tags)
        self.label_smoothing = label_smoothing

    def forward(self, tokens: Tokens) -> Tensor:
        """Return scores of every tag at every token, (time, batch, tags); arbitrary in the padding."""
        vectors = self.input_dropout(self.embedding(tokens))
        states = self.encoder(vectors, tokens.lengths).outputs
        scores: Tensor = self.output(self.output_dropout(states))
        return scores

    def loss(self, batch: Labelled, carry: Any = None) -> Loss:
        """Return -log p of the target tags, summed over tokens (softmax) or sequences (CRF), in nats; counts tokens."""
        scores = self(batch.tokens).float()
        if self.crf is not None:
            total = self.crf.loss(scores, batch.targets, batch.tokens.lengths)
        else:
            total = F.cross_entropy(
                scores.flatten(0, 1),
                batch.targets.flatten(),
                ignore_index=IGNORED,
                label_smoothing=self.label_smoothing,
                reduction="sum",
            )
        return Loss(total, batch.tokens.size)

    def decode(self, tokens: Tokens) -> Tensor:
        """Return the best tags, (time, batch)."""
        scores = self(tokens)
        return scores.argmax(-1) if self.crf is None else self.crf.decode(scores, tokens.lengths)

    def probabilities(self, tokens: Tokens) -> Tensor:
        """Return the probability of every tag at every token, (time, batch, tags)."""
        scores = self(tokens).float()
        return scores.softmax(-1) if self.crf is None else self.crf.marginals(scores, tokens.lengths)
