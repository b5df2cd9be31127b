"""Model folder: layout, record (`unspool.json`), creation and replacement; safe to load from untrusted sources.

::

    unspool.json         task, settings, versions, hashes of the data, metrics
    model.safetensors    the weights
    cell.json            the traced step of a custom cell, if there is one; cell.safetensors: its tensors beside weights
    vocabulary/          units, labels, characters
    units.json           names of units, if any
    README.md            model card
    training/            checkpoint, best weights, log.jsonl; a lock while training runs
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import msgspec

from unspool.errors import CellError, DataError, MachineError, ModelFolderError, TrainingError, UsageError, option
from unspool.inspection.unit_names import UNITS
from unspool.reading import RECORD, read_file
from unspool.tasks.catalog import TASKS
from unspool.training.folder_lock import LOCK, lock_folder, refuse_folder_in_training
from unspool.writing import newest, replace_file

__all__ = [
    "FORMAT",
    "RECORD",
    "Record",
    "beside",
    "fingerprint",
    "new_folder",
    "only_begun",
    "place_beside",
    "read_record",
    "rounded",
    "take_place",
    "versions",
    "write_record",
    "write_text",
]

FORMAT = 1
"""Version of the folder layout; loading refuses higher versions."""

_PARTS = frozenset(
    (RECORD, "model.safetensors", "cell.json", "cell.safetensors", "vocabulary", UNITS, "README.md", "training")
)
"""Entries of a model folder or a training, apart from unfinished writes (`.partial`)."""


class Record(msgspec.Struct, kw_only=True):
    """Contents of `unspool.json`."""

    format: int
    task: str
    complete: bool
    """Whether training is complete and `model.safetensors` exists."""
    settings: dict[str, Any]
    versions: dict[str, str]
    data: dict[str, Any] = {}
    """For train, valid and test: paths, examples, sha256."""
    network: dict[str, Any] = {}
    """Description of the network: summary, number of weights, engine paths."""
    metrics: dict[str, dict[str, float]] = {}
    """For valid and test: the scores of the saved weights."""
    baselines: dict[str, dict[str, float]] = {}
    """Scores of the baselines on the same held-out data."""
    training: dict[str, Any] = {}
    """Epochs, updates, seconds, and the reason for the end of training."""
    planned: list[str] = []
    """Dotted names of the settings that the plan of the training chose."""
    generation: int = 0
    """Number of times that the model was saved into this folder."""
    pruned: dict[str, Any] = {}
    """Of a pruned model: the units, the number of weights set to zero, and scores before and after with their data."""


class _Facts(msgspec.Struct):
    paths: list[str] = []
    sha256: str | None = None


class _Network(msgspec.Struct, frozen=True):
    summary: str = ""
    engine: list[str] = []


class _Training(msgspec.Struct, frozen=True):
    epochs: float = 0
    updates: int = 0
    seconds: float = 0
    stopped: str = ""


class _Pruned(msgspec.Struct, frozen=True):
    units: list[str] = []
    weights: int = 0
    scores: dict[str, dict[str, float]] = {}
    test: list[str] = []


class _Shape(msgspec.Struct):
    """Schema of the record's plain dictionaries, for the fields that the code reads."""

    data: dict[str, _Facts] = {}
    network: _Network = _Network()
    training: _Training = _Training()
    pruned: _Pruned = _Pruned()


def read_record(folder: Path) -> Record:
    """Read and check `unspool.json`.

    Raises:
        ModelFolderError: If the folder is missing, damaged, newer, or not a model folder.
    """
    path = newest(folder, RECORD)
    try:
        tree = json.loads(read_file(path))
    except FileNotFoundError:
        problem = "is no model folder: it holds no unspool.json" if folder.is_dir() else "does not exist"
        raise ModelFolderError(f"{folder} {problem}") from None
    except NotADirectoryError:
        raise ModelFolderError(f"{folder} is a file; a model is a folder that holds unspool.json") from None
    except (ValueError, RecursionError) as error:
        raise ModelFolderError(f"{path} is damaged: {error}") from None
    version = tree.get("format") if isinstance(tree, dict) else None
    if not isinstance(version, int):
        raise ModelFolderError(f"{path} is damaged: it has no format number")
    if version > FORMAT:
        raise ModelFolderError(
            f"{folder} was saved by a newer Unspool (folder format {version}, this one reads up to {FORMAT}): "
            f"pip install --upgrade unspool"
        )
    try:
        msgspec.convert(tree, _Shape)
        record = msgspec.convert(tree, Record)
        json.dumps(tree | {"data": None}, ensure_ascii=False).encode()
        _add_settings(record)
    except UnicodeEncodeError:
        raise ModelFolderError(f"{path} is damaged: a text holds half of a surrogate pair") from None
    except (msgspec.ValidationError, RecursionError) as error:
        raise ModelFolderError(f"{path} is damaged: {error}") from None
    return record


def _add_settings(record: Record) -> None:
    """Add the settings that did not exist when the record was written."""
    entry = TASKS.get(record.task)
    for name, value in entry.earlier.items() if entry else ():
        *groups, last = name.split(".")
        place: Any = record.settings
        for group in groups:
            place = place.get(group, {}) if isinstance(place, dict) else {}
        if isinstance(place, dict):
            place.setdefault(last, value)


