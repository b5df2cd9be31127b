"""Stack: all layers and directions of a recurrent stack as one native call, for inference on a few sequences."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from unspool.cells import Cell
from unspool.cells.base import attachments
from unspool.engine.cpu.backend import compile_stack_cell
from unspool.engine.cpu.launch.packed_weights import packed_weights
from unspool.engine.cpu.launch.stack import StackCell, StackLaunch, Workbench
from unspool.engine.cpu.policy import current_policy, current_target
from unspool.engine.cpu.runtime.interception import is_intercepted
from unspool.engine.cpu.runtime.thread_team import threads
from unspool.engine.dispatch import Report, note, watching

__all__ = ["Stack"]

States = Sequence[Sequence[tuple[Any, ...]]]
"""For each layer, for each direction, the cell's state."""


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
        self._packed: list[Any] = []

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
        time, batch, _ = inputs.shape
        if states is None:
            first = [cell.initial_state(batch) for cell in self._cells]
        else:
            first = [state for layer in states for state in layer]
        parts = self._parts(first, batch)
        if parts is None:
            return None
        if lengths is not None and min(lengths.tolist()) == time:
            lengths = None
        try:
            bench = self._benches.pop()
        except IndexError:
            bench = Workbench()
        launch = self._launch(bench, inputs, lengths)
        if isinstance(launch, str):
            return None
        outputs, finals = launch.run(bench, inputs.detach().contiguous(), lengths, parts)
        self._benches.append(bench)
        if watching.get() is not None:
            note(self._report(inputs))
        ends = iter([type(state)(*final) for state, final in zip(first, finals, strict=True)])
        return outputs, tuple([tuple([next(ends) for _ in cells]) for cells in self.layers])

    def why_not(self, inputs: Tensor, lengths: Tensor | None = None) -> str | None:
        """Say why the stack can't run these inputs as one call; None if it can."""
        reason = self._why_not_now(inputs, lengths) or self._prepare(inputs)
        if reason is None:
            launch = self._launch(Workbench(), inputs, lengths)
            reason = launch if isinstance(launch, str) else None
        return reason

    def report(self, inputs: Tensor, lengths: Tensor | None = None) -> Report | None:
        """Describe the call for these inputs; None if the stack can't run them."""
        return self._report(inputs) if self.why_not(inputs, lengths) is None else None

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
            part.requires_grad for cell in self._cells for part in (*cell.parameters(), *cell.buffers())
        )

    def _prepare(self, inputs: Tensor) -> str | None:
        """Compile the cells and pack their weights, unless neither has changed; say why there is no way to."""
        compiled, conditions = self._compiled, (current_policy(), current_target(), inputs.dtype)
        if self._refusal is not None or compiled is None or conditions != self._conditions:
            compiled = None
        elif not all([part.fingerprint.matches(part.cell) for part in compiled]):
            compiled = None
        if compiled is None:
            compiled = []
            for cell in self._cells:
                part = compile_stack_cell(cell, inputs)
                if isinstance(part, str):
                    self._refusal = f"{type(cell).__name__}: {part}"
                    return self._refusal
                compiled.append(part)
            dtypes = {part.program.dtype for part in compiled}
            if dtypes != {inputs.dtype}:
                self._refusal = "inputs and weights differ in their number type"
                return self._refusal
            self._refusal, self._compiled, self._conditions = None, compiled, conditions
        packed = [packed_weights(part.cell, part.program, part.fingerprint.weights()) for part in compiled]
        if packed != self._packed:
            self._packed, self._benches = packed, []
        return None

    def _parts(self, states: Sequence[tuple[Any, ...]], batch: int) -> list[list[Tensor]] | None:
        """Return the parts of all first states without gaps; None if one does not fit its cell."""
        assert self._compiled is not None, "the cells are compiled before"
        dtype, results = self._conditions[2], []
        if len(states) != len(self._compiled):
            return None
        for part, state in zip(self._compiled, states, strict=True):
            shapes = part.program.graphs.shapes
            if len(state) != len(shapes):
                return None
            for value, shape in zip(state, shapes, strict=True):
                if value.shape != (batch, *shape) or value.dtype is not dtype or not value.is_cpu:
                    return None
            results.append([value.detach().contiguous() for value in state])
        return results

    def _launch(self, bench: Workbench, inputs: Tensor, lengths: Tensor | None) -> StackLaunch | str:
        """Return the launch for a size of batch, from the workbench if it is there; or why there is none."""
        assert self._compiled is not None, "the cells are compiled before"
        time, batch, width = inputs.shape
        policy = current_policy()
        key = time, batch, lengths is not None, threads(), self._compiled[0].program.crowd.crowded()
        launch = bench.launches.pop(key, None)
        if launch is None:
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
        bench.launches[key] = launch  # the last used stands last
        while len(bench.launches) > policy.stack_sizes:
            bench.launches.pop(next(iter(bench.launches)))
        return launch

    def _report(self, inputs: Tensor) -> Report:
        time, batch, width = inputs.shape
        layers, directions = len(self.layers), len(self.layers[0])
        sizes = (
            f"{width} in, {sum(cell.hidden_size for cell in self.layers[-1])} out, {layers} layer{'s' * (layers > 1)}"
            f"{' of both directions' * (directions == 2)}, {time} steps, batch {batch}, "
            f"{str(inputs.dtype).removeprefix('torch.')} on cpu"
        )
        return Report("stack", type(self._cells[0]).__name__, sizes)
