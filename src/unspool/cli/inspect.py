"""`unspool inspect`: trace a network on one text, on the terminal and as a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unspool.cli.open_model import model_argument, open_model, text_of
from unspool.cli.talk import common, console, example, say, writing
from unspool.errors import UsageError

if TYPE_CHECKING:
    from unspool.tasks import Task

__all__ = ["inspect"]


@click.command(
    epilog=example(
        "unspool inspect my-model 'not a dull moment' --out trace.html",
        "unspool inspect my-model 'not a dull moment' --gradients",
    )
)
@model_argument
@click.argument("text")
@click.option("--array", metavar="NAME", help="Also draw this array unit by unit, such as 'layer 1 forward / forget'.")
@click.option("--maps", metavar="PATTERN", help="Draw these attention maps, such as '*head 1' or '*'.  [the first]")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Also write the trace to a file: .html .json .npz .csv or .svg.",
)
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
@click.option("--gradients", is_flag=True, help="Show how far gradients reach back through time instead: |dL_t/dh_s|.")
@click.option(
    "--loss-at",
    type=click.IntRange(min=1),
    metavar="N",
    help="With --gradients: only the loss at this position of the text, counted from 1.  [all]",
)
@click.option(
    "--target",
    help="With --gradients: the label, the tags (separated by blanks) or the translation that the losses score.  "
    "[the model's own prediction]",
)
@click.option(
    "--truncation",
    type=click.IntRange(min=1),
    metavar="STEPS",
    help="With --gradients: also the share of the gradient beyond a truncation of so many steps.",
)
@common
def inspect(
    model: str,
    text: str,
    cell: str | None,
    array: str | None,
    maps: str | None,
    out: tuple[Path, ...],
    overwrite: bool,
    gradients: bool,
    loss_at: int | None,
    target: str | None,
    truncation: int | None,
) -> None:
    """Show a model's prediction, attention, gates and states on one TEXT (- is stdin), word by word."""
    from unspool.inspection import show, write_trace
    from unspool.inspection.files import FORMATS
    from unspool.inspection.gradient_files import FORMATS as GRADIENT_FORMATS

    text = text_of(text, "text")
    only = {"--loss-at": loss_at, "--target": target, "--truncation": truncation}
    if wrong := [flag for flag, value in only.items() if value is not None and not gradients]:
        raise UsageError(f"{wrong[0]} belongs to --gradients; add --gradients, or leave {wrong[0]} out")
    if maps is not None and gradients:
        raise UsageError("--maps draws attention, and --gradients draws gradients; pass one of them")
    _check_files(out, GRADIENT_FORMATS if gradients else tuple(FORMATS), overwrite)
    task = open_model(model, cell)
    if gradients:
        _show_gradients(task, text, array, out, overwrite, loss_at, target, truncation)
        return
    trace = task.trace(text)
    for path in out:  # first, so that the files exist even if the reader of standard output exits early
        write_trace(trace, path, overwrite=overwrite)
    with writing():
        show(trace, console(), array=array, maps=maps)
    for path in out:
        say(f"written: {path}")


def _check_files(out: tuple[Path, ...], formats: tuple[str, ...], overwrite: bool) -> None:
    for path in out:
        if path.suffix.lower() not in formats:
            raise UsageError(f"--out {path}: expected one of the formats {', '.join(formats)}")
        if path.exists() and not overwrite:
            raise UsageError(f"{path} exists already; name another file, or add --overwrite")


def _show_gradients(
    task: Task[Any, Any],
    text: str,
    array: str | None,
    out: tuple[Path, ...],
    overwrite: bool,
    loss_at: int | None,
    target: str | None,
    truncation: int | None,
) -> None:
    from unspool.inspection import show_gradients

    chosen = target.split() if target is not None and task.name == "tag" else target
    at = None if loss_at is None else loss_at - 1
    result = task.gradients(text, target=chosen, loss_at=at, truncation=truncation)
    if array is not None:
        result.array(array)
    for path in out:
        result.save(path, overwrite=overwrite)
    with writing():
        show_gradients(result, console(), array=array)
    for path in out:
        say(f"written: {path}")
