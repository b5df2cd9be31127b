"""Decoder-only Transformer for language models, with a bounded context and the interface of a recurrent stack."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from unspool.layers.transformer import TransformerEncoder, TransformerState

__all__ = ["CausalTransformer", "ContextState"]


class ContextState(NamedTuple):
    """Where a Transformer stands in a running text; every tensor has the batch first."""

    cache: TransformerState
    recent: Tensor  # the vectors that the cache was made of, (batch, steps so far, input)


class CausalTransformer(nn.Module):
    """A Transformer decoder alone, behind the names of a recurrent stack, for language models.

    It sees at most `context` steps. Known text is read in pieces of that length, each for itself, whatever state came
    before, so that places are those of training. Step by step it goes on until its context is full, and then begins
    again from the last half of it: memory and time of a step stay bounded.

    Args:
        input_size: Width of the inputs.
        stack: A causal encoder.
        context: Most steps that are seen.
    """

    def __init__(self, input_size: int, stack: TransformerEncoder, context: int) -> None:
        super().__init__()
        self.project = nn.Linear(input_size, stack.size) if input_size != stack.size else nn.Identity()
        self.stack, self.context = stack, context
        self.input_size, self.output_size = input_size, stack.size

    def initial_state(self, batch_size: int) -> ContextState:
        """The state before the first step."""
        weight = next(self.parameters())
        return ContextState(self.stack.start(batch_size), weight.new_zeros(batch_size, 0, self.input_size))

    def forward(
        self, inputs: Tensor, lengths: None = None, state: ContextState | None = None
    ) -> tuple[Tensor, ContextState | None]:
        """Run over known text, (time, batch, input), or make one step from a state."""
        if len(inputs) == 1 and state is not None:
            outputs, state = self._advance(inputs[0], state)
            return outputs.unsqueeze(0), state
        pieces = torch.split(inputs, self.context)
        return torch.cat([self.stack(self.project(piece)).outputs for piece in pieces]), None

    def _advance(self, inputs: Tensor, state: ContextState) -> tuple[Tensor, ContextState]:
        cache, recent = state
        if recent.shape[1] == self.context:
            recent = recent[:, (self.context + 1) // 2 :]
            cache = self.stack.start(len(inputs))
            for step in range(recent.shape[1]):
                _, cache = self.stack.advance(self.project(recent[:, step]), cache)
        outputs, cache = self.stack.advance(self.project(inputs), cache)
        return outputs, ContextState(cache, torch.cat([recent, inputs.unsqueeze(1).to(recent.dtype)], 1))
