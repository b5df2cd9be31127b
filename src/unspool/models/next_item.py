"""Next-item model: a network over a history, and a softmax over all items."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from unspool.data import IGNORED, Labelled, Tokens
from unspool.layers import (
    FeatureTable,
    FullSoftmax,
    Projected,
    Recurrent,
    SampledSoftmax,
    SequenceDropout,
    TokenEmbedding,
    WindowNetwork,
)
from unspool.models.loss import Loss

__all__ = ["NextItemModel"]


class NextItemModel(nn.Module):
    """A network that predicts the next item after each item of a history.

    With recurrent layers this is GRU4Rec (Hidasi et al. 2016, arXiv:1511.06939) with tied item vectors, with a causal
    Transformer SASRec (Kang and McAuley 2018, arXiv:1808.09781), both with a softmax loss.

    Args:
        embedding: Embedding of the items; id 0 is padding.
        encoder: Recurrent stack in one direction, causal Transformer, or feed-forward network over a window.
        softmax: Output layer over ids.
        dropout: Dropout rate before and after the encoder.
        variational: Whether that dropout uses one mask per history.
    """

    def __init__(
        self,
        embedding: TokenEmbedding,
        encoder: Recurrent | Projected | WindowNetwork,
        softmax: FullSoftmax | SampledSoftmax,
        *,
        dropout: float = 0.0,
        variational: bool = False,
    ) -> None:
        super().__init__()
        self.embedding, self.encoder, self.softmax = embedding, encoder, softmax
        self.input_dropout = SequenceDropout(dropout, variational=variational)
        self.output_dropout = SequenceDropout(dropout, variational=variational)

    def states(self, tokens: Tokens) -> Tensor:
        """Read histories; return the outputs after each item, (time, batch, width)."""
        outputs: Tensor = self.encoder(self.input_dropout(self.embedding(tokens)), tokens.lengths).outputs
        return outputs

    def forward(self, tokens: Tokens) -> Tensor:
        """Return the logits of the item after each history, (batch, ids)."""
        states = self.states(tokens)
        last = states[tokens.lengths - 1, torch.arange(states.shape[1], device=states.device)]
        return self.softmax.logits(last).float()

    def logits_of_one(self, ids: Tensor) -> Tensor:
        """Return the logits after one history, (ids,), of its ids, (items,); faster than `forward` at batch size 1."""
        table = self.embedding.table
        vectors = table(ids[:, None]) if isinstance(table, FeatureTable) else F.embedding(ids[:, None], table.weight)
        last = self.encoder(vectors, None).outputs[-1, 0]
        softmax = self.softmax
        if softmax.project is not None:
            last = softmax.project(last)
        if last.device.type != "cpu" or last.requires_grad or last.dtype != torch.float32:
            return torch.addmv(softmax.bias, softmax.vectors(), last)
        # numpy multiplies a matrix with a vector in half the time of torch
        product: NDArray[np.float32] = softmax.vectors().detach().numpy() @ last.numpy()
        return torch.from_numpy(product).add_(softmax.bias)

    def loss(self, batch: Labelled, carry: Any = None) -> Loss:
        """Return the sum of -log p over the targets that are not `IGNORED`, in nats."""
        states = self.output_dropout(self.states(batch.tokens))
        real = batch.targets != IGNORED
        return Loss(self.softmax.loss(states[real], batch.targets[real]), int(real.sum()))
