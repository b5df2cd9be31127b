"""Cache blocking: products of whole matrices, which threads share, in blocks that stay in a core's own cache.

The same core packs a block and reads it: memory that another core wrote is slower than packing again. Goto and van de
Geijn 2008, "Anatomy of high-performance matrix multiplication".
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, NamedTuple, TypeVar

from unspool.engine.cpu.codegen.llvm_builder import Function

__all__ = ["Columns", "Factor", "Job", "Results", "Rows", "Scheme", "emit_whole"]

N = TypeVar("N")


class Job(NamedTuple, Generic[N]):
    """Arguments of products of the same rows with some matrices: whole numbers and addresses, or names for them."""

    rows: N
    down: N
    along: N
    """Strides of neighbours in depth, and of rows."""
    height: N
    """Number of rows."""
    depth: N
    factors: N
    """Number of matrices."""
    width: N
    """Columns of the widest matrix."""
    table: N
    """A `Factor` for each matrix."""
    parts: N
    """Of the work."""
    work: N
    """`Scheme.work` numbers of memory for each part."""
    number: N
    team: N
    """Functions that return the thread's number and the team's size."""


class Factor(NamedTuple, Generic[N]):
    """A matrix, and the place of its product."""

    matrix: N
    down: N
    across: N
    """Strides of neighbours in depth, and of columns."""
    width: N
    ready: N
    """The matrix as `pack` leaves it, and then the fields before are not read; or 0."""
    result: N
    stride: N


class Rows(NamedTuple):
    """A block of rows, ready to be multiplied."""

    start: str
    apart: str
    """The stride of rows, or of panels of rows."""
    down: str
    """The stride of neighbours in depth, where rows are not packed."""
    height: str


class Columns(NamedTuple):
    """A block of columns, ready to be multiplied."""

    start: str
    apart: str
    """The stride of units."""
    width: str


class Results(NamedTuple):
    """The place of products."""

    start: str
    across: str
    adds: str
    """Whether products are added to what is there."""


class Scheme(ABC):
    """How matrices are packed and multiplied."""

    deep: int
    """Terms of a product that are packed at a time; half as many for several matrices, and for transposed rows, which
    are dear to pack: then twice as many columns stay in the cache, for which the rows are packed once."""
    grain: int
    """Numbers of a row that are packed together."""
    unit: int
    """Columns that are packed together. Threads share multiples of as many rows or columns."""
    high: int
    """Rows that are packed at a time."""
    before: int
    """Numbers of memory for rows; columns stand behind."""
    work: int
    """Numbers of memory that each thread needs for products of the same rows."""

    @abstractmethod
    def function(self, head: str) -> Function:
        """Return a function on numbers of the scheme's type."""

    @abstractmethod
    def near(self, f: Function, units: str, deep: str) -> tuple[str, str]:
        """Return whether so many units fit the cache, and how many are packed at a time if they don't."""

    @abstractmethod
    def size(self, f: Function, depth: str) -> str:
        """Return the numbers of a unit of some depth."""

    @abstractmethod
    def lay_columns(
        self, f: Function, start: str, strides: tuple[str, str], sizes: tuple[str, str], to: tuple[str, str]
    ) -> None:
        """Pack columns; strides and sizes are in depth and across, `to` is the place and the stride of units."""

    @abstractmethod
    def lay_rows(
        self, f: Function, start: str, strides: tuple[str, str], sizes: tuple[str, str], to: tuple[str, str]
    ) -> Rows:
        """Pack rows, or return them as they are."""

    @abstractmethod
    def multiply(self, f: Function, rows: Rows, columns: Columns, deep: str, results: Results) -> None:
        """Multiply a block of rows by a block of columns."""

    @abstractmethod
    def end(self, f: Function) -> None:
        """Restore the state of the processor."""


def emit_whole(scheme: Scheme) -> list[Function]:
    """Return `multiply(job, part)`, which makes a part of the products of rows with some matrices, and
    `multiply_join(job)`.

    Matrices are plain, or as `pack` leaves them. `multiply_join` makes all parts of one thread of a team. Both read a
    `Job`.
    """
    return [_multiply(scheme), _join(scheme)]


