"""`unspool inspect`: trace a network on one text, on the terminal and as a file."""

from __future__ import annotations

from pathlib import Path

import click

from unspool.cli.open_model import model_argument, open_model, text_of
from unspool.cli.talk import common, console, example, say, writing
from unspool.errors import UsageError

__all__ = ["inspect"]


@click.command(epilog=example("unspool inspect my-model 'not a dull moment' --out trace.html"))
@model_argument
@click.argument("text")
@click.option("--array", metavar="NAME", help="Also draw this array unit by unit, such as 'layer 1 forward / forget'.")
@click.option("--maps", metavar="PATTERN", help="Draw these attention maps, such as '*head 1' or '*'.  [the first]")
@click.option("--memory", type=click.IntRange(min=1), metavar="STEP", help="Also draw the memory after this step.")
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
    out: tuple[Path, ...],
    overwrite: bool,
) -> None:
    """Show a model's prediction, attention, gates and states on one TEXT (- is stdin), word by word."""
    from unspool.inspection import show, write_trace
    from unspool.inspection.files import FORMATS

    text = text_of(text, "text")
    for path in out:
        if path.suffix.lower() not in FORMATS:
            raise UsageError(f"--out {path}: expected one of the formats {', '.join(FORMATS)}")
        if path.exists() and not overwrite:
            raise UsageError(f"{path} exists already; name another file, or add --overwrite")
    trace = open_model(model, cell).trace(text)
    for path in out:  # first, so that the files exist even if the reader of standard output exits early
        write_trace(trace, path, overwrite=overwrite)
    with writing():
        show(trace, console(), array=array, maps=maps, memory=None if memory is None else memory - 1)
    for path in out:
        say(f"written: {path}")
