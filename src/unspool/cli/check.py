"""`unspool check`: validate data files and summarise them, without training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from unspool.cli.flags import SETTINGS, SettingsCommand, chosen_settings, settings_from, settings_options
from unspool.cli.talk import common, example, result, result_json, say
from unspool.cli.task_verbs import ONE_SPELLING, TaskGroup
from unspool.errors import DataError, counted, for_command_line
from unspool.settings import describe
from unspool.tasks.catalog import TASKS

if TYPE_CHECKING:
    from unspool.tasks.checking import Report

__all__ = ["check"]

_ALSO = ("several",)  # settings outside the group `data` that change how data are read


class _CheckGroup(TaskGroup):
    """`check TASK DATA...`, or `check DATA...`, which guesses the task."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert the task before the data where the command line omits the task."""
        words = [word for word in args if not word.startswith("-")]
        if words and words[0] not in TASKS and not {"-h", "--help"}.intersection(args):
            args = [_guess(args), *args]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command that checks the data of a task."""
        return _task_command(cmd_name) if cmd_name in SETTINGS else None


def _guess(args: list[str]) -> str:
    """Guess the task from the first file on a command line; without a file, return any task, which then reports it."""
    from unspool.data.files import find_files
    from unspool.tasks.checking import guess_task

    for word in args:
        try:
            find_files(word)
        except DataError:
            continue
        task = guess_task(word)
        say(f"reads the data as task {task!r}; to choose another task: unspool check TASK DATA")
        return task
    return next(iter(TASKS))


def _task_command(name: str) -> click.Command:
    entry = TASKS[name]
    settings = list(describe(SETTINGS[name]))
    shown = {setting for setting in settings if setting.startswith("data.") or setting in _ALSO}
    shown -= {"data.valid_fraction", "data.test_fraction"}
    params = [
        click.Argument(["data"], nargs=-1, required=True),
        click.Option(
            ["--valid"], type=click.Path(), multiple=True, help="Validation data; they select the best weights."
        ),
        click.Option(["--test"], type=click.Path(), multiple=True, help="Test data; scored once, after training."),
        click.Option(["--json"], is_flag=True, help="Write everything as one line of JSON."),
        *settings_options(SETTINGS[name], leave_out=set(settings) - shown),
    ]
    command = SettingsCommand(
        name,
        params=params,
        callback=lambda **values: _check(name, **values),
        help=f"Summarise and validate data for {entry.a_model}, without training.\n\nDATA: {entry.data_forms}.",
        epilog=example(f"unspool check {entry.train_example.partition(' --')[0].removeprefix('unspool train ')}"),
        context_settings=ONE_SPELLING,
    )
    return common(command)


@click.group(
    cls=_CheckGroup,
    epilog=example("unspool check classify reviews.tsv --test test.tsv", "unspool check reviews.csv --json")
    + "\n\nThe exit code is 1 if training would stop with an error, 0 if there are only warnings.",
    subcommand_metavar="[TASK] DATA... [--valid DATA] [--test DATA] [--SETTING VALUE ...]",
)
@common
def check() -> None:
    """Summarise data files and report problems in them, without training."""


def _check(
    name: str, data: tuple[str, ...], valid: tuple[str, ...], test: tuple[str, ...], json: bool, **values: Any
) -> int:
    from unspool.tasks.checking import check_data

    settings = settings_from(SETTINGS[name], None, chosen_settings(values))
    parts = {part: paths for part, paths in (("train", data), ("valid", valid), ("test", test)) if paths}
    report = check_data(name, settings, parts)
    if json:
        result_json(_record(report))
    else:
        result("\n".join(_lines(report)))
    return 1 if report.errors else 0


def _lines(report: Report) -> list[str]:
    from unspool.data.summary import layout_lines

    lines = [f"task: {report.task}"]
    for part, layout in report.layouts.items():
        summary = report.checks.summaries.get(part)
        lines.append(f"{part}: {summary.count if summary else 0:,} examples")
        lines += [f"  {line}" for line in layout_lines(layout)]
        lines += [f"  {line}" for line in summary.lines()] if summary else []
    lines += [for_command_line(finding.line()) for finding in report.findings]
    warnings = len(report.findings) - report.errors
    lines.append(f"{counted(report.errors, 'errors')}, {counted(warnings, 'warnings')}")
    return lines


def _record(report: Report) -> dict[str, Any]:
    parts = {}
    for part, layout in report.layouts.items():
        summary = report.checks.summaries.get(part)
        parts[part] = {"files": layout.files, "columns": layout.columns, "examples": summary.count if summary else 0}
        if summary:
            names = zip(summary.sides, summary.lengths, strict=True)
            parts[part]["words"] = {
                side: {"median": each.median, "shortest": min(each.counts), "longest": max(each.counts)}
                for side, each in names
            }
            parts[part]["labels"] = dict(summary.labels.most_common(1000))
    findings = [{**each.record(), "message": for_command_line(each.message)} for each in report.findings]
    return {"task": report.task, "parts": parts, "findings": findings, "errors": report.errors}
