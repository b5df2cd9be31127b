"""AMX packing: how numbers of float32 are split into bfloat16, and where they stand in tiles.

A float32 has 24 bits and a bfloat16 8, so a number is the sum of three of them, exactly: of itself rounded, of the rest
rounded, and of the rest of that. A product of two numbers is the sum of nine products, each exact; the six largest are
taken, and the others come to less than an eighth of a unit of the last place. Henry, Tang and Heinecke 2019,
arXiv:1904.06376, "Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision Computations".

A tile has 16 lines of 64 bytes. A tile of rows holds 32 numbers of each row in pairs, each of the first 16 with one of
the second; in a tile of columns each line holds a pair from each of 16 columns. The parts of its numbers stand in tiles
behind one another.

Numbers that are not finite, or within a 256th of the largest number, make sums that are NaN. The instruction takes
numbers, parts and products below 2^-126 for zero, so a sum of terms that small is wrong by that much for each.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from unspool.engine.cpu.codegen.llvm_builder import Function
from unspool.engine.cpu.codegen.target import Target

__all__ = ["DEPTH", "HIGH", "TILE", "emit_fill", "function", "tiles_size"]

HIGH, DEPTH = 16, 32
"""Lines of a tile, and numbers of a row that a tile of rows holds."""
TILE = 256
"""Numbers of float32 that take as much memory as a tile."""


def tiles_size(depth: int, width: int, parts: int) -> int:
    """Return how many float32 a matrix in tiles takes the memory of."""
    return -(-depth // DEPTH) * -(-width // HIGH) * parts * TILE


def emit_fill(target: Target, parts: int) -> list[Function]:
    """Return `fill(from, down, across, depth, count, tiles, apart, turned)` and the functions that it calls, for one
    module.

    Args:
        target: The instruction set.
        parts: Into how many bfloat16 a number is split: three for float32; one for its rounded value.
    """
    return [_turn(target, parts), _turn_some(target), _fill(target, parts)]


def function(head: str, target: Target, *, internal: bool = False) -> Function:
    """Return a function on float32."""
    return Function(f"{'internal ' * internal}void {head}", torch.float32, target.lanes(torch.float32))


def _cut(f: Function, vectors: Sequence[str], parts: int) -> list[str]:
    """Split two vectors into parts in bfloat16, number beside number, the largest parts first.

    All parts but the last are rounded, halves away from zero; the last one then holds the rest exactly.
    """
    if parts == 1:
        return [f.rounded(*vectors, mixed=True)]
    cuts, kind = [], f.integers32
    for part in range(parts):
        last = part + 1 == parts
        bits = [f.value(f"bitcast {f.vector} {vector} to {kind}") for vector in vectors]
        if not last:
            bits = [f.value(f"add {kind} {number}, splat (i32 32768)") for number in bits]
        tops = [f.value(f"and {kind} {number}, splat (i32 -65536)") for number in bits]
        both = f.value(f"or {kind} {f.value(f'lshr {kind} {bits[0]}, splat (i32 16)')}, {tops[1]}")
        cuts.append(f.value(f"bitcast {kind} {both} to {f.vector}"))
        if not last:
            whole = [f.value(f"bitcast {kind} {top} to {f.vector}") for top in tops]
            vectors = [f.two("fsub", vector, top) for vector, top in zip(vectors, whole, strict=True)]
    return cuts


def _fill(target: Target, parts: int) -> Function:
    """Emit the packing of rows or columns into tiles, 16 in each; those of the next 16 begin `%apart` numbers behind.

    Neighbours in depth stand `%down` numbers apart, rows or columns `%across`; one of both is 1. Lines are made of
    adjacent numbers, and transposed where the tile needs the other direction.
    """
    head = (
        "@fill(ptr %from, i64 %down, i64 %across, i64 %depth, i64 %count, ptr %tiles, i64 %apart, i1 %turned) noinline"
    )
    f = function(head, target, internal=True)
    blocks, full = f.ceiling("%depth", DEPTH), f.whole("sdiv", "%depth", DEPTH)
    groups, whole_groups = f.ceiling("%count", HIGH), f.whole("sdiv", "%count", HIGH)
    along, straight = f.value("icmp eq i64 %down, 1"), f.value("xor i1 %turned, true")
    with f.when(f.value(f"and i1 {straight}, {along}"), what="along"), f.loop(0, "%count", what="line") as line:
        start, to = f.address("%from", f.whole("mul", line, "%across")), _line(f, line)
        for first, last, whole in ((0, full, True), (full, blocks, False)):
            with f.loop(first, last, what="block") as block:
                _line_along(f, start, to, block, parts, whole=whole)
    beside = f.value(f"xor i1 {along}, true")
    with f.when(f.value(f"and i1 {straight}, {beside}"), what="beside"):
        rest = f.first(f.whole("mul", whole_groups, HIGH), "%count")
        for first, last, whole in ((0, full, True), (full, blocks, False)):
            with f.loop(first, last, what="block") as block, f.loop(0, HIGH, what="line") as line:
                for group, end, within in ((0, whole_groups, None), (whole_groups, groups, rest)):
                    with f.loop(group, end, what="group") as number:
                        _line_beside(f, within, block, line, number, parts, whole=whole)
    line, second = f.value(f"select i1 {along}, i64 %across, i64 %down"), f.whole("mul", "%down", HIGH)
    turned = f.when("%turned", what="turn")
    with turned, f.loop(0, blocks, what="block") as block, f.loop(0, groups, what="group") as group:
        k, column = f.whole("mul", block, DEPTH), f.whole("mul", group, HIGH)
        start = f.address("%from", f.whole("mul", k, "%down"))
        start = f.address(start, f.whole("mul", column, "%across"))
        to = f.address("%tiles", f.whole("mul", group, "%apart"))
        to = f.address(to, f.whole("mul", block, parts * TILE))
        deep, wide = f.whole("sub", "%depth", k), f.whole("sub", "%count", column)
        enough = [f.value(f"icmp sge i64 {rest}, {size}") for rest, size in ((deep, DEPTH), (wide, HIGH))]
        inside = f.value(f"and i1 {enough[0]}, {enough[1]}")
        source = f"ptr {start}, i64 {line}, i64 {second}"
        with f.when(inside, what="inside"):
            f.do(f"call void @turn({source}, ptr {to})")
        with f.when(f.value(f"xor i1 {inside}, true"), what="outside"):
            f.do(f"call void @turn_some({source}, i64 {deep}, i64 {wide}, i1 {along}, ptr {to})")
    return f


def _turn(target: Target, parts: int) -> Function:
    """Emit the transposition of two squares of numbers, adjacent in depth, into the lines of a tile."""
    f = function("@turn(ptr %from, i64 %line, i64 %second, ptr %tiles) noinline", target, internal=True)
    starts = ("%from", f.address("%from", "%second"))
    squares = [
        f.transposed([f.read(f.address(start, f.whole("mul", "%line", number))) for number in range(HIGH)])
        for start in starts
    ]
    for number, vectors in enumerate(zip(*squares, strict=True)):
        for part, cut in enumerate(_cut(f, vectors, parts)):
            f.write(cut, f.address("%tiles", part * TILE + number * HIGH))
    return f


def _turn_some(target: Target) -> Function:
    """Emit the same where some of the numbers are beyond the matrix: they are zero."""
    f = function(
        "@turn_some(ptr %from, i64 %line, i64 %second, i64 %deep, i64 %wide, i1 %along, ptr %tiles) noinline",
        target,
        internal=True,
    )
    room = f.allocate(f"[{2 * HIGH * HIGH} x float]")
    with f.loop(0, 2 * HIGH, what="line") as line:
        f.write("zeroinitializer", f.address(room, f.whole("mul", line, HIGH)))
    for half, start in enumerate(("%from", f.address("%from", "%second"))):
        left = f.whole("sub", "%deep", HIGH * half)
        lines, lanes = (f.value(f"select i1 %along, i64 {a}, i64 {b}") for a, b in (("%wide", left), (left, "%wide")))
        with f.when(f.value(f"icmp sgt i64 {lanes}, 0"), what="half"):
            within = f.first("0", lanes)
            with f.loop(0, f.smaller(HIGH, lines), what="line") as line:
                to = f.address(f.address(room, HIGH * HIGH * half), f.whole("mul", line, HIGH))
                f.write(f.read(f.address(start, f.whole("mul", line, "%line")), within), to)
    f.do(f"call void @turn(ptr {room}, i64 {HIGH}, i64 {HIGH * HIGH}, ptr %tiles)")
    return f


def _line(f: Function, line: str) -> str:
    """Return the address of the line of a row or column in its first tile."""
    group = f.whole("sdiv", line, HIGH)
    within = f.whole("sub", line, f.whole("mul", group, HIGH))
    return f.address(f.address("%tiles", f.whole("mul", group, "%apart")), f.whole("mul", within, HIGH))


def _line_along(f: Function, start: str, to: str, block: str, parts: int, *, whole: bool) -> None:
    """Emit a line of numbers adjacent in depth: each number of the first half of a block with that of the second."""
    places = [f.whole("add", f.whole("mul", block, DEPTH), half) for half in (0, HIGH)]
    vectors = [f.read(f.address(start, at), None if whole else f.first(at, "%depth")) for at in places]
    place = f.address(to, f.whole("mul", block, parts * TILE))
    for part, cut in enumerate(_cut(f, vectors, parts)):
        f.write(cut, f.address(place, part * TILE))


def _line_beside(
    f: Function, within: str | None, block: str, line: str, group: str, parts: int, *, whole: bool
) -> None:
    """Emit a line of numbers adjacent across: one of each row or column."""
    places = [f.whole("add", f.whole("add", f.whole("mul", block, DEPTH), line), half) for half in (0, HIGH)]
    column = f.whole("mul", group, HIGH)
    vectors = []
    for at in places:
        lanes, safe = within, at
        if not whole:
            there = f.value(f"icmp slt i64 {at}, %depth")
            lanes = within or "splat (i1 true)"
            lanes = f.value(f"select i1 {there}, {f.truths} {lanes}, {f.truths} zeroinitializer")
            safe = f.value(f"select i1 {there}, i64 {at}, i64 0")
        row = f.address("%from", f.whole("mul", safe, "%down"))
        vectors.append(f.read(f.address(row, column), lanes))
    place = f.address("%tiles", f.whole("mul", group, "%apart"))
    place = f.address(place, f.whole("add", f.whole("mul", block, parts * TILE), f.whole("mul", line, HIGH)))
    for part, cut in enumerate(_cut(f, vectors, parts)):
        f.write(cut, f.address(place, part * TILE))
