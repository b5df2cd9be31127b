"""Matrix products: register-blocked tiles, and the packing that lays a matrix out for them.

A packed matrix is cut into columns one vector wide, each with its rows one below the other. A tile reads a few such
columns as streams, fetched ahead of their use, and keeps its sums in registers over the whole depth: Goto and van de
Geijn 2008, "Anatomy of high-performance matrix multiplication".
"""

from __future__ import annotations

from dataclasses import replace

import torch

from unspool.engine.cpu.emit.target import Target
from unspool.engine.cpu.emit.text import Function

__all__ = ["emit_products", "packed_size"]

_AHEAD = 64
"""How many rows before their use a column's numbers are fetched. A step has few rows to multiply, so the weights come
from a far cache at every step: without this the processor waits for them a third of the time at 512 units and more."""
_SMALL_TILES = (6, 6)
"""For products of columns, which only small problems make: fewer tiles are compiled sooner."""
_ROUNDED = 32  # rows that are rounded to bfloat16 at a time
_LINE = 64  # bytes that a processor fetches at once


def packed_size(depth: int, width: int, lanes: int, *, half: bool = False) -> int:
    """How many numbers of the loop's type a packed matrix takes."""
    lines = -(-depth // 2) if half else depth
    return lines * (-(-width // lanes)) * lanes


def emit_products(target: Target, dtype: torch.dtype, *, half: bool = False, turned: bool = False) -> str:
    """A module with two functions.

    `product(rows, stride, count, packed, depth, vectors, result, stride)` multiplies `count` rows by a packed matrix
    `vectors` vectors wide. `pack(matrix, down, across, depth, width, packed)` packs a matrix whose neighbours stand
    `down` and `across` numbers apart.

    Args:
        target: The instruction set.
        dtype: The type of all numbers outside.
        half: Whether rows and matrix are rounded to bfloat16 before they are multiplied. Two of them stand where one
            float32 would, and one instruction adds two products to a float32 sum.
        turned: Whether the columns of `rows` are multiplied instead, `count` of them: what a matrix's gradient is.
    """
    if turned:
        target = replace(target, tiles=_SMALL_TILES)
    tiles = [
        _tile(rows, vectors, dtype, target, half, turned)
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
    name = "multiply" if half else "product"
    functions = [*tiles, _product(target, dtype, most, name, turned), _pack(target, dtype, half)]
    if half:
        functions.append(_rounded_product(target, dtype))
    declared = sorted(set().union(*(function.declared for function in functions)))
    return "\n\n".join(["\n".join([*declared, *constants]), *map(str, functions)])


def _tile(rows: int, vectors: int, dtype: torch.dtype, target: Target, half: bool, turned: bool) -> Function:
    """Some rows times some columns; written with the sums on the stack, from where LLVM moves them to registers."""
    lanes = target.lanes(dtype)
    head = (
        f"internal void @tile{rows}x{vectors}(ptr noalias %a, i64 %stride, ptr noalias %packed, i64 %depth, "
        f"ptr noalias %result, i64 %across) noinline"
    )
    f = Function(head, dtype, lanes)
    starts = [f.address("%a", row if turned else f.whole("mul", "%stride", row)) for row in range(rows)]
    apart = f.whole("mul", "%depth", lanes)
    columns = [f.address("%packed", f.whole("mul", apart, number)) for number in range(vectors)]
    sums = [[f.allocate(f.vector) for _ in range(vectors)] for _ in range(rows)]
    for row in sums:
        for place in row:
            f.do(f"store {f.vector} zeroinitializer, ptr {place}")
    with f.loop(0, "%depth", what="depth") as k:
        down = f.whole("mul", k, lanes)
        here = [f.address(column, down) for column in columns]
        if target.register_bytes == _LINE:
            for place in here:
                f.prefetch(f.address(place, _AHEAD * lanes))
        factors = [f.read(place) for place in here]
        along = f.whole("mul", k, "%stride") if turned else k
        for start, row in zip(starts, sums, strict=True):
            number = f.spread(f.value(f"load {f.number}, ptr {f.address(start, along)}"))
            for place, factor in zip(row, factors, strict=True):
                so_far = f.value(f"load {f.vector}, ptr {place}")
                total = f.fused_pairs(number, factor, so_far) if half else f.fused(number, factor, so_far)
                f.do(f"store {f.vector} {total}, ptr {place}")
    for height, row in enumerate(sums):
        line = f.address("%result", f.whole("mul", "%across", height))
        for vector, place in enumerate(row):
            f.write(f.value(f"load {f.vector}, ptr {place}"), f.address(line, vector * lanes))
    return f


def _product(target: Target, dtype: torch.dtype, most: int, name: str, turned: bool) -> Function:
    lanes = target.lanes(dtype)
    a, packed, result = "ptr %a, i64 %stride, i64 %count", "ptr %packed, i64 %depth", "ptr %result, i64 %across"
    f = Function(f"void @{name}({a}, {packed}, i64 %vectors, {result})", dtype, lanes)
    groups = f.ceiling("%vectors", len(target.tiles))
    with f.loop(0, groups, what="group") as group:  # groups of about the same width
        first = f.whole("sdiv", f.whole("mul", group, "%vectors"), groups)
        after = f.whole("sdiv", f.whole("mul", f.whole("add", group, 1), "%vectors"), groups)
        wide = f.whole("sub", after, first)
        packed = f.address("%packed", f.whole("mul", f.whole("mul", first, "%depth"), lanes))
        limit = f.value(f"load i64, ptr {f.address('@limits', f.whole('sub', wide, 1), 'i64')}")
        high = f.ceiling("%count", f.ceiling("%count", limit))  # tiles of about the same height
        row_of_table = f.whole("sub", f.whole("mul", f.whole("sub", wide, 1), most), 1)
        with f.loop(0, "%count", high, what="tile") as row:
            height = f.smaller(high, f.whole("sub", "%count", row))
            tile = f.value(f"load ptr, ptr {f.address('@tiles', f.whole('add', row_of_table, height), 'ptr')}")
            a = f.address("%a", row if turned else f.whole("mul", row, "%stride"))
            corner = f.whole("add", f.whole("mul", row, "%across"), f.whole("mul", first, lanes))
            result = f.address("%result", corner)
            f.do(f"call void {tile}(ptr {a}, i64 %stride, ptr {packed}, i64 %depth, ptr {result}, i64 %across)")
    return f


def _rounded_product(target: Target, dtype: torch.dtype) -> Function:
    """The product of rows that are rounded to bfloat16 first, some at a time."""
    lanes = target.lanes(dtype)
    a, packed, result = "ptr %a, i64 %stride, i64 %count", "ptr %packed, i64 %depth", "ptr %result, i64 %across"
    f = Function(f"void @product({a}, {packed}, i64 %vectors, {result})", dtype, lanes)
    pairs = f.ceiling("%depth", 2)
    wide = f.whole("mul", f.ceiling("%depth", 2 * lanes), lanes)
    room = f.value(f"alloca {f.number}, i64 {f.whole('mul', wide, _ROUNDED)}, align 64")
    with f.loop(0, "%count", _ROUNDED, what="top") as top:
        rows = f.smaller(_ROUNDED, f.whole("sub", "%count", top))
        with f.loop(0, rows, what="row") as row:
            line = f.address("%a", f.whole("mul", "%stride", f.whole("add", top, row)))
            rounded = f.address(room, f.whole("mul", row, wide))
            with f.loop(0, "%depth", 2 * lanes, what="column") as column:
                both = (column, f.whole("add", column, lanes))
                low, high = (f.read(f.address(line, at), f.first(at, "%depth")) for at in both)
                f.write(f.rounded(low, high), f.address(rounded, f.whole("sdiv", column, 2)))
        result = f.address("%result", f.whole("mul", "%across", top))
        f.do(
            f"call void @multiply(ptr {room}, i64 {wide}, i64 {rows}, ptr %packed, i64 {pairs}, i64 %vectors, "
            f"ptr {result}, i64 %across)"
        )
    return f


def _pack(target: Target, dtype: torch.dtype, half: bool) -> Function:
    """A line of a packed column is a vector of one row; of two, number beside number, where both are rounded."""
    lanes, each = target.lanes(dtype), 2 if half else 1
    head = "void @pack(ptr noalias %matrix, i64 %down, i64 %across, i64 %depth, i64 %width, ptr noalias %packed)"
    f = Function(head, dtype, lanes)
    deep = f.whole("mul", f.ceiling("%depth", each), lanes)
    with f.loop(0, "%width", lanes, what="column") as column:
        packed = f.address("%packed", f.whole("mul", f.whole("sdiv", column, lanes), deep))
        along = f.value("icmp eq i64 %across, 1")
        with f.when(along, what="rows"), f.loop(0, "%depth", each, what="row") as k:
            rows = []
            for at in (k, f.whole("add", k, 1))[:each]:
                line = f.address("%matrix", f.whole("add", f.whole("mul", at, "%down"), column))
                there = f.value(f"select i1 {f.value(f'icmp slt i64 {at}, %depth')}, i64 %width, i64 0")
                rows.append(f.read(line, f.first(column, there)))
            f.write(_line(f, rows), f.address(packed, f.whole("mul", f.whole("sdiv", k, each), lanes)))
        down = f.value(f"xor i1 {along}, true")
        with f.when(down, what="columns"), f.loop(0, "%depth", lanes, what="block") as top:
            _pack_block(f, top, column, packed, each)
    return f


def _line(f: Function, rows: list[str]) -> str:
    return rows[0] if len(rows) == 1 else f.rounded(*rows, mixed=True)


def _pack_block(f: Function, top: str, column: str, packed: str, each: int) -> None:
    """A square block of a matrix whose columns stand one after the other: read columns, turn them, write rows."""
    lanes = f.lanes
    within = f.first(top, "%depth")
    vectors = []
    for number in range(lanes):
        at = f.whole("add", column, number)
        there = f.value(f"icmp slt i64 {at}, %width")
        start = f.address("%matrix", f.whole("mul", f.value(f"select i1 {there}, i64 {at}, i64 0"), "%across"))
        read = f.read(f.address(start, top), within)
        vectors.append(f.value(f"select i1 {there}, {f.vector} {read}, {f.vector} zeroinitializer"))
    rows = f.transposed(vectors)
    for number in range(0, lanes, each):
        k = f.whole("add", top, number)
        with f.when(f.value(f"icmp slt i64 {k}, %depth"), what="row"):
            place = f.address(packed, f.whole("mul", f.whole("sdiv", k, each), lanes))
            f.write(_line(f, rows[number : number + each]), place)
