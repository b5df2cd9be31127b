"""A trained task into its model folder, and out of one that may come from a stranger."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from unspool.cells import Cell, cell_class, is_built_in
from unspool.errors import ModelFolderError, SettingError, UnfinishedTrainingWarning, for_python, wording
from unspool.settings import from_record
from unspool.tasks.card import model_card
from unspool.tasks.folder import Record, read_record, rounded, write_record, write_text
from unspool.tasks.unfinished import best_of_unfinished, describe_best, way_on
from unspool.training import checkpoint
from unspool.training.keeping import Best
from unspool.training.random_state import seeded

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
    try:
        path, tensors, best = _stored_weights(task, folder, record)
    except ModelFolderError:  # a training may have replaced its best weights at this very moment
        path, tensors, best = _stored_weights(task, folder, record)
    task._load_vocabularies(folder / "vocabulary")
    task.model = _filled(task, path, tensors)
    task.record = record
    if best is not None:
        record.metrics = {"valid": rounded(best.metrics)}
        task._finish_early()
        _say_that_it_is_unfinished(task, folder, best)
    return task


def _stored_weights(task: Task[Any], folder: Path, record: Record) -> tuple[Path, dict[str, Tensor], Best | None]:
    """The weights to use: the final ones, or the best so far where training has not come to its end."""
    best = best_of_unfinished(folder, record, folder / WEIGHTS)
    path = folder / WEIGHTS if best is None else best.path
    if not path.is_file():
        raise ModelFolderError(
            f"{folder} holds no weights yet: its training has not come to its first validation; "
            f"go on with: {way_on(folder, task.settings)}"
        )
    tensors, _ = checkpoint.read(path)
    return path, tensors, best


def _say_that_it_is_unfinished(task: Task[Any], folder: Path, best: Best) -> None:
    task._unfinished = (
        f"training of {folder} has not come to its end: these are its best weights so far "
        f"({describe_best(best, task.metric[0])}); go on with: {way_on(folder, task.settings)}"
    )
    warnings.warn(for_python(task._unfinished), UnfinishedTrainingWarning, stacklevel=5)


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


def _filled(task: Task[Any], path: Path, tensors: dict[str, Tensor]) -> nn.Module:
    """Build the network without memory for its weights, check that the file has exactly those, and take them."""
    with torch.device("meta"), seeded(task.settings.training.seed):
        expected = _weights(task._make_network())
    for name in sorted(expected.keys() ^ tensors.keys()):
        state = "lacks" if name in expected else "has an unknown"
        raise ModelFolderError(f"{path} {state} weight {name!r}: the folder is damaged, or was changed")
    for name, tensor in expected.items():
        if tensor.shape != tensors[name].shape:
            came, wanted = tuple(tensors[name].shape), tuple(tensor.shape)
            raise ModelFolderError(f"{path}: weight {name!r} has shape {came}, settings say {wanted}")
    with seeded(task.settings.training.seed):
        model = task._make_network()
    model.load_state_dict(tensors, strict=False)
    return model.eval()


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """Weights by name, those that stand under two names once."""
    once = dict(model.named_parameters())
    return {
        name: tensor.detach()
        for name, tensor in model.state_dict(keep_vars=True).items()
        if name in once or not isinstance(tensor, nn.Parameter)
    }
