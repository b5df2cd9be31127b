"""Stack: all layers and directions of a recurrent stack as one native call, for inference on a few sequences."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from unspool.cells import Cell, ElmanCell, GRUCell, LSTMCell
from unspool.cells.base import attachments
from unspool.engine.compiler.frontend.cell_fingerprint import weights
from unspool.engine.cpu.backend import compile_stack_cell
from unspool.engine.cpu.launch.packed_weights import PackedWeights, packed_weights
from unspool.engine.cpu.launch.stack import StackCell, StackLaunch, Workbench
from unspool.engine.cpu.policy import current_policy, current_target
from unspool.engine.cpu.runtime.interception import is_intercepted
from unspool.engine.cpu.runtime.thread_team import threads
from unspool.engine.dispatch import Report, note, watching

__all__ = ["Stack"]

new = tuple.__new__  # a named tuple's own is written in Python
States = Sequence[Sequence[tuple[Any, ...]]]
"""For each layer, for each direction, the cell's state."""
_AT_ZERO = {kind.initial_state for kind in (ElmanCell, GRUCell, LSTMCell)}
"""Initial states that are known to be zeros, and so need not be asked for in every call."""


def _need_gradient(states: States) -> bool:
    return any(value.requires_grad for layer in states for state in layer for value in state)


