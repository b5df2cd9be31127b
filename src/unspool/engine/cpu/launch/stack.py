"""Recorded launches of whole stacks: all layers and directions of a recurrent stack as one native call.

Each direction of a layer has its command buffer. A launch writes their addresses once, plays one list that plays all of
them, and per call exchanges the addresses of the inputs, the states and the outputs. The last layer's outputs and the
last states are new memory in every call; all other memory is that of a `Workbench`, which launches of several sizes
share.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unspool.cells import Cell
from unspool.engine.compiler.frontend.cell_fingerprint import CellFingerprint
from unspool.engine.cpu.launch.autograd import prepare
from unspool.engine.cpu.launch.command_buffer import Binding, CommandBuffer
from unspool.engine.cpu.launch.command_list import Address, CommandList
from unspool.engine.cpu.launch.packed_weights import PackedWeights
from unspool.engine.cpu.launch.record import Recorder
from unspool.engine.cpu.program import Program
from unspool.engine.cpu.runtime.batch_layout import CONSTANTS, Layout, blocks, packed

__all__ = ["StackCell", "StackLaunch", "Workbench"]

_LAYOUT_PLACES = [2 * number + 1 for number in range(1, len(CONSTANTS))]
"""Where a binding's table holds the numbers of the layout."""
_NAMES = ("", "inputs", "outputs", "inner0", "inner1")
"""Of the memories between layers."""
_NUMBERS = {name: number for number, name in enumerate(_NAMES)}
_PLACES = array("q", [part for number in range(len(_NAMES)) for part in (number, 0)])


@dataclass(frozen=True)
class StackCell:
    """A compiled cell of a stack."""

    cell: Cell[Any]
    fingerprint: CellFingerprint
    program: Program
    recorder: Recorder


class Workbench:
    """Memory that the launches of a stack share; one call at a time uses it."""

    def __init__(self) -> None:
        self.launches: dict[object, StackLaunch] = {}
        self.version = 0
        """Grows when memory moves."""
        self._memories: dict[str, Tensor] = {}

    def reserve(self, sizes: dict[str, int], dtype: torch.dtype) -> None:
        """Make memories as large as these, in numbers."""
        for name, size in sizes.items():
            memory = self._memories.get(name)
            if memory is None or len(memory) < size or memory.dtype is not dtype:
                self._memories[name] = torch.empty(size, dtype=dtype, device="cpu")
                self.version += 1

    def address(self, name: str) -> int:
        """Return where a memory begins."""
        return self._memories[name].data_ptr()


@dataclass(frozen=True)
class _Direction:
    """One direction of a layer within a launch."""

    cell: StackCell
    reverse: bool
    commands: CommandBuffer
    binding: Binding
    bases: array[int]
    column: int
    """The first column of its outputs."""
    states: list[int]
    """Where `bases` holds the addresses of the first states."""
    finals: list[int]
    inputs: int | None
    """Where `bases` holds the address of the inputs; None if the cell reads none."""
    outputs: int


def _direction(
    cell: StackCell, reverse: bool, commands: CommandBuffer, binding: Binding, prepared: Sequence[Tensor], column: int
) -> _Direction:
    names, first = commands.tensors, 1 + len(commands.blocks)
    bases = [0] * (first + len(names) - len(prepared)) + [part.data_ptr() for part in prepared]
    place = {name: first + number for number, name in enumerate(names)}
    count, sequences = len(cell.recorder.widths), cell.recorder.sequences
    return _Direction(
        cell=cell,
        reverse=reverse,
        commands=commands,
        binding=binding,
        bases=array("q", bases),
        column=column,
        states=[place[f"argument{sequences + number}"] for number in range(count)],
        finals=[place[f"final{number}"] for number in range(count)],
        inputs=place["argument0"] if sequences else None,
        outputs=place["outputs"],
    )


