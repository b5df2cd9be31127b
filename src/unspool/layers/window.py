"""Feed-forward network over a sliding window of the last steps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unspool.errors import SettingError
from unspool.layers.feedforward import FeedForward, FeedForwardOutput

__all__ = ["WindowNetwork"]


class WindowNetwork(nn.Module):
    r"""Feed-forward layers over the last n vectors; vectors before the first step are zero.

    .. math:: o_t = \mathrm{FF}([x_{t-n+1}; \dots; x_t])

    Source: Bengio et al. 2003, "A neural probabilistic language model", equation 1.

    Args:
        input_size: Width of the inputs.
        hidden_size: Units of each layer.
        window: Number of steps, n.
        num_layers: Number of layers.
        dropout: Dropout rate between layers.

    Raises:
        SettingError: If the window or the number of layers is below 1.
    """

    def __init__(
        self, input_size: int, hidden_size: int, window: int, *, num_layers: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if window < 1:
            raise SettingError(f"window = {window}: expected 1 or more")
        self.window, self.input_size, self.output_size = window, input_size, hidden_size
        self.layers = FeedForward(window * input_size, hidden_size, num_layers=num_layers, dropout=dropout)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> FeedForwardOutput:
        """Run over inputs, (time, batch, input); a step sees no later steps, so `lengths` changes nothing."""
        time = len(inputs)
        padded = torch.cat([inputs.new_zeros(self.window - 1, *inputs.shape[1:]), inputs])
        return self.layers(torch.cat([padded[n : n + time] for n in range(self.window)], -1))  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        return f"window={self.window}"
