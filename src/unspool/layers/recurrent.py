"""Recurrent stacks: any cell, any depth, one direction or both, with dropout and residual connections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from unspool.cells import Cell, cell_class
from unspool.engine import (
    Backend,
    Lengths,
    Report,
    Stack,
    Stepper,
    check_sequences,
    explain,
    lengths_tensor,
    unroll,
)
from unspool.engine.cpu import current_policy
from unspool.errors import SettingError, ShapeError
from unspool.layers.dropout import SequenceDropout, drop_weights

__all__ = ["Recurrent", "RecurrentOutput", "RecurrentState"]

RecurrentState = tuple[tuple[Any, ...], ...]
"""For each layer, for each direction, the cell's state."""


class RecurrentOutput(NamedTuple):
    """Outputs and final state of a stack."""

    outputs: Tensor  # of the last layer, (time, batch, output_size), zero past each length
    state: RecurrentState


class Recurrent(nn.Module):
    """Stack of layers of one cell, over padded sequences.

    Args:
        cell: Name of the cell, its class, or `module:Class`.
        cell_options: Arguments of the cell's `__init__` besides its two sizes, such as `{"rate": 0.9}`.
        input_size: Width of the inputs.
        hidden_size: Width of each layer and direction.
        num_layers: Depth, at least 1.
        bidirectional: Whether every layer also runs backwards; its outputs are concatenated.
        residual: Whether to add the input of a layer to its output where both have the same width.
        dropout: Dropout rate between layers.
        variational: Whether that dropout uses one mask per sequence.
        weight_dropout: Dropout rate of recurrent weights, one mask per batch.
        backend: Backend of the engine; `auto` takes the fastest one that supports the call.

    Raises:
        SettingError: If there is no such cell, it has no such option, or a size is not positive.
    """

    def __init__(
        self,
        cell: str | type[Cell[Any]],
        input_size: int,
        hidden_size: int,
        *,
        cell_options: Mapping[str, object] | None = None,
        num_layers: int = 1,
        bidirectional: bool = False,
        residual: bool = False,
        dropout: float = 0.0,
        variational: bool = False,
        weight_dropout: float = 0.0,
        backend: Backend = "auto",
    ) -> None:
        super().__init__()
        if min(input_size, hidden_size, num_layers) < 1:
            raise SettingError(f"sizes {input_size}, {hidden_size} and {num_layers} layers must all be at least 1")
        if not 0 <= weight_dropout < 1:
            raise SettingError(f"weight_dropout = {weight_dropout}: expected at least 0 and less than 1")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.directions = 2 if bidirectional else 1
        self.output_size = hidden_size * self.directions
        self.residual, self.weight_dropout, self.backend = residual, weight_dropout, backend
        kind = cell_class(cell, cell_options)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                kind(input_size if depth == 0 else self.output_size, hidden_size) for _ in range(self.directions)
            )
            for depth in range(num_layers)
        )
        self.dropout = SequenceDropout(dropout, variational=variational)
        self._steppers: list[Stepper[Any]] = []
        self._stack: Stack | None = None

    def forward(
        self, inputs: Tensor, lengths: Lengths | None = None, state: RecurrentState | None = None
    ) -> RecurrentOutput:
        """Run all layers.

        Args:
            inputs: Sequences padded at the end, (time, batch, input).
            lengths: Valid steps of each sequence, whole numbers (batch,) in a tensor or a list, each between 1 and
                time; all of them if omitted.
            state: Initial state, as an earlier call returned it; the cells' initial states if omitted.

        Returns:
            The last layer's outputs and the state of every layer and direction.

        Raises:
            ShapeError: If a tensor does not fit.
        """
        lengths = lengths_tensor(lengths)
        check_sequences(inputs, lengths, self.input_size)
        if state is not None and len(state) != self.num_layers:
            raise ShapeError(f"state has {len(state)} layers, expected {self.num_layers}")
        if self.residual and lengths is not None:  # padding must not reach the sum
            steps = torch.arange(inputs.shape[0], device=inputs.device)[:, None]
            inputs = inputs.masked_fill((steps >= lengths.to(inputs.device)).unsqueeze(-1), 0)
        if len(inputs) == 1 and state is not None and lengths is None and self._writes(inputs):
            return self._step(inputs[0], state)
        if self._why_layered(inputs) is None:
            result = self._whole()(inputs, lengths, state)
            if result is not None:
                return RecurrentOutput(*result)
        final = []
        for depth, cells in enumerate(self._cells()):
            if depth > 0:
                inputs = self.dropout(inputs)
            outputs, after = self._run_layer(cells, inputs, lengths, None if state is None else state[depth])
            inputs = inputs + outputs if self.residual and inputs.shape == outputs.shape else outputs
            final.append(after)
        return RecurrentOutput(inputs, tuple(final))

    def _writes(self, inputs: Tensor) -> bool:
        """Whether a `Stepper` may make this single step, which is faster than `unroll`."""
        plain = self.directions == 1 and self.backend == "auto" and not self.training
        return plain and inputs.is_cpu and not torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")

    def explain(self, *, time: int = 64, batch: int = 1, lengths: Lengths | None = None) -> Report:
        """Report how inference without gradients runs: all layers in one call, or one by one, and why.

        Args:
            time: Steps.
            batch: Sequences.
            lengths: Valid steps of each sequence, (batch,); all of them if omitted.

        Returns:
            The report. Its backend is `stack` for one call; else it is that of the first cell, with the reason against
            one call among the `refusals`.

        Raises:
            ShapeError: If the lengths do not fit.
        """
        like = next(self.parameters(), torch.empty(0))
        inputs, lengths = like.new_zeros(time, batch, self.input_size), lengths_tensor(lengths)
        check_sequences(inputs, lengths, self.input_size)
        with torch.no_grad():
            reason = self._why_layered(inputs) or self._whole().why_not(inputs, lengths)
            if reason is None:
                return self._whole().report(inputs)
            report = explain(self._cells()[0][0], inputs, lengths=lengths, backend=self.backend)
        return replace(report, refusals={"stack": reason, **report.refusals})

    def _why_layered(self, inputs: Tensor) -> str | None:
        """Say why layers run one by one; None if a `Stack` may run all, which is faster for a few sequences."""
        if self.backend != "auto":
            return f'backend="{self.backend}" asks for one path of each cell'
        if self.training and (self.dropout.rate > 0 or self.weight_dropout > 0):
            return "dropout is on; .eval() turns it off"
        if not inputs.is_cpu:
            return f"it runs on the CPU, and the inputs are on {inputs.device.type}"
        if inputs.shape[1] > current_policy().stack_sequences:
            return f"one call for all layers pays for up to {current_policy().stack_sequences} sequences"
        return None

    def _whole(self) -> Stack:
        """Return the stack of the present cells."""
        cells = [list(layer._modules.values()) for layer in self.layers._modules.values() if layer is not None]
        if self._stack is None or self._stack.layers != cells or self._stack.residual != self.residual:
            self._stack = Stack(self._cells(), residual=self.residual)
        return self._stack

    def _step(self, x: Tensor, state: RecurrentState) -> RecurrentOutput:
        """Make one step of all layers, for inputs (batch, input)."""
        cells = [cells[0] for cells in self._cells()]
        if [stepper.cell for stepper in self._steppers] != cells:
            self._steppers = [Stepper(cell) for cell in cells]
        final = []
        for stepper, (before,) in zip(self._steppers, state, strict=True):
            stepper.refresh()
            output, after = stepper(x, before)
            x = x + output if self.residual and x.shape == output.shape else output
            final.append((after,))
        return RecurrentOutput(x.unsqueeze(0), tuple(final))

    def _run_layer(
        self, cells: list[Cell[Any]], inputs: Tensor, lengths: Tensor | None, state: tuple[Any, ...] | None
    ) -> tuple[Tensor, tuple[Any, ...]]:
        outputs, after = [], []
        for direction, cell in enumerate(cells):
            with drop_weights(cell, self.weight_dropout):
                output, final = unroll(
                    cell,
                    inputs,
                    None if state is None else state[direction],
                    lengths=lengths,
                    reverse=direction == 1,
                    backend=self.backend,
                )
            outputs.append(output)
            after.append(final)
        return torch.cat(outputs, dim=-1) if len(outputs) > 1 else outputs[0], tuple(after)

    def initial_state(self, batch_size: int) -> RecurrentState:
        """Return the state before the first step, for every layer and direction."""
        return tuple(tuple(cell.initial_state(batch_size) for cell in cells) for cells in self._cells())

    def named_cells(self) -> Iterator[tuple[str, Cell[Any], bool]]:
        """Iterate over the cells: name, such as `layer 1 forward`, cell, and whether it runs backwards."""
        for depth, cells in enumerate(self._cells()):
            for direction, cell in enumerate(cells):
                side = ("forward", "backward")[direction]
                name = f"layer {depth + 1}" + (f" {side}" if self.directions == 2 else "")
                yield name, cell, direction == 1

    def _cells(self) -> list[list[Cell[Any]]]:
        return [list(cast(nn.ModuleList, cells)) for cells in self.layers]  # type: ignore[arg-type]

    def extra_repr(self) -> str:
        extras = [f"residual={self.residual}"] * self.residual + [f"backend={self.backend}"] * (self.backend != "auto")
        return ", ".join([f"{self.input_size}, {self.output_size}", *extras])
