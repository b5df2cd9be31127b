"""Transformer encoder behind a linear projection of its inputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unspool.layers.transformer import TransformerEncoder, TransformerOutput

__all__ = ["Projected"]


class Projected(nn.Module):
    """A Transformer encoder whose inputs are first brought to its width.

    Args:
        input_size: Width of the inputs.
        stack: The encoder.
    """

    def __init__(self, input_size: int, stack: TransformerEncoder) -> None:
        super().__init__()
        self.project = nn.Linear(input_size, stack.size) if input_size != stack.size else nn.Identity()
        self.stack, self.input_size, self.output_size = stack, input_size, stack.size

    def forward(self, inputs: Tensor, lengths: Tensor | None = None, need_weights: bool = False) -> TransformerOutput:
        """Run all layers over sequences, (time, batch, input); see `TransformerEncoder`."""
        if lengths is not None and isinstance(self.project, nn.Linear):  # padding must not reach a gradient, NaN or not
            steps = torch.arange(len(inputs), device=inputs.device)[:, None]
            inputs = inputs.masked_fill((steps >= lengths).unsqueeze(-1), 0)
        return self.stack(self.project(inputs), lengths, need_weights)  # type: ignore[no-any-return]
