"""A feed-forward network over each step of a sequence by itself."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from unspool.errors import SettingError
from unspool.layers.dropout import Dropout

__all__ = ["FeedForward", "FeedForwardOutput"]


class FeedForwardOutput(NamedTuple):
    """What a feed-forward network returns."""

    outputs: Tensor  # (time, batch, size)


class FeedForward(nn.Module):
    r"""Layers of rectified linear units (a multilayer perceptron).

    .. math:: h_l = \max(0, W_l h_{l-1} + b_l)

    Source: Rumelhart, Hinton and Williams 1986, doi:10.1038/323533a0; rectified linear units of Glorot, Bordes and
    Bengio 2011, "Deep sparse rectifier neural networks".

    Args:
        input_size: Width of the inputs.
        hidden_size: Units of each layer.
        num_layers: Layers, at least 1.
        dropout: Share of features dropped between layers.

    Raises:
        SettingError: If there is no layer.
    """

    def __init__(self, input_size: int, hidden_size: int, *, num_layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        if num_layers < 1:
            raise SettingError(f"num_layers = {num_layers}: expected 1 or more")
        sizes = [input_size] + [hidden_size] * (num_layers - 1)
        self.layers = nn.ModuleList(nn.Linear(size, hidden_size) for size in sizes)
        self.dropout = Dropout(dropout)
        self.input_size, self.output_size = input_size, hidden_size

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> FeedForwardOutput:
        """Run all layers over inputs, (time, batch, input); `lengths` changes nothing, since steps are independent."""
        states = inputs
        for depth, layer in enumerate(self.layers):
            states = layer(self.dropout(states) if depth else states).relu()
        return FeedForwardOutput(states)
