"""Catalog of tasks: discovers the task folders and their entries, without importing torch."""

from __future__ import annotations

from collections.abc import Mapping

from unspool.discovery import discover_entries
from unspool.errors import UsageError
from unspool.settings import nearest
from unspool.tasks.entry import TaskEntry

__all__ = ["TASKS", "task_entry"]


TASKS: Mapping[str, TaskEntry] = discover_entries("unspool.tasks", "settings")
"""All tasks by name, in the order of the help."""


def task_entry(name: str) -> TaskEntry:
    """Return the entry of a task.

    Raises:
        UsageError: If the task does not exist.
    """
    if name not in TASKS:
        raise UsageError(f"there is no task {name!r}{nearest(name, TASKS)}; choose one of {', '.join(TASKS)}")
    return TASKS[name]
