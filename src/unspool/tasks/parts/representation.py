"""Short one-line representations (`repr`) of tasks and predictions."""

from __future__ import annotations

from operator import attrgetter
from reprlib import Repr
from typing import TYPE_CHECKING, Any

from unspool.settings import describe

if TYPE_CHECKING:
    from unspool.tasks.trainable import Trainable

__all__ = ["brief", "task_line"]

_SHORT = Repr()
_SHORT.maxstring = 60


def brief(text: str) -> str:
    """Return a quoted text; long texts have an ellipsis in the middle."""
    return _SHORT.repr(text)


def task_line(task: Trainable[Any, Any]) -> str:
    """Return the settings that were passed; for a trained task also its network and main score."""
    call = f"{type(task).__name__}({', '.join(_changed(task))})"
    if task.model is None:
        return f"<{call}, not trained>"
    parts = [str(task.describe()["summary"])]
    metric, metrics = task.main_score[0], task.record.metrics if task.record is not None else {}
    part = next((part for part in ("test", "valid") if metric in metrics.get(part, {})), None)
    if part is not None:
        parts.append(f"{metric} on {part} {metrics[part][metric]:.4g}")
    return f"<{call}: {'; '.join(parts)}>"


def _changed(task: Trainable[Any, Any]) -> list[str]:
    """Return the non-default settings that no plan chose, as keyword arguments."""
    described = describe(task.settings_type)
    shorts = [setting.short for setting in described.values()]
    changed = []
    for name, setting in described.items():
        value = attrgetter(name)(task.settings)
        if value != setting.default and name not in task._planned:
            changed.append(f"{setting.short if shorts.count(setting.short) == 1 else name}={value!r}")
    return changed
