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
_DEEP = 512
"""How deep a product is summed up at a time; half of that if there are several, or rows lie turned and are dear to cut:
then twice as many columns fit in, for which that is done once."""
_TILES, _PANEL = 256, 4
"""How many tiles of columns are cut up at a time, so that they stay in a core's own cache, and how many rows of tiles
then. Both are written and read by the same core: what another one wrote comes slower than it is cut up again."""


def work_size(parts: int) -> int:
    """How many float32 of memory each thread needs for products of the same rows, however many."""
    return tiles_size(_DEEP, HIGH * _PANEL, parts) + _TILES * parts * TILE


def emit_tiled(target: Target, parts: int) -> str:
    """A module with functions on float32.

    `product(rows, stride, count, tiles, depth, vectors, result, stride)` and `pack(matrix, down, across, depth, width,
    tiles)` are what `emit_products` describes. `multiply(job, part)` makes a part of the products of rows with some
    matrices as they are, or as `pack` leaves them; `multiply_join(job)` makes all parts that one thread of a team has
    to. What they are given is a `Job`.

    Args:
        target: The instruction set.
        parts: Into how many bfloat16 a number is cut: three for float32; one for its rounded value.
    """
    functions = [*emit_fill(target, parts), _configure(target)]
    functions += [_sums(target, parts, high, wide) for high, most in _WIDTHS.items() for wide in range(1, most + 1)]
    functions += [_sweep(target), _product(target, parts), _pack(target, parts)]
    functions += [_multiply(target, parts), _join(target)]
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

    def load(tile: int, start: str, part: int, *, once: bool = False) -> None:
        place = f"{start} {part}"
        if held.get(tile) != place:
            f.tile_load(tile, f.address(start, part * TILE), 64, once=once)
            held[tile] = place

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
    """Rows in tiles, `%high` and `%low` of them, or only the former if low is 0, times columns in tiles."""
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
        _fill(f, a, ("1", "%stride"), (deep, high), (room, further), "false")
        with f.when(two, what="below"):
            a, below = f.address(a, f.whole("mul", high, "%stride")), f.address(room, further)
            _fill(f, a, ("1", "%stride"), (deep, low), (below, further), "false")
        to = f.address("%result", f.whole("mul", top, "%across"))
        tiles = f.address("%tiles", f.whole("mul", f.whole("sdiv", k, DEPTH), parts * TILE))
        blocks, adds = f.ceiling(deep, DEPTH), f.value(f"icmp sgt i64 {k}, 0")
        given = f"ptr {room}, i64 {further}, i64 {high}, i64 {low}, ptr {tiles}, i64 {apart}, i64 {blocks}"
        f.do(f"call void @sweep({given}, i64 %vectors, ptr {to}, i64 %across, i1 {adds})")
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
    """Put rows or columns into tiles; strides and sizes are those in depth and across."""
    (down, across), (deep, count), (tiles, apart) = strides, sizes, to
    f.do(
        f"call void @fill(ptr {start}, i64 {down}, i64 {across}, i64 {deep}, i64 {count}, ptr {tiles}, i64 {apart}, "
        f"i1 {turned})"
    )


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
    width: N
    """How many columns the widest has."""
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
    tiles: N
    """The matrix as `pack` leaves it, and then nothing else is asked of it; or nothing."""
    result: N
    stride: N


def _read(f: Function, kind: type[Job[Any] | Factor[Any]], pointer: str) -> dict[str, str]:
    """All of a job or a factor by name."""
    addresses = {"rows", "table", "work", "number", "team", "matrix", "tiles", "result"}
    return {
        name: f.load("ptr" if name in addresses else "i64", pointer, number) for number, name in enumerate(kind._fields)
    }


def _share(f: Function, count: str, parts: str, shared: str) -> tuple[str, str]:
    """Which of so many rows or columns this part makes, in whole tiles but for the last: all if they aren't shared."""
    groups, after = f.ceiling(count, HIGH), f.whole("add", "%part", 1)
    first, last = (f.whole("sdiv", f.whole("mul", groups, number), parts) for number in ("%part", after))
    begin = f.value(f"select i1 {shared}, i64 {first}, i64 0")
    end = f.value(f"select i1 {shared}, i64 {last}, i64 {groups}")
    return f.smaller(count, f.whole("mul", begin, HIGH)), f.smaller(count, f.whole("mul", end, HIGH))


