"""Model folders of incomplete trainings: best weights so far, and the commands to resume or use them."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

from unspool.cells import is_built_in
from unspool.errors import wording
from unspool.tasks.catalog import TASKS
from unspool.tasks.running.model_folder import Record
from unspool.tasks.running.stored_cells import CELL
from unspool.training import checkpoint
from unspool.training.keeping import Best, best_so_far
from unspool.writing import newest

__all__ = ["best_of_unfinished", "describe_best", "way_on", "way_to_use"]


def best_of_unfinished(folder: Path, record: Record, final: Path) -> Best | None:
    """Return the best weights of an incomplete training; None if the final weights apply.

    The folder may already hold final weights of a shorter training that was resumed. The best weights replace these
    if they come from a later validation and fit the vocabularies of the folder, which may have grown.

    Args:
        folder: The model folder.
        record: Its record.
        final: Path of the final weights, which may not exist.

    Raises:
        ModelFolderError: If the best weights are damaged.
    """
    best = None if record.complete else best_so_far(folder / "training")
    if best is None or not final.is_file():
        return best
    before = record.training.get("best_epoch")
    if before is None or best.epoch is None or best.epoch <= before:
        return None
    shapes, final_shapes = (
        {name: part.shape for name, part in checkpoint.layout(path).items()} for path in (best.path, final)
    )
    return best if shapes == final_shapes else None


def describe_best(best: Best, metric: str | None = None) -> str:
    """Describe the validation of the best weights: `after epoch 2.5: accuracy 0.8312`."""
    scores = best.metrics if metric not in best.metrics else {metric: best.metrics[metric]}
    when = f"update {best.update:,}" if best.epoch is None else f"epoch {best.epoch:.4g}"
    return f"after {when}: {', '.join(f'{name} {value:.4g}' for name, value in scores.items())}"


def way_on(folder: Path, settings: Any, *, overwrite: bool = False) -> str:
    """Return the command that resumes the training in a folder, or the training that replaces its model."""
    place, own = shlex.quote(str(folder)), _own_cell(settings)
    return wording(
        f"unspool train --resume {place}{' --overwrite' if overwrite else ''}{own}",
        f"fit(..., out={str(folder)!r}, resume=True{', overwrite=True' if overwrite else ''})",
    )


def way_to_use(folder: Path, task: str, settings: Any) -> str:
    """Return the command that uses the model in a folder, by the name of its task."""
    verb = TASKS[task].next_verb if task in TASKS else "predict"
    own = "" if os.path.lexists(newest(folder, CELL)) else _own_cell(settings)
    command = f"unspool {verb} {shlex.quote(str(folder))}{own}"
    return wording(command, f"unspool.load({str(folder)!r})")


def _own_cell(settings: Any) -> str:
    cell = settings.network.cell
    return "" if is_built_in(cell) else f" --cell {shlex.quote(cell)}"
