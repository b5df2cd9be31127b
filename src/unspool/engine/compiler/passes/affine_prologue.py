"""Affine prologue: the common case in which weights are used as they are, transposed or in slices, and inputs
multiplied.

Such a prologue needs no autograd, whose every call costs some microseconds there and back; on small problems that is
half of the time. Its gradients are known: those of `x W` are two products, those of `b + d` sums of rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from unspool.engine.compiler.frontend.shapes import Weight
from unspool.engine.compiler.frontend.trace import Tape
from unspool.engine.compiler.ir.graph import Node
from unspool.engine.compiler.passes.hoist import Prologue

__all__ = ["AffineProlog", "Input", "Piece", "bare", "plain"]


class Piece(NamedTuple):
    """Some rows of a weight, possibly transposed."""

    weight: int
    start: int
    stop: int
    turned: bool = False

    def numbers(self, shape: torch.Size) -> int:
        """Return how many numbers the piece has; `shape` is that of the weight."""
        return (self.stop - self.start) * shape[1:].numel()


class Input(NamedTuple):
    """An input of the loop: an argument of the step, or its product with a matrix."""

    argument: int
    matrix: int | None


@dataclass(frozen=True)
class AffineProlog:
    """What runs before the loop."""

    matrices: tuple[Piece, ...]
    vectors: tuple[Piece, ...]
    inputs: tuple[Input, ...]
    sums: tuple[tuple[int, ...], ...]
    """The loop's vectors: each a sum of vectors."""


def bare(inputs: int, vectors: int, shapes: Sequence[torch.Size], turned: Sequence[bool]) -> AffineProlog:
    """Return the prologue of a loop whose inputs and vectors torch makes under autograd: matrices to pack.

    Args:
        inputs: Number of inputs of the loop.
        vectors: Number of its vectors; they are the first weights, each (1, width).
        shapes: Of the other weights, the matrices.
        turned: Which of these are passed transposed.
    """
    matrices = [
        Piece(number, 0, shape[0], turn)
        for number, (shape, turn) in enumerate(zip(shapes, turned, strict=True), start=vectors)
    ]
    return AffineProlog(
        matrices=tuple(matrices),
        vectors=tuple(Piece(number, 0, 1) for number in range(vectors)),
        inputs=tuple(Input(number, None) for number in range(inputs)),
        sums=tuple((number,) for number in range(vectors)),
    )


def plain(tape: Tape, before: Prologue, shapes: Mapping[str, torch.Size]) -> AffineProlog | None:
    """Return the affine form of a prologue; None if the prologue does more.

    Args:
        tape: The calls on weights.
        before: The prologue.
        shapes: Of the weights by name.
    """
    pieces: list[Piece | None] = []
    sizes = [shapes[name] for name in tape.names]
    for number, size in enumerate(sizes):
        pieces.append(Piece(number, 0, size[0]) if size else None)
    for function, arguments, options in tape.calls:
        piece = None if options else _moved(str(function), arguments, pieces, sizes)
        if piece is None:
            return None
        pieces.append(piece)
    matrices = [pieces[number] for number in tape.matrices]
    vectors = [pieces[number] for number in tape.vectors]
    inputs = [_input(node) for node in before.inputs]
    sums = [_sum(node) for node in before.vectors]
    parts = (*matrices, *vectors, *inputs, *sums)
    if any(part is None for part in parts) or any(piece is not None and piece.turned for piece in vectors):
        return None
    return AffineProlog(tuple(matrices), tuple(vectors), tuple(inputs), tuple(sums))  # type: ignore[arg-type]


def _moved(
    name: str, arguments: tuple[Any, ...], pieces: Sequence[Piece | None], sizes: Sequence[torch.Size]
) -> Piece | None:
    """Return a piece of a weight after a transpose or a slice of rows; None for other calls."""
    if not isinstance(arguments[0], Weight):
        return None
    piece = pieces[arguments[0].number]
    if piece is None:
        return None
    turns = (name, *arguments[1:]) in (
        ("aten.t.default",),
        ("aten.transpose.int", 0, 1),
        ("aten.transpose.int", 1, 0),
    ) or (name == "aten.permute.default" and list(arguments[1]) == [1, 0])
    if turns and len(sizes[piece.weight]) == 2:
        return piece._replace(turned=not piece.turned)
    if name == "aten.slice.Tensor" and not piece.turned and len(arguments) == 4 and arguments[1] == 0:
        length = piece.stop - piece.start
        start, stop = (min(at + length if at < 0 else at, length) for at in arguments[2:])
        return piece._replace(start=piece.start + start, stop=piece.start + stop) if start < stop else None
    return None


def _input(node: Node) -> Input | None:
    if node.operation == "source":
        return Input(node.value[1], None)
    row = node.arguments[0] if node.operation == "product" else None
    if row is None or row.operation != "source" or row.value[0] != "input" or node.value[1]:
        return None
    return Input(row.value[1], node.value[0])


def _sum(node: Node) -> tuple[int, ...] | None:
    if node.operation == "source" and node.value[0] == "vector":
        return (node.value[1],)
    if node.operation != "add" or any(part.width != node.width for part in node.arguments):
        return None
    parts = [_sum(part) for part in node.arguments]
    return None if None in parts else tuple(number for part in parts if part is not None for number in part)