class Stack:
    """Runs all layers and directions of a stack as one native call, without gradients.

    The first call compiles the cells, packs their weights and records the launch. A call packs weights again that were
    replaced or written to since the last one, and compiles again where a cell changed otherwise. Threads may call one
    stack at once; each call has a `Workbench` of its own.

    Args:
        layers: The cells of each layer; the second of a layer runs backwards.
        residual: Whether a layer's inputs are added to its outputs where both have the same width.
    """

    def __init__(self, layers: Sequence[Sequence[Cell[Any]]], *, residual: bool = False) -> None:
        self.layers, self.residual = [list(cells) for cells in layers], residual
        self._cells = [cell for cells in self.layers for cell in cells]
        self._compiled: list[StackCell] | None = None
        self._conditions: tuple[object, ...] = ()
        self._refusal: str | None = None
        """Why the cells can't be compiled."""
        self._benches: list[Workbench] = []
        self._packed: list[PackedWeights] = []
        self._weight_states: list[tuple[Any, ...]] = []
        self._begins_at_zero = False

    def __reduce__(self) -> Any:
        return partial(Stack, residual=self.residual), (self.layers,)  # addresses mean nothing elsewhere

    def __call__(
        self, inputs: Tensor, lengths: Tensor | None = None, states: States | None = None
    ) -> tuple[Tensor, tuple[tuple[Any, ...], ...]] | None:
        """Run all layers.

        Args:
            inputs: Sequences padded at the end, (time, batch, input), checked.
            lengths: Valid steps of each sequence, (batch,), checked; all of them if omitted.
            states: The first states; the cells' initial states if omitted.

        Returns:
            The last layer's outputs, (time, batch, width), zero past each length, and the last state of every layer
            and direction; None if the stack can't run so, and `why_not` says why.
        """
        if self._why_not_now(inputs, lengths) is not None or self._prepare(inputs) is not None:
            return None
        if states is not None and torch.is_grad_enabled() and _need_gradient(states):
            return None
        if lengths is not None and min(lengths.tolist()) == len(inputs):
            lengths = None
        try:
            bench = self._benches.pop()
        except IndexError:
            bench = Workbench()
        launch = self._launch(bench, inputs, lengths)
        if isinstance(launch, str):
            return None
        first: Sequence[tuple[Any, ...]]
        if states is not None:
            first = [state for layer in states for state in layer]
        elif self._begins_at_zero:
            first = launch.zeros
        else:
            first = [cell.initial_state(launch.batch) for cell in self._cells]
        if first is not launch.zeros and not launch.accepts(first):
            return None
        outputs, finals = launch.run(bench, inputs, lengths, first)
        self._benches.append(bench)
        if watching.get() is not None:
            note(self.report(inputs))
        ends = iter([new(type(state), final) for state, final in zip(first, finals)])  # noqa: B905 - dearer if strict
        return outputs, tuple([tuple([next(ends) for _ in cells]) for cells in self.layers])

    def why_not(self, inputs: Tensor, lengths: Tensor | None = None) -> str | None:
        """Say why the stack can't run these inputs as one call; None if it can."""
        reason = self._why_not_now(inputs, lengths) or self._prepare(inputs)
        if reason is None:
            launch = self._launch(Workbench(), inputs, lengths)
            reason = launch if isinstance(launch, str) else None
        return reason

    def _why_not_now(self, inputs: Tensor, lengths: Tensor | None) -> str | None:
        """Say what about this call needs another path; every line runs in every call."""
        policy = current_policy()
        time, batch, _ = inputs.shape
        if batch > policy.stack_sequences:
            return f"one call for all layers pays for up to {policy.stack_sequences} sequences"
        if time < policy.compiled_steps:
            return f"a compiled loop is not worth its call for {time} step{'s' * (time > 1)}"
        if torch.is_grad_enabled() and self._needs_gradient(inputs):
            return "a gradient may be wanted; under torch.no_grad() it is not"
        if type(inputs) not in (Tensor, torch.nn.Parameter) or is_intercepted():
            return "it needs plain tensors, and something else looks on"
        if not inputs.is_cpu or (lengths is not None and not lengths.is_cpu):
            return "it runs on the CPU, and the inputs or their lengths are elsewhere"
        if torch.is_autocast_enabled("cpu"):
            return "it computes in full precision, and automatic half precision is on"
        attached = attachments.get()
        if attached and any(cell in attached for cell in self._cells):
            return "compiled loops do not show their gates, and someone is watching"
        return None

    def _needs_gradient(self, inputs: Tensor) -> bool:
        return inputs.requires_grad or any(
            part.requires_grad for cell in self._cells for part in weights(cell).values()
        )

    def _prepare(self, inputs: Tensor) -> str | None:
        """Compile the cells and pack their weights, unless neither has changed; say why there is no way to."""
        compiled, conditions = self._compiled, (current_policy(), current_target(), inputs.dtype)
        if compiled is None or self._refusal is not None or conditions != self._conditions:
            return self._compile(inputs, conditions)
        for part in compiled:
            if not part.fingerprint.matches(part.cell):
                return self._compile(inputs, conditions)
        for owner, name, version, address, first, was_first, last, was_last in self._weight_states:
            weight = owner[name]
            if weight._version != version or weight.data_ptr() != address:
                self._pack(compiled)
                return None
            if first.value != was_first or last.value != was_last:
                self._pack(compiled)
                return None
        return None

    def _compile(self, inputs: Tensor, conditions: tuple[object, ...]) -> str | None:
        """Compile all cells, and pack their weights; say why there is no way to."""
        self._compiled, compiled = None, []
        for cell in self._cells:
            part = compile_stack_cell(cell, inputs)
            if isinstance(part, str):
                self._refusal = f"{type(cell).__name__}: {part}"
                return self._refusal
            compiled.append(part)
        if {part.program.dtype for part in compiled} != {inputs.dtype}:
            self._refusal = "inputs and weights differ in their number type"
            return self._refusal
        self._pack(compiled, conditions)
        return None

    def _pack(self, compiled: list[StackCell], conditions: tuple[object, ...] | None = None) -> None:
        """Pack the weights that changed, and note their state; recorded launches hold addresses of the old ones."""
        packed, states = [], []
        for part in compiled:
            ready = packed_weights(part.cell, part.program, part.fingerprint.weights())
            packed.append(ready)
            for (_, owner, name), snapshot in zip(part.fingerprint.places, ready.snapshots, strict=True):
                first, last = snapshot.ends()
                states.append((owner, name, snapshot.version, snapshot.address, first, first.value, last, last.value))
        self._weight_states, self._packed, self._benches = states, packed, []
        self._refusal, self._compiled, self._conditions = None, compiled, conditions or self._conditions
        self._begins_at_zero = all(type(cell).initial_state in _AT_ZERO for cell in self._cells)

    def _launch(self, bench: Workbench, inputs: Tensor, lengths: Tensor | None) -> StackLaunch | str:
        """Return the launch for a size of batch, from the workbench if it is there; or why there is none."""
        assert self._compiled is not None, "the cells are compiled before"
        time, batch, width = inputs.shape
        policy = current_policy()
        key = time, batch, lengths is not None, threads(), self._compiled[0].program.crowd.crowded()
        launch = bench.launches.get(key)
        if launch is not None:
            return launch
        remaining = iter(self._compiled)
        launch = StackLaunch(
            [[next(remaining) for _ in cells] for cells in self.layers],
            self._packed,
            (time, batch, width),
            ragged=lengths is not None,
            residual=self.residual,
        )
        if sum(launch.sizes.values()) * inputs.itemsize > policy.stack_bytes:
            return f"its memory would exceed {policy.stack_bytes >> 20} MB"
        if self._begins_at_zero:
            launch.zeros = [cell.initial_state(batch) for cell in self._cells]
        while len(bench.launches) >= policy.stack_sizes:
            bench.launches.pop(next(iter(bench.launches)))
        bench.launches[key] = launch
        return launch

    def report(self, inputs: Tensor) -> Report:
        """Describe the call for these inputs."""
        time, batch, width = inputs.shape
        layers, directions = len(self.layers), len(self.layers[0])
        sizes = (
            f"{width} in, {sum(cell.hidden_size for cell in self.layers[-1])} out, {layers} layer{'s' * (layers > 1)}"
            f"{' of both directions' * (directions == 2)}, {time} steps, batch {batch}, "
            f"{str(inputs.dtype).removeprefix('torch.')} on cpu"
        )
        return Report("stack", type(self._cells[0]).__name__, sizes)
