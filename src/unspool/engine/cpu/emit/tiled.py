"""Matrix products of float32 on AMX, whose instruction multiplies tiles of bfloat16 and adds them up in float32."""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, TypeVar

from unspool.engine.cpu.emit.target import Target
from unspool.engine.cpu.emit.text import Function
from unspool.engine.cpu.emit.tiles import DEPTH, HIGH, TILE, emit_fill, function, tiles_size

__all__ = ["Factor", "Job", "emit_tiled", "work_size"]

_WIDTHS = {1: 4, 2: 2}
"""How many tiles of sums side by side, by how many there are below one another: four in all."""
_ORDER = ((0, 1), (0, 2), (0, 0), (2, 0), (1, 0), (1, 1))
"""Parts of columns and of rows whose products are taken: many that need no load after few, and as many as can be whose
parts are still in a tile. Everywhere in this order, so that bits do not depend on how many rows there are."""
_DEEP, _ROWS = 512, 192
"""Depth and rows of what is cut up at a time, so that it stays in the near cache."""


def work_size(parts: int) -> int:
    """How many float32 of memory each thread needs for a product of two matrices."""
    return tiles_size(_DEEP, _ROWS, parts)


def emit_tiled(target: Target, parts: int) -> str:
    """A module with functions on float32.

    `product(rows, stride, count, tiles, depth, vectors, result, stride)` and `pack(matrix, down, across, depth, width,
    tiles)` are what `emit_products` describes. Products of rows with some matrices as they are take two: `cut(job,
    part)` puts the matrices into tiles, `multiply(job, part)` makes some rows of all products. `cut_rows(job, part)`
    and `multiply_columns(job, part)` put the rows into tiles and make some columns of the only product: the smaller
    factor is better cut up before, since it stays near. `cut_join(job)` and so on do what one thread of a team has to.
    What all are given is a `Job`.

    Args:
        target: The instruction set.
        parts: Into how many bfloat16 a number is cut: three for float32; one for its rounded value.
    """
    functions = [*emit_fill(target, parts), _configure(target)]
    functions += [_sums(target, parts, high, wide) for high, most in _WIDTHS.items() for wide in range(1, most + 1)]
    functions += [_sweep(target), _product(target, parts), _pack(target, parts)]
    shared = {"cut": _cut_up, "multiply": _multiply, "cut_rows": _cut_rows, "multiply_columns": _multiply_columns}
    for name, emit in shared.items():
        functions += [emit(target, parts), _join(target, name)]
    declared = sorted(set().union(*(function.declared for function in functions)))
    return "\n\n".join(["\n".join(declared), *map(str, functions)])


