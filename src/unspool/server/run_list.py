"""List of the training runs below some folders, with what their logs hold."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from unspool.errors import DataError, UsageError, for_command_line
from unspool.server.faults import ApiError
from unspool.settings import nearest
from unspool.tasks.running.model_folder import read_record
from unspool.training.run_log import RunLog, is_run, run_folders

__all__ = ["RunList", "folders_of_studio"]

_MOST_MODELS = 24


class RunList:
    """The training runs below some folders; runs that begin later appear by themselves.

    Args:
        paths: Model folders, and folders of model folders.
    """

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths
        self._logs: dict[Path, RunLog] = {}
        self._lock = threading.Lock()  # requests read in threads of their own

    @property
    def count(self) -> int:
        """Number of folders to look in."""
        return len(self._paths)

    def summaries(self) -> list[dict[str, Any]]:
        """Return name, state and progress of each run, after reading what was written since the last call."""
        with self._lock:
            self._search()
            self._read()
            return [
                {"name": log.name, "folder": str(log.folder), "state": log.state, "update": log.update}
                for log in self._logs.values()
            ]

    def record(self, name: str, columns: int) -> dict[str, Any]:
        """Return curves, samples and warnings of a run.

        Args:
            name: Name of the run.
            columns: Number of columns of each envelope.

        Raises:
            ApiError: If there is no such run.
        """
        with self._lock:
            if not self._logs:
                self._search()
            self._read()
            log = next((log for log in self._logs.values() if log.name == name), None)
            if log is None:
                hint = nearest(name, [log.name for log in self._logs.values()])
                raise ApiError(404, f"there is no run {name[:80]!r}{hint}", "name")
            record = log.record(columns)
        for warning in record["warnings"]:
            warning |= {key: for_command_line(text) for key, text in warning.items() if isinstance(text, str)}
        return record

    def _search(self) -> None:
        """Open the runs that are new since the last search, and forget those that are gone."""
        folders: dict[Path, str] = {}
        for path in self._paths:
            with suppress(DataError):  # no run yet, or its folder is being replaced
                folders |= run_folders([path])
        self._logs = {folder: log for folder, log in self._logs.items() if folder in folders}
        for folder, name in folders.items():
            if folder not in self._logs:
                with suppress(DataError):
                    self._logs[folder] = RunLog(folder, name)

    def _read(self) -> None:
        for folder, log in list(self._logs.items()):
            try:
                log.read()
            except DataError:
                del self._logs[folder]


def folders_of_studio(paths: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Sort what a person opens in the studio into models to load and folders of training runs.

    Args:
        paths: Model folders, unfinished runs, and folders of both.

    Returns:
        The folders of finished models, and all folders that may hold runs.

    Raises:
        UsageError: If a folder does not exist, holds neither, or holds too many models.
    """
    models: list[str] = []
    runs: list[Path] = []
    for path in map(Path, paths):
        if not path.is_dir():
            raise UsageError(f"there is no folder {path}; expected a model folder, a run, or a folder of them")
        below = [path] if _is_model(path) else sorted(folder for folder in _below(path) if _is_model(folder))
        models += map(str, below)
        runs.append(path)
        if not below and not any(is_run(folder) for folder in [path, *_below(path)]):
            raise UsageError(f"{path} holds neither a model nor a training run")
    if len(models) > _MOST_MODELS:
        raise UsageError(f"{len(models)} models are there; the studio opens {_MOST_MODELS} at most: name some of them")
    return models, runs


def _is_model(folder: Path) -> bool:
    return (
        (folder / "unspool.json").is_file()
        and (folder / "model.safetensors").is_file()
        and read_record(folder).complete
    )


def _below(folder: Path) -> list[Path]:
    """Return the folders up to three levels below, without those inside a model."""
    level, result = [folder], list[Path]()
    for _ in range(3):
        level = [
            entry
            for parent in level
            for entry in sorted(parent.iterdir())
            if entry.is_dir() and not entry.is_symlink() and not (parent / "unspool.json").exists()
        ]
        result += level
    return result
