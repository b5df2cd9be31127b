"""Step editors: change gates and states of a cell by a list of edits, and collect the values of another text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unspool.cells import Cell, LinearCell
from unspool.engine.reference import step_of_loop
from unspool.errors import UsageError
from unspool.inspection.edits import Edit
from unspool.inspection.repeated_step import Replacement, capture, step_with

__all__ = ["Change", "DonorSteps", "EditedSteps", "changed"]

_OUTPUT = ""  # name of a step's output among the values of a donor
_PARTS = {" real": 0, " imaginary": 1}


class Change(NamedTuple):
    """An edit, with the values to copy from."""

    edit: Edit
    donor: Mapping[int, Mapping[str, Tensor]] | None = None
    """Values of the other text, by token and name."""

    def source(self, token: int, name: str) -> Tensor | None:
        """Return the value to copy to a token; None for edits that copy nothing.

        Raises:
            UsageError: If the other text has no such token or value.
        """
        if self.edit.action != "copy":
            return None
        values, step = self.donor or {}, token if self.edit.step is None else self.edit.step
        if step not in values:
            raise UsageError(
                f"the edit {str(self.edit)!r} copies from token {step + 1} of {self.edit.text!r}, which has "
                f"{max(values, default=-1) + 1} tokens"
            )
        if name not in values[step]:
            raise UsageError(
                f"{self.edit.text!r} has no {name!r} to copy; it has {', '.join(filter(None, values[step]))}"
            )
        return values[step][name]


class EditedSteps:
    """Editor that changes gates and states of one cell; see `unspool.cells.edit_steps`.

    A gate is replaced where the step computes it. A state is replaced after the step, before the next one. Where the
    output of a step is a part of its state, the output changes too; of a linear cell it is read from the new state. A
    copy of the whole state also copies the output.

    Args:
        place: Name of the cell in the trace.
        changes: The edits of this cell.
        offset: Steps before the first token.
    """

    def __init__(self, place: str, changes: Sequence[Change], *, offset: int = 0) -> None:
        self.place, self.changes, self.offset = place, changes, offset
        self.token: int | None = None
        """Token of the next step, from 0; None: the step of the plain loop, less `offset`."""
        self.applied: set[Edit] = set()
        """Edits that changed a step so far."""

    def step(self, cell: Cell[Any], x: Tensor, state: Any, context: Sequence[Tensor]) -> tuple[Tensor, Any]:
        """Return output and next state of one step; see `unspool.cells.StepEditor`."""
        token = step_of_loop.get() - self.offset if self.token is None else self.token
        changes = [change for change in self.changes if token >= 0 and change.edit.at(token)]
        self.applied.update(change.edit for change in changes)
        after = [change for change in changes if _is_state(change.edit.quantity, type(state)._fields)]
        gates: dict[str, list[Change]] = {}
        for change in changes:
            if not _is_state(change.edit.quantity, type(state)._fields):
                gates.setdefault(_base(change.edit.quantity), []).append(change)
        if gates:
            replacements = {name: self._replacement(name, listed, token) for name, listed in gates.items()}
            returned = step_with(cell, self.place, replacements, x, state, context)
        else:
            returned = cell.step(x, state, *context)
        return self._with_states(cell, x, returned, after, token) if after else returned

    def _replacement(self, name: str, changes: Sequence[Change], token: int) -> Replacement:
        def replace(value: Tensor) -> Tensor:
            for change in changes:
                value = changed(change.edit, value, change.source(token, name), f"{self.place} / {name}")
            return value

        return replace

    def _with_states(
        self, cell: Cell[Any], x: Tensor, returned: Any, changes: Sequence[Change], token: int
    ) -> tuple[Tensor, Any]:
        output, state = returned
        parts = state._asdict()
        for change in changes:
            edit = change.edit
            names = parts if edit.quantity == "state" else [_base(edit.quantity)]
            for name in names:
                parts[name] = changed(edit, parts[name], change.source(token, name), f"{self.place} / {name}")
        after = type(state)(**parts)
        if after_output := [new for before, new in zip(state, after, strict=True) if output is before]:
            return after_output[0], after
        source = changes[-1].source(token, _OUTPUT) if _is_whole(changes[-1].edit) else None
        if source is not None:
            return source.to(output.dtype).expand_as(output), after
        if isinstance(cell, LinearCell) and any(new is not old for old, new in zip(state, after, strict=True)):
            output = cell.readout(x, after[0])
        return output, after


class DonorSteps:
    """Editor that changes nothing, and collects the values of every step: gates, parts of the state, and the output.

    Args:
        offset: Steps before the first token.
    """

    def __init__(self, *, offset: int = 0) -> None:
        self.offset = offset
        self.values: dict[int, dict[str, Tensor]] = {}
        """By token, from 0, and name; each (1, ...)."""

    def step(self, cell: Cell[Any], x: Tensor, state: Any, context: Sequence[Tensor]) -> tuple[Tensor, Any]:
        """Return output and next state of one step; see `unspool.cells.StepEditor`."""
        with capture(cell) as values:
            returned = cell.step(x, state, *context)
        output, after = returned
        own = {name: value for part, name, value in values if part is cell}
        tensors = own | after._asdict() | {_OUTPUT: output}
        self.values[step_of_loop.get() - self.offset] = {
            name: tensor[:1].detach().clone() for name, tensor in tensors.items()
        }
        for part, name, value in values:
            part.record(**{name: value})
        return returned


def changed(edit: Edit, value: Tensor, source: Tensor | None, name: str) -> Tensor:
    """Return a value after an edit; the value itself where the edit changes no number.

    Args:
        edit: The edit.
        value: (batch, units), or (batch, rows, units) for memories and heads.
        source: For a copy, the value of the other text, (1, ...).
        name: Name of the value in the trace, for messages.

    Raises:
        UsageError: If there is no such unit or row, or the other text's value has another shape.
    """
    new = value.clone(memory_format=torch.contiguous_format)
    columns = _columns(edit, new, name)
    others = None
    if source is not None:
        if source.shape[1:] != value.shape[1:]:
            raise UsageError(
                f"{name} of {edit.text!r} has shape {tuple(source.shape[1:])}, and {tuple(value.shape[1:])} is expected"
            )
        others = _columns(edit, source.to(value.dtype).contiguous(), name)
    places = torch.arange(columns.shape[1], device=value.device) if edit.units is None else _places(edit, columns, name)
    if edit.action == "swap":
        columns[:, places] = columns[:, places.flip(0)]
    elif edit.action == "copy":
        assert others is not None
        columns[:, places] = others[:, places].expand(len(columns), -1)
    elif edit.action == "scale" and edit.number is not None:
        columns[:, places] = columns[:, places] * edit.number
    else:
        columns[:, places] = 0.0 if edit.number is None else edit.number
    return value if torch.equal(new, value) else new


def _columns(edit: Edit, value: Tensor, name: str) -> Tensor:
    """Return the units of a contiguous value as a view, (batch, units): of one row, or of all."""
    part = next((place for ending, place in _PARTS.items() if edit.quantity.endswith(ending)), None)
    if value.is_complex() and part is not None:
        value = torch.view_as_real(value)[..., part]
    if edit.row is None:
        return value.flatten(1) if value.is_contiguous() else value
    if value.dim() < 3:
        raise UsageError(f"{name} has no slots or heads, so there is no {edit.row + 1}")
    if edit.row >= value.shape[1]:
        raise UsageError(f"{name} has {value.shape[1]} slots or heads, so there is no {edit.row + 1}")
    return value[:, edit.row].flatten(1)


def _places(edit: Edit, columns: Tensor, name: str) -> Tensor:
    assert edit.units is not None
    if max(edit.units) >= columns.shape[1]:
        raise UsageError(f"{name} has units 1 to {columns.shape[1]}, so there is no unit {max(edit.units) + 1}")
    return torch.tensor(edit.units, device=columns.device)


def _base(quantity: str) -> str:
    """Return the recorded name of a quantity: the parts of a complex value are `h real` and `h imaginary`."""
    return next((quantity.removesuffix(ending) for ending in _PARTS if quantity.endswith(ending)), quantity)


def _is_state(quantity: str, fields: Sequence[str]) -> bool:
    return quantity == "state" or _base(quantity) in fields


def _is_whole(edit: Edit) -> bool:
    return edit.quantity == "state" and edit.units is None and edit.row is None
