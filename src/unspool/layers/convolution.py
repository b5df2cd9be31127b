"""Convolutions over time: one layer, and time-delay networks as stacks of dilated layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from unspool.errors import SettingError
from unspool.layers.dropout import Dropout

__all__ = ["Convolution1d", "ConvolutionOutput", "GlobalNorm", "TimeDelay"]


class ConvolutionOutput(NamedTuple):
    """Outputs of a convolution over time, and their lengths."""

    outputs: Tensor  # (⌈time / stride⌉, batch, output), 0 in the padding
    lengths: Tensor  # steps of each sequence in the outputs, int64 (batch,)


class Convolution1d(nn.Module):
    r"""Convolution over the time of padded sequences, time first.

    .. math:: y_t = b + \sum_{i=-k}^{k} W_i\, x_{s t + d i}

    with :math:`x` zero outside of each sequence, stride :math:`s`, dilation :math:`d` and kernel size :math:`2k + 1`.
    A sequence of :math:`n` steps has :math:`\lceil n / s \rceil` outputs, whatever the padding.

    Args:
        input_size: Width of the inputs.
        output_size: Width of the outputs.
        kernel_size: Steps that an output depends on; odd.
        dilation: Distance between these steps.
        stride: Distance between the centres of two outputs, in steps.

    Raises:
        SettingError: If `kernel_size` is even, or a size is less than 1.
    """

    def __init__(
        self, input_size: int, output_size: int, kernel_size: int = 5, *, dilation: int = 1, stride: int = 1
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0 or min(kernel_size, dilation, stride) < 1:
            raise SettingError(
                f"kernel_size = {kernel_size}, dilation = {dilation}, stride = {stride}: expected an odd kernel size, "
                f"and 1 or more for each"
            )
        self.stride, self.output_size = stride, output_size
        self.convolution = nn.Conv1d(
            input_size,
            output_size,
            kernel_size,
            stride=stride,
            dilation=dilation,
            padding=dilation * (kernel_size // 2),
        )

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Return the lengths of the outputs for lengths of the inputs, int64 (batch,)."""
        return (lengths + self.stride - 1) // self.stride

    def forward(self, inputs: Tensor, lengths: Tensor) -> ConvolutionOutput:
        """Convolve padded sequences.

        Args:
            inputs: Sequences, (time, batch, input); the padding may hold anything.
            lengths: Valid steps of each sequence, int64 (batch,), at least 1.
        """
        outputs = self.convolution(_without_padding(inputs, lengths).permute(1, 2, 0)).permute(2, 0, 1)
        lengths = self.output_lengths(lengths)
        return ConvolutionOutput(_without_padding(outputs, lengths), lengths)


class GlobalNorm(nn.Module):
    r"""Normalisation of each sequence over its valid steps and all features at once.

    .. math:: y_{tc} = \gamma_c \frac{x_{tc} - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta_c

    with mean and variance of all :math:`x_{tc}` of the sequence, so steps keep their relative sizes. Source:
    Luo and Mesgarani 2019, "Conv-TasNet", arXiv:1809.07454, equation 21.

    Args:
        size: Number of features.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(size)), nn.Parameter(torch.zeros(size))
        self.epsilon = 1e-5

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Normalise sequences, (time, batch, features), that are 0 in the padding; its outputs there are arbitrary."""
        count = lengths.unsqueeze(-1) * inputs.shape[-1]
        mean = inputs.sum((0, 2)).unsqueeze(-1) / count
        centred = _without_padding(inputs - mean, lengths)
        variance = centred.square().sum((0, 2)).unsqueeze(-1) / count
        return centred / (variance + self.epsilon).sqrt() * self.weight + self.bias


class TimeDelay(nn.Module):
    r"""Time-delay network: dilated convolutions over time, each with layer normalisation, ReLU and dropout.

    .. math:: h^{(l)} = \mathrm{dropout}(\mathrm{relu}(\mathrm{norm}(\mathrm{conv}^{(l)}(h^{(l-1)}))))

    Source: Waibel et al. 1989, "Phoneme recognition using time-delay neural networks"; Peddinti et al. 2015, "A time
    delay neural network architecture for efficient modeling of long temporal contexts". Differs: layer normalisation.

    Args:
        input_size: Width of the inputs.
        size: Width of each layer.
        kernel_size: Steps of a layer's input that an output depends on; odd. 5 is a context of -2 to 2.
        dilations: Dilation of each layer.
        strides: Stride of each layer, as many as dilations. None: 1 for all.
        dropout: Dropout rate after each layer.
        norm: layer (each step by itself), or global (`GlobalNorm`, each sequence as a whole).

    Raises:
        SettingError: If there is no layer, or the numbers of strides and dilations differ.
    """

    def __init__(
        self,
        input_size: int,
        size: int,
        *,
        kernel_size: int = 5,
        dilations: Sequence[int] = (1, 2, 3),
        strides: Sequence[int] | None = None,
        dropout: float = 0.0,
        norm: Literal["layer", "global"] = "layer",
    ) -> None:
        super().__init__()
        strides = [1] * len(dilations) if strides is None else strides
        if not dilations or len(strides) != len(dilations):
            raise SettingError(f"{len(strides)} strides and {len(dilations)} dilations: expected as many, at least one")
        sizes = [input_size, *[size] * len(dilations)]
        self.layers = nn.ModuleList(
            Convolution1d(width, size, kernel_size, dilation=dilation, stride=stride)
            for width, dilation, stride in zip(sizes, dilations, strides, strict=False)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(size) if norm == "layer" else GlobalNorm(size) for _ in dilations)
        self.dropout = Dropout(dropout)
        self.output_size = size

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Return the lengths of the outputs for lengths of the inputs, int64 (batch,)."""
        for layer in self.layers:
            assert isinstance(layer, Convolution1d)
            lengths = layer.output_lengths(lengths)
        return lengths

    def forward(self, inputs: Tensor, lengths: Tensor) -> ConvolutionOutput:
        """Run all layers over padded sequences, as `Convolution1d.forward`."""
        for layer, norm in zip(self.layers, self.norms, strict=True):
            outputs, lengths = layer(inputs, lengths)
            normed = norm(outputs, lengths) if isinstance(norm, GlobalNorm) else norm(outputs)
            inputs = self.dropout(torch.relu(normed))
        return ConvolutionOutput(_without_padding(inputs, lengths), lengths)


def _without_padding(sequences: Tensor, lengths: Tensor) -> Tensor:
    """Return sequences, (time, batch, features), with 0 in the padding."""
    steps = torch.arange(len(sequences), device=sequences.device)[:, None]
    return sequences.masked_fill((steps >= lengths).unsqueeze(-1), 0)
