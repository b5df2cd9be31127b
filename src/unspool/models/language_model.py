"""Language model: predict the next unit, over windows of running text and step by step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from unspool.data import IGNORED, Tokens, Window
from unspool.layers import (
    AdaptiveSoftmax,
    CausalTransformer,
    FullSoftmax,
    Recurrent,
    SequenceDropout,
    TokenEmbedding,
)
from unspool.models.loss import Loss

__all__ = ["LanguageModel"]


class LanguageModel(nn.Module):
    """Language model; its recurrent state is carried from window to window.

    Args:
        embedding: Embedding of the units.
        decoder: Recurrent stack in one direction, or a causal Transformer, whose windows are independent.
        softmax: Output layer over the vocabulary.
        dropout: Dropout rate before and after the stack.
        variational: Whether that dropout uses one mask per window.
        activation_penalty: α of Merity et al. 2017, arXiv:1708.02182, section 4.6: weight of the mean square of the
            last layer's outputs after dropout (activation regularisation).
        slowness_penalty: β of the same section: weight of the mean square of the change of outputs from step to step
            (temporal activation regularisation).
    """

    def __init__(
        self,
        embedding: TokenEmbedding,
        decoder: Recurrent | CausalTransformer,
        softmax: FullSoftmax | AdaptiveSoftmax,
        *,
        dropout: float = 0.0,
        variational: bool = False,
        activation_penalty: float = 0.0,
        slowness_penalty: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding, self.decoder, self.softmax = embedding, decoder, softmax
        self.input_dropout = SequenceDropout(dropout, variational=variational)
        self.output_dropout = SequenceDropout(dropout, variational=variational)
        self.activation_penalty, self.slowness_penalty = activation_penalty, slowness_penalty

    def start(self, batch_size: int) -> Any:
        """Return the state before the first unit."""
        return self.decoder.initial_state(batch_size)

    def states(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Read units, (time, batch); return the outputs of the stack, (time, batch, hidden), and its final state."""
        tokens = Tokens(ids, torch.full(ids.shape[1:], ids.shape[0], device=ids.device))
        outputs, after = self.decoder(self.input_dropout(self.embedding(tokens)), None, state)
        return outputs, after

    def advance(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Read a unit per sequence, (batch,); return the next log-probabilities, (batch, vocabulary), and the state."""
        outputs, after = self.states(ids.unsqueeze(0), state)
        return self.softmax.log_probabilities(outputs[0]), after

    def forward(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Return log-probabilities of the next units, (time, batch, vocabulary), in nats, and the final state."""
        outputs, after = self.states(ids, state)
        return self.softmax.log_probabilities(outputs), after

    def loss(self, batch: Window, carry: Any = None) -> Loss:
        """Return -log p of the targets, summed, in nats; the carried state is detached (truncated BPTT)."""
        states, after = self.states(batch.inputs, carry)
        activations = self.output_dropout(states)
        outputs, targets = activations.flatten(0, 1), batch.targets.flatten()
        real = targets != IGNORED
        count = int(real.sum())
        if count < len(targets):
            outputs, targets = outputs[real], targets[real]
        total = self.softmax.loss(outputs, targets)
        if self.training and self.activation_penalty:
            total = total + count * self.activation_penalty * activations.float().pow(2).mean()
        if self.training and self.slowness_penalty and len(states) > 1:
            total = total + count * self.slowness_penalty * (states[1:] - states[:-1]).float().pow(2).mean()
        return Loss(total, count, None if after is None else _detached(after))


def _detached(state: Any) -> Any:
    if isinstance(state, Tensor):
        return state.detach()
    parts = [_detached(part) for part in state]
    return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)
