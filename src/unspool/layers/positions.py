"""Position encodings for Transformers: sinusoidal and learned."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unspool.errors import SettingError, ShapeError

__all__ = ["LearnedPositions", "SinusoidalPositions"]


class SinusoidalPositions(nn.Module):
    r"""Add sinusoidal position encodings, for sequences of any length.

    .. math::
        PE_{(pos, 2i)} &= \sin(pos / 10000^{2i / d}) \\
        PE_{(pos, 2i + 1)} &= \cos(pos / 10000^{2i / d})

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5. The table grows with the longest sequence so
    far, and is not saved.

    Args:
        size: Width of the inputs, d.
    """

    table: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        if size < 1:
            raise SettingError(f"size = {size}: expected at least 1")
        self.size = size
        self.register_buffer("table", torch.empty(0, size), persistent=False)

    def forward(self, inputs: Tensor, start: int | Tensor = 0) -> Tensor:
        """Add positions to sequences.

        Args:
            inputs: (time, batch, size).
            start: Position of the first step, at least 0; per sequence if a tensor, int64 (batch,).

        Returns:
            The sum, (time, batch, size).

        Raises:
            ShapeError: If the inputs have another width.
        """
        _check(inputs, self.size)
        time = inputs.shape[0]
        if isinstance(start, Tensor):
            places = start + torch.arange(time, device=start.device)[:, None]
            return inputs + self.rows(int(start.max()) + time, inputs)[places]
        return inputs + self.rows(start + time, inputs)[start:].unsqueeze(1)

    def rows(self, count: int, like: Tensor) -> Tensor:
        """Return the vectors of positions 0 to `count` - 1, (count, size), with dtype and device of `like`."""
        table = self.table  # another thread may exchange it
        if len(table) < count or table.device != like.device or table.dtype != like.dtype:
            self.table = table = self._waves(max(2 * count, len(table))).to(like)
        return table[:count]

    def _waves(self, count: int) -> Tensor:
        rate = 10000.0 ** (-torch.arange(0, self.size, 2, dtype=torch.float64) / self.size)
        angle = torch.arange(count, dtype=torch.float64)[:, None] * rate
        return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)[:, : self.size]

    def extra_repr(self) -> str:
        return f"{self.size}"


class LearnedPositions(nn.Module):
    """Add a learned vector for each position, up to a maximum length.

    Source: Gehring et al. 2017, arXiv:1705.03122, section 3.1. Vectors start from a normal distribution of standard
    deviation 0.02 (Devlin et al. 2019, arXiv:1810.04805).

    Args:
        size: Width of the inputs.
        max_length: Number of positions.
    """

    def __init__(self, size: int, max_length: int) -> None:
        super().__init__()
        if min(size, max_length) < 1:
            raise SettingError(f"size = {size} and max_length = {max_length}: expected at least 1")
        self.size, self.max_length = size, max_length
        self.weight = nn.Parameter(torch.empty(max_length, size).normal_(std=0.02))

    def forward(self, inputs: Tensor, start: int | Tensor = 0) -> Tensor:
        """Add positions to sequences, as `SinusoidalPositions` does.

        Raises:
            ShapeError: If the inputs have another width, or are longer than `max_length`.
        """
        _check(inputs, self.size)
        time = inputs.shape[0]
        if isinstance(start, Tensor):
            places = start + torch.arange(time, device=start.device)[:, None]
            return inputs + self.rows(int(start.max()) + time, inputs)[places]
        return inputs + self.rows(start + time, inputs)[start:].unsqueeze(1)

    def rows(self, count: int, like: Tensor) -> Tensor:
        """Return the vectors of positions 0 to `count` - 1, (count, size)."""
        if count > self.max_length:
            raise ShapeError(
                f"a sequence has {count} steps, and positions were learned for {self.max_length} (max_length); "
                "shorten the sequence, or train with a larger max_length or sinusoidal positions"
            )
        return self.weight[:count]

    def extra_repr(self) -> str:
        return f"{self.size}, max_length={self.max_length}"


def _check(inputs: Tensor, size: int) -> None:
    if inputs.dim() != 3 or inputs.shape[-1] != size:
        raise ShapeError(f"inputs have shape {tuple(inputs.shape)}, expected (time, batch, {size})")
