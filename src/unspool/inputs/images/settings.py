"""Settings of images: size, colour, augmentation, the way a network scans them, and convolutions."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec

from unspool.errors import SettingError
from unspool.settings import Fraction, NonNegativeInt, PositiveInt, Settings

__all__ = ["ImageSettings", "ResidualSettings"]

_LARGEST = 4096  # pixels of a side

Seed = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class ResidualSettings(Settings):
    """Residual convolutions over images (network = convolutional)."""

    widths: str = "16,32,64"
    """Channels of each stage, with commas between; each stage after the first halves the height and the width."""
    blocks: PositiveInt = 1
    """Residual blocks of each stage, of two convolutions each."""
    stem: Literal["auto", "1", "2", "4"] = "auto"
    """Stride of the first convolution. auto: 1 up to 48 pixels a side, 2 up to 128 pixels, 4 above."""

    def check(self) -> None:
        """Refuse a text that is no list of whole numbers, and sizes above the limits."""
        parts = [part.strip() for part in self.widths.split(",")]
        if not all(part.isdecimal() and 0 < int(part) <= 4096 for part in parts) or len(parts) > 8:
            raise SettingError(f"widths = {self.widths!r}: expected up to 8 whole numbers from 1 to 4096, as 16,32,64")
        if self.blocks > 64:
            raise SettingError(f"blocks = {self.blocks}: expected at most 64")

    @property
    def all_widths(self) -> list[int]:
        """Channels of each stage."""
        return [int(part) for part in self.widths.split(",")]


class ImageSettings(Settings):
    """Size, colour, augmentation and scan of images."""

    resolution: str | None = None
    """Size of the images that the network reads, in pixels: one number for a square, or width x height, as 64x96. None:
    the size of the training images if all are equal and no side is longer than 128; otherwise their median shape, with
    64 pixels on the longer side."""
    fit: Literal["crop", "pad", "stretch"] = "crop"
    """How an image of another shape is brought to this size: crop (its middle, as large as possible), pad (all of it,
    with black beside it), or stretch (all of it, distorted)."""
    color: Literal["auto", "grey", "color"] = "auto"
    """Whether the network reads grey or colour. auto: colour if a training image has colour."""
    move: NonNegativeInt = 0
    """Augmentation in training: largest random shift to each side, in pixels; black moves in."""
    flip: bool = False
    """Augmentation in training: mirror half of the images, left to right. Leave it off where left and right matter, as
    in digits and letters."""
    random_crop: Fraction = 0.0
    """Augmentation in training: largest share of the width and height that a random crop removes; the rest is enlarged
    to the full size."""
    rotate: Annotated[float, msgspec.Meta(ge=0, le=180)] = 0.0
    """Augmentation in training: largest random rotation to both sides, in degrees."""
    cache: NonNegativeInt = 1024
    """Memory for decoded images, in MiB. Images beyond it are decoded again in each epoch."""
    scan: Literal["rows", "pixels"] = "rows"
    """One step of a recurrent network: a row of pixels, or a pixel (network = recurrent)."""
    permute: Seed | None = None
    """Seed of a fixed permutation of the pixels before they are scanned (scan = pixels). None: from left to right, from
    top to bottom."""
    patch: PositiveInt = 4
    """Side of the square patches that a Transformer reads, in pixels (network = transformer)."""
    residual: ResidualSettings = ResidualSettings()

    def check(self) -> None:
        """Refuse a size that is none, and values outside the limits."""
        if self.resolution is not None:
            self._parsed(self.resolution)
        if self.permute is not None and self.scan != "pixels":
            raise SettingError(f"permute = {self.permute} permutes pixels, and scan = {self.scan}; set scan to pixels")
        if self.patch > _LARGEST or self.move > _LARGEST or self.cache > 1 << 20:
            raise SettingError(
                f"patch = {self.patch}, move = {self.move}, cache = {self.cache}: expected at most {_LARGEST}, "
                f"{_LARGEST} and {1 << 20}"
            )

    @property
    def width_and_height(self) -> tuple[int, int] | None:
        """The size in pixels; None if it follows from the training images."""
        return None if self.resolution is None else self._parsed(self.resolution)

    @property
    def augments(self) -> bool:
        """Whether there is any augmentation."""
        return self.move > 0 or self.flip or self.random_crop > 0 or self.rotate > 0

    def _parsed(self, size: str) -> tuple[int, int]:
        match = re.fullmatch(r"\s*(\d{1,5})\s*(?:[xX×]\s*(\d{1,5})\s*)?", size)
        width, height = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not (1 <= width <= _LARGEST and 1 <= height <= _LARGEST):
            raise SettingError(
                f"resolution = {size!r}: expected a number of pixels up to {_LARGEST}, or width and height, as 64x96"
            )
        return width, height
