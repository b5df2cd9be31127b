"""`unspool inspect`: what a network does with one text, in the terminal and as a file."""

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
@click.option("--array", metavar="NAME", help="Also draw this array unit by unit, as 'layer 1 forward / forget'.")
@click.option("--maps", metavar="PATTERN", help="Draw these maps, such as '*head 1'; '*' is all. Else the first.")
@click.option(
    "--out", type=click.Path(path_type=Path), multiple=True, help="Also write a file: .html .json .npz .csv or .svg."
)
@click.option("--overwrite", is_flag=True, help="Replace the file if it is there already.")
@common
def inspect(
    model: str, text: str, cell: str | None, array: str | None, maps: str | None, out: tuple[Path, ...], overwrite: bool
) -> None:
    """Show what a model does with one TEXT (- is stdin): prediction, attention, gates and states, word by word."""
    from unspool.inspection import show, write_trace
    from unspool.inspection.files import FORMATS

    text = text_of(text, "text")
    for path in out:
        if path.suffix.lower() not in FORMATS:
            raise UsageError(f"--out {path}: a trace is written as one of {', '.join(FORMATS)}")
        if path.exists() and not overwrite:
            raise UsageError(f"{path} exists already; name another file, or add --overwrite")
    trace = open_model(model, cell).trace(text)
    for path in out:  # first, so that files are there even if whoever reads the rest stops reading
        write_trace(trace, path, overwrite=overwrite)
    with writing():
        show(trace, console(), array=array, maps=maps)
    for path in out:
        say(f"written: {path}")
