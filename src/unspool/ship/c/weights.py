"""The weights of a C file: packed, named once, written as arrays into the file or as one binary file beside it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from unspool.ship.c.maths import literal
from unspool.ship.c.products import ROWS, pack, pack_int4, product_functions
from unspool.ship.small import Rounded, Small, round_matrix, round_to_int8

__all__ = ["Weights"]

_TYPES = {
    "float32": "float",
    "float64": "double",
    "int8": "int8_t",
    "uint8": "uint8_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
}
_ALIGNMENT = 16
Kind = Literal["float", "int8", "int4", "columns"]
"""How weights stand in the file; `columns`: a table of 8 bits whose columns have a scale each."""


class Weights:
    """Arrays by name, all of them constant.

    Args:
        small: Rounding of matrices and tables.
        embedded: Whether the C file holds the numbers; otherwise they stand in a binary file, and every function takes
            its address as `weights`.
    """

    def __init__(self, *, embedded: bool = True, small: Small | None = None) -> None:
        self.embedded, self.small = embedded, small
        self._arrays: dict[str, NDArray[np.generic]] = {}
        self._kinds: dict[str, Kind] = {}
        self._products: set[Kind] = set()
        self._rows: set[Kind] = set()

    @property
    def names(self) -> list[str]:
        """Names of all arrays."""
        return list(self._arrays)

    def array(self, name: str) -> NDArray[np.generic]:
        """Return an array, in one dimension."""
        return self._arrays[name]

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

    def add_weight(self, name: str, weight: NDArray[np.float32]) -> None:
        """Add a matrix (out, in) for products `x W^T`; a name that is there already keeps its matrix."""
        if name in self._kinds:
            return
        rounded = round_matrix(weight, self.small) if self.small else weight
        self._kinds[name] = kind = self.small or "float"
        self._products.add(kind)
        if isinstance(rounded, Rounded):
            self.add(name, pack_int4(rounded.values.T) if kind == "int4" else pack(rounded.values.T))
            self.add(f"{name}_scales", rounded.scales.T)
            if rounded.offsets is not None:
                self.add(f"{name}_offsets", rounded.offsets.T)
        else:
            self.add(name, pack(rounded.T))

    def multiply(self, name: str, operand: str, depth: int, width: int, result: str) -> str:
        """Return the C statement `result = operand W^T`, with `depth` numbers in and `width` out."""
        parts = {"float": [], "int8": ["scales"], "int4": ["scales", "offsets"]}[self._kinds[name]]
        more = "".join(f"{self.place(f'{name}_{part}')}, " for part in parts)
        call = f"product_{self._kinds[name]}({operand}, {depth}, {self.place(name)}, {more}{width}, {result})"
        return f"{call};"

    def add_table(self, name: str, table: NDArray[np.float32], *, by_column: bool = False) -> None:
        """Add a table whose rows are read one by one; with `by_column`, columns instead of rows are rounded."""
        kind: Kind = self.small or "float"
        if self.small and by_column:
            columns = round_to_int8(np.ascontiguousarray(table.T))
            self.add(name, columns.values.T)
            self.add(f"{name}_scales", columns.scales)
            kind = "columns"
        elif self.small:
            rounded = round_matrix(table, self.small)
            self.add(name, rounded.packed() if kind == "int4" else rounded.values)
            self.add(f"{name}_scales", rounded.scales)
            if rounded.offsets is not None:
                self.add(f"{name}_offsets", rounded.offsets)
        else:
            self.add(name, table)
        self._kinds[name] = kind
        self._rows.add(kind)

    def read_row(self, name: str, row: str, width: int, result: str) -> str:
        """Return the C statement that copies one row of a table."""
        kind = self._kinds[name]
        parts = {"float": [], "int8": ["scales"], "columns": ["scales"], "int4": ["scales", "offsets"]}[kind]
        more = "".join(f"{self.place(f'{name}_{part}')}, " for part in parts)
        return f"row_{kind}({self.place(name)}, {more}{row}, {width}, {result});"

    def functions(self) -> str:
        """Return the C functions for products with these weights, and for rows of these tables."""
        return product_functions(self._products) + "".join(ROWS[kind] for kind in sorted(self._rows))

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
    numbers = map(_written, array.tolist()) if kind == "float" else map(str, array.tolist())
    lines = textwrap.wrap(", ".join(numbers), 118, break_long_words=False, break_on_hyphens=False)
    return f"static const {kind} {name}[{array.size}] = {{\n" + "\n".join(lines) + "\n};\n"


def _written(number: float) -> str:
    return literal(number).strip("()")
