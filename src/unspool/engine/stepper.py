"""Stepper: one compiled step per call, with packed weights, for text that is written unit by unit."""

from __future__ import annotations

from functools import partial
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from unspool.cells import Cell
from unspool.engine.compiler.frontend.cell_fingerprint import CellFingerprint
from unspool.engine.cpu import CompiledStep, compile_step
from unspool.engine.dispatch import Report, demands, log_choice, logs, note, watching
from unspool.engine.reference import plain_step, record_state
from unspool.engine.request import Backend
from unspool.errors import BackendError, CellError, ShapeError
from unspool.settings import nearest

__all__ = ["Stepper"]

S = TypeVar("S", bound=tuple[Any, ...])

_BACKENDS = ("auto", "cpu", "reference")


class Stepper(Generic[S]):
    """Advances a cell by one step per call, for inference: `unroll` with one step, at a twentieth of its cost.

    The first call compiles the cell's step and packs its weights; later calls pass little more than addresses to the
    kernel. A call packs weights again that were replaced or written to since the last one. Torch counts writes; where
    it does not (fused optimizers, `weight.data.mul_(...)`, an array that shares the memory), some numbers of each
    weight are compared: a change of all numbers is detected, and a change of a few may be missed. Numbers and modules
    set on the cell are detected by the next `refresh`, which takes some microseconds.

    The plain step runs where the compiler can't take the step, where a gradient is needed, and where someone watches
    the cell; `report` says which path ran last, and why.

    Args:
        cell: The cell.
        backend: `auto` compiles where it can; `cpu` requires that, `reference` the plain step.

    Raises:
        BackendError: If there is no such backend.

    Example:
        >>> import torch
        >>> from unspool.cells import LSTMCell
        >>> cell = LSTMCell(3, 4)
        >>> stepper, state = Stepper(cell), cell.initial_state(1)
        >>> with torch.no_grad():
        ...     for _ in range(2):
        ...         output, state = stepper(torch.ones(1, 3), state)
        >>> output.shape, stepper.report.backend
        (torch.Size([1, 4]), 'cpu')
    """

    def __init__(self, cell: Cell[S], *, backend: Backend = "auto") -> None:
        if backend not in _BACKENDS:
            raise BackendError(
                f"there is no backend {backend!r} for single steps{nearest(backend, _BACKENDS)}; "
                f"choose {', '.join(_BACKENDS)}"
            )
        self.cell, self.backend = cell, backend
        self.report = self._report("none", {})
        """The path of the last step, and why it ran."""
        self._step: CompiledStep | None = None
        self._refusal: str | None = None
        self._fingerprint: CellFingerprint | None = None
        self._compiled = self._report("cpu", {})

    def __reduce__(self) -> Any:
        return partial(Stepper, backend=self.backend), (
            self.cell,
        )  # copies bind anew: addresses mean nothing elsewhere

    def __call__(self, x: Tensor, state: S, *context: Tensor) -> tuple[Tensor, S]:
        """Make a step.

        Args:
            x: Inputs of this step, (batch, input).
            state: After the step before.
            context: What the cell's step takes beside them.

        Returns:
            The output, (batch, hidden), and the new state, in new memory that no later step writes to.

        Raises:
            ShapeError: If a tensor does not fit the cell.
            BackendError: If `backend="cpu"`, and the compiler can't run the step.
        """
        step = self._step  # another thread may exchange it
        if step is not None:
            result = step(x, state, context)
            if result is not None:
                self.report = self._compiled
                if watching.get() is not None:
                    note(self._compiled)
                return result
        return self._carefully(x, state, context)

    def refresh(self) -> None:
        """Compare the whole cell: if anything but the numbers in its weights changed, the next step compiles anew."""
        if self._fingerprint is None or not self._fingerprint.matches(self.cell):
            self._step = self._refusal = None

    def _done(self, report: Report, result: tuple[Tensor, S]) -> tuple[Tensor, S]:
        self.report = report
        note(report)
        if logs():
            log_choice(self.cell, report)
        return result

    def _carefully(self, x: Tensor, state: S, context: tuple[Tensor, ...]) -> tuple[Tensor, S]:
        """Make a step that the compiled step did not accept: compile, convert the arguments, or run the plain step."""
        cell = self.cell
        state = _checked(cell, x, state)
        if self._refusal is not None:
            self.refresh()  # whatever stood in the way may be gone
        why = "it was demanded" if self.backend == "reference" else self._refusal
        if why is None and torch.is_grad_enabled() and _needs_gradient(cell, (x, *state, *context)):
            why = "a gradient may be wanted; under torch.no_grad() it is not"
        if why is None and cell.watched:
            why = "compiled steps do not show their gates, and someone is watching"
        step = None
        if why is None:
            step, why = self._bind(x, context)
        if step is not None:
            inputs, *others = (part.detach().contiguous() for part in (x, *context))
            parts = type(state)(*(part.detach().contiguous() for part in state))
            with torch.no_grad():
                result = step(inputs, parts, tuple(others))
            if result is not None:
                return self._done(self._compiled, result)
            why = step.hindrance(x, state, context)
        if self.backend == "cpu" and demands("cpu"):
            raise BackendError(f'backend="cpu" can\'t run this: {why}')
        result = plain_step(cell, x, state, context, check=True)
        record_state(cell, result[1])
        return self._done(self._report("reference", {} if self.backend == "reference" else {"cpu": why or ""}), result)

    def _bind(self, x: Tensor, context: tuple[Tensor, ...]) -> tuple[CompiledStep | None, str | None]:
        """Compile and pack; return the compiled step, or why there is none."""
        cell = self.cell
        self._fingerprint = CellFingerprint(cell)
        compiled = compile_step(cell, self._fingerprint, x, tuple(part.shape[-1] for part in context))
        step, reason = (None, compiled) if isinstance(compiled, str) else (compiled, None)
        self._step, self._refusal = step, reason
        return step, reason

    def _report(self, backend: str, refusals: dict[str, str]) -> Report:
        cell = self.cell
        sizes = f"{cell.input_size} in, {cell.hidden_size} out, one step"
        return Report(backend, type(cell).__name__, sizes, refusals)


def _needs_gradient(cell: Cell[Any], tensors: tuple[Tensor, ...]) -> bool:
    return any(part.requires_grad for part in (*tensors, *cell.parameters(), *cell.buffers()))


def _checked(cell: Cell[S], x: Tensor, state: S) -> S:
    """Return the state as the cell's own named tuple, if the state and the inputs fit the cell."""
    if x.dim() != 2 or x.shape[1] != cell.input_size or len(x) == 0:
        raise ShapeError(f"inputs of a step have shape {tuple(x.shape)}, expected (batch, {cell.input_size})")
    initial = cell.initial_state(len(x))
    if not (isinstance(initial, tuple) and hasattr(initial, "_fields")):
        raise CellError(f"{type(cell).__name__}.initial_state returned {type(initial).__name__}, expected a NamedTuple")
    came, expected = ([tuple(part.shape) for part in parts] for parts in (state, initial))
    if came != expected:
        raise ShapeError(f"{type(cell).__name__}: state has shapes {came}, expected {expected}")
    return type(initial)(*state)
