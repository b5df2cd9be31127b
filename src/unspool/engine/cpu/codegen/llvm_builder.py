"""Builder of LLVM functions: values, vectors, loops. It knows nothing of cells."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["Function"]

_NAMES = {torch.float32: ("float", "f32", 32), torch.float64: ("double", "f64", 64)}


class Function:
    """The body of one function on vectors of one number type.

    Args:
        head: `void @name(ptr %a, ...)`.
        dtype: float32 or float64.
        lanes: Numbers in a vector.
        index: Type of whole numbers, as wide as an address.
    """

    def __init__(self, head: str, dtype: torch.dtype, lanes: int, index: str = "i64") -> None:
        self.head, self.lanes, self.index = head, lanes, index
        self.number, self._suffix, self.bits = _NAMES[dtype]
        self.vector = f"<{lanes} x {self.number}>"
        self.integers = f"<{lanes} x i{self.bits}>"
        self.truths = f"<{lanes} x i1>"
        self.declared: set[str] = set()
        self.attributes: set[str] = set()
        self._allocated: list[str] = []
        self._lines: list[str] = []
        self._count = 0

    def __str__(self) -> str:
        body = ["entry:", *self._allocated, *self._lines, "  ret void"]
        return "\n".join([f"define {' '.join([self.head, *sorted(self.attributes)])} {{", *body, "}"])

    def value(self, expression: str) -> str:
        """Add an instruction with a result, and return its name."""
        self._count += 1
        self.do(f"%v{self._count} = {expression}")
        return f"%v{self._count}"

    def do(self, instruction: str) -> None:
        """Add an instruction without a result."""
        self._lines.append(f"  {instruction}")

    def allocate(self, kind: str) -> str:
        """Reserve memory on the stack."""
        self._count += 1
        self._allocated.append(f"  %m{self._count} = alloca {kind}, align 64")
        return f"%m{self._count}"

    # -- whole numbers and addresses

    def whole(self, operation: str, a: str | int, b: str | int) -> str:
        """`add`, `mul`, `sdiv` ... of two whole numbers."""
        if operation == "add" and 0 in (a, b):
            return str(a if b == 0 else b)
        return self.value(f"{operation} {self.index} {a}, {b}")

    def smaller(self, a: str | int, b: str | int) -> str:
        """The smaller of two whole numbers."""
        return self.call(self.index, f"llvm.smin.{self.index}", f"{self.index} {a}", f"{self.index} {b}")

    def ceiling(self, a: str | int, b: str | int) -> str:
        """A quotient, rounded up."""
        return self.whole("sdiv", self.whole("add", a, self.whole("sub", b, 1)), b)

    def address(self, pointer: str, index: str | int, kind: str | None = None) -> str:
        """The address of an element."""
        if index == 0:
            return pointer
        return self.value(f"getelementptr {kind or self.number}, ptr {pointer}, {self.index} {index}")

    def load(self, kind: str, pointer: str, index: str | int = 0) -> str:
        """An element of an array of whole numbers or pointers, `kind` being the type of whole numbers or `ptr`."""
        return self.value(f"load {kind}, ptr {self.address(pointer, index, self.index)}")

    def call(self, kind: str, name: str, *arguments: str) -> str:
        """Call a function by name, and declare it."""
        kinds = ", ".join(
            argument.rpartition(" ")[0] if "<" not in argument else _kind(argument) for argument in arguments
        )
        self.declared.add(f"declare {kind} @{name}({kinds})")
        text = f"call {kind} @{name}({', '.join(arguments)})"
        if kind == "void":
            self.do(text)
            return ""
        return self.value(text)

    # -- vectors

    def constant(self, number: float) -> str:
        """The same number in all lanes."""
        return f"splat ({self.number} {self.literal(number)})"

    def literal(self, number: float) -> str:
        """A number in LLVM's notation: the bits of a double, after rounding to the number type."""
        if self.bits == 32 and number == number and abs(number) < 3.5e38:
            (number,) = struct.unpack("f", struct.pack("f", number))
        return f"0x{struct.unpack('>Q', struct.pack('>d', number))[0]:016X}"

    def two(self, operation: str, a: str, b: str) -> str:
        """`fadd`, `fmul` ... lane by lane."""
        return self.value(f"{operation} {self.vector} {a}, {b}")

    def intrinsic(self, name: str, *vectors: str) -> str:
        """Call one of LLVM's own functions on vectors."""
        return self.call(
            self.vector, f"llvm.{name}.v{self.lanes}{self._suffix}", *(f"{self.vector} {part}" for part in vectors)
        )

    def fused(self, a: str, b: str, c: str) -> str:
        """`a * b + c`, in one rounding where the processor can."""
        return self.intrinsic("fmuladd", a, b, c)

    def rounded(self, a: str, b: str, *, mixed: bool = False) -> str:
        """Two vectors of float32 rounded to bfloat16: one behind the other, or number beside number if `mixed`."""
        half = f"<{self.lanes} x bfloat>"
        low, high = (self.value(f"fptrunc {self.vector} {part} to {half}") for part in (a, b))
        order = [
            lane for pair in zip(range(self.lanes), range(self.lanes, 2 * self.lanes), strict=True) for lane in pair
        ]
        mask = ", ".join(f"i32 {lane}" for lane in (order if mixed else sorted(order)))
        pairs = f"<{2 * self.lanes} x i32>"
        both = self.value(f"shufflevector {half} {low}, {half} {high}, {pairs} <{mask}>")
        return self.value(f"bitcast {self._halves} {both} to {self.vector}")

    def fused_pairs(self, a: str, b: str, c: str) -> str:
        """`c` and the products of two pairs of bfloat16 in each lane of `a` and `b`."""
        a, b = (self.value(f"bitcast {self.vector} {part} to {self._halves}") for part in (a, b))
        arguments = (f"{self.vector} {c}", f"{self._halves} {a}", f"{self._halves} {b}")
        return self.call(self.vector, f"llvm.x86.avx512bf16.dpbf16ps.{32 * self.lanes}", *arguments)

    @property
    def _halves(self) -> str:
        return f"<{2 * self.lanes} x bfloat>"

    def quotient(self, a: str, b: str) -> str:
        """`a / b` for a finite `b` well within the range of its type, to two units of the last place in float32.

        Half as dear as a true division: the processor looks up an estimate of `1 / b`, which Newton's method improves.
        """
        steps = 1 if self.lanes > 4 else 2  # NEON's estimates have eight bits only
        self.attributes.add(f'"reciprocal-estimates"="vec-div:{steps}"')
        return self.value(f"fdiv arcp contract ninf {self.vector} {a}, {b}")

    def compare(self, how: str, a: str, b: str) -> str:
        """`olt`, `oeq` ...; an ordered comparison with NaN is false."""
        return self.value(f"fcmp {how} {self.vector} {a}, {b}")

    def choose(self, truths: str, a: str, b: str) -> str:
        """`a` where true, `b` elsewhere."""
        return self.value(f"select {self.truths} {truths}, {self.vector} {a}, {self.vector} {b}")

    def spread(self, number: str) -> str:
        """A number in all lanes."""
        first = self.value(f"insertelement {self.vector} poison, {self.number} {number}, i32 0")
        return self.value(
            f"shufflevector {self.vector} {first}, {self.vector} poison, {self.integers32} zeroinitializer"
        )

    def shuffle(self, a: str, b: str, lanes: list[int]) -> str:
        """A vector of selected lanes of two."""
        mask = ", ".join(f"i32 {lane}" for lane in lanes)
        return self.value(f"shufflevector {self.vector} {a}, {self.vector} {b}, {self.integers32} <{mask}>")

    @property
    def integers32(self) -> str:
        """The type of lane numbers."""
        return f"<{self.lanes} x i32>"

    def lane(self, vector: str, index: int) -> str:
        """One lane."""
        return self.value(f"extractelement {self.vector} {vector}, i32 {index}")

    def each_lane(self, function: str, *vectors: str) -> str:
        """Call a function of the C library on every lane: exact, and slow."""
        name = function + ("f" if self.bits == 32 else "")
        result = "poison"
        for index in range(self.lanes):
            numbers = [f"{self.number} {self.lane(vector, index)}" for vector in vectors]
            value = self.call(self.number, name, *numbers)
            result = self.value(f"insertelement {self.vector} {result}, {self.number} {value}, i32 {index}")
        return result

    def first(self, column: str, width: int | str) -> str:
        """The mask of the lanes from a column on that lie within the width."""
        name = f"llvm.get.active.lane.mask.v{self.lanes}i1.{self.index}"
        return self.call(self.truths, name, f"{self.index} {column}", f"{self.index} {width}")

    def read(self, pointer: str, within: str | None = None) -> str:
        """Load a vector; lanes outside of the mask are 0."""
        align = self.bits // 8
        if within is None:
            return self.value(f"load {self.vector}, ptr {pointer}, align {align}")
        return self.call(
            self.vector,
            f"llvm.masked.load.v{self.lanes}{self._suffix}.p0",
            f"ptr {pointer}",
            f"i32 {align}",
            f"{self.truths} {within}",
            f"{self.vector} zeroinitializer",
        )

    def write(self, vector: str, pointer: str, within: str | None = None) -> None:
        """Store a vector, only the lanes of the mask."""
        align = self.bits // 8
        if within is None:
            self.do(f"store {self.vector} {vector}, ptr {pointer}, align {align}")
            return
        self.call(
            "void",
            f"llvm.masked.store.v{self.lanes}{self._suffix}.p0",
            f"{self.vector} {vector}",
            f"ptr {pointer}",
            f"i32 {align}",
            f"{self.truths} {within}",
        )

    def prefetch(self, pointer: str, *, write: bool = False) -> None:
        """Prefetch memory that will be read soon, or written."""
        self.call("void", "llvm.prefetch.p0", f"ptr {pointer}", f"i32 {int(write)}", "i32 3", "i32 1")

    def transposed(self, rows: list[str]) -> list[str]:
        """Transpose a square matrix in registers: blocks of 1, 2, 4 ... change places."""
        size = 1
        while size < len(rows):
            turned = list(rows)
            for low in (number for number in range(len(rows)) if not number & size):
                a, b = rows[low], rows[low + size]
                lanes = range(len(rows))
                upper = [len(rows) + lane - size if lane & size else lane for lane in lanes]
                lower = [len(rows) + lane if lane & size else lane + size for lane in lanes]
                turned[low], turned[low + size] = self.shuffle(a, b, upper), self.shuffle(a, b, lower)
            rows, size = turned, 2 * size
        return rows

    # -- tiles, by their numbers

    def tile_load(self, tile: int, pointer: str, across: str | int, *, once: bool = False) -> None:
        """Load lines, each so many bytes behind the one before; if `once`, the first cache keeps its contents."""
        name = "llvm.x86.tileloaddt164" if once else "llvm.x86.tileloadd64"
        self.call("void", name, f"i8 {tile}", f"ptr {pointer}", f"i64 {across}")

    def tile_store(self, tile: int, pointer: str, across: str | int) -> None:
        """Store lines."""
        self.call("void", "llvm.x86.tilestored64", f"i8 {tile}", f"ptr {pointer}", f"i64 {across}")

    def tile_product(self, sums: int, rows: int, columns: int) -> None:
        """Add products of bfloat16 to float32: each row with all columns."""
        self.call("void", "llvm.x86.tdpbf16ps", f"i8 {sums}", f"i8 {rows}", f"i8 {columns}")

    def ask(self, function: str) -> str:
        """Call a function without arguments that returns a whole number of 32 bits."""
        return self.value(f"sext i32 {self.value(f'call i32 {function}()')} to i64")

    # -- control

    @contextmanager
    def loop(self, start: str | int, stop: str | int, step: str | int = 1, *, what: str) -> Iterator[str]:
        """Run the body with every index."""
        self._count += 1
        name = f"{what}{self._count}"
        place = self.allocate(self.index)
        self.do(f"store {self.index} {start}, ptr {place}")
        self.do(f"br label %{name}")
        self._lines.append(f"{name}:")
        index = self.value(f"load {self.index}, ptr {place}")
        more = self.value(f"icmp slt {self.index} {index}, {stop}")
        self.do(f"br i1 {more}, label %{name}.body, label %{name}.end")
        self._lines.append(f"{name}.body:")
        yield index
        self.do(f"store {self.index} {self.whole('add', index, step)}, ptr {place}")
        self.do(f"br label %{name}")
        self._lines.append(f"{name}.end:")

    @contextmanager
    def when(self, condition: str, *, what: str) -> Iterator[None]:
        """Run the body only if the condition holds."""
        self._count += 1
        name = f"{what}{self._count}"
        self.do(f"br i1 {condition}, label %{name}, label %{name}.end")
        self._lines.append(f"{name}:")
        yield
        self.do(f"br label %{name}.end")
        self._lines.append(f"{name}.end:")


def _kind(argument: str) -> str:
    return argument[: argument.index(">") + 1]
