"""Vector microkernel: register-blocked products, and the packing of matrices for them.

A packed matrix is cut into columns one vector wide, each with its rows one below the other. A block reads a few such
columns as streams, prefetched ahead of their use, and keeps its sums in registers over the whole depth: Goto and van de
Geijn 2008, "Anatomy of high-performance matrix multiplication".
"""

from __future__ import annotations

import torch

from unspool.engine.cpu.codegen.gemm.blocking import Columns, Results, Rows, Scheme, emit_whole
from unspool.engine.cpu.codegen.llvm_builder import Function
from unspool.engine.cpu.codegen.target import CACHE_LINE, Target
from unspool.engine.cpu.policy import DEFAULT_CODEGEN, CodegenPolicy

__all__ = ["emit_products", "packed_size", "work_size"]


def packed_size(depth: int, width: int, lanes: int, *, half: bool = False) -> int:
    """Return how many numbers of the loop's type a packed matrix takes."""
    lines = -(-depth // 2) if half else depth
    return lines * (-(-width // lanes)) * lanes


def work_size(target: Target, dtype: torch.dtype, policy: CodegenPolicy) -> int:
    """Return how many numbers of memory each thread needs for products of the same rows."""
    return policy.block_depth // 2 * policy.panel_rows + _cached_columns(target, dtype, policy)


def _cached_columns(target: Target, dtype: torch.dtype, policy: CodegenPolicy) -> int:
    """Return how many numbers of packed columns stay in the core's own cache."""
    return int(policy.column_cache_share * target.cache) // dtype.itemsize


def emit_products(
    target: Target, dtype: torch.dtype, *, half: bool = False, policy: CodegenPolicy = DEFAULT_CODEGEN
) -> str:
    """Return a module with functions on packed matrices.

    `product(rows, stride, count, packed, depth, vectors, result, stride, backward)` multiplies `count` rows by a packed
    matrix `vectors` vectors wide; it reads the columns from the last to the first if `backward` is odd, so that a loop
    that alternates meets the columns that the core's cache still holds.

    `pack(matrix, down, across, depth, width, packed)` packs a matrix whose neighbours stand
    `down` and `across` numbers apart. If not `half`, there are also `turned`, which multiplies `count` columns instead
    of rows, as a matrix's gradient needs it, and what `emit_whole` describes.

    Args:
        target: The instruction set.
        dtype: The type of all numbers outside.
        half: Whether rows and matrix are rounded to bfloat16 before they are multiplied. Two of them stand where one
            float32 would, and one instruction adds two products to a float32 sum.
        policy: Block sizes and prefetch distance.
    """
    limits = _limits(target, policy)
    tiles = [
        _tile(rows, vectors, dtype, target, half, policy)
        for vectors, most in enumerate(limits, start=1)
        for rows in range(1, most + 1)
    ]
    most = max(limits)
    table = [
        f"ptr @tile{rows}x{vectors}" if rows <= limit else "ptr null"
        for vectors, limit in enumerate(limits, start=1)
        for rows in range(1, most + 1)
    ]
    constants = [
        f"@tiles = internal constant [{len(table)} x ptr] [{', '.join(table)}]",
        f"@limits = internal constant [{len(limits)} x i64] [{', '.join(f'i64 {n}' for n in limits)}]",
    ]
    functions = [*tiles, _sweep(target, dtype, policy), _pack(target, dtype, half)]
    if half:
        functions.append(_rounded_product(target, dtype, policy.rounding_rows))
    else:
        functions += [_product(target, dtype, turned) for turned in (False, True)]
        functions += emit_whole(_Vectors(target, dtype, policy))
    declared = sorted(set().union(*(function.declared for function in functions)))
    return "\n\n".join(["\n".join([*declared, *constants]), *map(str, functions)])


def _limits(target: Target, policy: CodegenPolicy) -> list[int]:
    """Return the most rows of a tile, by its number of vectors.

    Few rows are multiplied by more vectors than many: one row by three would wait for the latency of three sums.
    """
    registers = max(rows * vectors + vectors + 1 for vectors, rows in enumerate(target.tiles, start=1))
    wide = range(len(target.tiles) + 1, policy.few_rows_vectors + 1)
    return [*target.tiles, *(rows for rows in ((registers - 1) // vectors - 1 for vectors in wide) if rows > 0)]


def _tile(rows: int, vectors: int, dtype: torch.dtype, target: Target, half: bool, policy: CodegenPolicy) -> Function:
    """Some rows times some columns; written with the sums on the stack, from where LLVM moves them to registers.

    Rows stand `%along` apart and neighbours in depth `%down`, columns one vector wide `%apart`. Columns are prefetched
    some rows before their use: a step has few rows to multiply, so its weights come from a far cache.
    """
    ahead = policy.prefetch_rows if vectors <= len(target.tiles) else policy.few_rows_prefetch
    lanes = target.lanes(dtype)
    head = (
        f"internal void @tile{rows}x{vectors}(ptr noalias %a, i64 %along, i64 %down, ptr noalias %packed, i64 %apart, "
        f"i64 %depth, ptr noalias %result, i64 %across, i1 %adds) noinline"
    )
    f = Function(head, dtype, lanes)
    starts = [f.address("%a", f.whole("mul", "%along", row)) for row in range(rows)]
    columns = [f.address("%packed", f.whole("mul", "%apart", number)) for number in range(vectors)]
    sums = [[f.allocate(f.vector) for _ in range(vectors)] for _ in range(rows)]
    for row in sums:
        for place in row:
            f.do(f"store {f.vector} zeroinitializer, ptr {place}")
    with f.loop(0, "%depth", what="depth") as k:
        line = f.whole("mul", k, lanes)
        here = [f.address(column, line) for column in columns]
        if target.register_bytes == CACHE_LINE:
            for place in here:
                f.prefetch(f.address(place, ahead * lanes))
        factors = [f.read(place) for place in here]
        at = f.whole("mul", k, "%down")
        for start, row in zip(starts, sums, strict=True):
            number = f.spread(f.value(f"load {f.number}, ptr {f.address(start, at)}"))
            for place, factor in zip(row, factors, strict=True):
                so_far = f.value(f"load {f.vector}, ptr {place}")
                total = f.fused_pairs(number, factor, so_far) if half else f.fused(number, factor, so_far)
                f.do(f"store {f.vector} {total}, ptr {place}")
    results = [
        (place, f.address(f.address("%result", f.whole("mul", "%across", height)), vector * lanes))
        for height, row in enumerate(sums)
        for vector, place in enumerate(row)
    ]
    with f.when("%adds", what="more"):
        for place, to in results:
            total = f.two("fadd", f.read(to), f.value(f"load {f.vector}, ptr {place}"))
            f.do(f"store {f.vector} {total}, ptr {place}")
    for place, to in results:
        f.write(f.value(f"load {f.vector}, ptr {place}"), to)
    return f


def _sweep(target: Target, dtype: torch.dtype, policy: CodegenPolicy) -> Function:
    """Rows times columns a number of vectors wide: over groups of columns, and for each over groups of rows.

    One accumulator adds up `chain_terms` terms, since its error grows with their number; then partial sums are added.
    """
    lanes, chain = target.lanes(dtype), policy.chain_terms
    f = Function(
        "internal void @sweep(ptr %a, i64 %along, i64 %down, i64 %count, ptr %packed, i64 %apart, i64 %depth, "
        "i64 %vectors, ptr %result, i64 %across, i1 %adds, i1 %backward)",
        dtype,
        lanes,
    )
    most = str(len(target.tiles))
    limits = _limits(target, policy)
    for vectors in range(len(target.tiles) + 1, len(limits) + 1):
        few = f.value(f"icmp sle i64 %count, {limits[vectors - 1]}")
        most = f.value(f"select i1 {few}, i64 {vectors}, i64 {most}")
    groups = f.ceiling("%vectors", most)
    with f.loop(0, groups, what="group") as count:  # groups of about the same width
        mirrored = f.whole("sub", f.whole("sub", groups, 1), count)
        group = f.value(f"select i1 %backward, i64 {mirrored}, i64 {count}")
        first = f.whole("sdiv", f.whole("mul", group, "%vectors"), groups)
        after = f.whole("sdiv", f.whole("mul", f.whole("add", group, 1), "%vectors"), groups)
        wide = f.whole("sub", after, first)
        packed = f.address("%packed", f.whole("mul", first, "%apart"))
        limit = f.value(f"load i64, ptr {f.address('@limits', f.whole('sub', wide, 1), 'i64')}")
        high = f.ceiling("%count", f.ceiling("%count", limit))  # tiles of about the same height
        row_of_table = f.whole("sub", f.whole("mul", f.whole("sub", wide, 1), max(limits)), 1)
        with f.loop(0, "%count", high, what="tile") as row:
            height = f.smaller(high, f.whole("sub", "%count", row))
            tile = f.value(f"load ptr, ptr {f.address('@tiles', f.whole('add', row_of_table, height), 'ptr')}")
            a = f.address("%a", f.whole("mul", row, "%along"))
            result = f.address("%result", f.whole("add", f.whole("mul", row, "%across"), f.whole("mul", first, lanes)))
            with f.loop(0, "%depth", chain, what="chain") as k:
                start, line = f.address(a, f.whole("mul", k, "%down")), f.address(packed, f.whole("mul", k, lanes))
                deep = f.smaller(chain, f.whole("sub", "%depth", k))
                adds = f.value(f"or i1 %adds, {f.value(f'icmp sgt i64 {k}, 0')}")
                f.do(
                    f"call void {tile}(ptr {start}, i64 %along, i64 %down, ptr {line}, i64 %apart, i64 {deep}, "
                    f"ptr {result}, i64 %across, i1 {adds})"
                )
    return f


def _product(target: Target, dtype: torch.dtype, turned: bool) -> Function:
    lanes, name = target.lanes(dtype), "turned" if turned else "product"
    a, packed, result = "ptr %a, i64 %stride, i64 %count", "ptr %packed, i64 %depth", "ptr %result, i64 %across"
    order = "" if turned else ", i64 %backward"
    f = Function(f"void @{name}({a}, {packed}, i64 %vectors, {result}{order})", dtype, lanes)
    backward = "false" if turned else f.value("trunc i64 %backward to i1")
    along, down = ("1", "%stride") if turned else ("%stride", "1")
    f.do(
        f"call void @sweep(ptr %a, i64 {along}, i64 {down}, i64 %count, ptr %packed, "
        f"i64 {f.whole('mul', '%depth', lanes)}, i64 %depth, i64 %vectors, ptr %result, i64 %across, i1 false, "
        f"i1 {backward})"
    )
    return f


def _rounded_product(target: Target, dtype: torch.dtype, at_a_time: int) -> Function:
    """Emit the product of rows that are rounded to bfloat16 first, `at_a_time` of them."""
    lanes = target.lanes(dtype)
    a, packed, result = "ptr %a, i64 %stride, i64 %count", "ptr %packed, i64 %depth", "ptr %result, i64 %across"
    f = Function(f"void @product({a}, {packed}, i64 %vectors, {result}, i64 %backward)", dtype, lanes)
    backward = f.value("trunc i64 %backward to i1")
    pairs = f.ceiling("%depth", 2)
    apart = f.whole("mul", pairs, lanes)
    wide = f.whole("mul", f.ceiling("%depth", 2 * lanes), lanes)
    room = f.value(f"alloca {f.number}, i64 {f.whole('mul', wide, at_a_time)}, align 64")
    with f.loop(0, "%count", at_a_time, what="top") as top:
        rows = f.smaller(at_a_time, f.whole("sub", "%count", top))
        with f.loop(0, rows, what="row") as row:
            line = f.address("%a", f.whole("mul", "%stride", f.whole("add", top, row)))
            rounded = f.address(room, f.whole("mul", row, wide))
            with f.loop(0, "%depth", 2 * lanes, what="column") as column:
                both = (column, f.whole("add", column, lanes))
                low, high = (f.read(f.address(line, at), f.first(at, "%depth")) for at in both)
                f.write(f.rounded(low, high), f.address(rounded, f.whole("sdiv", column, 2)))
        result = f.address("%result", f.whole("mul", "%across", top))
        f.do(
            f"call void @sweep(ptr {room}, i64 {wide}, i64 1, i64 {rows}, ptr %packed, i64 {apart}, i64 {pairs}, "
            f"i64 %vectors, ptr {result}, i64 %across, i1 false, i1 {backward})"
        )
    return f


def _pack(target: Target, dtype: torch.dtype, half: bool) -> Function:
    """Emit the packing. A line of a packed column is a vector of one row; of two, number beside number, if both are
    rounded.
    """
    lanes, each = target.lanes(dtype), 2 if half else 1
    head = "void @pack(ptr noalias %matrix, i64 %down, i64 %across, i64 %depth, i64 %width, ptr noalias %packed)"
    f = Function(head, dtype, lanes)
    deep = f.whole("mul", f.ceiling("%depth", each), lanes)
    along = f.value("icmp eq i64 %across, 1")
    with f.when(along, what="rows"), f.loop(0, "%depth", each, what="row") as k:  # in the order in which they lie
        lines = [f.whole("add", k, number) for number in range(each)]
        starts = [f.address("%matrix", f.whole("mul", line, "%down")) for line in lines]
        widths = [f.value(f"select i1 {f.value(f'icmp slt i64 {line}, %depth')}, i64 %width, i64 0") for line in lines]
        to = f.address("%packed", f.whole("mul", f.whole("sdiv", k, each), lanes))
        with f.loop(0, "%width", lanes, what="column") as column:
            rows = [
                f.read(f.address(start, column), f.first(column, width))
                for start, width in zip(starts, widths, strict=True)
            ]
            f.write(_line(f, rows), f.address(to, f.whole("mul", f.whole("sdiv", column, lanes), deep)))
    down = f.value(f"xor i1 {along}, true")
    with f.when(down, what="columns"), f.loop(0, "%width", lanes, what="column") as column:
        packed = f.address("%packed", f.whole("mul", f.whole("sdiv", column, lanes), deep))
        with f.loop(0, "%depth", lanes, what="block") as top:
            _pack_block(f, top, column, packed, each)
    return f


def _line(f: Function, rows: list[str]) -> str:
    return rows[0] if len(rows) == 1 else f.rounded(*rows, mixed=True)


def _pack_block(f: Function, top: str, column: str, packed: str, each: int) -> None:
    """Emit a square block of a matrix whose columns are adjacent: read columns, transpose them, write rows."""
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


class _Vectors(Scheme):
    """Blocking on vectors: a unit is a packed column."""

    grain = 1

    def __init__(self, target: Target, dtype: torch.dtype, policy: CodegenPolicy) -> None:
        self._target, self._dtype, self.unit = target, dtype, target.lanes(dtype)
        self.deep, self.high = policy.block_depth, policy.panel_rows
        self.before, self.work = self.deep // 2 * self.high, work_size(target, dtype, policy)
        self._cached_columns = _cached_columns(target, dtype, policy)

    def function(self, head: str) -> Function:
        return Function(f"void {head}", self._dtype, self.unit)

    def near(self, f: Function, units: str, deep: str) -> tuple[str, str]:
        fit = f.whole("sdiv", str(self._cached_columns), self.size(f, deep))
        return f.value(f"icmp sle i64 {units}, {fit}"), f.ceiling(units, f.ceiling(units, fit))

    def size(self, f: Function, depth: str) -> str:
        return f.whole("mul", depth, self.unit)

    def lay_columns(
        self, f: Function, start: str, strides: tuple[str, str], sizes: tuple[str, str], to: tuple[str, str]
    ) -> None:
        (down, across), (deep, width) = strides, sizes
        f.do(f"call void @pack(ptr {start}, i64 {down}, i64 {across}, i64 {deep}, i64 {width}, ptr {to[0]})")

    def lay_rows(
        self, f: Function, start: str, strides: tuple[str, str], sizes: tuple[str, str], to: tuple[str, str]
    ) -> Rows:
        """Rows are read as they are; transposed ones are packed, since neighbours in depth may be pages apart."""
        (down, along), (deep, count) = strides, sizes
        turned = f.value(f"icmp ne i64 {down}, 1")
        with f.when(turned, what="turned"):
            self._copy(f, (start, down), (to[0], str(self.high)), (deep, count))
        place = f.value(f"select i1 {turned}, ptr {to[0]}, ptr {start}")
        apart = f.value(f"select i1 {turned}, i64 1, i64 {along}")
        return Rows(place, apart, f.value(f"select i1 {turned}, i64 {self.high}, i64 1"), count)

    def multiply(self, f: Function, rows: Rows, columns: Columns, deep: str, results: Results) -> None:
        """The last columns may be fewer than a vector: the columns beside them in the result are not written."""
        most, wide = len(self._target.tiles), len(self._target.tiles) * self.unit
        vectors, whole = f.ceiling(columns.width, self.unit), f.whole("sdiv", columns.width, self.unit)
        groups = f.ceiling(vectors, most)
        last = f.whole("sdiv", f.whole("mul", f.whole("sub", groups, 1), vectors), groups)
        odd = f.value(f"icmp ne i64 {vectors}, {whole}")
        direct = f.value(f"select i1 {odd}, i64 {last}, i64 {vectors}")
        a = f"i64 {rows.apart}, i64 {rows.down}"
        f.do(
            f"call void @sweep(ptr {rows.start}, {a}, i64 {rows.height}, ptr {columns.start}, i64 {columns.apart}, "
            f"i64 {deep}, i64 {direct}, ptr {results.start}, i64 {results.across}, i1 {results.adds}, i1 false)"
        )
        with f.when(odd, what="edge"):
            packed, left = (
                f.address(columns.start, f.whole("mul", last, columns.apart)),
                f.whole("mul", last, self.unit),
            )
            edge, over = f.allocate(f"[{self.high * wide} x {f.number}]"), f.whole("sub", columns.width, left)
            there = f.address(results.start, left)
            with f.when(results.adds, what="before"):  # and not after, so that all sums are added up in one order
                self._copy(f, (there, results.across), (edge, str(wide)), (rows.height, over))
            f.do(
                f"call void @sweep(ptr {rows.start}, {a}, i64 {rows.height}, ptr {packed}, i64 {columns.apart}, "
                f"i64 {deep}, i64 {f.whole('sub', vectors, last)}, ptr {edge}, i64 {wide}, i1 {results.adds}, "
                "i1 false)"
            )
            self._copy(f, (edge, str(wide)), (there, results.across), (rows.height, over))

    def _copy(self, f: Function, start: tuple[str, str], to: tuple[str, str], sizes: tuple[str, str]) -> None:
        """Copy rows, each so far from the one before."""
        with f.loop(0, sizes[0], what="row") as row:
            line, copy = (f.address(place, f.whole("mul", row, apart)) for place, apart in (start, to))
            with f.loop(0, sizes[1], self.unit, what="column") as column:
                within = f.first(column, sizes[1])
                f.write(f.read(f.address(line, column), within), f.address(copy, column), within)

    def end(self, f: Function) -> None:
        pass
