"""`unspool graph`: draw a network: its parts, one step of its cell, and the cells unrolled over a text."""

from __future__ import annotations

from pathlib import Path

import click

from unspool.cli.open_model import model_argument, open_model, text_of
from unspool.cli.out_files import check_out
from unspool.cli.stages import StageLines
from unspool.cli.talk import common, example, result, say, writing
from unspool.errors import UsageError, for_command_line, printable

__all__ = ["graph"]

_FORMATS = (".svg", ".json")


@click.command(
    epilog=example(
        "unspool graph my-model --out graph.svg", "unspool graph my-model 'not a dull moment' --out graph.svg"
    )
)
@model_argument
@click.argument("text", required=False)
@click.option(
    "--out", type=click.Path(path_type=Path), multiple=True, help="Write the picture (.svg) or nodes and edges (.json)."
)
@click.option(
    "--edges",
    metavar="NAME",
    help="With TEXT: what the thickness of the edges between steps shows: an array of the trace, such as forget, or "
    "gradients.  [the size of the state]",
)
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
@common
def graph(
    model: str, text: str | None, cell: str | None, out: tuple[Path, ...], edges: str | None, overwrite: bool
) -> None:
    """Draw a network: shapes, weights, one step of its cell, and its cells over the steps of TEXT (- is stdin)."""
    check_out(out, _FORMATS, overwrite=overwrite)
    if edges is not None and text is None:
        raise UsageError("--edges needs a text to unroll the network over: unspool graph MODEL TEXT --edges NAME")
    text = None if text is None else text_of(text, "text")
    task = open_model(model, cell)
    if edges == "gradients":
        drawn = task.graph(text, thickness=task.gradients(text, jacobians=False, progress=StageLines()))
    else:
        drawn = task.graph(text, array=edges)
    for path in out:
        drawn.save(path, overwrite=overwrite)
    with writing():
        result("\n".join(for_command_line(printable(line, 10_000)) for line in repr(drawn).splitlines()))
    for path in out:
        say(f"written: {path}")
