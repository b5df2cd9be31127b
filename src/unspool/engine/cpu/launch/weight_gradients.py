"""Commands after a backward pass: the gradients of inputs and weights.

The gradient of a matrix is a product over all rows: of what was multiplied by it, and of the gradient of the result.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from unspool.engine.compiler.passes.affine_prologue import Piece
from unspool.engine.cpu.launch.command_buffer import CommandBuffer, Rows
from unspool.engine.cpu.launch.command_list import Address
from unspool.engine.cpu.launch.gemm_commands import Gemm

__all__ = ["write_gradients"]


def write_gradients(commands: CommandBuffer, needs_gradient: Sequence[bool], gemm: Gemm | None) -> None:
    """Add the commands.

    Args:
        commands: Of the backward pass.
        needs_gradient: Which arguments get a gradient.
        gemm: Makes the products; None if torch does, and then only the vectors' gradients are commands.
    """
    plain, first = commands.plain, commands.first_weight
    vectors = [
        (plain.vectors[part], number)
        for number, parts in enumerate(plain.sums)
        if _vector(commands, number) in commands.kernel.buffers
        for part in parts
        if needs_gradient[first + plain.vectors[part].weight]
    ]
    if gemm is None:
        multiplied = {piece.weight for piece in plain.matrices}
        _vectors(commands, [vector for vector in vectors if vector[0].weight not in multiplied], [])
        return
    factors = [
        (outer.matrix, commands.rows(outer.left, outer.depth), commands.rows(outer.right, outer.width))
        for outer in commands.kernel.outers
    ]
    factors += _of_inputs(commands, needs_gradient, gemm)
    products = [(plain.matrices[matrix], left, right) for matrix, left, right in factors]
    products = [product for product in products if needs_gradient[first + product[0].weight]]
    accumulated = _vectors(commands, vectors, [piece for piece, _, _ in products])
    columns: dict[Rows, list[tuple[Rows, Rows, bool]]] = defaultdict(list)
    for piece, left, right in products:
        down, across = (right, left) if piece.turned else (left, right)
        to = Rows(commands.piece("gradient", piece), commands.shapes[piece.weight][1], across.width)
        columns[down].append((across, to, piece.weight in accumulated))
    for down, others in columns.items():
        gemm.sums(commands.tail, down, others)


def _vector(commands: CommandBuffer, number: int) -> str:
    """Return the memory in which the loop leaves the gradient of a vector, one for each part."""
    return commands.at(f"vector_gradient{number}").name


def _of_inputs(commands: CommandBuffer, needs_gradient: Sequence[bool], gemm: Gemm) -> list[tuple[int, Rows, Rows]]:
    """Add the gradients of inputs; return matrix and factors of every product that a weight's gradient is."""
    factors: list[tuple[int, Rows, Rows]] = []
    started: dict[int, Rows] = {}
    for number, (argument, matrix) in enumerate(commands.plain.inputs):
        name = f"input_gradient{number}"
        buffer = commands.kernel.buffers.get(name)
        if buffer is None:
            continue
        gradient = Rows(commands.at(name), buffer.stride, buffer.stride)
        depth = buffer.stride if matrix is None else commands.matrix(matrix)[0]
        if matrix is not None:
            factors.append((matrix, Rows(Address(commands.sequence(argument, depth)), depth, depth), gradient))
        if not needs_gradient[argument] or gradient.at.name == f"gradient{argument}":
            continue
        adds = argument in started
        if not adds:
            name = (
                commands.reserve("rows", "time", depth) if commands.arrangement == "padded" else f"gradient{argument}"
            )
            started[argument] = Rows(Address(name), depth, depth)
        to = started[argument]
        if matrix is None:
            commands.call(
                commands.tail, "add" if adds else "copy", to.at, depth, gradient.at, depth, Address("rows"), depth
            )
        else:
            gemm.layer(commands.tail, gradient, matrix, True, to, adds=adds)
    if commands.arrangement == "padded":
        for argument, rows in started.items():
            width = rows.width
            commands.gather(commands.tail, f"gradient{argument}", width, rows.at, width, "spots", "padded", width)
    return factors


def _vectors(commands: CommandBuffer, vectors: Sequence[tuple[Piece, int]], multiplied: Sequence[Piece]) -> set[int]:
    """Add the gradients of vectors, given with their numbers; return the weights whose gradients accumulate."""
    first = commands.first_weight
    pieces = defaultdict(list)
    for piece in [*(piece for piece, _ in vectors), *multiplied]:
        pieces[piece.weight].append((piece.start, piece.stop))
    accumulated = {piece.weight for piece, _ in vectors}
    for weight, rows in pieces.items():
        shape, starts = commands.shapes[weight], [start for start, _ in sorted(rows)]
        ends = [0, *(stop for _, stop in sorted(rows))]
        if weight in accumulated or starts != ends[:-1] or ends[-1] != shape[0]:
            accumulated.add(weight)  # some rows twice, or never
            commands.call(commands.tail, "clear", f"gradient{first + weight}", 0, 1, shape.numel())
    for piece, number in vectors:
        name, width = _vector(commands, number), piece.numbers(commands.shapes[piece.weight])
        stride = commands.kernel.buffers[name].stride
        commands.call(commands.tail, "add", commands.piece("gradient", piece), 0, name, stride, Address("parts"), width)
    return accumulated
