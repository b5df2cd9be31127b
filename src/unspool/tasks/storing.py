"""A trained task into its model folder, and out of one that may come from a stranger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from unspool.cells import Cell, cell_class, is_built_in
from unspool.errors import ModelFolderError, SettingError, wording
from unspool.settings import from_record
from unspool.tasks.card import model_card
from unspool.tasks.folder import Record, read_record, write_record, write_text
from unspool.training import checkpoint

if TYPE_CHECKING:
    from unspool.tasks.base import Task

__all__ = ["load_task", "save_task"]

T = TypeVar("T", bound="Task[Any]")

WEIGHTS = "model.safetensors"


def save_task(task: Task[Any], folder: Path) -> None:
    """Write the model folder; `unspool.json`, which says that it is complete, comes last."""
    assert task.record is not None
    task._save_vocabularies(folder / "vocabulary")
    checkpoint.write(folder / WEIGHTS, _weights(task.model), {"task": task.name})
    write_text(folder / "README.md", model_card(task.record, task.summary, folder.name))
    write_record(folder, task.record)


def load_task(kind: type[T], folder: Path, cell: str | type[Cell[Any]] | None) -> T:
    """Open a model folder; see `Task.load`."""
    record = read_record(folder)
    task = _from_record(kind, folder, record, cell)
    if not (folder / WEIGHTS).is_file():
        raise ModelFolderError(
            f"{folder} holds no weights yet: its training did not come to an end; "
            f"go on with {wording(f'unspool train --resume {folder}', f'fit(..., out={str(folder)!r}, resume=True)')}"
        )
    task._load_vocabularies(folder / "vocabulary")
    tensors, _ = checkpoint.read(folder / WEIGHTS)
    task.model = _filled(task, folder, tensors)
    task.record = record
    return task


def _from_record(kind: type[T], folder: Path, record: Record, cell: str | type[Cell[Any]] | None) -> T:
    if record.task != kind.name:
        raise ModelFolderError(f"{folder} holds a model of the task {record.task!r}, not {kind.name!r}")
    try:
        task = kind(from_record(kind.settings_type, record.settings))
    except SettingError as error:
        raise ModelFolderError(f"{folder}/unspool.json: {error.message}") from None
    name = task.settings.network.cell
    if not is_built_in(name):
        if cell is None:
            raise ModelFolderError(
                f"{folder} uses a cell of its owner's, {name!r}; opening it would run that code. If you trust it, "
                f"name it: {wording(f'--cell {name}', f'unspool.load(folder, cell={name!r})')}"
            )
        task._own_cell = cell_class(cell)
    return task


def _filled(task: Task[Any], folder: Path, tensors: dict[str, Tensor]) -> nn.Module:
    """Build the network without memory for its weights, check that the file has exactly those, and take them."""
    with torch.device("meta"), _WithoutDraws():
        expected = _weights(task._make_network())
    for name in sorted(expected.keys() ^ tensors.keys()):
        state = "lacks" if name in expected else "has an unknown"
        raise ModelFolderError(f"{folder / WEIGHTS} {state} weight {name!r}: the folder is damaged, or was changed")
    for name, tensor in expected.items():
        if tensor.shape != tensors[name].shape:
            came, wanted = tuple(tensors[name].shape), tuple(tensor.shape)
            raise ModelFolderError(f"{folder / WEIGHTS}: weight {name!r} has shape {came}, settings say {wanted}")
    model = task._make_network()
    model.load_state_dict(tensors, strict=False)
    return model.eval()


class _WithoutDraws(TorchFunctionMode):
    """Leave random initial values out where only names and shapes matter: on the meta device they import a compiler."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (Tensor.normal_, Tensor.uniform_):
            return args[0]
        if func in (nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_):
            return kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """Weights by name, those that stand under two names once."""
    once = dict(model.named_parameters())
    return {
        name: tensor.detach()
        for name, tensor in model.state_dict(keep_vars=True).items()
        if name in once or not isinstance(tensor, nn.Parameter)
    }
