"""Packed weights: made once for a cell, and made again when a weight has changed.

To replay the tape and to pack matrices costs as much as a few steps, and gives the same until a weight changes. Torch
counts writes to a tensor, and another memory shows in its address. Some writers bypass that count: fused optimizers,
`weight.data.mul_(...)`, arrays that share the memory. A snapshot therefore compares some numbers of each weight: it
detects a change of all numbers, and may miss a change of a few. Tensors of inference mode have no count, so nothing is
cached for them.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from unspool.cells import Cell
from unspool.engine.compiler.ir.graph import Node
from unspool.engine.compiler.passes.hoist import Prologue
from unspool.engine.cpu.launch.command_buffer import CommandBuffer
from unspool.engine.cpu.program import Program
from unspool.engine.cpu.runtime.prologue import run_weights

__all__ = ["PackedWeights", "WeightSnapshot", "packed_weights"]


class WeightSnapshot:
    """Change detector of one weight's numbers; a comparison takes half a microsecond.

    The snapshot holds the weight's memory, so that no other tensor can come to lie at its address.

    Args:
        tensor: The weight.
        probes: Numbers along each side that are compared.
    """

    __slots__ = ("_stride", "address", "bytes", "detects", "numbers", "version")

    def __init__(self, tensor: Tensor, probes: int) -> None:
        self.detects = type(tensor) in (Tensor, nn.Parameter) and not tensor.is_inference()
        if not self.detects:
            return
        self.version, self.address, self._stride = tensor._version, tensor.data_ptr(), tensor.stride()
        steps = (max(1, size // probes) for size in tensor.shape)
        self.numbers = tensor.detach().numpy()[tuple(slice(None, None, step) for step in steps)]
        self.bytes = self.numbers.tobytes()

    def ends(self) -> tuple[Any, Any]:
        """Return the first and the last probe as C integers whose `value` follows the memory."""
        kind = {4: ctypes.c_int32, 8: ctypes.c_int64}[self.numbers.itemsize]
        if self.numbers.size == 0:
            return kind(0), kind(0)
        last = sum((size - 1) * step for size, step in zip(self.numbers.shape, self.numbers.strides, strict=True))
        return kind.from_address(self.address), kind.from_address(self.address + last)

    def matches(self, tensor: Tensor) -> bool:
        """Return whether a tensor is this weight, and nothing was written to it since."""
        return (
            self.detects
            and not tensor.is_inference()
            and tensor._version == self.version
            and tensor.data_ptr() == self.address
            and tensor.stride() == self._stride
            and self.numbers.tobytes() == self.bytes
        )


class PackedWeights:
    """What the kernels of one program need of a cell's weights.

    Args:
        program: Of the cell; it packs the matrices.
        weights: The cell's weights by name.
    """

    def __init__(self, program: Program, weights: Mapping[str, Tensor]) -> None:
        self._program = program
        self.snapshots = [WeightSnapshot(tensor, program.policy.weight_probes) for tensor in weights.values()]
        """One for each weight, in the order of the weights."""
        self.detects = all(snapshot.detects for snapshot in self.snapshots)
        """Whether a change of the weights can be detected."""
        self._packed: dict[tuple[int, bool, int], Tensor] = {}
        self._shared: dict[int, dict[Node, Tensor]] = {}
        self._ready: dict[CommandBuffer, list[Tensor]] = {}
        with torch.no_grad():
            self.matrices, self._plain = program.graphs.tape.replay(dict(weights))

    def matches(self, program: Program, weights: Collection[Tensor]) -> bool:
        """Return whether these weights, as they are now, were packed for this program."""
        return self._program is program and all(map(WeightSnapshot.matches, self.snapshots, weights))

    def packed(self, matrix: int, transposed: bool, tiles: int = 0) -> Tensor:
        """Return a matrix of the tape, packed: in tiles of so many parts of each number, or for vectors if 0."""
        key = matrix, transposed, tiles
        if key not in self._packed:
            plain = self.matrices[matrix]
            self._packed[key] = self._program.pack(plain.t() if transposed else plain, tiles)
        return self._packed[key]

    def shared(self, before: Prologue) -> dict[Node, Tensor]:
        """Return the prologue's values that depend on weights alone, each (1, width)."""
        if id(before) not in self._shared:
            with torch.no_grad():
                values = run_weights(before, self._plain, self.matrices, self._program.dtype)
            self._shared[id(before)] = {node: value.contiguous() for node, value in values.items()}
        return self._shared[id(before)]

    def vectors(self, before: Prologue) -> list[Tensor]:
        """Return the vectors of the loop after a prologue, each (1, width)."""
        shared = self.shared(before)
        return [shared[node] for node in before.vectors]

    def ready(self, commands: CommandBuffer, make: Callable[[], list[Tensor]]) -> list[Tensor]:
        """Return what a command buffer reads of the weights, made on the first call."""
        if commands not in self._ready:
            self._ready[commands] = make()
        return self._ready[commands]


_packed_weights: weakref.WeakKeyDictionary[Cell[Any], PackedWeights] = weakref.WeakKeyDictionary()


def packed_weights(cell: Cell[Any], program: Program, weights: Mapping[str, Tensor]) -> PackedWeights:
    """Return the cell's packed weights, from the last call if nothing has changed.

    One set is cached for each cell, as long as the cell lives.

    Args:
        cell: The cell.
        program: Of the cell.
        weights: The cell's weights by name.
    """
    packed = _packed_weights.get(cell)
    if packed is None or not packed.matches(program, weights.values()):
        packed = PackedWeights(program, weights)
        if packed.detects:
            _packed_weights[cell] = packed
        else:
            _packed_weights.pop(cell, None)
    return packed
