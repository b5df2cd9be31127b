"""Model folders whose training has not come to its end: their best weights so far, and how to go on."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from unspool.cells import is_built_in
from unspool.errors import wording
from unspool.tasks.catalog import TASKS
from unspool.tasks.running.model_folder import Record
from unspool.training import checkpoint
from unspool.training.keeping import Best, best_so_far

__all__ = ["best_of_unfinished", "describe_best", "way_on", "way_to_use"]


def best_of_unfinished(folder: Path, record: Record, final: Path) -> Best | None:
    """The best weights so far of a training that has not come to its end; None where the final weights are to be used.

    Final weights may be there already: those of a shorter training that was taken up again. The best weights replace
    them if they come from a later validation and fit the folder's vocabularies, which may have grown since.

    Args:
        folder: The model folder.
        record: Its record.
        final: Where the final weights lie, or will.

    Raises:
        ModelFolderError: If the best weights are damaged.
    """
    best = None if record.complete else best_so_far(folder / "training")
    if best is None or not final.is_file():
        return best
    before = record.training.get("best_epoch")
    if before is None or best.epoch is None or best.epoch <= before:
        return None
    stored, fitting = (
        {name: part.shape for name, part in checkpoint.layout(path).items()} for path in (best.path, final)
    )
    return best if stored == fitting else None


def describe_best(best: Best, metric: str | None = None) -> str:
    """Which validation the best weights come from: `after epoch 2.5: accuracy 0.8312`."""
    scores = best.metrics if metric not in best.metrics else {metric: best.metrics[metric]}
    when = f"update {best.update:,}" if best.epoch is None else f"epoch {best.epoch:.4g}"
    return f"after {when}: {', '.join(f'{name} {value:.4g}' for name, value in scores.items())}"


def way_on(folder: Path, settings: Any, *, overwrite: bool = False) -> str:
    """How a person goes on with the training that a folder holds, or that is to replace the model in it."""
    place, own = shlex.quote(str(folder)), _own_cell(settings)
    return wording(
        f"unspool train --resume {place}{' --overwrite' if overwrite else ''}{own}",
        f"fit(..., out={str(folder)!r}, resume=True{', overwrite=True' if overwrite else ''})",
    )


def way_to_use(folder: Path, task: str, settings: Any) -> str:
    """How a person uses the model that a folder holds, by the name of its task."""
    verb = TASKS[task].next_verb if task in TASKS else "predict"
    command = f"unspool {verb} {shlex.quote(str(folder))}{_own_cell(settings)}"
    return wording(command, f"unspool.load({str(folder)!r})")


def _own_cell(settings: Any) -> str:
    cell = settings.network.cell
    return "" if is_built_in(cell) else f" --cell {shlex.quote(cell)}"
