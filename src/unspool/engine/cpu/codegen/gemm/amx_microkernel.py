"""AMX microkernel: products of float32 by an instruction that multiplies tiles of bfloat16."""

from __future__ import annotations

from unspool.engine.cpu.codegen.gemm.amx_packing import DEPTH, HIGH, TILE, emit_fill, function, tiles_size
from unspool.engine.cpu.codegen.gemm.blocking import Columns, Results, Rows, Scheme, emit_whole
from unspool.engine.cpu.codegen.llvm_builder import Function
from unspool.engine.cpu.codegen.target import Target
from unspool.engine.cpu.policy import DEFAULT_CODEGEN, CodegenPolicy

__all__ = ["emit_tiled", "work_size"]

_WIDTHS = {1: 4, 2: 2}
"""Tiles of sums side by side, by the number of those below one another: four in all."""
_ORDER = ((0, 1), (0, 2), (0, 0), (2, 0), (1, 0), (1, 1))
"""Parts of columns and of rows whose products are taken: first those that need few loads, and as many as possible whose
parts are in a tile already. The order is the same everywhere, so that bits do not depend on the number of rows."""


def work_size(parts: int, policy: CodegenPolicy) -> int:
    """Return how many float32 of memory each thread needs for products of the same rows."""
    return tiles_size(policy.block_depth, HIGH * policy.amx_panel_tiles, parts) + policy.amx_column_tiles * parts * TILE


def emit_tiled(target: Target, parts: int, policy: CodegenPolicy = DEFAULT_CODEGEN) -> str:
    """Return a module with functions on float32.

    `product(rows, stride, count, tiles, depth, vectors, result, stride)` and `pack(matrix, down, across, depth, width,
    tiles)` are what `emit_products` describes, `multiply(job, part)` and `multiply_join(job)` what `emit_whole` does.

    Args:
        target: The instruction set.
        parts: Into how many bfloat16 a number is split: three for float32; one for its rounded value.
        policy: Block sizes.
    """
    functions = [*emit_fill(target, parts), _configure(target)]
    functions += [_sums(target, parts, high, wide) for high, most in _WIDTHS.items() for wide in range(1, most + 1)]
    functions += [_sweep(target), _product(target, parts, policy.block_depth), _pack(target, parts)]
    functions += emit_whole(_Tiled(target, parts, policy))
    declared = sorted(set().union(*(function.declared for function in functions)))
    return "\n\n".join(["\n".join(declared), *map(str, functions)])


def _configure(target: Target) -> Function:
    """Emit the configuration of tiles: 0 to 3 hold sums, 4 to 6 rows, and the last ones up to 7 columns.

    Of two rows of tiles, the lower one is 2, 3 and 5, with `%low` lines; if `%low` is 0, there is one row.
    """
    f = function("@configure(i64 %high, i64 %low)", target, internal=True)
    room = f.allocate("[64 x i8]")
    f.do(f"store <64 x i8> zeroinitializer, ptr {room}")
    f.do(f"store i8 1, ptr {room}")
    one = f.value("icmp eq i64 %low, 0")
    lower = f.value(f"select i1 {one}, i64 %high, i64 %low")
    sixth = f.value(f"select i1 {one}, i64 %high, i64 {HIGH}")
    lines = ["%high", "%high", lower, lower, "%high", lower, sixth, HIGH]
    for tile, count in enumerate(lines):
        f.do(f"store i16 64, ptr {f.address(room, 16 + 2 * tile, 'i8')}")
        f.do(f"store i8 {f.value(f'trunc i64 {count} to i8')}, ptr {f.address(room, 48 + tile, 'i8')}")
    f.call("void", "llvm.x86.ldtilecfg", f"ptr {room}")
    return f


def _sums(target: Target, parts: int, high: int, wide: int) -> Function:
    """Emit tiles of sums, `high` below one another and `wide` side by side, over at most `block_depth` terms.

    Those of the rows below begin `%further` numbers behind, and end in a result of their own, `%under`. A sum that is
    added to a result is summed up by itself first: the last parts of a number would be lost in a large sum.
    """
    f = function(
        f"@sums{high}x{wide}(ptr %rows, i64 %further, ptr %columns, i64 %apart, i64 %blocks, ptr %result, ptr %under, "
        f"i64 %across, i64 %high, i64 %low, i1 %adds) noinline",
        target,
        internal=True,
    )
    places = [(row, column) for row in range(high) for column in range(wide)]
    number = {(row, column): row * 2 + column for row, column in places}
    results = {place: f.address(("%result", "%under")[place[0]], HIGH * place[1]) for place in places}
    for place in places:
        f.call("void", "llvm.x86.tilezero", f"i8 {number[place]}")
    starts = [f.address("%rows", f.whole("mul", "%further", row)) for row in range(high)]
    heads = [f.address("%columns", f.whole("mul", "%apart", column)) for column in range(wide)]
    room = f.allocate(f"[{HIGH * HIGH} x float]")
    with f.loop(0, "%blocks", what="block") as block:
        at = f.whole("mul", block, parts * TILE)
        rows, columns = ([f.address(start, at) for start in group] for group in (starts, heads))
        _step(f, rows, columns, parts, number)
        f.tile_store(0, room, 64)  # read by nobody: a store that comes after 150 products waits for 900 cycles
    with f.when(f.value("xor i1 %adds, true"), what="new"):
        for place in places:
            f.tile_store(number[place], results[place], f.whole("mul", "%across", 4))
    with f.when("%adds", what="more"):
        for place in places:
            f.tile_store(number[place], room, 64)
            with f.loop(0, ("%high", "%low")[place[0]], what="row") as row:
                to = f.address(results[place], f.whole("mul", row, "%across"))
                f.write(f.two("fadd", f.read(to), f.read(f.address(room, f.whole("mul", row, HIGH)))), to)
    return f


