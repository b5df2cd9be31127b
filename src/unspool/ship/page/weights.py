"""Weights of pages: arrays in one block of bytes, each once, as float32 or rounded."""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unspool.ship.small import Rounded, Small, round_matrix

__all__ = ["Weights"]


class Weights:
    """Collects arrays, and writes the block and its table.

    Args:
        small: Rounding of matrices; vectors stay as they are.
    """

    def __init__(self, small: Small | None = None) -> None:
        self._small = small
        self._numbers: dict[bytes, int] = {}
        self._table: list[list[int]] = []
        self._block = bytearray()

    def add(self, array: NDArray[np.float32] | NDArray[np.float64]) -> str:
        """Add an array, and return the JavaScript of its numbers, row after row."""
        key = f"{array.shape} {array.dtype}".encode() + array.tobytes()
        if key not in self._numbers:
            self._numbers[key] = len(self._table)
            self._write(np.ascontiguousarray(array))
        return f"numbers({self._numbers[key]})"

    def add_levels(self, levels: NDArray[np.int64]) -> str:
        """Add small whole numbers, 0 to 127, and return the JavaScript of them."""
        self._append(8, 1, levels.size, np.float32(1).tobytes() + levels.astype(np.int8).tobytes())
        return f"numbers({len(self._table) - 1})"

    def add_text(self, text: str) -> str:
        """Add a text, and return its JavaScript."""
        data = text.encode("utf-8", "replace")
        self._append(0, 1, len(data), data)
        return f"text({len(self._table) - 1})"

    def _write(self, array: NDArray[Any]) -> None:
        if array.ndim == 2 and self._small is not None and min(array.shape) > 1:
            self._write_rounded(round_matrix(array, self._small))
            return
        bits = 8 * array.itemsize
        self._append(bits, 1, array.size, array.astype(f"<f{array.itemsize}").tobytes())

    def _write_rounded(self, rounded: Rounded) -> None:
        parts = [rounded.scales.astype("<f4").tobytes()]
        if rounded.offsets is not None:
            parts.append(rounded.offsets.astype("<f4").tobytes())
        self._append(rounded.bits, *rounded.shape, b"".join([*parts, rounded.packed().tobytes()]))

    def _append(self, bits: int, rows: int, columns: int, data: bytes) -> None:
        self._table.append([bits, rows, columns, len(self._block)])
        self._block += data

    @property
    def nbytes(self) -> int:
        """Bytes of the block."""
        return len(self._block)

    def block(self) -> str:
        """Return the block as base64; compressed, if the weights are small."""
        data = bytes(self._block)
        if self._small is not None:
            packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9)
            data = packer.compress(data) + packer.flush()
        return b64encode(data).decode()

    @property
    def reader(self) -> str:
        """JavaScript that reads the block from the page."""
        stored = 'bytes(document.getElementById("weights").textContent)'
        return stored if self._small is None else f"await inflated({stored})"

    def table(self) -> str:
        """Return the table of arrays as JavaScript: bits, rows, columns, first byte of each."""
        return json.dumps(self._table, separators=(",", ":"))
