"""How tasks and predictions show themselves in a notebook: in one short line."""

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
    """A text in quotes, its middle left out if it is long."""
    return _SHORT.repr(text)


def task_line(task: Trainable[Any, Any]) -> str:
    """The settings of a task that are not the defaults, and of a trained one its network and main score."""
    call = f"{type(task).__name__}({', '.join(_changed(task))})"
    if task.model is None:
        return f"<{call}, not trained>"
    parts = [str(task.describe()["summary"])]
    metric, metrics = task.metric[0], task.record.metrics if task.record is not None else {}
    part = next((part for part in ("test", "valid") if metric in metrics.get(part, {})), None)
    if part is not None:
        parts.append(f"{metric} on {part} {metrics[part][metric]:.4g}")
    return f"<{call}: {'; '.join(parts)}>"


def _changed(task: Trainable[Any, Any]) -> list[str]:
    """The settings that are not the defaults, as keyword arguments."""
    known = describe(task.settings_type)
    shorts = [setting.short for setting in known.values()]
    changed = []
    for name, setting in known.items():
        value = attrgetter(name)(task.settings)
        if value != setting.default:
            changed.append(f"{setting.short if shorts.count(setting.short) == 1 else name}={value!r}")
    return changed
