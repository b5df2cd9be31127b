"""Weights as kernels want them, made once and made again when a weight has changed.

Replaying the tape and packing matrices costs as much as a few steps, and gives the same until a weight is written to.
Torch counts what is written to a tensor, and an exchange of its memory shows in its address. What goes round that
counter, a fused optimizer, `weight.data.mul_(...)` or an array that shares the memory, is found out by looking at some
of the numbers: a change of all of them is seen, a change of a few may not be. Tensors of inference mode have no
counter, so nothing is kept of them.
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
from unspool.engine.compiler.pipeline import StepGraphs
from unspool.engine.cpu.launch.command_buffer import CommandBuffer
from unspool.engine.cpu.runtime.prologue import run_weights

__all__ = ["PackedWeights", "WeightSnapshot", "packed_weights"]

_LOOKED_AT = 5
"""Along each side of a weight, about how many numbers are looked at."""


class WeightSnapshot:
    """What a weight was, as far as can be told in half a microsecond.

    It holds the weight's memory, so that no other tensor can come to lie at its address.
    """

    __slots__ = ("_stride", "address", "bytes", "known", "numbers", "version")

    def __init__(self, tensor: Tensor) -> None:
        self.known = type(tensor) in (Tensor, nn.Parameter) and not tensor.is_inference()
        if not self.known:
            return
        self.version, self.address, self._stride = tensor._version, tensor.data_ptr(), tensor.stride()
        steps = (max(1, size // _LOOKED_AT) for size in tensor.shape)
        self.numbers = tensor.detach().numpy()[tuple(slice(None, None, step) for step in steps)]
        self.bytes = self.numbers.tobytes()

    def ends(self) -> tuple[Any, Any]:
        """The first and the last of the numbers that are looked at, as whole numbers whose `value` follows them."""
        kind = {4: ctypes.c_int32, 8: ctypes.c_int64}[self.numbers.itemsize]
        if self.numbers.size == 0:
            return kind(0), kind(0)
        last = sum((size - 1) * step for size, step in zip(self.numbers.shape, self.numbers.strides, strict=True))
        return kind.from_address(self.address), kind.from_address(self.address + last)

    def fits(self, tensor: Tensor) -> bool:
        """Whether this is the weight, and nothing was written to it since."""
        return (
            self.known
            and not tensor.is_inference()
            and tensor._version == self.version
            and tensor.data_ptr() == self.address
            and tensor.stride() == self._stride
            and self.numbers.tobytes() == self.bytes
        )


class PackedWeights:
    """What kernels need of a cell's weights.

    Args:
        plan: Of the cell.
        owned: The cell's weights by name.
        dtype: Their number type.
        pack: Packs a matrix, in tiles of so many parts of each number if any.
        half: Whether it packs bfloat16 where there are no tiles.
    """

    def __init__(
        self,
        graphs: StepGraphs,
        owned: Mapping[str, Tensor],
        dtype: torch.dtype,
        pack: Callable[[Tensor, int], Tensor],
        *,
        half: bool = False,
    ) -> None:
        self.graphs, self._dtype, self._half = graphs, dtype, half
        self._snapshots = [WeightSnapshot(tensor) for tensor in owned.values()]
        self._pack = pack
        self._packed: dict[tuple[int, bool, int], Tensor] = {}
        self._shared: dict[int, dict[Node, Tensor]] = {}
        self._ready: dict[CommandBuffer, list[Tensor]] = {}
        with torch.no_grad():
            self.matrices, self._plain = graphs.tape.replay(dict(owned))

    def fits(self, graphs: StepGraphs, owned: Collection[Tensor], half: bool) -> bool:
        """Whether this was made of these weights, as they are now, and packed so."""
        return self.graphs is graphs and self._half is half and all(map(WeightSnapshot.fits, self._snapshots, owned))

    @property
    def snapshots(self) -> list[WeightSnapshot]:
        """What the weights were."""
        return self._snapshots

    @property
    def known(self) -> bool:
        """Whether a change of the weights can be seen."""
        return all(snapshot.known for snapshot in self._snapshots)

    def packed(self, matrix: int, transposed: bool, tiles: int = 0) -> Tensor:
        """A matrix of the tape, packed, in tiles of so many parts of each number if any."""
        key = matrix, transposed, tiles
        if key not in self._packed:
            found = self.matrices[matrix]
            self._packed[key] = self._pack(found.t() if transposed else found, tiles)
        return self._packed[key]

    def shared(self, before: Prologue) -> dict[Node, Tensor]:
        """What depends on weights alone, each (1, width)."""
        if id(before) not in self._shared:
            with torch.no_grad():
                found = run_weights(before, self._plain, self.matrices, self._dtype)
            self._shared[id(before)] = {node: value.contiguous() for node, value in found.items()}
        return self._shared[id(before)]

    def ready(self, commands: CommandBuffer, find: Callable[[], list[Tensor]]) -> list[Tensor]:
        """What a command buffer wants of the weights, looked for once."""
        if commands not in self._ready:
            self._ready[commands] = find()
        return self._ready[commands]

    def vectors(self, before: Prologue) -> list[Tensor]:
        """The vectors of the loop after that, each (1, width)."""
        shared = self.shared(before)
        return [shared[node] for node in before.vectors]


_packed_weights: weakref.WeakKeyDictionary[Cell[Any], PackedWeights] = weakref.WeakKeyDictionary()


def packed_weights(
    cell: Cell[Any],
    graphs: StepGraphs,
    owned: Mapping[str, Tensor],
    dtype: torch.dtype,
    pack: Callable[[Tensor, int], Tensor],
    *,
    half: bool = False,
) -> PackedWeights:
    """The cell's weights, bound now or before; one set is kept for a cell, as long as the cell lives."""
    found = _packed_weights.get(cell)
    if found is None or not found.fits(graphs, owned.values(), half):
        found = PackedWeights(graphs, owned, dtype, pack, half=half)
        if found.known:
            _packed_weights[cell] = found
        else:
            _packed_weights.pop(cell, None)
    return found
