"""Two encoders beside each other, over the same inputs."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["Beside"]


class _Output(NamedTuple):
    outputs: Tensor  # of both encoders, concatenated, (time, batch, output_size)


class Beside(nn.Module):
    """Two encoders over the same sequences, with concatenated outputs of equal length.

    Args:
        first: Encoder with `output_size`, whose call with inputs and lengths returns `outputs`.
        second: The other encoder.
    """

    def __init__(self, first: Any, second: Any) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.output_size: int = first.output_size + second.output_size

    def forward(self, inputs: Tensor, lengths: Tensor) -> _Output:
        """Run both encoders over sequences, (time, batch, input), with lengths (batch,)."""
        return _Output(torch.cat([part(inputs, lengths).outputs for part in (self.first, self.second)], -1))
