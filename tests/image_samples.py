"""Images that tests make: noisy stripes that run across, down or slanting, and files of any form."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LABELS = ("across", "down", "slanting")


def stripes(label: str, seed: int, *, width: int = 13, height: int = 10, channels: int = 1) -> NDArray[np.uint8]:
    """One image of stripes with noise, of a random phase, uint8 (height, width, channels)."""
    generator = np.random.default_rng([LABELS.index(label), seed])
    y, x = np.mgrid[:height, :width]
    along = {"across": y, "down": x, "slanting": x + y}[label]
    wave = np.sin(2 * np.pi * (along / 4 + generator.uniform()))
    noisy = 128 + 80 * wave[:, :, None] + generator.normal(0, 20, (height, width, channels))
    return noisy.clip(0, 255).astype(np.uint8)


def many_stripes(count: int, seed: int = 0, **size: int) -> tuple[list[NDArray[np.uint8]], list[str]]:
    """Images and their labels."""
    labels = [LABELS[place % 3] for place in range(count)]
    return [stripes(label, 1000 * seed + place, **size) for place, label in enumerate(labels)], labels


def image_bytes(pixels: NDArray[np.uint8], form: str = "PNG", **options: object) -> bytes:
    """An image file of pixels, (height, width) or (height, width, channels)."""
    from PIL import Image

    buffer = io.BytesIO()
    plain = pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    Image.fromarray(plain).save(buffer, form, **options)
    return buffer.getvalue()


def write_image(path: Path, pixels: NDArray[np.uint8], form: str = "PNG", **options: object) -> Path:
    """Write an image file, and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(image_bytes(pixels, form, **options))
    return path


def header_of_png(width: int, height: int) -> bytes:
    """The beginning of a PNG file that claims a size."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0" * 100)
    chunks = [struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in (head, data)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def idx_bytes(values: NDArray[np.uint8], *, shape: tuple[int, ...] | None = None, kind: int = 8) -> bytes:
    """An IDX file, whose header may claim another shape or type."""
    shape = values.shape if shape is None else shape
    return bytes([0, 0, kind, len(shape)]) + struct.pack(f">{len(shape)}i", *shape) + values.tobytes()
