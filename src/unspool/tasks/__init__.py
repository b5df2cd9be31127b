"""What people train: estimators that read files, fit, predict, explain themselves, save and load."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from unspool.cells import Cell
    from unspool.tasks.base import Task
    from unspool.tasks.classifier import Classification, Classifier
    from unspool.tasks.language_model import LanguageModel, Reading
    from unspool.tasks.tagger import Tagger, Tagging

__all__ = [
    "TASKS",
    "Classification",
    "Classifier",
    "LanguageModel",
    "Reading",
    "Tagger",
    "Tagging",
    "Task",
    "load",
    "task_class",
]

TASKS = {"classify": "Classifier", "tag": "Tagger", "write": "LanguageModel"}
"""Class of each task, by the name that the command line knows it by."""

_HOME = {
    **dict.fromkeys(("Classification", "Classifier"), "classifier"),
    **dict.fromkeys(("LanguageModel", "Reading"), "language_model"),
    **dict.fromkeys(("Tagger", "Tagging"), "tagger"),
    "Task": "base",
}


def task_class(name: str) -> type[Task[Any]]:
    """The class of a task by its name.

    Raises:
        UsageError: If there is no such task.
    """
    from unspool.errors import UsageError
    from unspool.settings import nearest

    if name not in TASKS:
        raise UsageError(f"there is no task {name!r}{nearest(name, TASKS)}; choose one of {', '.join(TASKS)}")
    found: type[Task[Any]] = __getattr__(TASKS[name])
    return found


def load(folder: str | Path, *, cell: str | type[Cell[Any]] | None = None) -> Task[Any]:
    """Open a model folder of any task.

    Args:
        folder: The folder.
        cell: The cell of your own that the model was trained with; a folder never imports code by itself.

    Raises:
        ModelFolderError: If the folder is damaged, newer, not trained to the end, or needs `cell`.
    """
    from pathlib import Path

    from unspool.errors import ModelFolderError
    from unspool.tasks.folder import read_record

    name = read_record(Path(folder)).task
    if name not in TASKS:
        raise ModelFolderError(
            f"{folder} holds a model of the task {name!r}, which this Unspool does not know; is it newer?"
        )
    return task_class(name).load(folder, cell=cell)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
