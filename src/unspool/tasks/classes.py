"""Lazy import of task classes by name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from unspool.tasks.catalog import task_entry

if TYPE_CHECKING:
    from unspool.tasks.task import Task

__all__ = ["task_class"]


def task_class(name: str) -> type[Task[Any, Any]]:
    """Import the class of a task.

    Raises:
        UsageError: If the task does not exist.
    """
    entry = task_entry(name)
    kind: type[Task[Any, Any]] = getattr(import_module(f"unspool.tasks.{entry.path}"), entry.task)
    return kind
