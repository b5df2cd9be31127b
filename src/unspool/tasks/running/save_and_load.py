"""Saving of a trained task into a model folder, and loading from folders of untrusted sources."""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from unspool.cells import Cell, cell_class, is_built_in, split_name, with_recorded_options
from unspool.errors import CellError, ModelFolderError, SettingError, UnfinishedTrainingWarning, for_python, wording
from unspool.inspection.unit_names import UNITS, read_unit_names, write_unit_names
from unspool.settings import from_record
from unspool.tasks.running.memory import bytes_of, refuse_too_large
from unspool.tasks.running.model_card import model_card
from unspool.tasks.running.model_folder import RECORD, Record, read_record, rounded, write_record, write_text
from unspool.tasks.running.stored_cells import fill_cells, stored_cell, write_cells
from unspool.tasks.running.unfinished import best_of_unfinished, describe_best, way_on
from unspool.training import checkpoint
from unspool.training.devices import choose_device
from unspool.training.keeping import Best
from unspool.training.random_state import seeded
from unspool.writing import new_generation, newest, read_undisturbed

if TYPE_CHECKING:
    from unspool.tasks.trainable import Trainable

__all__ = ["load_task", "refuse_training_beyond_memory", "save_task"]

T = TypeVar("T", bound="Trainable[Any, Any]")

WEIGHTS = "model.safetensors"


def save_task(task: Trainable[Any, Any], folder: Path) -> None:
    """Write the model folder atomically; a failure leaves the folder unchanged."""
    assert task.record is not None
    with new_generation(folder) as staged:
        record = msgspec.structs.replace(task.record, generation=_next_generation(task, folder))
        task.fitted.save(staged / "vocabulary")
        checkpoint.write(staged / WEIGHTS, _weights(task.model), {"task": task.name})
        write_cells(task, staged)
        if task._unit_names or os.path.lexists(newest(folder, UNITS)):
            write_unit_names(staged, task._unit_names)
        write_text(staged / "README.md", model_card(record, task.summary, folder.name))
        write_record(staged, record)
    task.record, task._home = record, folder.resolve()


def _next_generation(task: Trainable[Any, Any], folder: Path) -> int:
    """Return the next generation number of the folder; refuse to overwrite changes of another process."""
    assert task.record is not None
    last = 0
    with suppress(ModelFolderError):
        last = read_record(folder).generation
    if task._home == folder.resolve() and last != task.record.generation:
        raise ModelFolderError(
            f"{folder} was written by another process since this model was opened; saving would undo those changes. "
            f"Load it again, or resume its training, and repeat your changes"
        )
    return last + 1


def load_task(kind: type[T], folder: Path, cell: str | type[Cell[Any]] | None) -> T:
    """Load a task from a model folder; see `Task.load`."""
    return read_undisturbed(folder, lambda: _open(kind, folder, cell))


def _open(kind: type[T], folder: Path, cell: str | type[Cell[Any]] | None) -> T:
    record = read_record(folder)
    task = _from_record(kind, folder, record, cell)
    weights, vocabulary = newest(folder, WEIGHTS), newest(folder, "vocabulary")
    _stored_weights(task, folder, record, weights)
    task._fitted = task.fitted_type.load(vocabulary, task.settings)
    try:
        task.model, best = _model_of(task, folder, record, weights)
    except ModelFolderError:  # a running training may replace its best weights during the read
        task.model, best = _model_of(task, folder, record, weights)
    task.record, task._home = record, folder.resolve()
    task._unit_names = read_unit_names(folder)
    if best is not None:
        record.metrics = {"valid": rounded(best.metrics)}
        _say_that_it_is_unfinished(task, folder, best)
    task._need_model()
    return task


def _model_of(task: Trainable[Any, Any], folder: Path, record: Record, final: Path) -> tuple[nn.Module, Best | None]:
    """Return the network with its weights, and the `Best` record if training is not complete."""
    path, best = _stored_weights(task, folder, record, final)
    return _filled(task, folder, path), best


def _stored_weights(task: Trainable[Any, Any], folder: Path, record: Record, final: Path) -> tuple[Path, Best | None]:
    """Return the file of the final weights, or of the best weights so far if training is not complete."""
    best = best_of_unfinished(folder, record, final)
    path = final if best is None else best.path
    if not os.path.lexists(path):
        raise ModelFolderError(
            f"{folder} holds no weights yet: its training has not reached its first validation; "
            f"go on with: {way_on(folder, task.settings)}"
        )
    return path, best


