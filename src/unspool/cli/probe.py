"""`unspool probe`: find the unit that tracks a property of a text, and test whether the network uses it."""

from __future__ import annotations

import json as json_form
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unspool.cli.open_model import model_argument, open_model
from unspool.cli.out_files import check_out
from unspool.cli.stages import StageLines
from unspool.cli.talk import common, console, example, result_json, say, writing
from unspool.errors import UsageError

if TYPE_CHECKING:
    from unspool.inspection.concepts import Labelling

__all__ = ["probe"]


@click.command(
    epilog=example(
        "unspool probe my-model valid.txt --property depth",
        "unspool probe my-model valid.txt --regex '\\d+' --name number",
        "unspool probe my-tagger dev.conllu --column upos --out report.json",
    )
)
@model_argument
@click.argument("data", nargs=-1, required=True)
@click.option(
    "--property",
    "of_text",
    help="Built-in property: depth (open brackets), code-depth, code-parentheses, code-braces, quotes, comment, "
    "line-position.",
)
@click.option("--regex", help="Property: inside a match of this regular expression.")
@click.option("--column", help="Property: this column of a tag file, or of a classifier's table.")
@click.option("--every", is_flag=True, help="Take the column of a table at every token.  [at the last]")
@click.option("--brush", multiple=True, metavar="FROM-TO", help="Property: these tokens, counted from 1; repeatable.")
@click.option("--tokens", type=click.IntRange(min=1), default=100_000, help="Most tokens to read.  [100000]")
@click.option("--alpha", type=float, default=0.01, help="Level of the corrected p value.  [0.01]")
@click.option("--untrained/--no-untrained", default=True, help="Run the network with new weights as a control.  [yes]")
@click.option("--ablate/--no-ablate", default=True, help="Clamp the unit, and compare with random units.  [yes]")
@click.option(
    "--ablation-tokens", type=click.IntRange(min=1), default=20_000, help="Held-out tokens per clamped unit.  [20000]"
)
@click.option("--random-units", type=click.IntRange(min=1), default=20, help="Number of random units to clamp.  [20]")
@click.option("--together", type=click.IntRange(min=1), default=1, help="Number of units to clamp together.  [1]")
@click.option(
    "--category", multiple=True, metavar="NAME=REGEX", help="A category of predictions for the loss; repeatable."
)
@click.option("--by", metavar="COLUMN", help="Group the loss by this column of a classifier's table.")
@click.option("--expected", metavar="CATEGORY", help="Category that shows the use.  [by the property, else all]")
@click.option("--seed", type=int, default=0, help="Seed of shuffled labels, new weights and random units.  [0]")
@click.option("--name", help="Give the best unit this name in the model folder, unless the verdict is nothing.")
@click.option("--json", "as_json", is_flag=True, help="Write the report as one line of JSON.")
@click.option("--out", type=click.Path(path_type=Path), help="Also write the report to this JSON file.")
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
@common
def probe(
    model: str,
    data: tuple[str, ...],
    cell: str | None,
    category: tuple[str, ...],
    name: str | None,
    as_json: bool,
    out: Path | None,
    overwrite: bool,
    **options: Any,
) -> None:
    """Find the unit that tracks a property of the text DATA, and test whether the network uses it."""
    if out is not None:
        check_out([out], [".json"], overwrite=overwrite)
    categories = dict(_category(each) for each in category)
    chosen = {key: options.pop(key) for key in ("of_text", "regex", "column", "every", "brush")}
    _one_of(chosen)
    task = open_model(model, cell)
    from unspool.data import Files
    from unspool.tasks.concepts.finding import find_concept
    from unspool.writing import replace_file

    report = find_concept(
        task, Files(data), _labelling(**chosen), categories=categories, progress=StageLines(), **options
    )
    if out is not None:  # first, so that the file exists even if the reader of standard output exits early
        replace_file(out, (json_form.dumps(report.record(), indent=2, ensure_ascii=False) + "\n").encode())
    if as_json:
        result_json(report.record())
    else:
        with writing():
            report.show(console())
    if out is not None:
        say(f"written: {out}")
    if name is not None and report.verdict == "nothing":
        say(f"no unit tracks the property, so none is named {name!r}")
    elif name is not None:
        task.name_unit(report.best.array, report.best.unit, name)
        say(f"{report.best.name} of {model} is named {name!r}")


def _one_of(chosen: dict[str, Any]) -> None:
    names = {"of_text": "--property", "regex": "--regex", "column": "--column", "brush": "--brush"}
    flags = [flag for name, flag in names.items() if chosen[name]]
    if len(flags) != 1:
        came = " and ".join(flags) or "none"
        raise UsageError(f"{came} came; expected one of --property, --regex, --column or --brush")


def _labelling(of_text: str | None, regex: str | None, column: str | None, every: bool, brush: Any) -> Labelling:
    from unspool.inspection import concepts

    if of_text:
        return concepts.property_named(of_text)
    if regex:
        return concepts.regex(regex)
    if column:
        return concepts.column(column, everywhere=every)
    return concepts.brushed(map(_range, brush))


def _range(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)-(\d+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"--brush {text}: expected two numbers of tokens from 1, as 120-134")
    return int(match[1]) - 1, int(match[2])


def _category(text: str) -> tuple[str, str]:
    name, sign, pattern = text.partition("=")
    if not (name and sign and pattern):
        raise UsageError(f"--category {text}: expected NAME=REGEX, a name and a regular expression")
    return name, pattern
