"""`unspool prune`: write a copy of a model without some of its units."""

from __future__ import annotations

from pathlib import Path

import click

from unspool.cli.open_model import model_argument, open_model
from unspool.cli.scores import score_table
from unspool.cli.talk import common, example, result, result_json, say
from unspool.errors import UsageError, counted

__all__ = ["prune"]


@click.command(
    epilog=example(
        "unspool prune my-model --unit 'layer 1 / h[38]' --out pruned",
        "unspool prune my-model --unit 'bracket depth' --out pruned --test test.txt",
    )
)
@model_argument
@click.option(
    "--unit",
    "units",
    metavar="UNIT",
    multiple=True,
    required=True,
    help="Unit to prune: 'layer 1 / h[38]', 'layer 2 backward / c[3,7]', or its name; repeatable.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the pruned model, new or empty.")
@click.option(
    "--test", multiple=True, metavar="FILE", help="Labelled file to score before and after; repeat it for several."
)
@click.option("--json", "as_json", is_flag=True, help="Write what was pruned, and the scores, as one line of JSON.")
@common
def prune(
    model: str, cell: str | None, units: tuple[str, ...], out: Path, test: tuple[str, ...], as_json: bool
) -> None:
    """Write a copy of MODEL without some units of its recurrent layers.

    A pruned unit is zero at every step, as with the edit 'layer 1 / h[38] = zero', at no cost in time. The model itself
    does not change.
    """
    _check(out, test)
    task = open_model(model, cell)
    from unspool.data import Files

    pruned = task.pruned(units, test=Files(test) if test else None)
    pruned.save(out)
    assert pruned.record is not None
    about = pruned.record.pruned
    if as_json:
        result_json({"model": str(out), **about})
        return
    say(f"written: {out}, without {', '.join(about['units'])}; {counted(about['weights'], 'weights')} are zero")
    if scores := about.get("scores"):
        rows = {f"{when} pruning": scores[when] for when in ("before", "after")}
        result(score_table(rows, ", ".join(test), titles=task.score_titles))


def _check(out: Path, test: tuple[str, ...]) -> None:
    from unspool.data.files import is_stream

    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"{out} exists already, and nothing is overwritten; name another folder for --out")
    if any(map(is_stream, test)):
        raise UsageError("--test is read twice, which pipes and standard input do not allow; save the data to a file")