def _read(f: Function, kind: type[Job[Any] | Factor[Any]], pointer: str) -> dict[str, str]:
    """Return all fields of a job or a factor by name."""
    addresses = {"rows", "table", "work", "number", "team", "matrix", "ready", "result"}
    return {
        name: f.load("ptr" if name in addresses else "i64", pointer, number) for number, name in enumerate(kind._fields)
    }


def _share(f: Function, unit: int, count: str, parts: str, shared: str) -> tuple[str, str]:
    """Return the rows or columns of this part, in whole units but for the last: all of them if they aren't shared."""
    groups, after = f.ceiling(count, unit), f.whole("add", "%part", 1)
    first, last = (f.whole("sdiv", f.whole("mul", groups, number), parts) for number in ("%part", after))
    begin = f.value(f"select i1 {shared}, i64 {first}, i64 0")
    end = f.value(f"select i1 {shared}, i64 {last}, i64 {groups}")
    return f.smaller(count, f.whole("mul", begin, unit)), f.smaller(count, f.whole("mul", end, unit))


def _multiply(scheme: Scheme) -> Function:
    """Emit the loops over blocks. Threads share rows or columns, whichever are more; each packs the others for itself.

    Rows are packed once for all matrices if the columns of these fit the cache together, and if they don't, for each
    block of columns again.
    """
    f = scheme.function("@multiply(ptr %job, i64 %part)")
    job = _read(f, Job, "%job")
    straight, single = (f.value(f"icmp eq i64 {job[name]}, 1") for name in ("down", "factors"))
    easy = f.value(f"and i1 {straight}, {single}")
    deepest = f.value(f"select i1 {easy}, i64 {scheme.deep}, i64 {scheme.deep // 2}")
    even = f.ceiling(job["depth"], f.ceiling(job["depth"], deepest))
    chunk = f.whole("mul", f.ceiling(even, scheme.grain), scheme.grain)
    wide = f.value(f"icmp sgt i64 {f.whole('mul', job['width'], job['factors'])}, {job['height']}")
    rows = _share(f, scheme.unit, job["height"], job["parts"], f.value(f"xor i1 {wide}, true"))
    whole = f.ceiling(job["width"], scheme.unit)
    share = f.ceiling(whole, job["parts"])  # the largest of any part
    units = f.value(f"select i1 {wide}, i64 {share}, i64 {whole}")
    with f.loop(0, job["depth"], chunk, what="k") as k:
        deep = f.smaller(chunk, f.whole("sub", job["depth"], k))
        together, fit = scheme.near(f, f.whole("mul", units, job["factors"]), deep)
        each = f.whole("mul", f.value(f"select i1 {together}, i64 {units}, i64 {fit}"), scheme.unit)
        some = f.value(f"select i1 {together}, i64 {job['factors']}, i64 1")
        products = _Chunk(f, scheme, job, k, deep, each, wide)
        with f.loop(0, job["factors"], some, what="first") as first:
            factors = first, f.whole("add", first, some)
            with f.loop(0, f.whole("mul", units, scheme.unit), each, what="left") as left:
                products.multiply(factors, left, rows)
    scheme.end(f)
    return f


