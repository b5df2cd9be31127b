"""`unspool inspect`: trace a network on one text, on the terminal and as a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from unspool.cli.open_model import model_argument, open_model, text_of
from unspool.cli.talk import common, console, example, say, writing
from unspool.errors import UsageError

if TYPE_CHECKING:
    from unspool.inspection import TraceDifference

__all__ = ["inspect"]


@click.command(
    epilog=example(
        "unspool inspect my-model 'not a dull moment' --out trace.html",
        "unspool inspect my-model 'not a dull moment' --against other-model",
    )
)
@model_argument
@click.argument("text")
@click.option("--array", metavar="NAME", help="Also draw this array unit by unit, such as 'layer 1 forward / forget'.")
@click.option("--maps", metavar="PATTERN", help="Draw these attention maps, such as '*head 1' or '*'.  [the first]")
@click.option("--memory", type=click.IntRange(min=1), metavar="STEP", help="Also draw the memory after this step.")
@click.option(
    "--against",
    metavar="OTHER",
    type=click.Path(),
    help="Compare with the model OTHER: predictions, and the differences at each word.",
)
@click.option("--against-text", metavar="TEXT", help="Compare with another text, of this model or of --against.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Also write the trace to a file: .html .json .npz .csv or .svg.",
)
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
@common
def inspect(
    model: str,
    text: str,
    cell: str | None,
    array: str | None,
    maps: str | None,
    memory: int | None,
    against: str | None,
    against_text: str | None,
    out: tuple[Path, ...],
    overwrite: bool,
) -> None:
    """Show a model's prediction, attention, gates and states on one TEXT (- is stdin), word by word."""
    from unspool.inspection import compare_traces, show, write_trace
    from unspool.inspection.files import FORMATS

    text = text_of(text, "text")
    for path in out:
        if path.suffix.lower() not in FORMATS:
            raise UsageError(f"--out {path}: expected one of the formats {', '.join(FORMATS)}")
        if path.exists() and not overwrite:
            raise UsageError(f"{path} exists already; name another file, or add --overwrite")
    task = open_model(model, cell)
    trace = task.trace(text)
    if against is not None or against_text is not None:
        if (name := _only_for_one(array, maps, memory)) is not None:
            raise UsageError(f"{name} draws one trace; leave it out, or leave out --against and --against-text")
        second = task if against is None else open_model(against, cell)
        difference = compare_traces(trace, second.trace(text_of(against_text or text, "text")))
        _show_difference(difference, out, overwrite=overwrite)
        return
    for path in out:  # first, so that the files exist even if the reader of standard output exits early
        write_trace(trace, path, overwrite=overwrite)
    with writing():
        show(trace, console(), array=array, maps=maps, memory=None if memory is None else memory - 1)
    for path in out:
        say(f"written: {path}")


def _only_for_one(array: str | None, maps: str | None, memory: int | None) -> str | None:
    """Return the name of an option that draws a single trace, if it was passed."""
    values = {"--array": array, "--maps": maps, "--memory": memory}
    return next((name for name, value in values.items() if value is not None), None)


def _show_difference(difference: TraceDifference, out: tuple[Path, ...], *, overwrite: bool) -> None:
    from unspool.inspection import write_trace

    for path in out:
        write_trace(difference.trace(), path, overwrite=overwrite)
    with writing():
        console().print(difference)
    for path in out:
        say(f"written: {path}")