class StackLaunch:
    """The recorded launch of a stack for one size of batch.

    Args:
        layers: The compiled cells of each layer; the second of a layer runs backwards.
        weights: Of each cell in turn, packed.
        sizes: Steps, sequences, and width of the inputs.
        ragged: Whether sequences differ in length.
        residual: Whether a layer's inputs are added to its outputs where both have the same width.
    """

    def __init__(
        self,
        layers: Sequence[Sequence[StackCell]],
        weights: Sequence[PackedWeights],
        sizes: tuple[int, int, int],
        *,
        ragged: bool,
        residual: bool,
    ) -> None:
        self._time, self.batch, width = sizes
        self.zeros: Sequence[tuple[Any, ...]] = []
        """The first states of all cells, if these are zeros in every call."""
        self._ragged = ragged
        rows = self._time * self.batch
        self._dtype = layers[0][0].program.dtype
        self.sizes = dict.fromkeys(("scratch", "saved", "rows", "inner0", "inner1"), 1)
        """Numbers of each memory of the workbench."""
        tools = layers[0][0].program.tools
        self._list = CommandList(tools.play)
        self._steps: list[_Direction | CommandList] = []
        """The same one by one, for where one call can't make all."""
        self._layers: list[list[_Direction]] = []
        self._prepared: list[list[Tensor]] = []  # the native lists have nothing but addresses
        remaining = iter(weights)
        capacities = [self._capacity(reverse) for reverse in (False, True)]
        for depth, cells in enumerate(layers):
            widths = [part.program.output_width for part in cells]
            total, last = sum(widths), depth == len(layers) - 1
            directions = []
            for number, part in enumerate(cells):
                layout = capacities[number]
                strategy, commands = part.recorder.stacked(layout, total)
                prepared = prepare(part.recorder, commands, next(remaining), strategy)
                self._prepared.append(prepared)
                binding = commands.lay_out(layout)
                binding = binding._replace(places=array("q", binding.places))
                for name, (size, _) in zip(("scratch", "saved", "rows"), binding.blocks, strict=True):
                    self.sizes[name] = max(self.sizes[name], size)
                directions.append(_direction(part, number == 1, commands, binding, prepared, sum(widths[:number])))
                self._steps.append(directions[-1])
            self._layers.append(directions)
            if not last:
                self.sizes[f"inner{depth % 2}"] = max(self.sizes[f"inner{depth % 2}"], rows * total)
            if residual and total == width:
                source = "inputs" if depth == 0 else f"inner{(depth - 1) % 2}"
                to = "outputs" if last else f"inner{depth % 2}"
                addition = CommandList(tools.play)
                addition.call(tools.addresses["add"], Address(to), total, Address(source), total, rows, total)
                self._steps.append(addition)
            width = total
        self.width = width
        """Of the outputs."""
        self._directions = [direction for layer in self._layers for direction in layer]
        self._bases = array("q", [0] * len(_NAMES))
        self._version = -1
        self._shapes = [
            [(self.batch, *shape) for shape in part.cell.program.graphs.shapes] for part in self._directions
        ]
        self._apart = any(part.binding.split.together or not part.commands.one_call for part in self._directions)
        for step in self._steps:
            if isinstance(step, CommandList):
                step.number(_NUMBERS)
                call = *step.table, _PLACES.buffer_info()[0], self._bases.buffer_info()[0]
            else:
                places, bases = step.binding.places, step.bases
                call = *step.commands.head.table, places.buffer_info()[0], bases.buffer_info()[0]
            self._list.call(tools.addresses["play"], *call)
        self._list.number(_NUMBERS)

    @property
    def one_call(self) -> bool:
        """Whether one native call runs everything; else there is one for each direction of a layer."""
        return not self._apart

    def _capacity(self, reverse: bool) -> Layout:
        """Return the layout that decides on memory: of full sequences, or of ragged ones as long as they may be."""
        if not self._ragged:
            return blocks(self._time, self.batch, reverse)
        lengths = torch.full((self.batch,), self._time)
        return packed(lengths, self._time, reverse)

    def _bind(self, bench: Workbench) -> None:
        """Write the addresses of the workbench's memories."""
        if self._version == bench.version:
            return
        bench.reserve(self.sizes, self._dtype)
        self._version = bench.version
        inner = [bench.address("inner0"), bench.address("inner1")]
        self._bases[3:5] = array("q", inner)
        size = self._dtype.itemsize
        for depth, layer in enumerate(self._layers):
            for part in layer:
                part.bases[1:4] = array("q", [bench.address(name) for name in ("scratch", "saved", "rows")])
                if depth > 0 and part.inputs is not None:
                    part.bases[part.inputs] = inner[(depth - 1) % 2]
                if depth < len(self._layers) - 1:
                    part.bases[part.outputs] = inner[depth % 2] + part.column * size

    def accepts(self, states: Sequence[tuple[Tensor, ...]]) -> bool:
        """Return whether first states fit the cells; one of each cell in turn."""
        if len(states) != len(self._shapes):
            return False
        for state, shapes in zip(states, self._shapes):  # noqa: B905 - dearer if strict
            if len(state) != len(shapes):
                return False
            for value, shape in zip(state, shapes):  # noqa: B905
                if value.shape != shape or value.dtype is not self._dtype or not value.is_cpu:
                    return False
        return True

    def run(
        self, bench: Workbench, inputs: Tensor, lengths: Tensor | None, states: Sequence[tuple[Tensor, ...]]
    ) -> tuple[Tensor, list[list[Tensor]]]:
        """Run the stack.

        Args:
            bench: The memory; no other call uses it meanwhile.
            inputs: (time, batch, input).
            lengths: Valid steps of each sequence, (batch,); None if all are.
            states: The first state of each cell in turn, which `accepts` approves.

        Returns:
            Outputs, (time, batch, width), and the parts of each cell's last state.
        """
        self._bind(bench)
        if not inputs.is_contiguous():
            inputs = inputs.contiguous()
        layouts = [] if lengths is None else self._lay_out(lengths)
        outputs = torch.empty(self._time, self.batch, self.width, dtype=self._dtype, device="cpu")
        begin, result = inputs.data_ptr(), outputs.data_ptr()
        self._bases[1], self._bases[2] = begin, result
        for part in self._layers[0]:
            if part.inputs is not None:
                part.bases[part.inputs] = begin
        for part in self._layers[-1]:
            part.bases[part.outputs] = result + part.column * self._dtype.itemsize
        results, held = [], []
        for part, state in zip(self._directions, states):  # noqa: B905 - dearer if strict
            addresses, final = part.bases, []
            for place, end, value in zip(part.states, part.finals, state):  # noqa: B905
                if not value.is_contiguous():
                    value = value.contiguous()
                    held.append(value)
                last = torch.empty_like(value)
                addresses[place], addresses[end] = value.data_ptr(), last.data_ptr()
                final.append(last)
            results.append(final)
        places, bases = _PLACES.buffer_info()[0], self._bases.buffer_info()[0]
        if self._apart:
            for step in self._steps:
                if isinstance(step, CommandList):
                    step.play(places, bases)
                else:
                    step.commands.play(step.binding, step.bases)
        else:
            self._list.play(places, bases)
        del layouts, held  # the native code read them until now
        return outputs, results

    def _lay_out(self, lengths: Tensor) -> list[Layout]:
        """Write the numbers and the tables of a ragged batch into all bindings."""
        layouts = [packed(lengths, self._time, reverse) for reverse in (False, True)[: len(self._layers[0])]]
        for part in self._directions:
            places = part.binding.places
            numbers = layouts[part.reverse].numbers(part.binding.split.parts)
            for place, number in zip(_LAYOUT_PLACES, numbers[1:], strict=True):
                places[place] = number
        return layouts
