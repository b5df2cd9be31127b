"""Facts of a training run beside its log: task, settings, planned length, and whether it is complete."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["RunFacts"]

_LONGEST = 1 << 24  # bytes of a header


class _Folder(msgspec.Struct):
    """Parts of `unspool.json`."""

    complete: bool
    settings: dict[str, Any] = {}
    task: str = ""


class _Header(msgspec.Struct):
    metadata: dict[str, str] = msgspec.field(name="__metadata__", default={})


class _Checkpoint(msgspec.Struct):
    """Parts of a checkpoint's record."""

    settings: dict[str, Any]
    batches: int
    metric: str
    state: dict[str, Any]


class RunFacts(msgspec.Struct, frozen=True):
    """Facts of a run, from `unspool.json` and the newest checkpoint; a file that is missing or damaged adds none."""

    task: str = ""
    complete: bool | None = None
    """Whether training and final scores are complete; None without `unspool.json`."""
    metric: str = ""
    """The score that decides which weights are best; empty before the first checkpoint."""
    update: int = 0
    """Updates at the newest checkpoint."""
    updates: int | None = None
    """Planned number of updates; a time limit or early stopping may end the run before."""
    clip: float | None = None
    """Maximum gradient norm; None without clipping."""
    patience: int | None = None
    """Validations without improvement that end the run; None without early stopping."""

    @classmethod
    def of(cls, folder: Path) -> RunFacts:
        """Read the facts of a model folder."""
        record = _read(folder / "unspool.json", _Folder)
        checkpoint = _read_checkpoint(folder / "training" / "checkpoint.safetensors")
        settings: dict[str, Any] = {}
        if record is not None and isinstance(record.settings.get("training"), dict):
            settings = record.settings["training"]
        elif checkpoint is not None:
            settings = checkpoint.settings
        epochs, clip, patience = (settings.get(name) for name in ("epochs", "clip", "patience"))
        batches = checkpoint.batches if checkpoint is not None else None
        update = checkpoint.state.get("update") if checkpoint is not None else 0
        return cls(
            task=record.task if record is not None else "",
            complete=record.complete if record is not None else None,
            metric=checkpoint.metric if checkpoint is not None else "",
            update=update if isinstance(update, int) else 0,
            updates=epochs * batches if isinstance(epochs, int) and batches is not None else None,
            clip=float(clip) if isinstance(clip, int | float) else None,
            patience=patience if isinstance(patience, int) else None,
        )


def _read(path: Path, kind: type[_Folder]) -> _Folder | None:
    with suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return msgspec.json.decode(path.read_bytes(), type=kind)
    return None


def _read_checkpoint(path: Path) -> _Checkpoint | None:
    """Read the record in the header of a safetensors file, without torch."""
    with suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError, StopIteration), path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > _LONGEST:
            return None
        header = msgspec.json.decode(file.read(size), type=_Header)
        return msgspec.json.decode(next(iter(header.metadata.values())), type=_Checkpoint)
    return None
