"""`unspool add`: add questions and answers to a trained assistant."""

from __future__ import annotations

from pathlib import Path

import click

from unspool.cli.open_model import model_argument, open_model_for
from unspool.cli.talk import common, example, result, say
from unspool.errors import counted, option
from unspool.writing import locked

__all__ = ["add"]


@click.command(epilog=example("unspool add my-assistant more.tsv"))
@model_argument
@click.argument("data", nargs=-1, required=True)
@click.option("--format", "form", help="Form of the files (tsv, csv, jsonl ...).  [by file name]")
@common
def add(model: str, data: tuple[str, ...], cell: str | None, form: str | None) -> None:
    """Add questions and answers to an assistant, from files in any form of its training data; - is stdin.

    The assistant finds the new answers at once. No training takes place, and the threshold stays. A question that the
    assistant has already gets one more answer. A kill or a full disk leaves the assistant unchanged.
    """
    with locked(Path(model)):  # a second process waits, then adds to the assistant that the first one saved
        task = open_model_for("add", model, cell)
        task.settings = task.settings.replace(**{"data.format": form})
        new = task.add(list(data))
        task.save(model)
    result(f"{counted(new, 'new questions')}; {task.introduction()}")
    if task.skipped:
        say(f"left out {counted(task.skipped, 'bad entries')} ({option('skip_bad')})")