def _multiply(target: Target, parts: int) -> Function:
    """Threads share rows or columns, whichever are more: what isn't shared, each cuts up for itself.

    Rows are cut up once for all matrices if their columns fit in the near cache together, and if they don't, for each
    block of columns again.
    """
    f = function("@multiply(ptr %job, i64 %part)", target)
    job = _read(f, Job, "%job")
    straight, single = (f.value(f"icmp eq i64 {job[name]}, 1") for name in ("down", "factors"))
    deepest = f.value(f"select i1 {f.value(f'and i1 {straight}, {single}')}, i64 {_DEEP}, i64 {_DEEP // 2}")
    even = f.ceiling(job["depth"], f.ceiling(job["depth"], deepest))
    chunk = f.whole("mul", f.ceiling(even, DEPTH), DEPTH)
    wide = f.value(f"icmp sgt i64 {f.whole('mul', job['width'], job['factors'])}, {job['height']}")
    rows = _share(f, job["height"], job["parts"], f.value(f"xor i1 {wide}, true"))
    whole = f.ceiling(job["width"], HIGH)
    share = f.ceiling(whole, job["parts"])  # the largest of any part
    groups = f.value(f"select i1 {wide}, i64 {share}, i64 {whole}")
    with f.loop(0, job["depth"], chunk, what="k") as k:
        deep = f.smaller(chunk, f.whole("sub", job["depth"], k))
        fit = f.whole("sdiv", str(_TILES), f.ceiling(deep, DEPTH))
        together = f.value(f"icmp sle i64 {f.whole('mul', groups, job['factors'])}, {fit}")
        each = f.whole("mul", f.value(f"select i1 {together}, i64 {groups}, i64 {fit}"), HIGH)
        some = f.value(f"select i1 {together}, i64 {job['factors']}, i64 1")
        products = _Chunk(f, job, k, deep, each, wide, parts)
        with f.loop(0, job["factors"], some, what="first") as first:
            factors = first, f.whole("add", first, some)
            with f.loop(0, f.whole("mul", groups, HIGH), each, what="left") as left:
                products.multiply(factors, left, rows)
    f.call("void", "llvm.x86.tilerelease")
    return f


class _Chunk:
    """Products over some of the depth, in the text of a function that makes a part of them.

    Args:
        f: The function.
        job: What is to be done.
        k: Where the depth begins.
        deep: How deep it is.
        each: How many columns of a matrix are made at a time, at most.
        shared: Whether threads share the columns.
        parts: Of each number.
    """

    def __init__(self, f: Function, job: dict[str, str], k: str, deep: str, each: str, shared: str, parts: int) -> None:
        self.f, self._job, self._k, self._deep, self._each, self._shared = f, job, k, deep, each, shared
        self._tile = parts * TILE
        self._blocks = f.ceiling(deep, DEPTH)
        self._close = f.whole("mul", self._blocks, self._tile)
        """How far neighbours that were cut up are apart."""
        self._panel = f.address(job["work"], f.whole("mul", "%part", work_size(parts)))
        self._kept = f.address(self._panel, tiles_size(_DEEP, HIGH * _PANEL, parts))
        """Where rows and where columns are cut up."""

    def multiply(self, factors: tuple[str, str], left: str, rows: tuple[str, str]) -> None:
        """All rows of this part by a block of columns of some matrices."""
        f, job = self.f, self._job
        with f.loop(*factors, what="factor") as number:
            self._cut(number, factors[0], left)
        with f.loop(*rows, HIGH * _PANEL, what="top") as top:
            count = f.smaller(HIGH * _PANEL, f.whole("sub", rows[1], top))
            start = f.address(job["rows"], f.whole("mul", self._k, job["down"]))
            start = f.address(start, f.whole("mul", top, job["along"]))
            turn = f.value(f"icmp ne i64 {job['down']}, 1")
            _fill(f, start, (job["down"], job["along"]), (self._deep, count), (self._panel, self._close), turn)
            with f.loop(*factors, what="factor") as number:
                self._results(number, factors[0], left, top, count)

    def _cut(self, number: str, first: str, left: str) -> None:
        """Put columns of a matrix into tiles, if they aren't yet."""
        f = self.f
        factor, column, width = self._columns(number, left)
        cut = f.value(f"icmp eq ptr {factor['tiles']}, null")
        with f.when(f.value(f"and i1 {cut}, {f.value(f'icmp sgt i64 {width}, 0')}"), what="cut"):
            start = f.address(factor["matrix"], f.whole("mul", self._k, factor["down"]))
            start = f.address(start, f.whole("mul", column, factor["across"]))
            turn = f.value(f"icmp eq i64 {factor['down']}, 1")
            to = self._place(number, first), self._close
            _fill(f, start, (factor["down"], factor["across"]), (self._deep, width), to, turn)

    def _results(self, number: str, first: str, left: str, top: str, count: str) -> None:
        """A panel of rows by the columns of a matrix."""
        f = self.f
        factor, column, width = self._columns(number, left)
        with f.when(f.value(f"icmp sgt i64 {width}, 0"), what="some"):
            apart = f.whole("mul", f.ceiling(self._job["depth"], DEPTH), self._tile)
            ready = f.address(factor["tiles"], f.whole("mul", f.whole("sdiv", column, HIGH), apart))
            ready = f.address(ready, f.whole("mul", f.whole("sdiv", self._k, DEPTH), self._tile))
            cut = f.value(f"icmp eq ptr {factor['tiles']}, null")
            tiles = f.value(f"select i1 {cut}, ptr {self._place(number, first)}, ptr {ready}")
            apart = f.value(f"select i1 {cut}, i64 {self._close}, i64 {apart}")
            result = f.address(f.address(factor["result"], f.whole("mul", top, factor["stride"])), column)
            adds = f.value(f"icmp sgt i64 {self._k}, 0")
            rows, to = (self._panel, self._close, count), (result, factor["stride"], adds)
            _results(f, rows, (tiles, apart, width), self._blocks, to)

    def _columns(self, number: str, left: str) -> tuple[dict[str, str], str, str]:
        """A factor, the first of its columns and how many there are, at most 0 if none."""
        f, job = self.f, self._job
        factor = _read(f, Factor, f.address(job["table"], f.whole("mul", number, len(Factor._fields)), "i64"))
        begin, end = _share(f, factor["width"], job["parts"], self._shared)
        column = f.whole("add", begin, left)
        return factor, column, f.smaller(self._each, f.whole("sub", end, column))

    def _place(self, number: str, first: str) -> str:
        """Where a matrix has its tiles."""
        size = self.f.whole("mul", self.f.whole("sdiv", self._each, HIGH), self._close)
        return self.f.address(self._kept, self.f.whole("mul", self.f.whole("sub", number, first), size))