def write_record(folder: Path, record: Record) -> None:
    """Write `unspool.json`."""
    write_text(folder / RECORD, json.dumps(msgspec.to_builtins(record), indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically.

    Raises:
        MachineError: If the disk is full or not writable.
    """
    replace_file(path, text.encode("utf-8", "backslashreplace"))  # keeps file names that are not UTF-8 readable


@contextmanager
def new_folder(out: Path | None, *, resume: bool, first: bool = True) -> Iterator[Path]:
    """Create and lock the training folder: `out`, or a temporary folder that is removed afterwards.

    Args:
        out: Folder to create; None: a temporary folder.
        resume: Whether the folder may hold a training.
        first: Whether this is the first process of a run, which writes; the others do not lock.

    Raises:
        MachineError: If the folder can't be created.
        UsageError: If the folder is not empty and training is not resumed, or a training is running in it.
    """
    if out is None:
        temporary = Path(tempfile.mkdtemp(prefix="unspool-"))
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; name a folder for the model")
    if first:
        refuse_folder_in_training(out)
    if not resume and first and out.is_dir() and any(out.iterdir()):
        raise UsageError(
            f"{out} is not empty; nothing is overwritten. Go on with {option('resume')}, replace the model in it with "
            f"{option('overwrite')}, or name another folder"
        )
    existed, was_empty = out.is_dir(), not out.is_dir() or not any(out.iterdir())
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(f"{out} can't be created: {error.strerror}") from error
    with lock_folder(out) if first else nullcontext():
        try:
            yield out
        except BaseException as error:
            if was_empty and _nothing_to_keep(out, error):
                _remove(out, itself=not existed)
            raise


def place_beside(out: Path) -> Path:
    """Return the training folder for a model that will replace the one in `out`."""
    return out.with_name(f"{out.name}.new")


def beside(out: Path, *, resume: bool, clear: bool) -> Path:
    """Return the folder to train in until the model is complete and replaces the one in `out`.

    Args:
        out: The folder to replace; returned unchanged if new or empty.
        resume: Whether to resume an existing training in the `.new` folder.
        clear: Whether to remove an existing training in the `.new` folder if not resumed; one process does so.

    Raises:
        UsageError: If an existing folder holds anything but a model or training of Unspool.
    """
    if not out.is_dir() or not any(out.iterdir()):
        return out
    _refuse_to_replace(out)
    place = place_beside(out)
    if place.exists() and not resume:
        _refuse_to_replace(place)
        if clear:
            shutil.rmtree(place)
    return place


def take_place(new: Path, out: Path) -> None:
    """Replace the old model in `out` by the new model.

    The function renames the old folder to `.old`, renames the new folder to `out`, and then removes the old one. After
    a kill in between, both models are intact.

    Raises:
        MachineError: If a rename fails; the old model is then back in `out`.
    """
    old = out.with_name(f"{out.name}.old")
    try:
        out.rename(old)
        try:
            new.rename(out)
        except OSError:
            old.rename(out)
            raise
    except OSError as error:
        raise MachineError(f"{out} can't be replaced: {error.strerror}; the new model stands in {new}") from error
    shutil.rmtree(old, ignore_errors=True)


def _refuse_to_replace(folder: Path) -> None:
    """Refuse to replace a folder that is not a model or training, or holds other files."""
    if folder.is_symlink() or not folder.is_dir():
        raise UsageError(f"{folder} is a link or a file, and only a model folder is replaced; name another folder")
    if Path.cwd().is_relative_to(folder.resolve()):
        raise UsageError(f"{folder} is the folder you work in, and can't be replaced; go to another folder first")
    try:
        read_record(folder)
    except ModelFolderError as error:
        raise UsageError(f"only a model folder or a training is replaced: {error.message}") from None
    strange = sorted(path.name for path in folder.iterdir() if path.name not in _PARTS and path.suffix != ".partial")
    if strange:
        raise UsageError(
            f"{folder} also holds {', '.join(strange[:3])}, which is not part of a model; "
            f"move it away, or name another folder"
        )


def _remove(folder: Path, *, itself: bool) -> None:
    """Remove the contents of a training folder; with `itself`, also the folder."""
    if itself:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _nothing_to_keep(out: Path, error: BaseException) -> bool:
    """Whether a training failed before it wrote a checkpoint, so that its folder can be removed."""
    if (out / "training" / "checkpoint.safetensors").exists():
        return False
    return isinstance(error, CellError | DataError | TrainingError | UsageError) or not (out / RECORD).exists()


def only_begun(folder: Path) -> bool:
    """Whether the folder is missing, or holds no state to resume from, because training was killed early.

    False for folders with other contents; resuming then reads the record and refuses folders of other kinds.
    """
    begun = {"vocabulary", f"{RECORD}.partial"}
    return not folder.exists() or all(path.name in begun or _holds_a_lock_alone(path) for path in folder.iterdir())


def _holds_a_lock_alone(path: Path) -> bool:
    return path.name == "training" and path.is_dir() and {each.name for each in path.iterdir()} <= {LOCK}


def fingerprint(paths: list[Path]) -> str:
    """Return the SHA-256 of the contents of files, in order; uses constant memory."""
    whole = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of libraries, Python and platform that may affect results."""
    from importlib.metadata import version

    from unspool import __version__

    libraries = {name: _version_of(name, version) for name in ("torch", "numpy", "tokenizers", "safetensors")}
    return {
        "unspool": __version__,
        **libraries,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def _version_of(name: str, version: Any) -> str:
    try:
        return str(version(name))
    except Exception:  # a checkout without installation
        return "unknown"


def rounded(scores: Mapping[str, float]) -> dict[str, float]:
    """Round scores to seven significant digits, for storage."""
    return {name: float(f"{value:.7g}") for name, value in scores.items()}