class _Chunk:
    """Products over some of the depth, in the text of a function that makes a part of them.

    Args:
        f: The function.
        scheme: How the products are made.
        job: The arguments.
        k: Where the depth begins.
        deep: Terms of each sum.
        each: Columns of a matrix that are made at a time, at most.
        shared: Whether threads share the columns.
    """

    def __init__(
        self, f: Function, scheme: Scheme, job: dict[str, str], k: str, deep: str, each: str, shared: str
    ) -> None:
        self.f, self._scheme, self._job, self._k, self._deep, self._each = f, scheme, job, k, deep, each
        self._shared = shared
        self._close = scheme.size(f, deep)
        """The stride of packed units."""
        self._panel = f.address(job["work"], f.whole("mul", "%part", scheme.work))
        self._columns_start = f.address(self._panel, scheme.before)
        """Where rows and where columns are laid out."""

    def multiply(self, factors: tuple[str, str], left: str, rows: tuple[str, str]) -> None:
        """Emit all rows of this part by a block of columns of some matrices."""
        f, job, scheme = self.f, self._job, self._scheme
        with f.loop(*factors, what="factor") as number:
            self._lay(number, factors[0], left)
        with f.loop(*rows, scheme.high, what="top") as top:
            count = f.smaller(scheme.high, f.whole("sub", rows[1], top))
            start = f.address(job["rows"], f.whole("mul", self._k, job["down"]))
            start = f.address(start, f.whole("mul", top, job["along"]))
            strides, to = (job["down"], job["along"]), (self._panel, self._close)
            some = scheme.lay_rows(f, start, strides, (self._deep, count), to)
            with f.loop(*factors, what="factor") as number:
                self._results(number, factors[0], left, top, some)

    def _lay(self, number: str, first: str, left: str) -> None:
        """Pack columns of a matrix, if they aren't yet."""
        f = self.f
        factor, column, width = self._columns(number, left)
        new = f.value(f"icmp eq ptr {factor['ready']}, null")
        with f.when(f.value(f"and i1 {new}, {f.value(f'icmp sgt i64 {width}, 0')}"), what="new"):
            start = f.address(factor["matrix"], f.whole("mul", self._k, factor["down"]))
            start = f.address(start, f.whole("mul", column, factor["across"]))
            to = self._place(number, first), self._close
            self._scheme.lay_columns(f, start, (factor["down"], factor["across"]), (self._deep, width), to)

    def _results(self, number: str, first: str, left: str, top: str, rows: Rows) -> None:
        """Multiply some rows by the columns of a matrix."""
        f, scheme = self.f, self._scheme
        factor, column, width = self._columns(number, left)
        with f.when(f.value(f"icmp sgt i64 {width}, 0"), what="some"):
            apart = scheme.size(f, self._job["depth"])
            ready = f.address(factor["ready"], f.whole("mul", f.whole("sdiv", column, scheme.unit), apart))
            ready = f.address(ready, scheme.size(f, self._k))
            new = f.value(f"icmp eq ptr {factor['ready']}, null")
            start = f.value(f"select i1 {new}, ptr {self._place(number, first)}, ptr {ready}")
            apart = f.value(f"select i1 {new}, i64 {self._close}, i64 {apart}")
            to = f.address(f.address(factor["result"], f.whole("mul", top, factor["stride"])), column)
            results = Results(to, factor["stride"], f.value(f"icmp sgt i64 {self._k}, 0"))
            scheme.multiply(f, rows, Columns(start, apart, width), self._deep, results)

    def _columns(self, number: str, left: str) -> tuple[dict[str, str], str, str]:
        """Return a factor, its first column and the number of columns, at most 0 if none."""
        f, job = self.f, self._job
        factor = _read(f, Factor, f.address(job["table"], f.whole("mul", number, len(Factor._fields)), "i64"))
        begin, end = _share(f, self._scheme.unit, factor["width"], job["parts"], self._shared)
        column = f.whole("add", begin, left)
        return factor, column, f.smaller(self._each, f.whole("sub", end, column))

    def _place(self, number: str, first: str) -> str:
        """Return the address of the packed columns of a matrix."""
        size = self.f.whole("mul", self.f.whole("sdiv", self._each, self._scheme.unit), self._close)
        return self.f.address(self._columns_start, self.f.whole("mul", self.f.whole("sub", number, first), size))


def _join(scheme: Scheme) -> Function:
    """Emit the function that each thread of a team runs."""
    f = scheme.function("@multiply_join(ptr %job)")
    job = _read(f, Job, "%job")
    number, count = (f.ask(job[which]) for which in ("number", "team"))
    with f.loop(number, job["parts"], count, what="part") as part:
        f.do(f"call void @multiply(ptr %job, i64 {part})")
    return f
