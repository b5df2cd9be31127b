"""List of the training runs below some folders, with what their logs hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unspool.errors import DataError, UsageError, for_command_line
from unspool.server.faults import ApiError
from unspool.settings import nearest
from unspool.tasks.running.model_folder import read_record
from unspool.training.run_log import RunLog, find_runs, is_run

__all__ = ["RunList", "folders_of_studio"]

_MOST_MODELS = 24


class RunList:
    """The training runs below some folders; runs that begin later appear by themselves.

    Args:
        paths: Model folders, and folders of model folders.
    """

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths
        self._logs: dict[str, RunLog] = {}

    @property
    def count(self) -> int:
        """Number of folders to look in."""
        return len(self._paths)

    def scan(self) -> dict[str, RunLog]:
        """Return the runs by name, after reading what was written since the last call."""
        for path in self._paths:
            try:
                found = find_runs([path])
            except DataError:  # no run yet, or its folder is being replaced
                continue
            for log in found:
                if log.name not in self._logs or self._logs[log.name].folder != log.folder:
                    self._logs[log.name] = log
        for name, log in list(self._logs.items()):
            try:
                log.read()
            except DataError:
                del self._logs[name]
        return self._logs

    def summaries(self) -> list[dict[str, Any]]:
        """Return name, state and progress of each run."""
        return [
            {"name": log.name, "folder": str(log.folder), "state": log.state, "update": log.update}
            for log in self.scan().values()
        ]

    def record(self, name: str, columns: int) -> dict[str, Any]:
        """Return curves, samples and warnings of a run.

        Args:
            name: Name of the run.
            columns: Number of columns of each envelope.

        Raises:
            ApiError: If there is no such run.
        """
        logs = self.scan()
        if name not in logs:
            raise ApiError(404, f"there is no run {name[:80]!r}{nearest(name, logs)}", "name")
        record = logs[name].record(columns)
        for warning in record["warnings"]:
            warning |= {key: for_command_line(text) for key, text in warning.items() if isinstance(text, str)}
        return record


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
