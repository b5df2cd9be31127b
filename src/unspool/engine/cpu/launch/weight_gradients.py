"""The jobs after a way back that make the gradients of inputs and weights.

The gradient of a matrix is a product of columns: those of what was multiplied by it and those of the product's
gradient, over all rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from unspool.engine.compiler.passes.affine_prologue import Piece
from unspool.engine.cpu.launch.command_buffer import Frame, Rows
from unspool.engine.cpu.launch.command_list import At
from unspool.engine.cpu.launch.gemm_commands import Overall

__all__ = ["write_gradients"]


def write_gradients(frame: Frame, wanted: Sequence[bool], overall: Overall | None) -> None:
    """Add the jobs.

    Args:
        frame: Of the way back.
        wanted: Which of the things given get a gradient.
        overall: How products are made; if they are no jobs, only the vectors' gradients are.
    """
    plain, first = frame.plain, frame.first_weight
    vectors = [
        (plain.vectors[part], number)
        for number, parts in enumerate(plain.sums)
        if _vector(frame, number) in frame.kernel.buffers
        for part in parts
        if wanted[first + plain.vectors[part].weight]
    ]
    if overall is None:
        multiplied = {piece.weight for piece in plain.matrices}
        _vectors(frame, [vector for vector in vectors if vector[0].weight not in multiplied], [])
        return
    factors = [
        (outer.matrix, frame.rows(outer.left, outer.depth), frame.rows(outer.right, outer.width))
        for outer in frame.kernel.outers
    ]
    factors += _of_inputs(frame, wanted, overall)
    products = [(plain.matrices[matrix], left, right) for matrix, left, right in factors]
    products = [product for product in products if wanted[first + product[0].weight]]
    summed = _vectors(frame, vectors, [piece for piece, _, _ in products])
    columns: dict[Rows, list[tuple[Rows, Rows, bool]]] = defaultdict(list)
    for piece, left, right in products:
        down, across = (right, left) if piece.turned else (left, right)
        to = Rows(frame.piece("gradient", piece), frame.shapes[piece.weight][1], across.width)
        columns[down].append((across, to, piece.weight in summed))
    for down, others in columns.items():
        overall.sums(frame.tail, down, others)


def _vector(frame: Frame, number: int) -> str:
    """Where the loop leaves the gradient of a vector, one for each part."""
    return frame.at(f"vector_gradient{number}").name


def _of_inputs(frame: Frame, wanted: Sequence[bool], overall: Overall) -> list[tuple[int, Rows, Rows]]:
    """Gradients of inputs; returns matrix and factors of every product by which weights get theirs."""
    factors: list[tuple[int, Rows, Rows]] = []
    begun: dict[int, Rows] = {}
    for number, (given, matrix) in enumerate(frame.plain.inputs):
        name = f"input_gradient{number}"
        buffer = frame.kernel.buffers.get(name)
        if buffer is None:
            continue
        gradient = Rows(frame.at(name), buffer.stride, buffer.stride)
        depth = buffer.stride if matrix is None else frame.matrix(matrix)[0]
        if matrix is not None:
            factors.append((matrix, Rows(At(frame.sequence(given, depth)), depth, depth), gradient))
        if not wanted[given] or gradient.at.name == f"gradient{given}":
            continue
        adds = given in begun
        if not adds:
            name = frame.room("rows", "time", depth) if frame.given == "padded" else f"gradient{given}"
            begun[given] = Rows(At(name), depth, depth)
        to = begun[given]
        if matrix is None:
            frame.call(frame.tail, "add" if adds else "copy", to.at, depth, gradient.at, depth, At("rows"), depth)
        else:
            overall.layer(frame.tail, gradient, matrix, True, to, adds=adds)
    if frame.given == "padded":
        for given, rows in begun.items():
            width = rows.width
            frame.gather(frame.tail, f"gradient{given}", width, rows.at, width, "spots", "padded", width)
    return factors


def _vectors(frame: Frame, vectors: Sequence[tuple[Piece, int]], multiplied: Sequence[Piece]) -> set[int]:
    """Gradients of vectors, each with its number in the loop; returns the weights to whose gradients the others add."""
    first = frame.first_weight
    pieces = defaultdict(list)
    for piece in [*(piece for piece, _ in vectors), *multiplied]:
        pieces[piece.weight].append((piece.start, piece.stop))
    summed = {piece.weight for piece, _ in vectors}
    for weight, found in pieces.items():
        shape, starts = frame.shapes[weight], [start for start, _ in sorted(found)]
        ends = [0, *(stop for _, stop in sorted(found))]
        if weight in summed or starts != ends[:-1] or ends[-1] != shape[0]:
            summed.add(weight)  # some rows twice, or never
            frame.call(frame.tail, "clear", f"gradient{first + weight}", 0, 1, shape.numel())
    for piece, number in vectors:
        name, width = _vector(frame, number), piece.numbers(frame.shapes[piece.weight])
        stride = frame.kernel.buffers[name].stride
        frame.call(frame.tail, "add", frame.piece("gradient", piece), 0, name, stride, At("parts"), width)
    return summed