def _configure(target: Target) -> Function:
    """How many lines the tiles have: 0 to 3 hold sums, 4 to 6 rows, and the last ones up to 7 columns.

    Of two rows of tiles, the lower one is 2, 3 and 5, with `%low` lines; if that is 0, there is one row.
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
    """Tiles of sums, `high` below one another and `wide` side by side, over at most `_DEEP`.

    Those of the rows below begin `%further` numbers behind, and end in a result of their own, `%under`. What is added
    to a result is summed up by itself first: the last parts of a number would be lost in a large sum.
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
    """All products of one depth."""
    order = [pair for pair in _ORDER if sum(pair) < parts]
    held: dict[int, str] = {}

    def load(tile: int, start: str, part: int) -> None:
        place = f"{start} {part}"
        if held.get(tile) != place:
            f.tile_load(tile, f.address(start, part * TILE), 64)
            held[tile] = place

    if len(rows) == 1:  # all parts of the rows stay in tiles
        for part in range(parts):
            load(4 + part, rows[0], part)
        for column, start in enumerate(columns):
            for of_column, of_row in order:
                load(7, start, of_column)
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
    """Rows in tiles times columns in tiles: pairs of `%high` and `%low` rows, or the one of `%high` if low is 0."""
    f = function(
        "@sweep(ptr %rows, i64 %further, i64 %pairs, i64 %high, i64 %low, ptr %columns, i64 %apart, i64 %blocks, "
        "i64 %vectors, ptr %result, i64 %across, i1 %adds)",
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
            corner = f.address("%result", f.whole("mul", column, HIGH))
            wide = f.smaller(most, f.whole("sub", "%vectors", column))
            with f.loop(0, "%pairs", what="pair") as pair:
                rows = f.address("%rows", f.whole("mul", f.whole("mul", pair, 2), "%further"))
                result = f.address(corner, f.whole("mul", f.whole("mul", pair, 2), below))
                under = f.address(result, below)
                for count in range(1, most + 1):
                    with f.when(f.value(f"icmp eq i64 {wide}, {count}"), what="wide"):
                        f.do(
                            f"call void @sums{high}x{count}(ptr {rows}, i64 %further, ptr {columns}, i64 %apart, "
                            f"i64 %blocks, ptr {result}, ptr {under}, i64 %across, i64 %high, i64 %low, i1 %adds)"
                        )
    return f


def _product(target: Target, parts: int) -> Function:
    rows, tiles, result = "ptr %a, i64 %stride, i64 %count", "ptr %tiles, i64 %depth", "ptr %result, i64 %across"
    f = function(f"@product({rows}, {tiles}, i64 %vectors, {result})", target)
    apart = f.whole("mul", f.ceiling("%depth", DEPTH), parts * TILE)
    further = tiles_size(_DEEP, HIGH, parts)
    room = f.allocate(f"[{2 * further} x float]")
    with f.loop(0, "%count", 2 * HIGH, what="top") as top, f.loop(0, "%depth", _DEEP, what="k") as k:
        count = f.smaller(2 * HIGH, f.whole("sub", "%count", top))
        deep = f.smaller(_DEEP, f.whole("sub", "%depth", k))
        two = f.value(f"icmp sgt i64 {count}, {HIGH}")
        high = f.value(f"select i1 {two}, i64 {f.ceiling(count, 2)}, i64 {count}")  # of about the same height
        low = f.whole("sub", count, high)
        a = f.address(f.address("%a", f.whole("mul", top, "%stride")), k)
        rows = f"i64 1, i64 %stride, i64 {deep}"
        f.do(f"call void @fill(ptr {a}, {rows}, i64 {high}, ptr {room}, i64 {further}, i1 false)")
        with f.when(two, what="below"):
            a, below = f.address(a, f.whole("mul", high, "%stride")), f.address(room, further)
            f.do(f"call void @fill(ptr {a}, {rows}, i64 {low}, ptr {below}, i64 {further}, i1 false)")
        to = f.address("%result", f.whole("mul", top, "%across"))
        tiles = f.address("%tiles", f.whole("mul", f.whole("sdiv", k, DEPTH), parts * TILE))
        blocks, adds = f.ceiling(deep, DEPTH), f.value(f"icmp sgt i64 {k}, 0")
        given = f"ptr {room}, i64 {further}, i64 1, i64 {high}, i64 {low}, ptr {tiles}, i64 {apart}, i64 {blocks}"
        f.do(f"call void @sweep({given}, i64 %vectors, ptr {to}, i64 %across, i1 {adds})")
    f.call("void", "llvm.x86.tilerelease")
    return f


def _pack(target: Target, parts: int) -> Function:
    f = function("@pack(ptr %matrix, i64 %down, i64 %across, i64 %depth, i64 %width, ptr %tiles)", target)
    apart = f.whole("mul", f.ceiling("%depth", DEPTH), parts * TILE)
    turn = f.value("icmp eq i64 %down, 1")
    f.do(
        f"call void @fill(ptr %matrix, i64 %down, i64 %across, i64 %depth, i64 %width, ptr %tiles, i64 {apart}, "
        f"i1 {turn})"
    )
    return f


N = TypeVar("N")


class Job(NamedTuple, Generic[N]):
    """What products of the same rows with some matrices read: whole numbers and addresses, or what stands for them."""

    rows: N
    down: N
    along: N
    """How far neighbours in depth stand apart, and rows."""
    height: N
    """How many rows."""
    depth: N
    factors: N
    """How many matrices."""
    table: N
    """A `Factor` for each."""
    parts: N
    """Of the work."""
    work: N
    """For `work_size` numbers for each part."""
    number: N
    team: N
    """Functions that say which thread is asking, and of how many."""


class Factor(NamedTuple, Generic[N]):
    """A matrix, and where its product goes."""

    matrix: N
    down: N
    across: N
    """How far neighbours in depth stand apart, and columns."""
    width: N
    room: N
    """For the matrix in tiles."""
    result: N
    stride: N


def _read(f: Function, kind: type[Job[Any] | Factor[Any]], pointer: str) -> dict[str, str]:
    """All of a job or a factor by name."""
    addresses = {"rows", "table", "work", "number", "team", "matrix", "room", "result"}
    return {
        name: f.load("ptr" if name in addresses else "i64", pointer, number) for number, name in enumerate(kind._fields)
    }


def _factor(f: Function, table: str, number: str) -> dict[str, str]:
    return _read(f, Factor, f.address(table, f.whole("mul", number, len(Factor._fields)), "i64"))


def _share(f: Function, whole: str, parts: str) -> tuple[str, str]:
    """The first of so many that this part makes, and the one after its last."""
    first, last = (
        f.whole("sdiv", f.whole("mul", whole, number), parts) for number in ("%part", f.whole("add", "%part", 1))
    )
    return first, last


def _chunk(f: Function, depth: str) -> str:
    """How much depth is made at a time, in whole tiles."""
    return f.whole("mul", f.ceiling(f.ceiling(depth, f.ceiling(depth, _DEEP)), DEPTH), DEPTH)


def _cut_up(target: Target, parts: int) -> Function:
    f = function("@cut(ptr %job, i64 %part)", target)
    job = _read(f, Job, "%job")
    with f.loop(0, job["factors"], what="factor") as number:
        factor = _factor(f, job["table"], number)
        turn = f.value(f"icmp eq i64 {factor['down']}, 1")
        given = _Given(factor["matrix"], factor["down"], factor["across"], factor["width"], turn)
        _cut_share(f, job, given, factor["room"], parts)
    return f


def _cut_rows(target: Target, parts: int) -> Function:
    f = function("@cut_rows(ptr %job, i64 %part)", target)
    job = _read(f, Job, "%job")
    turn = f.value(f"icmp ne i64 {job['down']}, 1")
    given = _Given(job["rows"], job["down"], job["along"], job["height"], turn)
    _cut_share(f, job, given, _factor(f, job["table"], "0")["room"], parts)
    return f


class _Given(NamedTuple):
    """Rows or columns as they lie, by what they are called in the text."""

    start: str
    down: str
    across: str
    number: str
    turned: str


def _cut_share(f: Function, job: dict[str, str], given: _Given, room: str, parts: int) -> None:
    """Put this part's share of rows or columns into tiles, some depth after the other."""
    chunk, groups = _chunk(f, job["depth"]), f.ceiling(given.number, HIGH)
    first, last = _share(f, groups, job["parts"])
    begin = f.whole("mul", first, HIGH)
    count = f.whole("sub", f.smaller(given.number, f.whole("mul", last, HIGH)), begin)
    with f.loop(0, job["depth"], chunk, what="k") as k:
        deep = f.smaller(chunk, f.whole("sub", job["depth"], k))
        tiles, apart = _tiles_of(f, room, k, groups, deep, parts)
        start = f.address(given.start, f.whole("mul", k, given.down))
        start = f.address(start, f.whole("mul", begin, given.across))
        f.do(
            f"call void @fill(ptr {start}, i64 {given.down}, i64 {given.across}, i64 {deep}, i64 {count}, "
            f"ptr {f.address(tiles, f.whole('mul', first, apart))}, i64 {apart}, i1 {given.turned})"
        )


def _tiles_of(f: Function, room: str, k: str, vectors: str, deep: str, parts: int) -> tuple[str, str]:
    """Where a matrix has its tiles of some depth, and how far those of neighbouring columns are apart."""
    before = f.whole("mul", f.whole("mul", f.whole("sdiv", k, DEPTH), vectors), parts * TILE)
    return f.address(room, before), f.whole("mul", f.ceiling(deep, DEPTH), parts * TILE)


def _multiply(target: Target, parts: int) -> Function:
    f = function("@multiply(ptr %job, i64 %part)", target)
    job = _read(f, Job, "%job")
    chunk = _chunk(f, job["depth"])
    share = _share(f, f.ceiling(job["height"], HIGH), job["parts"])
    first, last = (f.smaller(job["height"], f.whole("mul", part, HIGH)) for part in share)
    room = f.address(job["work"], f.whole("mul", "%part", work_size(parts)))
    edge = f.allocate(f"[{_ROWS * HIGH} x float]")
    turn = f.value(f"icmp ne i64 {job['down']}, 1")
    with f.loop(0, job["depth"], chunk, what="k") as k, f.loop(first, last, _ROWS, what="top") as top:
        deep = f.smaller(chunk, f.whole("sub", job["depth"], k))
        blocks = f.ceiling(deep, DEPTH)
        further = f.whole("mul", blocks, parts * TILE)
        count = f.smaller(_ROWS, f.whole("sub", last, top))
        rows = f.address(job["rows"], f.whole("mul", k, job["down"]))
        rows = f.address(rows, f.whole("mul", top, job["along"]))
        f.do(
            f"call void @fill(ptr {rows}, i64 {job['down']}, i64 {job['along']}, i64 {deep}, i64 {count}, ptr {room}, "
            f"i64 {further}, i1 {turn})"
        )
        adds = f.value(f"icmp sgt i64 {k}, 0")
        with f.loop(0, job["factors"], what="factor") as number:
            factor = _factor(f, job["table"], number)
            tiles, _ = _tiles_of(f, factor["room"], k, f.ceiling(factor["width"], HIGH), deep, parts)
            result = f.address(factor["result"], f.whole("mul", top, factor["stride"]))
            columns = (tiles, blocks, factor["width"])
            _results(f, (room, further, count), columns, (result, factor["stride"], adds), edge)
    f.call("void", "llvm.x86.tilerelease")
    return f


def _multiply_columns(target: Target, parts: int) -> Function:
    f = function("@multiply_columns(ptr %job, i64 %part)", target)
    job = _read(f, Job, "%job")
    factor, chunk = _factor(f, job["table"], "0"), _chunk(f, job["depth"])
    share = _share(f, f.ceiling(factor["width"], HIGH), job["parts"])
    first, last = (f.smaller(factor["width"], f.whole("mul", part, HIGH)) for part in share)
    near = f.address(job["work"], f.whole("mul", "%part", work_size(parts)))
    edge = f.allocate(f"[{_ROWS * HIGH} x float]")
    turn = f.value(f"icmp eq i64 {factor['down']}, 1")
    with f.loop(0, job["depth"], chunk, what="k") as k, f.loop(first, last, _ROWS, what="left") as left:
        deep = f.smaller(chunk, f.whole("sub", job["depth"], k))
        blocks = f.ceiling(deep, DEPTH)
        rows, further = _tiles_of(f, factor["room"], k, f.ceiling(job["height"], HIGH), deep, parts)
        width = f.smaller(_ROWS, f.whole("sub", last, left))
        start = f.address(factor["matrix"], f.whole("mul", k, factor["down"]))
        start = f.address(start, f.whole("mul", left, factor["across"]))
        f.do(
            f"call void @fill(ptr {start}, i64 {factor['down']}, i64 {factor['across']}, i64 {deep}, i64 {width}, "
            f"ptr {near}, i64 {further}, i1 {turn})"
        )
        adds, result = f.value(f"icmp sgt i64 {k}, 0"), f.address(factor["result"], left)
        columns = (near, blocks, width)
        _results(f, (rows, further, job["height"]), columns, (result, factor["stride"], adds), edge)
    f.call("void", "llvm.x86.tilerelease")
    return f


def _results(
    f: Function, rows: tuple[str, str, str], columns: tuple[str, str, str], result: tuple[str, str, str], edge: str
) -> None:
    """Rows in tiles times columns in tiles of any width; `edge` has room for `_ROWS` of one tile."""
    (tiles, blocks, width), (to, across, adds), (room, further, count) = columns, result, rows
    whole = f.whole("sdiv", width, HIGH)
    over = f.whole("sub", width, f.whole("mul", whole, HIGH))
    _rows_by(f, rows, (tiles, blocks, whole), result)
    some = f.when(f.value(f"icmp sgt i64 {over}, 0"), what="edge")  # the last columns make no whole tile
    with some, f.loop(0, count, _ROWS, what="top") as top:
        tiles = f.address(tiles, f.whole("mul", whole, further))
        here = f.address(room, f.whole("mul", f.whole("sdiv", top, HIGH), further))
        few = f.smaller(_ROWS, f.whole("sub", count, top))
        _rows_by(f, (here, further, few), (tiles, blocks, "1"), (edge, str(HIGH), "false"))
        within = f.first("0", over)
        before = f.value(f"select i1 {adds}, {f.truths} {within}, {f.truths} zeroinitializer")
        corner = f.address(f.address(to, f.whole("mul", whole, HIGH)), f.whole("mul", top, across))
        with f.loop(0, few, what="row") as row:
            found = f.read(f.address(edge, f.whole("mul", row, HIGH)), within)
            place = f.address(corner, f.whole("mul", row, across))
            f.write(f.two("fadd", found, f.read(place, before)), place, within)


def _rows_by(
    f: Function, rows: tuple[str, str, str], columns: tuple[str, str, str], result: tuple[str, str, str]
) -> None:
    """Many rows in tiles times whole tiles of columns: pairs first, then what is left."""
    (room, further, count), (tiles, blocks, vectors), (to, across, adds) = rows, columns, result
    pairs = f.whole("sdiv", count, 2 * HIGH)
    done = f.whole("mul", pairs, 2 * HIGH)
    left = f.whole("sub", count, done)
    high = f.smaller(HIGH, left)
    low = f.whole("sub", left, high)
    rest = f.address(room, f.whole("mul", f.whole("mul", pairs, 2), further))
    last = f.address(to, f.whole("mul", done, across))
    for some, start, size, end in (
        (pairs, room, (pairs, str(HIGH), str(HIGH)), to),
        (left, rest, ("1", high, low), last),
    ):
        with f.when(f.value(f"icmp sgt i64 {some}, 0"), what="some"):
            number, upper, lower = size
            f.do(
                f"call void @sweep(ptr {start}, i64 {further}, i64 {number}, i64 {upper}, i64 {lower}, ptr {tiles}, "
                f"i64 {further}, i64 {blocks}, i64 {vectors}, ptr {end}, i64 {across}, i1 {adds})"
            )


def _join(target: Target, name: str) -> Function:
    """What each thread of a team runs."""
    f = function(f"@{name}_join(ptr %job)", target)
    job = _read(f, Job, "%job")
    number, count = (f.ask(job[which]) for which in ("number", "team"))
    with f.loop(number, job["parts"], count, what="part") as part:
        f.do(f"call void @{name}(ptr %job, i64 {part})")
    return f