def _step(f: Function, rows: list[str], columns: list[str], parts: int, number: dict[tuple[int, int], int]) -> None:
    """Emit all products of one depth."""
    order = [pair for pair in _ORDER if sum(pair) < parts]
    loaded: dict[int, str] = {}

    def load(tile: int, start: str, part: int, *, once: bool = False) -> None:
        place = f"{start} {part}"
        if loaded.get(tile) != place:
            f.tile_load(tile, f.address(start, part * TILE), 64, once=once)
            loaded[tile] = place

    if len(rows) == 1:  # all parts of the rows stay in tiles
        for part in range(parts):
            load(4 + part, rows[0], part)
        for column, start in enumerate(columns):
            for of_column, of_row in order:
                load(7, start, of_column, once=True)
                f.tile_product(number[0, column], 4 + of_row, 7)
        return
    for of_column, of_row in order:
        for column, start in enumerate(columns):
            load(6 + column, start, of_column)
        for row, start in enumerate(rows):
            load(4 + row, start, of_row)
            for column in range(len(columns)):
                f.tile_product(number[row, column], 4 + row, 6 + column)


def _sweep(target: Target) -> Function:
    """Emit rows in tiles, `%high` and `%low` of them, or only the former if `%low` is 0, times columns in tiles."""
    f = function(
        "@sweep(ptr %rows, i64 %further, i64 %high, i64 %low, ptr %columns, i64 %apart, i64 %blocks, i64 %vectors, "
        "ptr %result, i64 %across, i1 %adds)",
        target,
        internal=True,
    )
    f.do("call void @configure(i64 %high, i64 %low)")
    below = f.whole("mul", "%high", "%across")
    two = f.value("icmp ne i64 %low, 0")
    for high, condition in ((2, two), (1, f.value(f"xor i1 {two}, true"))):
        most = _WIDTHS[high]
        with f.when(condition, what=f"high{high}"), f.loop(0, "%vectors", most, what="column") as column:
            columns = f.address("%columns", f.whole("mul", column, "%apart"))
            result = f.address("%result", f.whole("mul", column, HIGH))
            under = f.address(result, below)
            wide = f.smaller(most, f.whole("sub", "%vectors", column))
            for count in range(1, most + 1):
                with f.when(f.value(f"icmp eq i64 {wide}, {count}"), what="wide"):
                    f.do(
                        f"call void @sums{high}x{count}(ptr %rows, i64 %further, ptr {columns}, i64 %apart, "
                        f"i64 %blocks, ptr {result}, ptr {under}, i64 %across, i64 %high, i64 %low, i1 %adds)"
                    )
    return f


def _product(target: Target, parts: int, block_depth: int) -> Function:
    rows, tiles, result = "ptr %a, i64 %stride, i64 %count", "ptr %tiles, i64 %depth", "ptr %result, i64 %across"
    f = function(f"@product({rows}, {tiles}, i64 %vectors, {result}, i64 %backward)", target)
    apart = f.whole("mul", f.ceiling("%depth", DEPTH), parts * TILE)
    further = tiles_size(block_depth, HIGH, parts)
    room = f.allocate(f"[{2 * further} x float]")
    with f.loop(0, "%count", 2 * HIGH, what="top") as top, f.loop(0, "%depth", block_depth, what="k") as k:
        count = f.smaller(2 * HIGH, f.whole("sub", "%count", top))
        deep = f.smaller(block_depth, f.whole("sub", "%depth", k))
        two = f.value(f"icmp sgt i64 {count}, {HIGH}")
        high = f.value(f"select i1 {two}, i64 {f.ceiling(count, 2)}, i64 {count}")  # of about the same height
        low = f.whole("sub", count, high)
        a = f.address(f.address("%a", f.whole("mul", top, "%stride")), k)
        _fill(f, a, ("1", "%stride"), (deep, high), (room, further), "false")
        with f.when(two, what="below"):
            a, below = f.address(a, f.whole("mul", high, "%stride")), f.address(room, further)
            _fill(f, a, ("1", "%stride"), (deep, low), (below, further), "false")
        to = f.address("%result", f.whole("mul", top, "%across"))
        tiles = f.address("%tiles", f.whole("mul", f.whole("sdiv", k, DEPTH), parts * TILE))
        blocks, adds = f.ceiling(deep, DEPTH), f.value(f"icmp sgt i64 {k}, 0")
        operands = f"ptr {room}, i64 {further}, i64 {high}, i64 {low}, ptr {tiles}, i64 {apart}, i64 {blocks}"
        f.do(f"call void @sweep({operands}, i64 %vectors, ptr {to}, i64 %across, i1 {adds})")
    f.call("void", "llvm.x86.tilerelease")
    return f


