"""`unspool predict`: predict an output for each line of text."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unspool.cli.flags import SettingsCommand
from unspool.cli.open_model import (
    apply_decoding,
    apply_tables,
    decoding_options,
    device_option,
    model_argument,
    open_model,
    tables_options,
)
from unspool.cli.talk import common, example, flush, result, result_json, say
from unspool.errors import DataError, UsageError, counted
from unspool.tasks.catalog import TASKS
from unspool.tasks.entry import one_of

if TYPE_CHECKING:
    from unspool.data import Unlabelled
    from unspool.tasks import Prediction, Task

__all__ = ["predict"]


_CAUTIONS = 3  # warnings printed in full

_FIRST, *_OTHERS = TASKS.values()
_WRITES = f"{_FIRST.a_model.capitalize()} writes {_FIRST.predict_writes}" + "".join(
    f"; {entry.a_model} {entry.predict_writes}" for entry in _OTHERS
)
_VERBS = one_of(entry.predict_verb for entry in TASKS.values()).capitalize()
_HELP = f"""{_VERBS} texts: one per line of each FILE or stdin, or per row of a table.

A model that reads sounds takes sound files, or lists of their paths. A forecaster goes on from the series in the FILES,
or without FILE from the end of its training data. {_WRITES}. A blank line gives a blank line, so
that outputs stay aligned with their texts.
"""


@click.command(
    cls=SettingsCommand,
    help=_HELP,
    epilog=example(
        "echo 'a joy from end to end' | unspool predict my-model -",
        "unspool predict my-model texts.txt --json",
        "unspool predict my-model one.wav other.flac",
        "unspool predict my-recommender --history 'Alien, Brazil' --k 5",
        "unspool predict my-forecaster --horizon 12 --plot next.svg",
    ),
)
@model_argument
@click.argument("files", nargs=-1, metavar="[FILE]...")
@device_option
@click.option("--json", "as_json", is_flag=True, help="Write a line of JSON for each text, with all probabilities.")
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    help="Texts of a batch; outputs appear batch by batch.  [256; 1 on a terminal]",
)
@click.option("--format", "form", help="Form of the file (text, srt, tsv, csv, jsonl ...).  [by file name]")
@click.option("--begin", default="", help="Forced prefix of each output (translators).")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    help="Seed of the sampling; the same seed gives the same outputs (search = sample).",
)
@click.option(
    "--edits",
    "recipe",
    type=click.Path(path_type=Path),
    help="Make the changes of this recipe in each run, as `unspool inspect --save-edits` writes it.",
)
@click.option(
    "--history",
    "histories",
    metavar="ITEMS",
    multiple=True,
    help="A history in place of a FILE: items with commas between, oldest first (recommenders). Repeat it for more.",
)
@click.option("--k", type=click.IntRange(min=1), help="Number of items (recommenders).  [as trained]")
@click.option("--exclude", metavar="ITEMS", default="", help="Items not to recommend, with commas between.")
@tables_options
@click.option("--horizon", type=click.IntRange(1), help="Steps to forecast.  [as in training]")
@click.option("--future", type=click.Path(), help="Table of the known columns for the steps to forecast.")
@click.option("--csv", "as_csv", is_flag=True, help="Write forecasts as CSV.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw history, forecast and interval into this SVG file.")
@click.option("--overwrite", is_flag=True, help="Replace that file if it exists.")
@common
def predict(
    model: str,
    files: tuple[str, ...],
    cell: str | None,
    device: str,
    as_json: bool,
    batch_size: int | None,
    form: str | None,
    begin: str,
    seed: int | None,
    recipe: Path | None,
    histories: tuple[str, ...],
    k: int | None,
    exclude: str,
    items: str | None,
    users: str | None,
    horizon: int | None,
    future: str | None,
    as_csv: bool,
    plot: Path | None,
    overwrite: bool,
    **values: Any,
) -> None:
    """Predict an output for each text: one per line of FILE or stdin, or per row of a table."""
    task = open_model(model, cell, device)
    apply_decoding(task, values)
    apply_tables(task, items, users)
    options = {"--horizon": horizon, "--future": future, "--csv": as_csv, "--plot": plot, "--overwrite": overwrite}
    if TASKS[task.name].forecasts:
        from unspool.cli.forecasting import write_forecasts

        others = {"--begin": begin, "--seed": seed, "--edits": recipe, "--batch-size": batch_size}
        _refuse(others, f"a model of the task {task.name!r} forecasts series")
        write_forecasts(
            task,
            files,
            form,
            horizon=horizon,
            future=future,
            as_json=as_json,
            as_csv=as_csv,
            plot=plot,
            overwrite=overwrite,
        )
        return
    forecasters = one_of(entry.a_model for entry in TASKS.values() if entry.forecasts)
    _refuse(options, f"this is a model of the task {task.name!r}, and {forecasters} takes this")
    unused: list[int] = []
    predict_texts = (
        _with_beginning(task, begin, seed) if recipe is None else _with_edits(task, recipe, unused, begin, seed)
    )
    if histories or k is not None or exclude:
        predict_texts = _with_items(task, histories, files, k, exclude, edited=recipe is not None)
    if histories:
        recommendations: Sequence[Any] = predict_texts(list(histories))
        for each in recommendations:
            if as_json:
                result_json(each.record())
            else:
                result(each.table())
        flush()
        return
    files = files or ("-",)
    typed = "-" in files and sys.stdin.isatty()
    if typed:
        say("one text per line; end with ctrl-D")
    cautions = 0
    for lines in _batches(task.read_inputs(files, format=form), batch_size or (1 if typed else 256)):
        for line, answer in zip(lines, _answers(predict_texts, lines), strict=True):
            if as_json:
                result_json(None if answer is None else answer.record())
            else:
                result("" if answer is None else answer.line())
            if caution := getattr(answer, "caution", ""):
                cautions += 1
                if cautions <= _CAUTIONS:
                    say(f"{line.where}: {caution}")
        flush()
    if unused:
        say(f"{counted(len(unused), 'lines')} had no token for one of the edits, which changed nothing there")
    if cautions > _CAUTIONS:
        more = cautions - _CAUTIONS
        say(f"{counted(more, 'more lines')} {'is' if more == 1 else 'are'} unlike the training data; --json names each")


predict.params += decoding_options()


def _refuse(options: Mapping[str, object], why: str) -> None:
    """Raise `UsageError` if an option was passed that a task does not take."""
    for name, value in options.items():
        if value is not None and value is not False and value != "":
            raise UsageError(f"{name}: {why}")


def _batches(lines: Iterable[Unlabelled], size: int) -> Iterator[list[Unlabelled]]:
    batch: list[Unlabelled] = []
    for line in lines:
        batch.append(line)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _with_beginning(task: Task[Any, Any], begin: str, seed: int | None) -> Callable[[list[str]], Sequence[Prediction]]:
    """Return the function that predicts outputs of texts, with the options that only translators take."""
    if not begin and seed is None:
        return task.predict_each
    if not TASKS[task.name].searches:
        name = "--begin" if begin else "--seed"
        raise UsageError(f"{name}: a model of the task {task.name!r} writes no outputs of its own")
    writer: Any = task
    return lambda texts: writer.predict(texts, begin=begin, seed=seed)


def _with_items(
    task: Task[Any, Any],
    histories: tuple[str, ...],
    files: tuple[str, ...],
    k: int | None,
    exclude: str,
    *,
    edited: bool,
) -> Callable[[list[str]], Sequence[Any]]:
    """Return the function that recommends items, with the options that only recommenders take."""
    if not TASKS[task.name].ranks_items:
        name = "--history" if histories else "--exclude" if exclude else "--k"
        able = one_of(entry.a_model for entry in TASKS.values() if entry.ranks_items)
        raise UsageError(f"{name}: this is a model of the task {task.name!r}; {able} takes this")
    if edited:
        raise UsageError("--edits runs the lines of a FILE, without --history, --k and --exclude; leave them out")
    if histories and files:
        raise UsageError(f"--history and the file {files[0]} came; name one of both")
    recommender: Any = task
    left_out = recommender.fitted.items.value(exclude, "--exclude") if exclude else ()
    return lambda texts: recommender.recommend(texts, k=k, exclude=left_out)


def _with_edits(
    task: Task[Any, Any], recipe: Path, unused: list[int], begin: str, seed: int | None
) -> Callable[[list[str]], Sequence[Prediction]]:
    """Return the function that predicts with the edits of a recipe; it counts texts without some token in `unused`."""
    from unspool.inspection import read_recipe

    if begin or seed is not None:
        raise UsageError("--edits runs each text alone, without --begin and --seed; leave them out")
    edits = read_recipe(recipe)

    def predict_texts(texts: list[str]) -> list[Prediction]:
        predictions = []
        for each in task.replay(texts, edits):
            predictions.append(each.prediction)
            if each.unused:
                unused.append(len(each.unused))
        return predictions

    return predict_texts


def _answers(
    predict_texts: Callable[[list[str]], Sequence[Prediction]], lines: list[Unlabelled]
) -> list[Prediction | None]:
    """Return the prediction for each line, None for a blank line."""
    filled = [line for line in lines if not line.is_blank]
    try:
        answers = iter(predict_texts([line.value for line in filled]))
    except DataError as error:
        place = re.fullmatch(r"text (\d+)", error.where or "")
        if place is None:
            raise
        message = error.message.removeprefix(f"{error.where}: ")
        raise DataError(message, filled[int(place.group(1)) - 1].where) from None
    return [None if line.is_blank else next(answers) for line in lines]
