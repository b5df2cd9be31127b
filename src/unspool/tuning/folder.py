"""Folder of a tuning: its record, the folders of its trainings, the best model and its recipe.

::

    tuning.json       task, data, settings, space, lengths, time so far
    trials.journal    all trials, by optuna
    trials/           model folders of trainings that have not ended
    best/             model folder of the best trial so far
    recipe.toml       its settings
"""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from unspool.cells import is_built_in
from unspool.errors import MachineError, ModelFolderError, UsageError, option, wording
from unspool.settings import from_record, make, write_recipe
from unspool.tasks.catalog import TASKS
from unspool.tasks.running.model_card import model_card
from unspool.tasks.running.model_folder import Record, read_record, take_place, write_record, write_text
from unspool.tasks.space import Range
from unspool.training.folder_lock import lock_folder
from unspool.tuning.lengths import Lengths
from unspool.tuning.result import BEST, RECIPE

__all__ = [
    "FORMAT",
    "RECORD",
    "TuningRecord",
    "best_record",
    "holds_tuning",
    "keep_best",
    "open_folder",
    "read_tuning",
    "remove_trainings",
    "training_folder",
    "way_on",
    "write_best",
    "write_tuning",
]

RECORD, FORMAT = "tuning.json", 1
_TRIALS = "trials"


class TuningRecord(msgspec.Struct, kw_only=True):
    """Contents of `tuning.json`."""

    format: int = FORMAT
    task: str
    asked: dict[str, Any]
    """All settings as the user passed them."""
    fixed: list[str]
    """Dotted names of the settings that were passed by name."""
    plans: bool
    """Whether the default settings were planned by the data and the time."""
    settings: dict[str, Any] = {}
    """All settings of the first trial, the default."""
    space: dict[str, Range]
    lengths: Lengths
    metric: str = ""
    higher_is_better: bool = True
    main_metric: str = ""
    data: dict[str, Any] = {}
    """For train, valid and test: paths, examples, sha256."""
    baselines: bool = True
    """Whether to score baselines with the default."""
    baseline_scores: dict[str, dict[str, float]] = {}
    minutes: float
    """Time limit of the whole tuning."""
    trials: int | None = None
    """Most trials; None: no limit."""
    seconds: float = 0.0
    """Elapsed time so far."""
    versions: dict[str, str] = {}


def holds_tuning(folder: Path) -> bool:
    """Return whether a folder holds a tuning."""
    return (folder / RECORD).is_file()


def read_tuning(folder: Path) -> TuningRecord:
    """Read and check `tuning.json`.

    Raises:
        ModelFolderError: If the folder is missing, damaged, newer, or holds no tuning.
    """
    path = folder / RECORD
    try:
        tree = json.loads(path.read_bytes())
        version = tree.get("format") if isinstance(tree, dict) else None
        if isinstance(version, int) and version > FORMAT:
            raise ModelFolderError(f"{folder} was written by a newer Unspool: pip install --upgrade unspool")
        record = msgspec.convert(tree, TuningRecord)
    except (FileNotFoundError, NotADirectoryError):
        problem = f"holds no tuning: it has no {RECORD}" if folder.is_dir() else "is no folder of a tuning"
        raise ModelFolderError(f"{folder} {problem}") from None
    except OSError as error:
        raise MachineError(f"{path} can't be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise ModelFolderError(f"{path} is damaged: {error}") from None
    if record.task not in TASKS:
        raise ModelFolderError(f"{folder} tunes the task {record.task!r}, which this Unspool does not know")
    return record


def write_tuning(folder: Path, record: TuningRecord) -> None:
    """Write `tuning.json` atomically."""
    write_text(folder / RECORD, json.dumps(msgspec.to_builtins(record), indent=2, ensure_ascii=False) + "\n")


@contextmanager
def open_folder(folder: Path, *, resume: bool) -> Iterator[None]:
    """Create the folder of a tuning and lock it; remove it at the end if nothing was written.

    Raises:
        UsageError: If it holds other files, or a tuning and `resume` is False, or a tuning runs in it.
        MachineError: If it can't be created.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; name a folder for the tuning")
    existed = folder.is_dir()
    if existed and any(folder.iterdir()):
        if not holds_tuning(folder) and not _is_locked_alone(folder):
            raise UsageError(f"{folder} is not empty and holds no tuning; nothing is overwritten, so name a new folder")
        if not resume and holds_tuning(folder):
            raise UsageError(f"{folder} holds a tuning; go on with {option('resume')}, or name a new folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(f"{folder} can't be created: {error.strerror}") from error
    try:
        with lock_folder(folder):
            yield
    finally:
        if not existed:
            with suppress(OSError):
                folder.rmdir()  # only if empty


def _is_locked_alone(folder: Path) -> bool:
    """Return whether a folder holds nothing but the lock of a tuning that was killed at its start."""
    return [path.name for path in folder.iterdir()] == ["training"]


def training_folder(folder: Path, trial: int, rung: int) -> Path:
    """Return the model folder of a training."""
    return folder / _TRIALS / f"{trial:04}-{rung}"


def keep_best(folder: Path, trial: int, rung: int) -> None:
    """Make the model of a training the best one, unless it is already; a kill at any moment loses neither."""
    new, best = training_folder(folder, trial, rung), folder / BEST
    old = best.with_name(f"{BEST}.old")
    if not best.exists() and old.exists():
        old.rename(best)
    if new.is_dir():
        shutil.rmtree(old, ignore_errors=True)
        if best.exists():
            take_place(new, best)
        else:
            new.rename(best)
    if best.exists():
        write_best(folder, read_record(best))


def write_best(folder: Path, record: Record) -> None:
    """Write the record and the model card of the best model, and the recipe that repeats its training."""
    kind = TASKS[record.task].settings
    settings = from_record(kind, record.settings)
    if course := record.training.get("course"):
        settings = make(kind, {"training.course": course}, base=settings)
    write_record(folder / BEST, record)
    write_text(folder / BEST / "README.md", model_card(record, TASKS[record.task].summary, folder.name))
    write_text(folder / RECIPE, write_recipe(settings))


def best_record(folder: Path) -> Record | None:
    """Return the record of the best model; None before the first one."""
    return read_record(folder / BEST) if (folder / BEST).is_dir() else None


def remove_trainings(folder: Path, keep: Mapping[int, int]) -> None:
    """Remove the folders of all trainings, except those of trials that have not ended, by the rung of each."""
    kept = {training_folder(folder, trial, rung).name for trial, rung in keep.items()}
    place = folder / _TRIALS
    for path in place.iterdir() if place.is_dir() else ():
        if path.name not in kept:
            shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        place.rmdir()  # only if empty
    shutil.rmtree(folder / f"{BEST}.old", ignore_errors=True)


def way_on(folder: Path, record: TuningRecord) -> str:
    """Return the command that goes on with a tuning."""
    cells = [str(record.asked.get("network", {}).get("cell", ""))]
    in_python = f"unspool.tune(..., out={str(folder)!r}, resume=True)"
    if not all(is_built_in(cell) for cell in cells if cell):
        return wording("the same command and --resume", in_python)
    return wording(f"unspool tune --resume {shlex.quote(str(folder))}", in_python)
