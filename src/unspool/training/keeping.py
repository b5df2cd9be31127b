"""Training run on disk: save and load the newest checkpoint and the best weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor

from unspool.errors import MachineError, ModelFolderError, SettingError, UnspoolError
from unspool.settings import from_record, to_record
from unspool.training import checkpoint
from unspool.training.distributed import flattened
from unspool.training.optimizers import load_state, state_tensors
from unspool.training.settings import TrainingSettings, refuse_changes
from unspool.training.state import RunState, state_from, state_record
from unspool.training.updates import Updater

__all__ = ["CHECKPOINT", "Best", "Keeper", "best_so_far"]

CHECKPOINT = "checkpoint.safetensors"
"""File name of the newest checkpoint in a run's folder."""

_FORMAT = 1


class Best(NamedTuple):
    """The best weights of a run, which may be unfinished."""

    path: Path
    update: int
    """Number of updates at their validation."""
    epoch: float | None
    """Epochs at their validation; None if an earlier version wrote the file."""
    metrics: dict[str, float]
    """Their scores at that validation."""


def best_so_far(folder: Path) -> Best | None:
    """Return the best weights of a run so far; None before its first validation.

    Args:
        folder: The run's folder, `training` of a model folder.

    Raises:
        ModelFolderError: If the file is damaged.
    """
    numbers = {int(path.stem[5:]): path for path in folder.glob("best-*.safetensors") if path.stem[5:].isdecimal()}
    if not numbers:
        return None
    path = numbers[max(numbers)]  # later is better; the file before stays until the next checkpoint
    record = checkpoint.read_record(path)
    try:
        epoch = None if record.get("epoch") is None else float(record["epoch"])
        metrics = {name: float(value) for name, value in record["metrics"].items()}
        return Best(path, int(record["update"]), epoch, metrics)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFolderError(f"{path}: not weights that this version can read ({error!r})") from None


class _Shape(msgspec.Struct):
    """Structure of a checkpoint's record."""

    format: int
    state: dict[str, Any]
    settings: dict[str, Any]
    batches: int
    metric: str
    random: list[dict[str, list[Any]]]


