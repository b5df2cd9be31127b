"""Command buffers: one direction of a loop, and the native commands around it, recorded once for all calls.

Commands before the loop copy first states to their places, pack weights and add up biases. Commands after it copy the
last states. Products of inputs and all gradients are commands too, unless torch makes them.
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
from unspool.engine.cpu.runtime.batch_layout import CONSTANTS, Arrangement, Layout
from unspool.engine.cpu.runtime.thread_team import run_parts, team_size, threads
from unspool.engine.cpu.runtime.workspace import Whole, Workspace, row_counts

__all__ = ["CREW", "SHARES", "Binding", "CommandBuffer", "Rows"]

_COUNTS = SHARES, CREW, _LOOP_CREW, _TOGETHER = "shares", "crew", "loop_crew", "together"
"""Names in commands: for `Binding.shares`; for how many threads to ask where work is cut into shares or parts; and for
how many threads share columns."""


class Rows(NamedTuple):
    """Columns of a memory with a row for every step of each sequence."""

    at: Address
    stride: int
    width: int


class Binding(NamedTuple):
    """The part of a call that depends on the layout of its batch."""

    layout: Layout
    split: Split
    shares: int
    """Threads that share the products over all steps."""
    blocks: list[tuple[int, dict[str, int]]]
    """Of each block: its size in numbers, and for each name in it the offset in bytes."""
    places: array[int]
    """Where the names of commands lead: the number of a base, and an offset in bytes."""


class CommandBuffer:
    """One direction of a loop with the commands around it.

    Args:
        program: The program.
        native: The compiled direction.
        plain: The prologue.
        first_weight: The number of the first weight among the arguments of a call.
        shapes: Of the weights.
        tiles: Into how many bfloat16 each factor is cut for AMX; 0 for products on vectors.
        arrangement: How sequences come to the loop.
    """

    def __init__(
        self,
        program: Program,
        native: Native,
        plain: AffineProlog,
        first_weight: int,
        shapes: Sequence[torch.Size],
        tiles: int,
        arrangement: Arrangement,
    ) -> None:
        self.program, self.native, self.plain, self.shapes = program, native, plain, shapes
        self.arrangement = arrangement
        self.tiles, self._products = tiles, program.products(tiles)
        self.kernel, self.first_weight = native.kernel, first_weight
        self.head, self.tail = CommandList(program.tools.play), CommandList(program.tools.play)
        self.scratch, self.saved, self.output_rows = (Workspace(program.dtype) for _ in range(3))
        self.blocks = [self.scratch, self.saved, self.output_rows]
        """Memory for the call alone, memory that the backward pass reads, and memory whose rows are the outputs."""
        self.tensors: list[str] = []
        """Names of the memories that are tensors of their own, in the order in which a call passes them."""
        self.written: list[int] = []
        """The numbers of the arguments whose gradients the loop and the commands write."""
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
        self._count, self.one_call = 0, False
        self._last: Binding | None = None

    def finish(self) -> CommandBuffer:
        """Add the last commands, and number all names."""
        self.put_arguments()
        if self._team.start:  # then the loop is a command too, and a call plays one list
            self.call(self.head, "parallel", self.native.join, "arguments", _LOOP_CREW, 0)
            self.head.follow(self.tail)
            self.one_call = True
        names = [*CONSTANTS, *_COUNTS, *(name for block in self.blocks for name in block.names), *self.tensors]
        numbers = {name: number for number, name in enumerate(names)}
        self.head.number(numbers)
        self.tail.number(numbers)
        return self

    def lay_out(self, layout: Layout) -> Binding:
        """Return the binding for a layout; the last one is cached."""
        program, binding = self.program, self._last
        split = program.split(self.kernel, layout.steps, layout.rows, layout.batch)
        split = split._replace(together=split.together and not program.crowd.crowded())  # both give the same bits
        shares = max(1, min(threads(), layout.rows // program.policy.thread_lines))
        if binding is None or binding.layout is not layout or (binding.split, binding.shares) != (split, shares):
            parts, together = split
            counts = row_counts(layout, parts, shares)
            constants = (*layout.numbers(parts), shares, team_size(shares), team_size(parts), together * parts)
            places = [part for constant in constants for part in (0, constant)]
            blocks = [block.lay_out(counts, layout) for block in self.blocks]
            for base, (_, starts) in enumerate(blocks, start=1):
                places += [part for start in starts.values() for part in (base, start)]
            first = 1 + len(self.blocks)
            places += [part for base in range(first, first + len(self.tensors)) for part in (base, 0)]
            binding = Binding(layout, split, shares, blocks, array("q", places))
            self._last = None if layout.ragged else binding  # ragged layouts hardly ever repeat
        return binding

    def run(self, binding: Binding, blocks: Sequence[Tensor], tensors: Sequence[Tensor]) -> None:
        """Run all commands.

        Args:
            binding: Of the call.
            blocks: Memory for the blocks.
            tensors: One for each of the buffer's `tensors`.
        """
        self.play(binding, array("q", [0, *[part.data_ptr() for part in (*blocks, *tensors)]]))

    def play(self, binding: Binding, bases: array[int]) -> None:
        """Run all commands on addresses.

        Args:
            binding: Of the call.
            bases: A zero, then the addresses of the blocks and of the buffer's `tensors`.
        """
        places, base = binding.places.buffer_info()[0], bases.buffer_info()[0]
        if binding.split.together:
            start = perf_counter()
            self.head.play(places, base)
            lost = ctypes.c_int64.from_address(bases[1] + binding.blocks[0][1]["gate"] + 8).value
            self.program.crowd.record(1e-6 * lost / binding.split.parts, perf_counter() - start)
            return
        self.head.play(places, base)
        if not self.one_call:
            run_parts(self.native, bases[1], binding.split.parts, self._team)
            self.tail.play(places, base)

    # -- addresses

    def at(self, name: str) -> Address:
        """Return the address of a memory of the kernel."""
        return Address(self.elsewhere.get(name, name))

    def rows(self, place: Slice, width: int) -> Rows:
        """Return the rows of a slice of the kernel at every step."""
        buffer = place.buffer
        if buffer.rate == "before" and self.arrangement == "padded":
            name = self._picked(self.tail, buffer.name, buffer.stride, "previous")  # these rows don't stand together
            return Rows(Address(name, place.column * self.size), buffer.stride, width)
        name = f"{buffer.name}.{buffer.rate}" if buffer.rate in ("before", "after") else self.at(buffer.name).name
        return Rows(Address(name, place.column * self.size), buffer.stride, width)

    def sequence(self, number: int, width: int) -> str:
        """Return the name of a sequence argument without padding."""
        name = f"argument{number}"
        return self._picked(self.head, name, width, "places") if self.arrangement == "padded" else name

    def _picked(self, jobs: CommandList, source: str, width: int, index: str) -> str:
        """Gather the rows of all steps of a padded memory, or of a history, by an index; once for each."""
        name = f"{source}.{index}"
        if name not in self.scratch.names:
            self.scratch.add(name, "time", width)
            self.gather(jobs, name, width, Address(source), width, index, "rows", width)
        return name

    def matrix(self, number: int) -> tuple[int, int]:
        """Return depth and width of a matrix of the loop or its prologue."""
        weight, start, stop, turned = self.plain.matrices[number]
        rows, columns = stop - start, self.shapes[weight][1]
        return (columns, rows) if turned else (rows, columns)

    def matrix_strides(self, number: int, transposed: bool) -> tuple[Address, int, int, tuple[int, int]]:
        """Return where a matrix begins, the strides in depth and in width, and both sizes."""
        piece, (depth, width) = self.plain.matrices[number], self.matrix(number)
        stride = self.shapes[piece.weight][1]
        down, across = (1, stride) if piece.turned else (stride, 1)
        if transposed:
            depth, width, down, across = width, depth, across, down
        return self.piece("argument", piece), down, across, (depth, width)

    def piece(self, of: str, piece: Piece) -> Address:
        """Return where some rows of a weight begin (`of` is "argument"), or of its gradient ("gradient")."""
        across = self.shapes[piece.weight][1:].numel()
        return Address(f"{of}{self.first_weight + piece.weight}", piece.start * across * self.size)

    # -- one command each

    def call(self, jobs: CommandList, function: str, *arguments: Argument | str) -> None:
        """Add a command."""
        addresses = (Address(argument) if isinstance(argument, str) else argument for argument in arguments)
        jobs.call(self._functions[function], *addresses)

    def gather(
        self, jobs: CommandList, to: str, stride: int, source: Address, apart: int, index: str, count: str, width: int
    ) -> None:
        """Add a command that picks rows by index; all threads share the rows of all steps."""
        rows = (Address(to), stride, source, apart, Address(index), Address(count), width)
        if count == "batch" or not self._team.start:
            self.call(jobs, "gather", *rows)
            return
        self._share(jobs, "gather_join", rows)

    def _share(self, jobs: CommandList, function: str, arguments: Sequence[Argument]) -> None:
        """Add a command of which each thread makes a part."""
        name = self.numbers(jobs, (*arguments, self._team.which, self._team.size))
        self.call(jobs, "parallel", self._functions[function], Address(name), Address(CREW), 0)

    def numbers(self, jobs: CommandList, values: Sequence[Argument]) -> str:
        """Add commands that write numbers and addresses to memory, and return its name."""
        name = self.reserve("numbers", "vector", (len(values) + ARGUMENTS) * 8 // self.size)
        self._put(jobs, name, values)
        return name

    def _put(self, jobs: CommandList, to: str, values: Sequence[Argument]) -> None:
        each = ARGUMENTS - 1
        for first in range(0, len(values), each):
            self.call(jobs, "put", Address(to, 8 * first), *values[first : first + each])

    def reserve(self, what: str, rate: RowIndex | Whole, stride: int) -> str:
        """Reserve memory for the call alone, and return its name."""
        self._count += 1
        name = f"{what}.{self._count}"
        self.scratch.add(name, rate, stride)
        return name

    def padded(self, width: int) -> int:
        """Return a width rounded up to whole vectors."""
        return -(-width // self.program.lanes) * self.program.lanes

    def pack(self, jobs: CommandList, matrix: int, transposed: bool, name: str | None = None) -> str:
        """Add commands that pack a matrix of the tape, and return the name of the packed one."""
        at, down, across, (depth, width) = self.matrix_strides(matrix, transposed)
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
        """Add a command that packs the rows of all steps as one matrix, and return its name."""
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
        """Multiply rows by a packed matrix, or columns if `turned`; overwrite the result, or add to it if `adds`."""
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
                    vector = self.piece("argument", self.plain.vectors[part])
                    self.call(self.head, "add" if index else "copy", name, 0, vector, 0, 1, width)

    def place_rest(self, saved: Collection[str] = ()) -> None:
        """Reserve the kernel's other memories; those in `saved` are kept for the backward pass."""
        placed = {*self.elsewhere, *self.tensors, *(name for block in self.blocks for name in block.names)}
        for name, buffer in self.kernel.buffers.items():
            if name not in placed:
                (self.saved if name in saved else self.scratch).add(name, buffer.rate, buffer.stride)

    def put_arguments(self) -> None:
        """Write the array that the kernel reads."""
        kernel = self.kernel
        self.scratch.add("gate", "vector", GATE // self.size)
        self.call(self.head, "put", "gate", *[0] * (ARGUMENTS - 1))
        constants = {"product": self._products.product, "number": self._team.which, "count": self._team.size}
        constants |= {"rest": self._team.rest, "clock": self._team.clock}
        arguments: list[Argument] = [constants.get(name, Address(name)) for name in SLOTS]
        arguments += [self.at(name) for name in kernel.memories]
        arguments += self.program.column_sizes(kernel, self.tiles)
        self._put(self.head, "arguments", arguments)
