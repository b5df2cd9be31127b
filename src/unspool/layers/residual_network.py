"""Residual convolutional network over images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from unspool.errors import SettingError

__all__ = ["ResidualBlock", "ResidualNetwork"]

_KERNELS = {1: 3, 2: 5, 4: 7}  # size of the first kernel by its stride


class ResidualBlock(nn.Module):
    r"""Two convolutions of 3 x 3 with a shortcut around them.

    .. math::
        y &= \mathrm{relu}(\mathrm{norm}_1(\mathrm{conv}_1(x))) \\
        \mathrm{out} &= \mathrm{relu}(s(x) + \mathrm{norm}_2(\mathrm{conv}_2(y)))

    The shortcut :math:`s` is the identity, or a convolution of 1 x 1 with normalisation where width or size change.

    Source: He et al. 2016, "Deep residual learning for image recognition", arXiv:1512.03385, figure 2 and option B.

    Args:
        input_size: Channels of the inputs.
        output_size: Channels of the outputs.
        stride: Stride of the first convolution, 1 or 2.
    """

    def __init__(self, input_size: int, output_size: int, stride: int = 1) -> None:
        super().__init__()
        self.convolution_1 = nn.Conv2d(input_size, output_size, 3, stride, padding=1, bias=False)
        self.norm_1 = nn.BatchNorm2d(output_size)
        self.convolution_2 = nn.Conv2d(output_size, output_size, 3, padding=1, bias=False)
        self.norm_2 = nn.BatchNorm2d(output_size)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or input_size != output_size:
            self.shortcut = nn.Sequential(
                nn.Conv2d(input_size, output_size, 1, stride, bias=False), nn.BatchNorm2d(output_size)
            )

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (batch, output_size, ⌈height / stride⌉, ⌈width / stride⌉) for (batch, input_size, height, width)."""
        hidden = torch.relu(self.norm_1(self.convolution_1(inputs)))
        outputs: Tensor = torch.relu(self.shortcut(inputs) + self.norm_2(self.convolution_2(hidden)))
        return outputs


class ResidualNetwork(nn.Module):
    """Residual convolutional network: a first convolution, then stages of blocks, each at half the size of the last.

    Weights start from the normal distribution of He et al. 2015, arXiv:1502.01852, equation 10, over the outputs.

    Source: He et al. 2016, arXiv:1512.03385. Differs: no pooling after the first convolution, whose stride is a choice.

    Args:
        input_size: Channels of the images.
        widths: Channels of each stage.
        blocks: Blocks of each stage.
        stem: Stride of the first convolution: 1, 2 or 4.

    Raises:
        SettingError: If there is no stage or block, or `stem` is none of these.
    """

    def __init__(self, input_size: int, widths: Sequence[int], *, blocks: int = 1, stem: int = 1) -> None:
        super().__init__()
        if not widths or blocks < 1 or stem not in _KERNELS:
            raise SettingError(
                f"{len(widths)} stages of {blocks} blocks, stem = {stem}: expected at least one, and a stem of 1, 2, 4"
            )
        kernel = _KERNELS[stem]
        self.stem = nn.Sequential(
            nn.Conv2d(input_size, widths[0], kernel, stem, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        )
        self.stages = nn.ModuleList()
        width = widths[0]
        for depth, size in enumerate(widths):
            first = ResidualBlock(width, size, 2 if depth else 1)
            self.stages.append(nn.Sequential(first, *(ResidualBlock(size, size) for _ in range(blocks - 1))))
            width = size
        self.reduction = stem * 2 ** (len(widths) - 1)
        """Pixels of a side of one cell of the outputs."""
        self.output_size = width
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Return rows and columns of the outputs for images of a size."""
        return -(-height // self.reduction), -(-width // self.reduction)

    def forward(self, images: Tensor) -> Tensor:
        """Run all stages over images.

        Args:
            images: (batch, input_size, height, width).

        Returns:
            (batch, output_size, ⌈height / reduction⌉, ⌈width / reduction⌉).
        """
        states: Tensor = self.stem(images.contiguous(memory_format=torch.channels_last))
        for stage in self.stages:
            states = stage(states)
        return states