class Keeper:
    """Write a run into a folder and read it back; rank 0 writes, all processes read."""

    def __init__(self, folder: Path, updater: Updater, metric: str) -> None:
        self.folder, self._updater, self._metric = folder, updater, metric
        self.path = folder / CHECKPOINT
        self._model, self._world = updater.model, updater.world

    def exists(self) -> bool:
        """Return whether the folder holds a run."""
        return self.path.exists()

    def save(self, state: RunState) -> None:
        """Write a checkpoint; all processes call this method.

        Raises:
            MachineError: In all processes, if rank 0 can't write.
        """
        own = self._own_tensors()
        parts = [own] if self._world.size == 1 else [_decoded(part) for part in self._world.gather(_encoded(*own))]
        fault = None
        if self._world.first:
            try:
                checkpoint.write(self.path, *self._whole(state, parts))
                self._drop_old_best(state)
            except MachineError as error:
                fault = str(error)
                if self._world.size == 1:
                    raise
        if fault := self._world.share(fault):
            raise MachineError(fault)

    def save_best(self, state: RunState) -> None:
        """Write the current weights of the model as the best of the run; all processes call this method.

        Each best has a file of its own, so that the best of the newest checkpoint stays until the next checkpoint.
        """
        fault = None
        if self._world.first:
            epoch = state.best_update / self._updater.per_epoch
            record = {"format": _FORMAT, "update": state.best_update, "epoch": epoch, "metrics": state.best}
            try:
                checkpoint.write(self._best(state), checkpoint.weights(self._model), record)
            except MachineError as error:
                fault = str(error)
        if fault := self._world.share(fault):
            raise MachineError(fault)

    def load_best(self, state: RunState) -> None:
        """Load the best weights into the model."""
        tensors, _ = checkpoint.read(self._best(state))
        checkpoint.refuse_not_finite(tensors, self._best(state))
        checkpoint.load_weights(self._model, tensors, self._best(state))

    def load(self, settings: TrainingSettings, allow: frozenset[str]) -> RunState:
        """Restore model, optimizer, average, carry and random numbers from the checkpoint.

        Raises:
            SettingError: If the run has other settings, other data or another number of processes.
            ModelFolderError: If the checkpoint is damaged, or belongs to another network.
        """
        tensors, record = checkpoint.read(self.path)
        try:
            msgspec.convert(record, _Shape)
            self._refuse_other_run(record, settings, allow)
            state = state_from(record["state"], self.path)
            self._load_tensors(tensors, record, state)
        except UnspoolError:
            raise
        except (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError) as error:
            raise ModelFolderError(f"{self.path}: damaged, or from another Unspool ({error})") from error
        return state

    def sweep(self) -> None:
        """Remove partial files of a killed process."""
        for partial in self.folder.glob("*.partial"):
            with suppress(OSError):
                partial.unlink()

    def _best(self, state: RunState) -> Path:
        return self.folder / f"best-{state.best_update}.safetensors"

    def _drop_old_best(self, state: RunState) -> None:
        for path in self.folder.glob("best-*.safetensors"):
            if path != self._best(state):
                with suppress(OSError):
                    path.unlink()

    def _own_tensors(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the tensors and the record of this process: random numbers and carry."""
        tensors, record = self._updater.random.capture()
        tensors = {f"random/{name}": tensor for name, tensor in tensors.items()}
        carry: Sequence[Tensor] = self._updater.stored_carry or flattened(self._updater.carry)
        return tensors | {f"carry/{index}": tensor for index, tensor in enumerate(carry)}, record

    def _whole(
        self, state: RunState, parts: Sequence[tuple[Mapping[str, Tensor], dict[str, Any]]]
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        updater = self._updater
        tensors = {f"weights/{name}": tensor for name, tensor in checkpoint.weights(self._model).items()}
        tensors |= {f"optimizer/{name}": tensor for name, tensor in state_tensors(updater.optimizer).items()}
        tensors |= {f"average/{name}": tensor for name, tensor in updater.average.tensors().items()}
        for rank, (own, _) in enumerate(parts):
            tensors |= {f"process/{rank}/{name}": tensor for name, tensor in own.items()}
        record = {
            "format": _FORMAT,
            "state": state_record(state),
            "settings": to_record(updater.settings),
            "batches": len(updater.source),
            "metric": self._metric,
            "random": [own for _, own in parts],
            "torch": torch.__version__,
        }
        return tensors, record

    def _refuse_other_run(self, record: Mapping[str, Any], settings: TrainingSettings, allow: frozenset[str]) -> None:
        if record["format"] != _FORMAT:
            raise ModelFolderError(f"{self.path}: written by a newer version of Unspool; update to go on with it")
        refuse_changes(from_record(TrainingSettings, record["settings"]), settings, allow)
        now = {
            "processes": self._world.size,
            "batches of an epoch": len(self._updater.source),
            "metric": self._metric,
        }
        before = {
            "processes": len(record["random"]),
            "batches of an epoch": record["batches"],
            "metric": record["metric"],
        }
        differing = [f"{name}: {now[name]} (was {before[name]})" for name in now if now[name] != before[name]]
        if differing:
            raise SettingError(
                f"this run differs from the one in the folder: {', '.join(differing)}; resume with the same data and"
                " processes, or train into a new folder"
            )

    def _load_tensors(self, tensors: Mapping[str, Tensor], record: Mapping[str, Any], state: RunState) -> None:
        updater, rank = self._updater, self._world.rank
        for prefix in ("weights/", "average/"):
            checkpoint.refuse_not_finite(_under(prefix, tensors), self.path)
        checkpoint.load_weights(self._model, _under("weights/", tensors), self.path)
        load_state(updater.optimizer, _under("optimizer/", tensors))
        updater.average.load(_under("average/", tensors), state.averaged, state.triggered)
        carry = _under(f"process/{rank}/carry/", tensors)
        updater.stored_carry = [carry[str(index)] for index in range(len(carry))]
        updater.random.restore(_under(f"process/{rank}/random/", tensors), record["random"][rank])


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _encoded(tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> bytes:
    text = json.dumps(record).encode()
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return len(text).to_bytes(8, "little") + text + to_bytes(contiguous)


def _decoded(content: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    end = 8 + int.from_bytes(content[:8], "little")
    return from_bytes(content[end:]), json.loads(content[8:end])
