"""Catalog of tasks: discovers the task folders and their entries, without importing torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import MappingProxyType

from unspool.errors import UsageError
from unspool.settings import nearest
from unspool.tasks.entry import TaskEntry

__all__ = ["TASKS", "task_entry"]

_HERE = Path(__file__).parent


def _entries() -> Iterator[TaskEntry]:
    """Yield the `ENTRY` of each folder beside this file that has a module `settings`."""
    for folder in iter_modules([str(_HERE)]):
        if folder.ispkg and any(module.name == "settings" for module in iter_modules([str(_HERE / folder.name)])):
            entry: TaskEntry = import_module(f"unspool.tasks.{folder.name}.settings").ENTRY
            yield entry


TASKS: Mapping[str, TaskEntry] = MappingProxyType(
    {entry.name: entry for entry in sorted(_entries(), key=lambda entry: (entry.order, entry.name))}
)
"""All tasks by name, in the order of the help."""


def task_entry(name: str) -> TaskEntry:
    """Return the entry of a task.

    Raises:
        UsageError: If the task does not exist.
    """
    if name not in TASKS:
        raise UsageError(f"there is no task {name!r}{nearest(name, TASKS)}; choose one of {', '.join(TASKS)}")
    return TASKS[name]
