"""Shape semantics of rows: what torch's shapes, broadcasting and views mean in the graph.

A tensor of shape (batch, A, B, ...) is a row of A·B·... numbers, as it lies in memory; so a view is the same row. Along
one dimension torch's broadcasting makes blocks and its sums go over blocks, where nothing stands before the dimension
or nothing after it. Where something stands on both sides, the row is cut into lines, each handled alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import prod
from typing import Any

from unspool.engine.compiler.ir.builder import Builder
from unspool.engine.compiler.ir.graph import Node
from unspool.engine.compiler.refusal import Refusal

__all__ = ["Row", "RowShapes", "Value", "Weight", "number_of"]

_MANY = 64
"""Lines that a value is cut into at most: each becomes nodes of its own."""
_MOVED = "a transposed block outside of a product: the compiler never moves one"


@dataclass(frozen=True)
class Weight:
    """A value of the tape, which depends on weights alone."""

    number: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """A value that changes from step to step."""

    node: Node
    shape: tuple[int, ...]
    """Without the batch."""
    turned: bool = False
    """Whether the node holds the transpose. Only products of blocks take that: the compiler never moves a block."""


Value = Row | Weight | float


def number_of(numbers: list[int], value: int) -> int:
    """Return the index of a value in a list; a new value is appended."""
    if value not in numbers:
        numbers.append(value)
    return numbers.index(value)


class RowShapes:
    """Makes rows of rows, with torch's shape semantics."""

    def __init__(self, builder: Builder) -> None:
        self.b = builder
        self.vectors: list[int] = []

    def plain(self, row: Value) -> Node:
        """Return the node of a row that is not transposed.

        Raises:
            Refusal: If the value is no row, or is transposed.
        """
        if not isinstance(row, Row):
            raise Refusal("a weight or a number among rows: expand it to the batch")
        if row.turned:
            raise Refusal(_MOVED)
        return row.node

    def weight(self, weight: Weight, rank: int) -> Row:
        """Return a weight as a row beside tensors of `rank` dimensions: the same for the whole batch."""
        padded = (1,) * (rank - len(weight.shape)) + weight.shape
        if len(padded) > rank or padded[0] != 1:
            raise Refusal(f"a weight of shape {weight.shape} among rows: the compiler takes one number per feature")
        vector = self.b.source("vector", number_of(self.vectors, weight.number), prod(padded))
        return Row(vector, padded[1:])

    def apply(self, operation: str, *values: Value) -> Row:
        """Apply a pointwise operation to rows, weights and numbers, which broadcast as in torch."""
        ranks = {len(value.shape) + 1 for value in values if isinstance(value, Row)}
        if len(ranks) > 1:
            raise Refusal(
                f"tensors of {' and '.join(map(str, sorted(ranks)))} dimensions together: torch would align a batch"
            )
        if any(isinstance(value, Row) and value.turned for value in values):
            return self._apply_turned(operation, values)
        rank = max(ranks or {1 + len(value.shape) for value in values if isinstance(value, Weight)})
        rows = [self._row(value, rank) for value in values]
        shape = _together([row.shape for row in rows])
        nodes = [self._broadcast(row, shape) for row in rows]
        return Row(self.b.pointwise(operation, *nodes, width=prod(shape)), shape)

    def _apply_turned(self, operation: str, values: Sequence[Value]) -> Row:
        """Apply a pointwise operation to transposed blocks and numbers."""
        (first, *others) = [value for value in values if isinstance(value, Row)]
        alike = first.turned and all(row.turned and row.shape == first.shape for row in others)
        if not alike or any(isinstance(value, Weight) for value in values):
            raise Refusal(_MOVED)
        nodes = [value.node if isinstance(value, Row) else value for value in values if not isinstance(value, Weight)]
        return Row(self.b.pointwise(operation, *nodes), first.shape, turned=True)

    def expand(self, value: Value, shape: tuple[int, ...]) -> Row:
        """Broadcast a value to a shape."""
        if isinstance(value, Row) and value.shape == shape:
            return value
        return Row(self.b.expand(self._broadcast(self._row(value, len(shape) + 1), shape), prod(shape)), shape)

    def _row(self, value: Value, rank: int) -> Row:
        if isinstance(value, Weight):
            return self.weight(value, rank)
        return value if isinstance(value, Row) else Row(self.b.constant(value), ())

    def _broadcast(self, row: Row, shape: tuple[int, ...]) -> Node:
        """Return the node of a row, as wide as a shape, or 1 wide."""
        node, own = self.plain(row), [1] * (len(shape) - len(row.shape)) + list(row.shape)
        while node.width not in (1, prod(shape)):
            short = [dim for dim, size in enumerate(shape) if own[dim] < size]
            sides = {dim: (prod(own[:dim]), prod(own[dim + 1 :])) for dim in short}
            dim = min(short, key=lambda dim: min(sides[dim]))  # where it is a block as a whole, if anywhere
            node = self._repeat(node, *sides[dim], shape[dim])
            own[dim] = shape[dim]
        return node

    def _repeat(self, node: Node, before: int, after: int, times: int) -> Node:
        if after == 1:
            return self.b.spread(node, times)
        return self.b.concat(self.b.tile(line, times) for line in self._lines(node, before))

    def _lines(self, node: Node, count: int) -> list[Node]:
        if count > _MANY:
            raise Refusal(f"a value that has to be cut into {count} lines: the compiler cuts into {_MANY} at most")
        width = node.width // count
        return [self.b.slice(node, line * width, (line + 1) * width) for line in range(count)]

    # -- dimensions

    def dims(self, row: Value, dims: Any) -> list[int]:
        """Return dimensions of a tensor as sorted dimensions of its shape without the batch."""
        assert isinstance(row, Row)
        requested = [dims] if isinstance(dims, int) else list(dims or [0])
        numbers = sorted(dim % (len(row.shape) + 1) - 1 for dim in requested)
        if numbers[0] < 0:
            raise Refusal("a call over the batch: the compiler takes what goes along other dimensions")
        return numbers

    def reduce(self, operation: str, row: Value, dims: Any, keepdim: bool = True) -> Row:
        """Return the sum or the maximum along some dimensions."""
        assert isinstance(row, Row)
        node, shape = self.plain(row), list(row.shape)
        over = self.dims(row, dims)
        for dim in reversed(over):
            node = self._fold(operation, node, prod(shape[:dim]), prod(shape[dim + 1 :]))
            shape[dim] = 1
        return Row(node, tuple(size for dim, size in enumerate(shape) if keepdim or dim not in over))

    def _fold(self, operation: str, node: Node, before: int, after: int) -> Node:
        if after == 1:
            return self.b.over_lines(operation, node, before)
        return self.b.concat(self.b.over_columns(operation, line, after) for line in self._lines(node, before))

    def slice(self, row: Value, dim: int, start: int, stop: int) -> Row:
        """Return a range along a dimension."""
        assert isinstance(row, Row)
        before, after = prod(row.shape[:dim]), prod(row.shape[dim + 1 :])
        lines = self._lines(self.plain(row), before)
        node = self.b.concat(self.b.slice(line, start * after, stop * after) for line in lines)
        return Row(node, (*row.shape[:dim], stop - start, *row.shape[dim + 1 :]))

    def split(self, row: Value, dim: int, sizes: Iterable[int]) -> list[Row]:
        """Split a row into ranges along a dimension."""
        return [self.slice(row, dim, start, stop) for start, stop in pairwise([0, *accumulate(sizes)])]

    def join(self, rows: Sequence[Value], dim: int) -> Row:
        """Join rows along a dimension."""
        (first, *_) = [row for row in rows if isinstance(row, Row)]
        cut = [self._lines(self.plain(row), prod(first.shape[:dim])) for row in rows]
        size = sum(row.shape[dim] for row in rows if isinstance(row, Row))
        node = self.b.concat(part for parts in zip(*cut, strict=True) for part in parts)
        return Row(node, (*first.shape[:dim], size, *first.shape[dim + 1 :]))

    def roll(self, row: Value, dim: int, by: int) -> Row:
        """Roll a row along a dimension."""
        assert isinstance(row, Row)
        before, after = prod(row.shape[:dim]), prod(row.shape[dim + 1 :])
        lines = self._lines(self.plain(row), before)
        return Row(self.b.concat(self.b.roll(line, by * after) for line in lines), row.shape)

    def view(self, row: Value, shape: tuple[int, ...]) -> Row:
        """Return the same numbers under another shape."""
        assert isinstance(row, Row)
        return row if row.shape == shape else Row(self.plain(row), shape)

    def drop(self, row: Row, dims: Sequence[int]) -> Row:
        """Remove dimensions of size 1."""
        return self.view(row, tuple(size for dim, size in enumerate(row.shape) if dim not in dims))

    def permute(self, row: Value, order: Sequence[int]) -> Row:
        """Permute the dimensions, counted without the batch."""
        assert isinstance(row, Row)
        shape = tuple(row.shape[dim] for dim in order)
        long = [dim for dim in order if row.shape[dim] > 1]
        if long == sorted(long):
            return Row(row.node, shape, row.turned)
        if len(shape) != 2:
            raise Refusal("dimensions in another order: the compiler turns blocks of two")
        return Row(row.node, shape, not row.turned)

    # -- products of blocks

    def multiply(self, a: Value, b: Value) -> Row:
        """Return the matrix product of two blocks, n x k and k x m, line by line of the factor with the fewest."""
        if not (isinstance(a, Row) and isinstance(b, Row)):
            raise Refusal("a batched product of blocks and a weight: the compiler takes products of rows with a weight")
        (n, k), m = a.shape, b.shape[1]
        ways = []
        if _by_rows(a):
            ways.append((n, lambda: Row(self._products(a.node, n, b), (n, m))))
        if _by_columns(b):
            turned = Row(a.node, (k, n), not a.turned)
            ways.append((m, lambda: self.permute(Row(self._products(b.node, m, turned), (m, n)), (1, 0))))
        if _by_columns(a) and _by_rows(b):
            ways.append((k, lambda: Row(self._sum_of_products(a.node, b.node, k), (n, m))))
        return min(ways, key=lambda way: way[0])[1]()

    def _products(self, node: Node, lines: int, block: Row) -> Node:
        """Multiply each line by a block."""
        width = block.shape[1]
        products = []
        for line in self._lines(node, lines):
            if _by_rows(block):
                terms = self.b.pointwise("mul", self.b.spread(line, width), block.node)
                products.append(self.b.over_columns("sum", terms, width))
            else:
                terms = self.b.pointwise("mul", self.b.tile(line, width), block.node)
                products.append(self.b.over_lines("sum", terms, width))
        return self.b.concat(products)

    def _sum_of_products(self, left: Node, right: Node, lines: int) -> Node:
        """Return the sum over lines of the outer products of each two lines."""
        total = self.b.constant(0.0)
        for a, b in zip(self._lines(left, lines), self._lines(right, lines), strict=True):
            total = self.b.pointwise(
                "add", total, self.b.pointwise("mul", self.b.spread(a, b.width), self.b.tile(b, a.width))
            )
        return total


def _together(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Return the shape to which torch broadcasts some others."""
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    return tuple(max(sizes) for sizes in zip(*padded, strict=True))


def _by_rows(block: Row) -> bool:
    return not block.turned or 1 in block.shape


def _by_columns(block: Row) -> bool:
    return block.turned or 1 in block.shape
