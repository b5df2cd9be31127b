"""What a model folder can be exported to, from its record alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unspool.ship.target_names import TARGETS
from unspool.tasks.catalog import TASKS
from unspool.tasks.running.model_folder import Record
from unspool.writing import newest

__all__ = ["exportable"]

_TARGETS = ", ".join(TARGETS)
_RECURRENT = ("recurrent", "bag", "concatenated", "initial", "every-step", "dot", "additive", "bilinear")


def exportable(folder: Path, record: Record) -> str:
    """Return the targets of `unspool export` for a model folder, or the reason why there are none."""
    stored = record.settings.get("network")
    network: dict[str, Any] = stored if isinstance(stored, dict) else {}
    if record.task not in TASKS or not TASKS[record.task].exports:
        return f"nothing: a model of the task {record.task!r} has no export"
    if not record.complete:
        return "nothing before its training has come to its end"
    if record.task == "answer":
        return _TARGETS
    if record.task == "classify" and not newest(folder / "vocabulary", "vocabulary.json").exists():
        return "nothing: only classifiers of texts have an export"
    kind = network.get("network", "recurrent")
    if kind not in _RECURRENT:
        return f"nothing: network = {kind} has no export, networks of recurrent layers have"
    if network.get("output") == "adaptive":
        return "nothing: an adaptive softmax has no export"
    return _TARGETS
