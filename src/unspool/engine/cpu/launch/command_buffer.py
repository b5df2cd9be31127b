"""What stands around a loop, written down as lists of native jobs that all calls share.

Before the loop: first states to their places, weights packed, biases added up. After it: last states to theirs. The
products of inputs and all gradients are jobs too, unless they are torch's.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Collection, Sequence
from time import perf_counter
from typing import NamedTuple

import torch
from torch import Tensor

from unspool.engine.compiler.loops.loop_ir import RowIndex, Slice
from unspool.engine.compiler.passes.affine_prologue import AffineProlog, Piece
from unspool.engine.cpu.codegen.barrier import GATE
from unspool.engine.cpu.codegen.commands import ARGUMENTS
from unspool.engine.cpu.codegen.gemm.amx_packing import HIGH
from unspool.engine.cpu.codegen.kernel import SLOTS
from unspool.engine.cpu.jit.compile import Native
from unspool.engine.cpu.launch.command_list import Address, Argument, CommandList
from unspool.engine.cpu.program import Program, Split
from unspool.engine.cpu.runtime.batch_layout import CONSTANTS, Given, Layout
from unspool.engine.cpu.runtime.thread_team import run_parts, team_size, threads
from unspool.engine.cpu.runtime.workspace import Whole, Workspace, row_counts

__all__ = ["CREW", "SHARES", "Binding", "CommandBuffer", "Rows"]

_COUNTS = SHARES, CREW, _LOOP_CREW, _TOGETHER = "shares", "crew", "loop_crew", "together"
"""Names in commands: for `Binding.shares`; for how many threads to ask where work is cut into shares or parts; and for
how many make products together."""


class Rows(NamedTuple):
    """Columns of a memory with a row for every step of each sequence."""

    at: Address
    stride: int
    width: int


class Binding(NamedTuple):
    """What of a call depends on how the batch lies."""

    layout: Layout
    split: Split
    shares: int
    """Among how many threads products over all steps are shared."""
    blocks: list[tuple[int, dict[str, int]]]
    """Of each block: how many numbers it has, and for each name in it the bytes before it."""
    places: array[int]
    """Where everything that jobs have names for is found: the number of a base, and bytes from there."""


class CommandBuffer:
    """One direction of a loop with the jobs around it.

    Args:
        program: The program.
        native: The direction.
        plain: What comes before the loop.
        first_weight: The number of the first weight among all that a call is given.
        shapes: Of the weights.
        tiles: Into how many bfloat16 each factor is cut whose products are made in tiles; 0 if they are not.
        given: How sequences come to the loop.
    """

    def __init__(
        self,
        program: Program,
        native: Native,
        plain: AffineProlog,
        first_weight: int,
        shapes: Sequence[torch.Size],
        tiles: int,
        given: Given,
    ) -> None:
        self.program, self.native, self.plain, self.shapes = program, native, plain, shapes
        self.given = given
        self.tiles, self._products = tiles, program.products(tiles)
        self.kernel, self.first_weight = native.kernel, first_weight
        self.head, self.tail = CommandList(program.tools.play), CommandList(program.tools.play)
        self.scratch, self.kept, self.shown = (Workspace(program.dtype) for _ in range(3))
        self.blocks = [self.scratch, self.kept, self.shown]
        """Memory for the call alone, memory that is kept for the way back, and memory whose rows are the outputs."""
        self.tensors: list[str] = []
        """Names of all that has memory of its own, in the order in which a call gives it."""
        self.written: list[int] = []
        """The numbers of the things given whose gradients the loop and the jobs write."""
        self.elsewhere: dict[str, str] = dict(native.kernel.same)
        """The kernel's memories that stand under another name."""
        self._functions = {**program.tools.addresses, "product": self._products.product}
        self._functions["turned"] = self._products.turned
        self._team = program.team
        self._functions["parallel"] = self._team.start
        self._functions["pack"] = ctypes.cast(self._products.pack, ctypes.c_void_p).value or 0
        self.size = program.dtype.itemsize
        slots = len(SLOTS) + len(self.kernel.memories) + len(self.kernel.packed) + ARGUMENTS
        self.scratch.add("arguments", "vector", slots * 8 // self.size)  # the first of all
        self._count, self._one_call = 0, False
        self._last: Binding | None = None

    def finish(self) -> CommandBuffer:
        """Number the names, when all jobs are there but the last."""
        self.put_arguments()
        if self._team.start:  # then the loop is a job too, and all of it a single call
            self.call(self.head, "parallel", self.native.join, "arguments", _LOOP_CREW, 0)
            self.head.follow(self.tail)
            self._one_call = True
        names = [*CONSTANTS, *_COUNTS, *(name for block in self.blocks for name in block.names), *self.tensors]
        numbers = {name: number for number, name in enumerate(names)}
        self.head.number(numbers)
        self.tail.number(numbers)
        return self

    def lay_out(self, layout: Layout) -> Binding:
        """What a call with a batch that lies so is made of; the last answer is remembered."""
        program, last = self.program, self._last
        split = program.split(self.kernel, layout.steps, layout.rows, layout.batch)
        split = split._replace(together=split.together and not program.crowd.crowded())  # which gives the same bits
        shares = max(1, min(threads(), layout.rows // program.policy.thread_lines))
        if last is None or last.layout is not layout or (last.split, last.shares) != (split, shares):
            parts, together = split
            counts = row_counts(layout, parts, shares)
            constants = (*layout.numbers(parts), shares, team_size(shares), team_size(parts), together * parts)
            places = [part for constant in constants for part in (0, constant)]
            blocks = [block.lay_out(counts, layout) for block in self.blocks]
            for base, (_, starts) in enumerate(blocks, start=1):
                places += [part for start in starts.values() for part in (base, start)]
            first = 1 + len(self.blocks)
            places += [part for base in range(first, first + len(self.tensors)) for part in (base, 0)]
            last = Binding(layout, split, shares, blocks, array("q", places))
            self._last = None if layout.ragged else last  # which hardly ever comes again
        return last

    def run(self, binding: Binding, blocks: Sequence[Tensor], tensors: Sequence[Tensor]) -> None:
        """Make all calls, with memory for the blocks and the tensors of the buffer."""
        bases = array("q", [0, *[block.data_ptr() for block in blocks], *[part.data_ptr() for part in tensors]])
        places, base = binding.places.buffer_info()[0], bases.buffer_info()[0]
        if binding.split.together:
            start = perf_counter()
            self.head.play(places, base)
            lost = ctypes.c_int64.from_address(bases[1] + binding.blocks[0][1]["gate"] + 8).value
            self.program.crowd.record(1e-6 * lost / binding.split.parts, perf_counter() - start)
            return
        self.head.play(places, base)
        if not self._one_call:
            run_parts(self.native, bases[1], binding.split.parts, self._team)
            self.tail.play(places, base)

    # -- where things are

    def at(self, name: str) -> Address:
        """Where a memory of the kernel lies."""
        return Address(self.elsewhere.get(name, name))

    def rows(self, place: Slice, width: int) -> Rows:
        """What stands at a place of the kernel at every step."""
        buffer = place.buffer
        if buffer.rate == "before" and self.given == "padded":
            name = self._picked(self.tail, buffer.name, buffer.stride, "previous")  # they don't stand together
            return Rows(Address(name, place.column * self.size), buffer.stride, width)
        name = f"{buffer.name}.{buffer.rate}" if buffer.rate in ("before", "after") else self.at(buffer.name).name
        return Rows(Address(name, place.column * self.size), buffer.stride, width)

    def sequence(self, number: int, width: int) -> str:
        """What the step is given of all steps, without padding."""
        given = f"given{number}"
        return self._picked(self.head, given, width, "places") if self.given == "padded" else given

    def _picked(self, jobs: CommandList, source: str, width: int, index: str) -> str:
        """The rows of all steps of what is padded, or of a history, by an index; picked once."""
        name = f"{source}.{index}"
        if name not in self.scratch.names:
            self.scratch.add(name, "time", width)
            self.gather(jobs, name, width, Address(source), width, index, "rows", width)
        return name

    def matrix(self, number: int) -> tuple[int, int]:
        """Depth and width of a matrix of the loop or before it."""
        weight, start, stop, turned = self.plain.matrices[number]
        rows, columns = stop - start, self.shapes[weight][1]
        return (columns, rows) if turned else (rows, columns)

    def lying(self, number: int, transposed: bool) -> tuple[Address, int, int, tuple[int, int]]:
        """Where a matrix begins, how far apart its neighbours in depth stand and those in width, and both sizes."""
        piece, (depth, width) = self.plain.matrices[number], self.matrix(number)
        stride = self.shapes[piece.weight][1]
        down, across = (1, stride) if piece.turned else (stride, 1)
        if transposed:
            depth, width, down, across = width, depth, across, down
        return self.piece("given", piece), down, across, (depth, width)

    def piece(self, of: str, piece: Piece) -> Address:
        """Where some rows of a weight, or of its gradient, begin."""
        across = self.shapes[piece.weight][1:].numel()
        return Address(f"{of}{self.first_weight + piece.weight}", piece.start * across * self.size)

    # -- one job each

    def call(self, jobs: CommandList, function: str, *arguments: Argument | str) -> None:
        """Add a job."""
        named = (Address(argument) if isinstance(argument, str) else argument for argument in arguments)
        jobs.call(self._functions[function], *named)

    def gather(
        self, jobs: CommandList, to: str, stride: int, source: Address, apart: int, index: str, count: str, width: int
    ) -> None:
        """Pick rows by their numbers; those of all steps are shared among threads."""
        rows = (Address(to), stride, source, apart, Address(index), Address(count), width)
        if count == "batch" or not self._team.start:
            self.call(jobs, "gather", *rows)
            return
        self._share(jobs, "gather_join", rows)

    def _share(self, jobs: CommandList, function: str, arguments: Sequence[Argument]) -> None:
        """Have all threads do a part each."""
        name = self.numbers(jobs, (*arguments, self._team.which, self._team.size))
        self.call(jobs, "parallel", self._functions[function], Address(name), Address(CREW), 0)

    def numbers(self, jobs: CommandList, values: Sequence[Argument]) -> str:
        """Write down numbers and addresses; returns where they stand."""
        name = self.reserve("numbers", "vector", (len(values) + ARGUMENTS) * 8 // self.size)
        self._put(jobs, name, values)
        return name

    def _put(self, jobs: CommandList, to: str, values: Sequence[Argument]) -> None:
        each = ARGUMENTS - 1
        for first in range(0, len(values), each):
            self.call(jobs, "put", Address(to, 8 * first), *values[first : first + each])

    def reserve(self, what: str, rate: RowIndex | Whole, stride: int) -> str:
        """Memory for this call alone, under a name of its own."""
        self._count += 1
        name = f"{what}.{self._count}"
        self.scratch.add(name, rate, stride)
        return name

    def padded(self, width: int) -> int:
        """A width in whole vectors."""
        return -(-width // self.program.lanes) * self.program.lanes

    def pack(self, jobs: CommandList, matrix: int, transposed: bool, name: str | None = None) -> str:
        """Pack a matrix of the tape; returns where it lies."""
        at, down, across, (depth, width) = self.lying(matrix, transposed)
        size = self.program.packed_size(depth, width, self.tiles)
        if name is None:
            name = self.reserve("packed", "vector", size)
        else:
            self.scratch.add(name, "vector", size)
        if depth * width < self.program.policy.parallel_packing or not self._team.start:
            self.call(jobs, "pack", at, down, across, depth, width, name)
        else:
            wide = HIGH if self.tiles else self.program.lanes
            each = self.program.packed_size(depth, wide, self.tiles)
            self._share(
                jobs, "pack_join", (self._functions["pack"], at, down, across, depth, width, Address(name), wide, each)
            )
        return name

    def pack_rows(self, jobs: CommandList, rows: Rows) -> str:
        """Pack the rows of all steps as one matrix; returns where it lies."""
        name = self.reserve("packed", "time", self.padded(rows.width))
        self.call(jobs, "pack", rows.at, rows.stride, 1, Address("rows"), rows.width, name)
        return name

    def multiply(
        self,
        jobs: CommandList,
        left: Rows,
        packed: str,
        to: Rows,
        *,
        adds: bool = False,
        turned: bool = False,
    ) -> None:
        """Rows, or columns if turned, times a packed matrix, put somewhere or added to what is there."""
        count, depth = (left.width, Address("rows")) if turned else (Address("rows"), left.width)
        function, wide = "turned" if turned else "product", self.padded(to.width)
        whole = not adds and wide == to.width  # products are written in whole vectors
        rate: RowIndex = "vector" if turned else "time"
        result = to.at if whole else Address(self.reserve("product", rate, wide * (left.width if turned else 1)))
        vectors, stride = wide // self.program.lanes, to.stride if whole else wide
        self.call(jobs, function, left.at, left.stride, count, packed, depth, vectors, result, stride)
        if not whole:
            self.call(jobs, "add" if adds else "copy", to.at, to.stride, result, wide, count, to.width)

    def place_vectors(self) -> None:
        """Make the loop's vectors, each a sum of pieces of weights."""
        for number, parts in enumerate(self.plain.sums):
            name = f"vector{number}"
            if name in self.kernel.buffers:
                width = self.kernel.buffers[name].stride
                self.scratch.add(name, "vector", width)
                for index, part in enumerate(parts):
                    vector = self.piece("given", self.plain.vectors[part])
                    self.call(self.head, "add" if index else "copy", name, 0, vector, 0, 1, width)

    def place_rest(self, kept: Collection[str] = ()) -> None:
        """Make room for the kernel's other memories, among them some that are kept for the way back."""
        known = {*self.elsewhere, *self.tensors, *(name for block in self.blocks for name in block.names)}
        for name, buffer in self.kernel.buffers.items():
            if name not in known:
                (self.kept if name in kept else self.scratch).add(name, buffer.rate, buffer.stride)

    def put_arguments(self) -> None:
        """Write the array that the kernel reads."""
        kernel = self.kernel
        self.scratch.add("gate", "vector", GATE // self.size)
        self.call(self.head, "put", "gate", *[0] * (ARGUMENTS - 1))
        constants = {"product": self._products.product, "number": self._team.which, "count": self._team.size}
        constants |= {"rest": self._team.rest, "clock": self._team.clock}
        found: list[Argument] = [constants.get(name, Address(name)) for name in SLOTS]
        found += [self.at(name) for name in kernel.memories]
        found += self.program.column_sizes(kernel, self.tiles)
        self._put(self.head, "arguments", found)
