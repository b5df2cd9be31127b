"""`unspool evaluate`: the scores of a model on labelled files."""

from __future__ import annotations

import click

from unspool.cli.models import device_option, model_argument, open_model
from unspool.cli.scores import score_table
from unspool.cli.talk import common, example, result, result_json

__all__ = ["evaluate"]


@click.command(epilog=example("unspool evaluate my-model test.tsv"))
@model_argument
@click.argument("data", nargs=-1, required=True)
@click.option("--format", "form", help="Form of the files (tsv, csv, jsonl ...).  [by file name]")
@device_option
@click.option("--json", "as_json", is_flag=True, help="Write the scores as one line of JSON.")
@common
def evaluate(model: str, data: tuple[str, ...], cell: str | None, form: str | None, device: str, as_json: bool) -> None:
    """Score a model on labelled files.

    The files are read as one data set, with the columns that the model was trained on; - is stdin.
    """
    task = open_model(model, cell, device)
    task.settings = task.settings.replace(**{"data.format": form})
    scores = task.evaluate(list(data))
    types = task.score_types(list(data)) if hasattr(task, "score_types") and "-" not in data else {}
    if as_json:
        result_json({**scores, **({"types": types} if types else {})})
        return
    result(score_table({", ".join(data): scores}))
    if types:
        result("\n" + score_table(types, head="type"))
