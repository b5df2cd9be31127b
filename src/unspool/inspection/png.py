"""PNG files of pixels, without further packages, and their addresses inside HTML and SVG."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

__all__ = ["data_address", "png_bytes"]

_COLOUR_TYPES = {1: 0, 3: 2, 4: 6}  # by channels


def png_bytes(pixels: NDArray[np.uint8]) -> bytes:
    """Return a PNG file of pixels, uint8 (height, width, channels): 1 grey, 3 RGB, 4 RGB with opacity.

    Source: W3C, "Portable network graphics (PNG) specification", third edition, sections 5 and 11.
    """
    height, width, channels = pixels.shape
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # each row begins with its filter, 0: none
    rows[:, 1:] = pixels.reshape(height, -1)
    head = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in parts)


def data_address(pixels: NDArray[np.uint8]) -> str:
    """Return pixels as an address that holds its PNG file, for `src` and `href`."""
    return f"data:image/png;base64,{base64.b64encode(png_bytes(pixels)).decode()}"


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
