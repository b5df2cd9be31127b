"""Custom cells in a model folder: their traced steps as data, so that a model runs without its author's class."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from torch import Tensor, nn

from unspool.cells import Cell
from unspool.errors import CellError, ModelFolderError, UsageError, wording
from unspool.reading import read_json
from unspool.training import checkpoint
from unspool.writing import newest, replace_file

if TYPE_CHECKING:
    from unspool.engine.cell_record import StepRecord
    from unspool.engine.stored_cell import StoredCell
    from unspool.tasks.trainable import Trainable

__all__ = ["CELL", "CELL_TENSORS", "fill_cells", "refuse_training_of_stored_cells", "stored_cell", "write_cells"]

CELL, CELL_TENSORS = "cell.json", "cell.safetensors"


def write_cells(task: Trainable[Any, Any], folder: Path) -> None:
    """Write the traced steps of a task's custom cells; nothing for built-in cells, or if the compiler refuses."""
    cells = _custom_cells(task)
    if not cells:
        return
    from unspool.engine.cell_record import CellRecord
    from unspool.engine.compiler.refusal import Refusal
    from unspool.engine.stored_cell import record_cell

    steps: dict[tuple[int, int], StepRecord] = {}
    tensors: dict[str, Tensor] = {}
    try:
        for path, cell in cells.items():
            step, stored = record_cell(cell)
            steps[cell.input_size, cell.hidden_size] = step
            tensors |= {f"{path}|{name}": tensor for name, tensor in stored.items()}
    except Refusal:
        return
    first = next(iter(cells.values()))
    state = first.initial_state(1)
    record = CellRecord(
        name=type(first).__name__, state=type(state).__name__, fields=list(state._fields), steps=list(steps.values())
    )
    replace_file(folder / CELL, msgspec.json.encode(record) + b"\n")
    if tensors:
        checkpoint.write(folder / CELL_TENSORS, tensors, {"cell": record.name})


def _custom_cells(task: Trainable[Any, Any]) -> dict[str, Cell[Any]]:
    own = task._own_cell
    if own is None:
        return {}
    return {path: module for path, module in task.model.named_modules() if isinstance(module, own)}


def stored_cell(folder: Path) -> type[StoredCell] | None:
    """Return the class of a model folder's stored cell; None if the folder holds no such cell.

    Raises:
        ModelFolderError: If the stored cell is damaged.
    """
    path = newest(folder, CELL)
    if not os.path.lexists(path):
        return None
    from unspool.engine.cell_record import CellRecord
    from unspool.engine.stored_cell import stored_cell_class

    try:
        return stored_cell_class(read_json(path, CellRecord, "the stored cell"))
    except CellError as error:
        raise ModelFolderError(f"{path}: {error.message}") from None


def fill_cells(model: nn.Module, folder: Path) -> None:
    """Set the tensors that stored cells hold beside the weights.

    Raises:
        ModelFolderError: If they are damaged, or do not fit.
    """
    if not os.path.lexists(newest(folder, CELL)):
        return
    from unspool.engine.stored_cell import StoredCell

    cells = {path: module for path, module in model.named_modules() if isinstance(module, StoredCell)}
    if not any(cell.stores_tensors for cell in cells.values()):
        return
    path = newest(folder, CELL_TENSORS)
    tensors, _ = checkpoint.read(path)
    checkpoint.refuse_not_finite(tensors, path)
    for place, cell in cells.items():
        own = {name.removeprefix(f"{place}|"): part for name, part in tensors.items() if name.startswith(f"{place}|")}
        try:
            cell.fill(own)
        except CellError as error:
            raise ModelFolderError(f"{path}: {error.message}") from None


def refuse_training_of_stored_cells(task: Trainable[Any, Any]) -> None:
    """Refuse to train a model whose custom cell was loaded without its class.

    Raises:
        UsageError: If the cell of the task is a stored one.
    """
    own = task._own_cell
    if own is None:
        return
    from unspool.engine.stored_cell import StoredCell

    if issubclass(own, StoredCell):
        name = task.settings.network.cell
        raise UsageError(
            f"the model runs {own.__name__} from its traced step, which does not train; to train it, name the class, "
            f"which executes its code: {wording(f'--cell {name}', f'unspool.load(folder, cell={name!r})')}"
        )
