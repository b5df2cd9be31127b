"""`unspool evaluate`: score a model on labelled files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

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
from unspool.cli.out_files import check_new_file
from unspool.cli.scores import score_table
from unspool.cli.talk import common, console, example, result, result_json, say
from unspool.data.files import is_stream
from unspool.errors import UsageError, counted, option
from unspool.settings import describe
from unspool.tasks.catalog import TASKS
from unspool.tasks.entry import one_of

if TYPE_CHECKING:
    from unspool.tasks import Task

__all__ = ["evaluate"]


_NOT_FROM_STDIN = one_of(entry.a_model for entry in TASKS.values() if not entry.reads_once)


@click.command(
    cls=SettingsCommand,
    help="Score a model on labelled files.\n\n"
    "The files form one data set, with the columns that the model was trained on; - is stdin "
    f"(not for {_NOT_FROM_STDIN}, which reads its text more than once).",
    epilog=example("unspool evaluate my-model test.tsv", "unspool evaluate my-model test.tsv --against other-model"),
)
@model_argument
@click.argument("data", nargs=-1, required=True)
@click.option("--format", "form", help="Form of the files (tsv, csv, jsonl ...).  [by file name]")
@click.option(
    "--skip-bad/--no-skip-bad",
    default=None,
    help="Skip and count lines that can't be read, or stop at the first.  [as in training]",
)
@click.option(
    "--against",
    metavar="OTHER",
    type=click.Path(),
    help="Also score the model OTHER, and list where the two disagree, the largest difference first.",
)
@click.option("--by-label", is_flag=True, help="Also write precision, recall and F1 of each label (classifiers).")
@click.option(
    "--confusion",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write the confusion matrix, with the most confident mistakes, to a file: .html .json or .csv "
    "(classifiers).",
)
@click.option("--overwrite", is_flag=True, help="Replace that file if it exists.")
@click.option("--most", type=click.IntRange(min=0), default=10, help="Examples to list, with --against.  [10]")
@tables_options
@device_option
@click.option("--json", "as_json", is_flag=True, help="Write the scores as one line of JSON.")
@common
def evaluate(
    model: str,
    data: tuple[str, ...],
    cell: str | None,
    form: str | None,
    skip_bad: bool | None,
    against: str | None,
    by_label: bool,
    confusion: Path | None,
    overwrite: bool,
    most: int,
    items: str | None,
    users: str | None,
    device: str,
    as_json: bool,
    **values: Any,
) -> None:
    """Score a model on labelled files."""
    from unspool.data import Files

    task = open_model(model, cell, device)
    apply_decoding(task, values)
    apply_tables(task, items, users)
    if "chat" in TASKS[task.name].verbs and _holds_calls(data):
        _test_calls(task, data, most=most, as_json=as_json)
        return
    read_once = any(map(is_stream, data))
    if not TASKS[task.name].reads_once and read_once:
        raise UsageError(
            "scoring reads a text more than once, which pipes and standard input do not allow; save it to a file"
        )
    _read_as(task, form, skip_bad)
    if (by_label or confusion is not None) and read_once:
        raise UsageError("--by-label and --confusion read the data again; save standard input to a file")
    if confusion is not None:
        check_new_file(confusion, overwrite=overwrite)
    if against is not None:
        if read_once:
            raise UsageError("--against reads the data for both models; save standard input to a file")
        other = open_model(against, cell, device)
        apply_decoding(other, values)
        _read_as(other, form, skip_bad)
        _compare(task, other, (model, against), data, most=most, as_json=as_json)
        return
    scores = task.evaluate(Files(data))
    left_out = task.skipped
    if left_out:
        say(f"left out {counted(left_out, 'bad examples')} ({option('skip_bad')})")
    if not read_once:
        for note in task.score_notes(Files(data)):
            say(note)
    types = {} if read_once else task.score_types(Files(data))
    labels = task.score_labels(Files(data)) if by_label else {}
    if confusion is not None:
        task.confusion(Files(data)).save(confusion, overwrite=overwrite)
        say(f"written: {confusion}")
    if as_json:
        more = {"types": types, "labels": labels, "left_out": left_out}
        result_json({**scores, **{name: value for name, value in more.items() if value}})
        return
    result(score_table({", ".join(data): scores}, titles=task.score_titles))
    if types:
        result("\n" + score_table(types, head="type"))
    if labels:
        result("\n" + score_table(labels, head="label"))


evaluate.params += decoding_options()


def _holds_calls(data: tuple[str, ...]) -> bool:
    from unspool.tasks.dialogue.testing import holds_calls

    return all(holds_calls(file) for file in data)


def _test_calls(task: Task[Any, Any], data: tuple[str, ...], *, most: int, as_json: bool) -> None:
    """Write how many sentences lead to the expected calls, and those that do not."""
    from unspool.tasks.dialogue import Dialogue
    from unspool.tasks.dialogue.testing import read_cases, run_cases, scores_of

    dialogue: Any = Dialogue(cast(Any, task))
    if dialogue.commands is None:
        raise UsageError("this model learned no commands, so it can't be tested on calls")
    results = run_cases(dialogue, [case for file in data for case in read_cases(file, dialogue.commands)])
    scores = {name: round(value, 4) for name, value in scores_of(results).items()}
    wrong = [each for each in results if not each.right]
    if as_json:
        result_json({**scores, "sentences": len(results), "wrong": [each.record() for each in wrong]})
        return
    result(score_table({", ".join(data): scores}))
    for each in wrong[:most]:
        inside = ", ".join(f"{name}={value!r}" for name, value in each.arguments.items())
        understood = f"{each.call}({inside})" if each.call else "no call"
        result(f"{each.case.where}: {each.case.text!r}: {understood}; expected {each.case.call or 'no call'}")
    if len(wrong) > most:
        say(f"and {counted(len(wrong) - most, 'more sentences')}; --most N lists more")


def _compare(
    task: Task[Any, Any],
    other: Task[Any, Any],
    folders: tuple[str, str],
    data: tuple[str, ...],
    *,
    most: int,
    as_json: bool,
) -> None:
    """Write the scores of two models, and where they disagree."""
    from unspool.data import Files

    names = _names(folders)
    disagreements = task.compare_with(other, Files(data), names=names)
    scores = {name: each.evaluate(Files(data)) for name, each in zip(names, (task, other), strict=True)}
    if as_json:
        result_json({"scores": scores, **disagreements.record(most)})
        return
    result(score_table(scores, head=", ".join(data), titles=task.score_titles))
    result("\n" + disagreements.text(most, console().width))


def _names(folders: tuple[str, str]) -> tuple[str, str]:
    """Return short names of two model folders; the folders themselves if the names are equal."""
    one, other = (Path(folder).name for folder in folders)
    return (one, other) if one != other else folders


def _read_as(task: Task[Any, Any], form: str | None, skip_bad: bool | None) -> None:
    """Apply `--format` and `--skip-bad`; plain text has only one form and no bad lines."""
    settings = describe(task.settings_type)
    if "data.format" in settings:
        task.settings = task.settings.replace(**{"data.format": form})
    elif form is not None:
        raise UsageError(
            f"--format {form}: a model of the task {task.name!r} reads plain text, which has only one form"
        )
    if skip_bad is None:
        return
    if "data.skip_bad" not in settings:
        raise UsageError(f"--skip-bad: a model of the task {task.name!r} reads plain text, which has no bad lines")
    task.settings = task.settings.replace(**{"data.skip_bad": skip_bad})
