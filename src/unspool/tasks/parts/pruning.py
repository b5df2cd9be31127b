"""Pruned models: the units that a person names, a copy of the network without them, and what its folder says of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy, deepcopy
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from unspool.errors import UsageError
from unspool.inspection.concepts.ablation import state_parts
from unspool.inspection.edits import Edit
from unspool.inspection.pruning import prune_cell
from unspool.inspection.unit_names import UnitName
from unspool.settings import nearest
from unspool.tasks.parts.editing import EditableCell

if TYPE_CHECKING:
    from unspool.tasks.inspectable import Inspectable

__all__ = ["Units", "pruned_copy", "units_of"]

T = TypeVar("T", bound="Inspectable[Any, Any]")
Units = str | Iterable[str | tuple[str, int]]
"""Units to prune: `layer 1 / h[3,7]` counts from 1, a name that a unit has, or a pair of array and index from 0."""

_FORM = "expected PLACE / PART[UNITS], such as 'layer 1 / h[3,7]', or the name of a unit"


def pruned_copy(task: T, units: Units) -> T:
    """Return a copy of a task without some units of its recurrent layers; see `Task.pruned`."""
    cells = _cells(task)
    chosen = units_of(units, cells, task.unit_names)
    twin = copy(task)
    twin.model, twin._fitted = deepcopy(task.model), deepcopy(task._fitted)
    twin._home = twin._unfinished = None
    weights, lines = 0, []
    for each in _cells(twin):
        if own := chosen.get(each.place):
            _refuse_stored_tensors(each)
            weights += prune_cell(each.cell, own, each.place)
            part = each.cell.initial_state(1)._fields[0]
            lines.append(f"{each.place} / {part}[{','.join(str(unit + 1) for unit in own)}]")
    if task.record is not None:
        before = task.record.pruned
        twin.record = msgspec.structs.replace(
            task.record,
            complete=True,
            generation=0,
            metrics={},
            baselines={},
            pruned={"units": [*before.get("units", ()), *lines], "weights": before.get("weights", 0) + weights},
        )
    return twin


def _refuse_stored_tensors(each: EditableCell) -> None:
    """Refuse a stored cell with tensors that were computed from its weights: they would keep the units."""
    if getattr(each.cell, "stores_tensors", False):
        raise UsageError(
            f"{each.place} runs from a traced step that holds values computed from weights, and pruning can't change "
            f"these; load the model with its class: unspool.load(folder, cell=...)"
        )


def units_of(units: Units, cells: Sequence[EditableCell], names: Sequence[UnitName] = ()) -> dict[str, tuple[int, ...]]:
    """Return the units to prune, in increasing order from 0, by place.

    Raises:
        UsageError: If there is no such unit, or none at all came.
    """
    chosen: dict[str, set[int]] = {}
    by_name = {each.name: each for each in names}
    for line in [units] if isinstance(units, str) else units:
        if isinstance(line, tuple):
            edit = _parsed(f"{line[0]}[{line[1] + 1}]", names)
        else:
            named = by_name.get(line)
            edit = _parsed(line if named is None else f"{named.array}[{named.unit + 1}]", names)
        for each in _matching(edit, cells):
            _check(edit, each)
            chosen.setdefault(each.place, set()).update(edit.units or ())
    if not chosen:
        raise UsageError(f"no unit came to prune; {_FORM}")
    return {each.place: tuple(sorted(chosen[each.place])) for each in cells if each.place in chosen}


def _cells(task: Inspectable[Any, Any]) -> list[EditableCell]:
    """Return the cells whose units can be pruned, with their names in a trace.

    Raises:
        UsageError: If the network has no recurrent layers, or encoder and decoder share them.
    """
    stack, parts = task._stack(), task._parts()
    if parts.refusal:
        raise UsageError(f"{task._summary()}: {parts.refusal}")
    own = [] if stack is None else [cell for _, cell, _ in stack.named_cells()]
    cells = [each for each in parts.cells if any(each.cell is cell for cell in own)]
    if not cells:
        raise UsageError(f"{task._summary()}: pruning needs recurrent layers that read the input, and there are none")
    return cells


def _parsed(line: str, names: Sequence[UnitName]) -> Edit:
    try:
        edit = Edit.parse(f"{line} = zero")
    except UsageError:
        edit = None
    if edit is None or edit.units is None or not edit.place or edit.row is not None or edit.tokens is not None:
        hint = nearest(line, [each.name for each in names])
        raise UsageError(f"the unit {line!r}{hint}: {_FORM}")
    return edit


def _matching(edit: Edit, cells: Sequence[EditableCell]) -> list[EditableCell]:
    if matching := [each for each in cells if edit.fits(each.place)]:
        return matching
    places = [each.place for each in cells]
    hint = nearest(edit.place, places) or f"; there are {', '.join(map(repr, places))}"
    raise UsageError(f"this network has no place {edit.place!r} whose units can be pruned{hint}")


def _check(edit: Edit, each: EditableCell) -> None:
    size = each.cell.hidden_size
    parts: Mapping[str, Any] = {name: part for name, part in state_parts(each.cell).items() if part[0] == size}
    if edit.quantity != "state" and edit.quantity.removesuffix(" real").removesuffix(" imaginary") not in parts:
        hint = nearest(edit.quantity, parts) or f"; it has {', '.join(map(repr, [*parts, 'state']))}"
        raise UsageError(f"{each.place} has no part of the state {edit.quantity!r} with a unit for each output{hint}")
    if max(edit.units or (0,)) >= size:
        raise UsageError(f"{each.place} has units 1 to {size}, so there is no unit {max(edit.units or ()) + 1}")