def _pack(target: Target, parts: int) -> Function:
    f = function("@pack(ptr %matrix, i64 %down, i64 %across, i64 %depth, i64 %width, ptr %tiles)", target)
    apart = f.whole("mul", f.ceiling("%depth", DEPTH), parts * TILE)
    _fill(f, "%matrix", ("%down", "%across"), ("%depth", "%width"), ("%tiles", apart), f.value("icmp eq i64 %down, 1"))
    return f


def _fill(
    f: Function, start: str, strides: tuple[str, str], sizes: tuple[str, str], to: tuple[str, str | int], turned: str
) -> None:
    """Pack rows or columns into tiles; strides and sizes are those in depth and across."""
    (down, across), (deep, count), (tiles, apart) = strides, sizes, to
    f.do(
        f"call void @fill(ptr {start}, i64 {down}, i64 {across}, i64 {deep}, i64 {count}, ptr {tiles}, i64 {apart}, "
        f"i1 {turned})"
    )


class _Tiled(Scheme):
    """Blocking in AMX tiles."""

    grain, unit = DEPTH, HIGH

    def __init__(self, target: Target, parts: int, policy: CodegenPolicy) -> None:
        self._target, self._parts, self.work = target, parts, work_size(parts, policy)
        self.deep, self.high = policy.block_depth, HIGH * policy.amx_panel_tiles
        self.before = tiles_size(self.deep, self.high, parts)
        self._column_tiles = policy.amx_column_tiles

    def function(self, head: str) -> Function:
        return function(head, self._target)

    def near(self, f: Function, units: str, deep: str) -> tuple[str, str]:
        fit = f.whole("sdiv", str(self._column_tiles), f.ceiling(deep, DEPTH))
        return f.value(f"icmp sle i64 {units}, {fit}"), fit

    def size(self, f: Function, depth: str) -> str:
        return f.whole("mul", f.ceiling(depth, DEPTH), self._parts * TILE)

    def lay_columns(
        self, f: Function, start: str, strides: tuple[str, str], sizes: tuple[str, str], to: tuple[str, str]
    ) -> None:
        _fill(f, start, strides, sizes, to, f.value(f"icmp eq i64 {strides[0]}, 1"))

    def lay_rows(
        self, f: Function, start: str, strides: tuple[str, str], sizes: tuple[str, str], to: tuple[str, str]
    ) -> Rows:
        _fill(f, start, strides, sizes, to, f.value(f"icmp ne i64 {strides[0]}, 1"))
        return Rows(to[0], to[1], "1", sizes[1])

    def multiply(self, f: Function, rows: Rows, columns: Columns, deep: str, results: Results) -> None:
        edge = f.allocate(f"[{2 * HIGH * HIGH} x float]")
        blocks, whole = f.ceiling(deep, DEPTH), f.whole("sdiv", columns.width, HIGH)
        over = f.whole("sub", columns.width, f.whole("mul", whole, HIGH))
        last = f.address(columns.start, f.whole("mul", whole, columns.apart))
        within = f.first("0", over)
        before = f.value(f"select i1 {results.adds}, {f.truths} {within}, {f.truths} zeroinitializer")
        with f.loop(0, rows.height, 2 * HIGH, what="upper") as upper:
            left = f.whole("sub", rows.height, upper)
            high = f.smaller(HIGH, left)
            low = f.smaller(HIGH, f.whole("sub", left, high))
            start = f.address(rows.start, f.whole("mul", f.whole("sdiv", upper, HIGH), rows.apart))
            to = f.address(results.start, f.whole("mul", upper, results.across))
            some = f"ptr {start}, i64 {rows.apart}, i64 {high}, i64 {low}"
            f.do(
                f"call void @sweep({some}, ptr {columns.start}, i64 {columns.apart}, i64 {blocks}, i64 {whole}, "
                f"ptr {to}, i64 {results.across}, i1 {results.adds})"
            )
            with f.when(f.value(f"icmp sgt i64 {over}, 0"), what="edge"):  # the last columns make no whole tile
                f.do(
                    f"call void @sweep({some}, ptr {last}, i64 {columns.apart}, i64 {blocks}, i64 1, ptr {edge}, "
                    f"i64 {HIGH}, i1 false)"
                )
                corner = f.address(to, f.whole("mul", whole, HIGH))
                with f.loop(0, f.whole("add", high, low), what="row") as row:
                    sums = f.read(f.address(edge, f.whole("mul", row, HIGH)), within)
                    place = f.address(corner, f.whole("mul", row, results.across))
                    f.write(f.two("fadd", sums, f.read(place, before)), place, within)

    def end(self, f: Function) -> None:
        f.call("void", "llvm.x86.tilerelease")
