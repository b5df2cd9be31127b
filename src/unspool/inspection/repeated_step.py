"""Run a cell's step again with some of its intermediate tensors replaced, for any cell, without its source.

`cell.record(forget=f)` names a tensor at the end of a step, when later operations have used the tensor already. So the
step runs twice. The first run logs the output of every torch call in order; the recorded tensor is one of them. The
second run replaces the output of the same call. A deterministic step repeats to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from unspool.cells import Cell, watch
from unspool.errors import CellError, UsageError

__all__ = ["Replacement", "capture", "step_with"]

Replacement = Callable[[Tensor], Tensor]
"""Returns the new value, of the same shape, for a recorded value (batch, ...)."""


class _Value(NamedTuple):
    cell: Cell[Any]
    name: str
    value: Tensor


class _Capture:
    """Watcher that keeps the recorded tensors themselves."""

    def __init__(self, cell: Cell[Any], values: list[_Value]) -> None:
        self._cell, self._values = cell, values

    def add(self, name: str, value: Tensor) -> None:
        """Keep a value."""
        self._values.append(_Value(self._cell, name, value))


@contextmanager
def capture(cell: Cell[Any]) -> Iterator[list[_Value]]:
    """Collect the values that a cell and the cells inside it record, in place of their watchers."""
    values: list[_Value] = []
    with ExitStack() as watching:
        for part in cell.modules():
            if isinstance(part, Cell):
                watching.enter_context(watch(part, _Capture(part, values)))
        yield values


def step_with(
    cell: Cell[Any],
    place: str,
    replacements: Mapping[str, Replacement],
    x: Tensor,
    state: Any,
    context: Sequence[Tensor],
) -> Any:
    """Run one step with some of its recorded values replaced.

    Args:
        cell: The cell.
        place: Name of the cell, for messages.
        replacements: For each recorded name, a function from the value to the new one.
        x: Input, (batch, input).
        state: State before the step.
        context: Further tensors of the step.

    Returns:
        What `cell.step` returns. The cell's watchers receive the new values.

    Raises:
        UsageError: If the cell records no value of a name, or a new value would have no effect.
        CellError: If the step does not repeat its own operations.
    """
    with capture(cell) as values, _Calls() as log:
        returned = cell.step(x, state, *context)
    own = {entry.name: entry.value for entry in values if entry.cell is cell}
    plan: dict[tuple[int, int], list[Replacement]] = {}
    shapes: dict[tuple[int, int], torch.Size] = {}
    for name, replacement in replacements.items():
        if name not in own:
            names = ", ".join([*own, *getattr(type(state), "_fields", ())])
            raise UsageError(f"{place} has no {name!r}; it has {names}")
        at = log.origin(own[name], list(_tensors(returned)))
        if at is None:
            raise UsageError(
                f"an edit of {place} / {name} would have no effect: {type(cell).__name__} records a value that no "
                f"later operation of its step reads"
            )
        plan.setdefault(at, []).append(replacement)
        shapes[at] = own[name].shape
    with capture(cell) as values, _Calls(log.calls, plan, shapes):
        returned = cell.step(x, state, *context)
    for part, name, value in values:  # after the second run, so that watchers add no calls to it
        part.record(**{name: value})
    return returned


class _Call(NamedTuple):
    function: Any
    arguments: list[Tensor]
    outputs: list[Tensor]
    makes: list[bool]
    """Whether each output is a new value, not an argument that is passed through unchanged."""


class _Calls(TorchFunctionMode):
    """Log of the torch calls of a step that return tensors; with a plan, replaces outputs by call and position."""

    def __init__(
        self,
        expected: Sequence[_Call] = (),
        plan: Mapping[tuple[int, int], list[Replacement]] | None = None,
        shapes: Mapping[tuple[int, int], torch.Size] | None = None,
    ) -> None:
        super().__init__()
        self.calls: list[_Call] = []
        self._expected, self._plan, self._shapes = expected, plan or {}, shapes or {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        arguments = list(_tensors((args, kwargs or {})))
        versions = {id(tensor): _version(tensor) for tensor in arguments}
        returned = func(*args, **(kwargs or {}))
        outputs = list(_tensors(returned))
        if not outputs:
            return returned
        makes = [versions.get(id(tensor), -1) != _version(tensor) for tensor in outputs]
        number = len(self.calls)
        changes = {place: change for (call, place), change in self._plan.items() if call == number}
        if changes:
            self._check(number, func, outputs)
            for place in changes:
                outputs[place] = self._replaced((number, place), outputs[place], inside=id(outputs[place]) in versions)
            returned = _rebuilt(returned, iter(outputs))
        self.calls.append(_Call(func, arguments, outputs, makes))
        return returned

    def origin(self, value: Tensor, results: list[Tensor]) -> tuple[int, int] | None:
        """Return the call and the output that made a value; a view of a whole tensor counts as that tensor.

        Returns None if no later call reads the value, and the step does not return it.
        """
        views: set[int] = set()
        while True:
            at = self._maker(value)
            if at is None:
                return None
            if any(value is result for result in results) or self._reads(value, at[0], views):
                return at
            source = next((tensor for tensor in self.calls[at[0]].arguments if _same_memory(tensor, value)), None)
            if source is None:
                return None
            views.add(at[0])
            value = source

    def _maker(self, value: Tensor) -> tuple[int, int] | None:
        for number in range(len(self.calls) - 1, -1, -1):
            call = self.calls[number]
            for place, (output, makes) in enumerate(zip(call.outputs, call.makes, strict=True)):
                if output is value and makes:
                    return number, place
        return None

    def _reads(self, value: Tensor, after: int, views: set[int]) -> bool:
        later = range(after + 1, len(self.calls))
        return any(n not in views and any(value is tensor for tensor in self.calls[n].arguments) for n in later)

    def _check(self, number: int, function: Any, outputs: list[Tensor]) -> None:
        before = self._expected[number] if number < len(self._expected) else None
        if before is None or before.function is not function or len(before.outputs) != len(outputs):
            raise CellError("the cell's step does other operations when it runs again, so its gates can't be edited")

    def _replaced(self, at: tuple[int, int], value: Tensor, *, inside: bool) -> Tensor:
        new = value.reshape(self._shapes[at])
        for replacement in self._plan[at]:
            new = replacement(new)
        new = new.reshape(value.shape)
        if inside:  # the call wrote into its argument, which later calls may read under the other name
            return value.copy_(new)
        return value if torch.equal(new, value) else new


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)


def _rebuilt(value: Any, parts: Iterator[Tensor]) -> Any:
    if isinstance(value, Tensor):
        return next(parts)
    if not isinstance(value, list | tuple):
        return value
    inner = [_rebuilt(part, parts) for part in value]
    return type(value)(*inner) if hasattr(value, "_fields") else type(value)(inner)


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


def _same_memory(tensor: Tensor, value: Tensor) -> bool:
    """Return whether a value holds all numbers of a tensor in their own memory, in another shape."""
    if tensor.numel() != value.numel() or tensor.data_ptr() != value.data_ptr() or tensor.dtype != value.dtype:
        return False
    return tensor is not value and tensor.reshape(value.shape).stride() == value.stride()
