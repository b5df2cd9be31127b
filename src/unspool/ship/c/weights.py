"""The weights of a C file: packed, named once, written as arrays into the file or as one binary file beside it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from unspool.ship.c.maths import literal
from unspool.ship.c.products import pack, product_functions
from unspool.ship.small import Rounded

__all__ = ["Weights"]

_TYPES = {
    "float32": "float",
    "int8": "int8_t",
    "uint8": "uint8_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
}
_ALIGNMENT = 16


class Weights:
    """Arrays by name, all of them constant.

    Args:
        embedded: Whether the C file holds the numbers; otherwise they stand in a binary file, and every function takes
            its address as `weights`.
    """

    def __init__(self, *, embedded: bool = True) -> None:
        self.embedded = embedded
        self._arrays: dict[str, NDArray[np.generic]] = {}
        self._kinds: dict[str, str] = {}

    @property
    def parameter(self) -> str:
        """How a function declares the weights; empty if they stand in the file."""
        return "" if self.embedded else "const unsigned char *weights"

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self._arrays.values())

    def add(self, name: str, array: NDArray[np.generic]) -> str:
        """Add an array under a name of C, and return the expression of its first element."""
        assert name not in self._arrays, name
        self._arrays[name] = np.ascontiguousarray(array).ravel()
        return self.place(name)

    def place(self, name: str) -> str:
        """Return the C expression of an array's address."""
        return name

    def add_matrix(self, name: str, matrix: NDArray[np.float32] | Rounded, *, transposed: bool = False) -> None:
        """Add a matrix (depth, width) for products, packed; a rounded one is (width, depth). Twice is once."""
        if name in self._kinds:
            return
        if isinstance(matrix, Rounded) and matrix.bits == 8 and not transposed:
            self._kinds[name] = "int8"
            self.add(name, pack(matrix.values.T))
            self.add(f"{name}_scales", matrix.scales)
            return
        dense = matrix.dense().T if isinstance(matrix, Rounded) else matrix
        self._kinds[name] = "float"
        self.add(name, pack(np.asarray(dense.T if transposed else dense, np.float32)))

    def multiply(self, name: str, operand: str, depth: int, width: int, result: str) -> str:
        """Return the C statement `result = operand @ matrix`."""
        place = self.place(name)
        if self._kinds[name] == "int8":
            return f"product_int8({operand}, {depth}, {place}, {self.place(f'{name}_scales')}, {width}, {result});"
        return f"product_float({operand}, {depth}, {place}, {width}, {result});"

    def functions(self) -> str:
        """Return the C functions for products with these weights."""
        return product_functions(sorted(set(self._kinds.values())))

    def definitions(self) -> str:
        """Return the arrays as C; of a binary file, where each stands in it."""
        if self.embedded:
            return "".join(_array(name, array) for name, array in self._arrays.items())
        return "".join(
            f"#define {name} ((const {_TYPES[array.dtype.name]} *)(const void *)(weights + {start}))\n"
            for name, array, start in self._laid_out()
        )

    def binary(self) -> bytes:
        """Return the arrays as bytes, little-endian, each at a multiple of 16."""
        result = bytearray()
        for _, array, start in self._laid_out():
            result += bytes(start - len(result)) + array.astype(array.dtype.newbyteorder("<")).tobytes()
        return bytes(result)

    def _laid_out(self) -> Iterator[tuple[str, NDArray[np.generic], int]]:
        start = 0
        for name, array in self._arrays.items():
            yield name, array, start
            start += -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT


def _array(name: str, array: NDArray[np.generic]) -> str:
    kind = _TYPES[array.dtype.name]
    numbers = (
        [literal(part).strip("()") for part in array.tolist()] if kind == "float" else list(map(str, array.tolist()))
    )
    lines = []
    line = ""
    for number in numbers:
        if len(line) + len(number) > 118:
            lines.append(line)
            line = ""
        line += number + ","
    return f"static const {kind} {name}[{array.size}] = {{\n" + "\n".join([*lines, line]) + "\n};\n"