def _say_that_it_is_unfinished(task: Trainable[Any, Any], folder: Path, best: Best) -> None:
    task._unfinished = (
        f"training of {folder} has not come to its end: these are its best weights so far "
        f"({describe_best(best, task.metric[0])}); go on with: {way_on(folder, task.settings)}"
    )
    warnings.warn(for_python(task._unfinished), UnfinishedTrainingWarning, stacklevel=8)


def _from_record(kind: type[T], folder: Path, record: Record, cell: str | type[Cell[Any]] | None) -> T:
    if record.task != kind.name:
        raise ModelFolderError(f"{folder} holds a model of the task {record.task!r}, not {kind.name!r}")
    try:
        task = kind(from_record(kind.settings_type, record.settings))
    except SettingError as error:
        raise ModelFolderError(f"{folder}/unspool.json: {error.message}") from None
    task._planned = frozenset(record.planned)
    name = task.settings.network.cell
    if not is_built_in(name):
        task._own_cell = stored_cell(folder) if cell is None else cell_class(with_recorded_options(cell, name))
        if task._own_cell is None:
            bare = split_name(name)[0]
            raise ModelFolderError(
                f"{folder} uses a custom cell, {name!r}, and holds no traced step of it; loading executes its code. "
                f"If you trust it, load it with {wording(f'--cell {bare}', f'unspool.load(folder, cell={bare!r})')}"
            )
    return task


def refuse_training_beyond_memory(task: Trainable[Any, Any]) -> None:
    """Refuse to train a network that exceeds the available memory, before its weights are allocated.

    The check skips custom cells, which may not support construction on the meta device.

    Raises:
        MachineError: If weights, gradients and optimizer state exceed the available memory.
    """
    training = task.settings.training
    if not is_built_in(task.settings.network.cell):
        return
    copies = 1
    if choose_device(training.device.partition(":")[0]).type == "cpu":
        moments = 2 if training.optimizer != "sgd" else int(training.momentum > 0)
        copies = 2 + moments + (training.average != "none")
    expected = _expected(task)
    refuse_too_large(
        copies * bytes_of(expected),
        f"training {sum(tensor.numel() for tensor in expected.values()):,} weights",
        "try a smaller network or vocabulary (hidden, layers, embedding, size)",
    )


def _expected(task: Trainable[Any, Any]) -> dict[str, Tensor]:
    """Return the weights of a task's network on the meta device, without memory."""
    record, task.record = task.record, None  # without a record, a task builds its network without initial weights
    try:
        with torch.device("meta"), seeded(task.settings.training.seed), _WithoutDraws():
            return _weights(task._make_network())
    except (RuntimeError, OverflowError) as error:
        raise SettingError(f"there is no network of such sizes: {error}") from None
    finally:
        task.record = record


def _filled(task: Trainable[Any, Any], folder: Path, path: Path) -> nn.Module:
    """Check names, shapes and size of the stored weights against the network, then load them."""
    try:
        expected, stored = _expected(task), checkpoint.layout(path)
    except (CellError, SettingError) as error:
        raise ModelFolderError(f"{folder / RECORD}: {error.message}") from None
    for name in sorted(expected.keys() ^ stored.keys()):
        state = "lacks" if name in expected else "has an unknown"
        raise ModelFolderError(f"{path} {state} weight {name!r}: the folder is damaged, or was changed")
    for name, tensor in expected.items():
        if tensor.shape != stored[name].shape:
            actual, expectation = tuple(stored[name].shape), tuple(tensor.shape)
            raise ModelFolderError(f"{path}: weight {name!r} has shape {actual}, settings say {expectation}")
        if tensor.is_floating_point() != stored[name].is_floating_point():
            raise ModelFolderError(f"{path}: weight {name!r} is {stored[name].dtype}, expected {tensor.dtype}")
    refuse_too_large(bytes_of(expected), f"the network of {folder}", "close other programs, or use a larger machine")
    tensors, _ = checkpoint.read(path)
    checkpoint.refuse_not_finite(tensors, path)
    with seeded(task.settings.training.seed):
        model = task._make_network()
    model.load_state_dict(tensors, strict=False)
    fill_cells(model, folder)
    return model.eval()


class _WithoutDraws(TorchFunctionMode):
    """Skip random initialisation where only names and shapes matter; on the meta device it imports a compiler."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (Tensor.normal_, Tensor.uniform_):
            return args[0]
        if func in (nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_):
            return kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """Return weights by name; tied weights appear once."""
    once = dict(model.named_parameters())
    return {
        name: tensor.detach()
        for name, tensor in model.state_dict(keep_vars=True).items()
        if name in once or not isinstance(tensor, nn.Parameter)
    }