def _results(
    f: Function, rows: tuple[str, str, str], columns: tuple[str, str, str], blocks: str, result: tuple[str, str, str]
) -> None:
    """At most a panel of rows in tiles times columns in tiles, of any width."""
    (room, further, count), (tiles, apart, width), (to, across, adds) = rows, columns, result
    edge = f.allocate(f"[{2 * HIGH * HIGH} x float]")
    whole = f.whole("sdiv", width, HIGH)
    over = f.whole("sub", width, f.whole("mul", whole, HIGH))
    last = f.address(tiles, f.whole("mul", whole, apart))
    within = f.first("0", over)
    before = f.value(f"select i1 {adds}, {f.truths} {within}, {f.truths} zeroinitializer")
    with f.loop(0, count, 2 * HIGH, what="upper") as upper:
        left = f.whole("sub", count, upper)
        high = f.smaller(HIGH, left)
        low = f.smaller(HIGH, f.whole("sub", left, high))
        start = f.address(room, f.whole("mul", f.whole("sdiv", upper, HIGH), further))
        to_here = f.address(to, f.whole("mul", upper, across))
        some = f"ptr {start}, i64 {further}, i64 {high}, i64 {low}"
        f.do(
            f"call void @sweep({some}, ptr {tiles}, i64 {apart}, i64 {blocks}, i64 {whole}, ptr {to_here}, "
            f"i64 {across}, i1 {adds})"
        )
        with f.when(f.value(f"icmp sgt i64 {over}, 0"), what="edge"):  # the last columns make no whole tile
            f.do(
                f"call void @sweep({some}, ptr {last}, i64 {apart}, i64 {blocks}, i64 1, ptr {edge}, i64 {HIGH}, "
                f"i1 false)"
            )
            corner = f.address(to_here, f.whole("mul", whole, HIGH))
            with f.loop(0, f.whole("add", high, low), what="row") as row:
                found = f.read(f.address(edge, f.whole("mul", row, HIGH)), within)
                place = f.address(corner, f.whole("mul", row, across))
                f.write(f.two("fadd", found, f.read(place, before)), place, within)


def _join(target: Target) -> Function:
    """What each thread of a team runs."""
    f = function("@multiply_join(ptr %job)", target)
    job = _read(f, Job, "%job")
    number, count = (f.ask(job[which]) for which in ("number", "team"))
    with f.loop(number, job["parts"], count, what="part") as part:
        f.do(f"call void @multiply(ptr %job, i64 {part})")
    return f
