"""Embeddings of images: from a batch to the vectors of a sequence, by convolutions, patches, rows or pixels."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from unspool.data import Images
from unspool.layers import ResidualNetwork

__all__ = ["GridEmbedding", "PatchEmbedding", "ScanEmbedding"]


class GridEmbedding(nn.Module):
    """Cells of the grid that convolutions leave of an image, row by row; without convolutions, of the image itself.

    Args:
        channels: Channels of the images, or features of a cell.
        convolutions: The convolutions. None: the images are grids of features already.
    """

    def __init__(self, channels: int, convolutions: ResidualNetwork | None) -> None:
        super().__init__()
        self.convolutions = convolutions
        self.output_size = channels if convolutions is None else convolutions.output_size

    def forward(self, batch: Images) -> Tensor:
        """Return (rows · columns, batch, output_size)."""
        values = batch.values if self.convolutions is None else self.convolutions(batch.values)
        return values.flatten(2).permute(2, 0, 1)


class PatchEmbedding(nn.Module):
    """Square patches of an image, row by row, each as one vector of its pixels; black fills the last ones.

    Source: Dosovitskiy et al. 2021, "An image is worth 16x16 words", arXiv:2010.11929, section 3.1.

    Args:
        channels: Channels of the images.
        side: Side of a patch in pixels.
    """

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.side, self.output_size = side, channels * side * side

    def forward(self, batch: Images) -> Tensor:
        """Return (rows · columns, batch, channels · side · side)."""
        height, width = batch.values.shape[2:]
        padded = F.pad(batch.values, (0, -width % self.side, 0, -height % self.side))
        return F.unfold(padded, self.side, stride=self.side).permute(2, 0, 1)


class ScanEmbedding(nn.Module):
    """Rows of an image as steps, its pixels as steps, or all pixels as one step.

    Args:
        vector: Values of a step: a row (width · channels), a pixel (channels), or the image.
        order: Pixel that each step reads, by its place row by row, (pixels,); for pixels as steps. None: in order.
    """

    order: Tensor | None

    def __init__(self, vector: int, order: NDArray[Any] | None = None) -> None:
        super().__init__()
        self.output_size = vector
        self.register_buffer("order", None if order is None else torch.from_numpy(order.copy()), persistent=False)

    def forward(self, batch: Images) -> Tensor:
        """Return (steps, batch, vector)."""
        pixels = batch.values.permute(0, 2, 3, 1)  # (batch, height, width, channels)
        steps = pixels.reshape(len(pixels), -1, self.output_size).transpose(0, 1)
        return steps if self.order is None else steps[self.order]
