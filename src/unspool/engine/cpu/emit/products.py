"""Matrix products: register-blocked tiles, and the packing that lays a matrix out for them.

A packed matrix is cut into panels a few vectors wide; within a panel its rows stand one below the other, so that a tile
reads it in one stream. A tile keeps its sums in registers over the whole depth: Goto and van de Geijn 2008, "Anatomy of
high-performance matrix multiplication".
"""

from __future__ import annotations

import torch

from unspool.engine.cpu.emit.target import Target
from unspool.engine.cpu.emit.text import Function

__all__ = ["emit_products", "packed_size"]


def packed_size(depth: int, width: int, lanes: int) -> int:
    """How many numbers a packed matrix takes."""
    return depth * (-(-width // lanes)) * lanes


def emit_products(target: Target, dtype: torch.dtype) -> str:
    """A module with two functions.

    `product(rows, stride, count, packed, depth, vectors, result, stride)` multiplies `count` rows by a packed matrix
    `vectors` vectors wide. `pack(matrix, down, across, depth, width, packed)` packs a matrix whose neighbours stand
    `down` and `across` numbers apart.
    """
    lanes = target.lanes(dtype)
    tiles = [
        _tile(rows, vectors, dtype, lanes)
        for vectors, most in enumerate(target.tiles, start=1)
        for rows in range(1, most + 1)
    ]
    most = max(target.tiles)
    table = [
        f"ptr @tile{rows}x{vectors}" if rows <= limit else "ptr null"
        for vectors, limit in enumerate(target.tiles, start=1)
        for rows in range(1, most + 1)
    ]
    constants = [
        f"@tiles = internal constant [{len(table)} x ptr] [{', '.join(table)}]",
        f"@limits = internal constant [{len(target.tiles)} x i64] [{', '.join(f'i64 {n}' for n in target.tiles)}]",
    ]
    functions = [*tiles, _product(target, dtype, most), _pack(target, dtype)]
    declared = sorted(set().union(*(function.declared for function in functions)))
    return "\n\n".join(["\n".join([*declared, *constants]), *map(str, functions)])


def _tile(rows: int, vectors: int, dtype: torch.dtype, lanes: int) -> Function:
    """Some rows times a panel; written with the sums on the stack, from where LLVM moves them to registers."""
    head = (
        f"internal void @tile{rows}x{vectors}(ptr noalias %a, i64 %stride, ptr noalias %panel, i64 %depth, "
        f"ptr noalias %result, i64 %across) noinline"
    )
    f = Function(head, dtype, lanes)
    starts = [f.address("%a", f.whole("mul", "%stride", row)) for row in range(rows)]
    sums = [[f.allocate(f.vector) for _ in range(vectors)] for _ in range(rows)]
    for row in sums:
        for place in row:
            f.do(f"store {f.vector} zeroinitializer, ptr {place}")
    with f.loop(0, "%depth", what="depth") as k:
        panel = f.address("%panel", f.whole("mul", k, vectors * lanes))
        columns = [f.read(f.address(panel, number * lanes)) for number in range(vectors)]
        for start, row in zip(starts, sums, strict=True):
            number = f.spread(f.value(f"load {f.number}, ptr {f.address(start, k)}"))
            for place, column in zip(row, columns, strict=True):
                total = f.fused(number, column, f.value(f"load {f.vector}, ptr {place}"))
                f.do(f"store {f.vector} {total}, ptr {place}")
    for number, row in enumerate(sums):
        line = f.address("%result", f.whole("mul", "%across", number))
        for vector, place in enumerate(row):
            f.write(f.value(f"load {f.vector}, ptr {place}"), f.address(line, vector * lanes))
    return f


def _product(target: Target, dtype: torch.dtype, most: int) -> Function:
    lanes = target.lanes(dtype)
    head = (
        "void @product(ptr %a, i64 %stride, i64 %count, ptr %packed, i64 %depth, i64 %vectors, ptr %result, i64 %across)"
    )
    f = Function(head, dtype, lanes)
    panels = f.ceiling("%vectors", len(target.tiles))
    with f.loop(0, panels, what="panel") as panel:
        first, wide = _panel(f, panel, panels)
        packed = f.address("%packed", f.whole("mul", f.whole("mul", first, "%depth"), lanes))
        limit = f.value(f"load i64, ptr {f.address('@limits', f.whole('sub', wide, 1), 'i64')}")
        high = f.ceiling("%count", f.ceiling("%count", limit))  # tiles of about the same height
        row_of_table = f.whole("sub", f.whole("mul", f.whole("sub", wide, 1), most), 1)
        with f.loop(0, "%count", high, what="tile") as row:
            rows = f.smaller(high, f.whole("sub", "%count", row))
            tile = f.value(f"load ptr, ptr {f.address('@tiles', f.whole('add', row_of_table, rows), 'ptr')}")
            a = f.address("%a", f.whole("mul", row, "%stride"))
            corner = f.whole("add", f.whole("mul", row, "%across"), f.whole("mul", first, lanes))
            result = f.address("%result", corner)
            f.do(f"call void {tile}(ptr {a}, i64 %stride, ptr {packed}, i64 %depth, ptr {result}, i64 %across)")
    return f


def _panel(f: Function, panel: str, panels: str) -> tuple[str, str]:
    """First vector and width of a panel; panels are of about the same width."""
    first = f.whole("sdiv", f.whole("mul", panel, "%vectors"), panels)
    after = f.whole("sdiv", f.whole("mul", f.whole("add", panel, 1), "%vectors"), panels)
    return first, f.whole("sub", after, first)


_BLOCK = 16  # rows of a matrix that are packed together: a block of them and its panel stay in the first cache


def _pack(target: Target, dtype: torch.dtype) -> Function:
    lanes = target.lanes(dtype)
    head = "void @pack(ptr noalias %matrix, i64 %down, i64 %across, i64 %depth, i64 %width, ptr noalias %packed)"
    f = Function(head, dtype, lanes)
    f.do(f"%vectors = sdiv i64 {f.whole('add', '%width', lanes - 1)}, {lanes}")
    panels = f.ceiling("%vectors", len(target.tiles))
    with f.loop(0, panels, what="panel") as panel:
        first, wide = _panel(f, panel, panels)
        packed = f.address("%packed", f.whole("mul", f.whole("mul", first, "%depth"), lanes))
        column = f.whole("mul", first, lanes)
        columns = f.whole("mul", wide, lanes)
        along = f.value("icmp eq i64 %across, 1")
        with f.when(along, what="rows"), f.loop(0, "%depth", what="row") as k:
            line = f.address("%matrix", f.whole("mul", k, "%down"))
            with f.loop(0, columns, lanes, what="vector") as j:
                at = f.whole("add", column, j)
                numbers = f.read(f.address(line, at), f.first(at, "%width"))
                f.write(numbers, f.address(packed, f.whole("add", f.whole("mul", k, columns), j)))
        with f.when(f.value(f"xor i1 {along}, true"), what="columns"), f.loop(0, "%depth", _BLOCK, what="block") as top:
            bottom = f.smaller(f.whole("add", top, _BLOCK), "%depth")
            with f.loop(0, columns, what="column") as j:
                at = f.whole("add", column, j)
                there = f.value(f"icmp slt i64 {at}, %width")
                start = f.address("%matrix", f.whole("mul", f.value(f"select i1 {there}, i64 {at}, i64 0"), "%across"))
                with f.loop(top, bottom, what="row") as k:
                    number = f.value(f"load {f.number}, ptr {f.address(start, f.whole('mul', k, '%down'))}")
                    number = f.value(f"select i1 {there}, {f.number} {number}, {f.number} {f.literal(0.0)}")
                    place = f.address(packed, f.whole("add", f.whole("mul", k, columns), j))
                    f.do(f"store {f.number} {number}, ptr {place}")
    return f
