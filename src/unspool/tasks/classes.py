"""Lazy import of task classes by name."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import TYPE_CHECKING, Any

from unspool.errors import UsageError
from unspool.tasks.catalog import TASKS, task_entry
from unspool.tasks.entry import TaskEntry

if TYPE_CHECKING:
    from unspool.tasks.task import Task

__all__ = ["resolve_task", "task_class"]


def task_class(name: str) -> type[Task[Any, Any]]:
    """Import the class of a task.

    Raises:
        UsageError: If the task does not exist.
    """
    entry = task_entry(name)
    kind: type[Task[Any, Any]] = getattr(import_module(f"unspool.tasks.{entry.path}"), entry.task)
    return kind


def resolve_task(task: str | type[Task[Any, Any]]) -> tuple[TaskEntry, type[Task[Any, Any]]]:
    """Return the catalog entry and the class of a task.

    Args:
        task: A task's class, or its name on the command line.

    Raises:
        UsageError: If the task does not exist.
    """
    if isinstance(task, str):
        entry = task_entry(task)
        return entry, task_class(entry.name)
    if not (inspect.isclass(task) and getattr(task, "name", None) in TASKS):
        raise UsageError(f"{task!r} is no task: expected a class, as Classifier, or one of {', '.join(TASKS)}")
    return TASKS[task.name], task
