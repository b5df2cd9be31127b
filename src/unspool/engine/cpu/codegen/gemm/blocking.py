"""Products of whole matrices, which threads share: cut into what stays near a core, and laid out for it there.

Both are written and read by the same core: what another one wrote comes slower than it is laid out again. Goto and van
de Geijn 2008, "Anatomy of high-performance matrix multiplication".
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, NamedTuple, TypeVar

from unspool.engine.cpu.codegen.llvm_builder import Function

__all__ = ["Columns", "Factor", "Job", "Results", "Rows", "Scheme", "emit_whole"]

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
    """For `Scheme.work` numbers for each part."""
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
    ready: N
    """The matrix as `pack` leaves it, and then nothing else is asked of it; or nothing."""
    result: N
    stride: N


class Rows(NamedTuple):
    """Some rows as they are multiplied."""

    start: str
    apart: str
    """How far rows stand apart, or what of them is laid out together."""
    down: str
    """How far neighbours in depth do, where rows are as they were."""
    height: str


class Columns(NamedTuple):
    """Some columns as they are multiplied."""

    start: str
    apart: str
    """How far units stand apart."""
    width: str


class Results(NamedTuple):
    """Where products go."""

    start: str
    across: str
    adds: str
    """Whether they are added to what is there."""


class Scheme(ABC):
    """How matrices are laid out and multiplied."""

    deep: int
    """Terms of a product that are packed at a time; half as many for several matrices, and for transposed rows, which
    are dear to pack: then twice as many columns stay in the cache, for which the rows are packed once."""
    grain: int
    """How many numbers of a row are laid out together."""
    unit: int
    """Columns that are laid out together. Threads share as many rows or columns at a time."""
    high: int
    """Rows that are laid out at a time."""
    before: int
    """Numbers of memory for them, before that of columns."""
    work: int
    """Numbers of memory that each thread needs for products of the same rows, however many."""

    @abstractmethod
    def function(self, head: str) -> Function:
        """A function on numbers of the scheme's type."""

    @abstractmethod
    def near(self, f: Function, units: str, deep: str) -> tuple[str, str]:
        """Whether so many units stay near, and how many are laid out at a time if they don't."""

    @abstractmethod
    def size(self, f: Function, depth: str) -> str:
        """Numbers that a unit so deep takes."""

    @abstractmethod
    def lay_columns(
        self, f: Function, start: str, strides: tuple[str, str], sizes: tuple[str, str], to: tuple[str, str]
    ) -> None:
        """Lay columns out; strides and sizes are in depth and across, and units end up so far apart."""

    @abstractmethod
    def lay_rows(
        self, f: Function, start: str, strides: tuple[str, str], sizes: tuple[str, str], to: tuple[str, str]
    ) -> Rows:
        """The same for rows, if they aren't read as they are."""

    @abstractmethod
    def multiply(self, f: Function, rows: Rows, columns: Columns, deep: str, results: Results) -> None:
        """Multiply some rows by some columns."""

    @abstractmethod
    def end(self, f: Function) -> None:
        """Leave the processor as it was."""


def emit_whole(scheme: Scheme) -> list[Function]:
    """`multiply(job, part)` makes a part of the products of rows with some matrices as they are, or as `pack` leaves
    them; `multiply_join(job)` makes all parts that one thread of a team has to. What they are given is a `Job`.
    """
    return [_multiply(scheme), _join(scheme)]


def _read(f: Function, kind: type[Job[Any] | Factor[Any]], pointer: str) -> dict[str, str]:
    """All of a job or a factor by name."""
    addresses = {"rows", "table", "work", "number", "team", "matrix", "ready", "result"}
    return {
        name: f.load("ptr" if name in addresses else "i64", pointer, number) for number, name in enumerate(kind._fields)
    }


def _share(f: Function, unit: int, count: str, parts: str, shared: str) -> tuple[str, str]:
    """Which of so many rows or columns this part makes, in whole units but for the last: all if they aren't shared."""
    groups, after = f.ceiling(count, unit), f.whole("add", "%part", 1)
    first, last = (f.whole("sdiv", f.whole("mul", groups, number), parts) for number in ("%part", after))
    begin = f.value(f"select i1 {shared}, i64 {first}, i64 0")
    end = f.value(f"select i1 {shared}, i64 {last}, i64 {groups}")
    return f.smaller(count, f.whole("mul", begin, unit)), f.smaller(count, f.whole("mul", end, unit))


def _multiply(scheme: Scheme) -> Function:
    """Threads share rows or columns, whichever are more: what isn't shared, each lays out for itself.

    Rows are laid out once for all matrices if their columns stay near together, and if they don't, for each block of
    columns again.
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
        scheme: How they are made.
        job: What is to be done.
        k: Where the depth begins.
        deep: How deep it is.
        each: How many columns of a matrix are made at a time, at most.
        shared: Whether threads share the columns.
    """

    def __init__(
        self, f: Function, scheme: Scheme, job: dict[str, str], k: str, deep: str, each: str, shared: str
    ) -> None:
        self.f, self._scheme, self._job, self._k, self._deep, self._each = f, scheme, job, k, deep, each
        self._shared = shared
        self._close = scheme.size(f, deep)
        """How far neighbouring units are apart that were laid out."""
        self._panel = f.address(job["work"], f.whole("mul", "%part", scheme.work))
        self._columns_start = f.address(self._panel, scheme.before)
        """Where rows and where columns are laid out."""

    def multiply(self, factors: tuple[str, str], left: str, rows: tuple[str, str]) -> None:
        """All rows of this part by a block of columns of some matrices."""
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
        """Lay columns of a matrix out, if they aren't yet."""
        f = self.f
        factor, column, width = self._columns(number, left)
        new = f.value(f"icmp eq ptr {factor['ready']}, null")
        with f.when(f.value(f"and i1 {new}, {f.value(f'icmp sgt i64 {width}, 0')}"), what="new"):
            start = f.address(factor["matrix"], f.whole("mul", self._k, factor["down"]))
            start = f.address(start, f.whole("mul", column, factor["across"]))
            to = self._place(number, first), self._close
            self._scheme.lay_columns(f, start, (factor["down"], factor["across"]), (self._deep, width), to)

    def _results(self, number: str, first: str, left: str, top: str, rows: Rows) -> None:
        """Some rows by the columns of a matrix."""
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
        """A factor, the first of its columns and how many there are, at most 0 if none."""
        f, job = self.f, self._job
        factor = _read(f, Factor, f.address(job["table"], f.whole("mul", number, len(Factor._fields)), "i64"))
        begin, end = _share(f, self._scheme.unit, factor["width"], job["parts"], self._shared)
        column = f.whole("add", begin, left)
        return factor, column, f.smaller(self._each, f.whole("sub", end, column))

    def _place(self, number: str, first: str) -> str:
        """Where a matrix is laid out."""
        size = self.f.whole("mul", self.f.whole("sdiv", self._each, self._scheme.unit), self._close)
        return self.f.address(self._columns_start, self.f.whole("mul", self.f.whole("sub", number, first), size))


def _join(scheme: Scheme) -> Function:
    """What each thread of a team runs."""
    f = scheme.function("@multiply_join(ptr %job)")
    job = _read(f, Job, "%job")
    number, count = (f.ask(job[which]) for which in ("number", "team"))
    with f.loop(number, job["parts"], count, what="part") as part:
        f.do(f"call void @multiply(ptr %job, i64 {part})")
    return f
