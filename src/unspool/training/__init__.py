"""Training: one loop, its settings, and what survives when it is stopped."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unspool.training.callbacks import LogReporter
    from unspool.training.distributed import World, join, leave
    from unspool.training.loop import Batch, BatchSource, FitResult, fit
    from unspool.training.progress import BarReporter, LineReporter, Progress, Reporter, report_to
    from unspool.training.settings import TrainingSettings

__all__ = [
    "BarReporter",
    "Batch",
    "BatchSource",
    "FitResult",
    "LineReporter",
    "LogReporter",
    "Progress",
    "Reporter",
    "TrainingSettings",
    "World",
    "fit",
    "join",
    "leave",
    "report_to",
]

_HOME = {
    "TrainingSettings": "settings",
    **dict.fromkeys(("Batch", "BatchSource", "FitResult", "fit"), "loop"),
    **dict.fromkeys(("BarReporter", "LineReporter", "Progress", "Reporter", "report_to"), "progress"),
    "LogReporter": "callbacks",
    **dict.fromkeys(("World", "join", "leave"), "distributed"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
