"""`unspool compare`: train several networks on the same data with the same budget, and tabulate their scores."""

from __future__ import annotations

import json as json_form
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unspool.cli.flags import chosen_settings, settings_from, settings_options
from unspool.cli.talk import common, example, reporter, result, result_json, say, table
from unspool.cli.task_verbs import ONE_SPELLING, TaskGroup, refuse_standard_input, task_command
from unspool.errors import TrainingError, UsageError
from unspool.tasks.catalog import TASKS

if TYPE_CHECKING:
    from unspool.tasks.comparison import Comparison

__all__ = ["compare"]


class _CompareGroup(TaskGroup):
    """`compare TASK DATA... --networks A,B,C`."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command that compares networks on one task."""
        return _task_command(cmd_name) if cmd_name in TASKS else None


def _task_command(name: str) -> click.Command:
    entry = TASKS[name]
    usual = ",".join(entry.usual_networks)
    more = f", {entry.networks_help}" if entry.networks_help else ""
    ordinary = [
        click.Option(["--networks"], default=usual, help=f"Cells by name or as my_file.py:MyCell{more}.  [{usual}]"),
        click.Option(
            ["--seeds"],
            type=click.IntRange(1, 1000),
            default=1,
            help="Train each network with this many seeds, counted from --seed; report mean and 95 % interval.  [1]",
        ),
        click.Option(
            ["--out"],
            type=click.Path(path_type=Path),
            multiple=True,
            help="Also write the table (.md, .json) or a bar chart (.svg) to a new file.",
        ),
    ]
    command = task_command(
        name, ordinary, callback=lambda **values: _compare(name, **values), example=entry.compare_example
    )
    command.params += settings_options(entry.settings, leave_out=entry.compared_settings)
    return command


@click.group(
    cls=_CompareGroup,
    context_settings=ONE_SPELLING,
    epilog=example(*(entry.compare_example for entry in TASKS.values())),
    subcommand_metavar="TASK DATA... [--networks A,B,C] [--SETTING VALUE ...]",
)
@common
def compare() -> None:
    """Train several networks with an equal budget and tabulate their scores.

    All networks share the data, split, seed, number of updates and all other settings. Early stopping is off unless
    --patience turns it on. Scores are on the test data, or on the validation data where there are none. With several
    --seeds, a score is the mean, with half the 95 % interval (Student's t). The table counts runs that fail.
    """


def _compare(
    name: str,
    data: tuple[str, ...],
    valid: tuple[str, ...],
    test: tuple[str, ...],
    networks: str,
    seeds: int,
    out: tuple[Path, ...],
    recipe: Path | None,
    baselines: bool,
    json: bool,
    **values: Any,
) -> None:
    from unspool.tasks.comparing import compare

    for path in out:
        _refuse_file(path)
    refuse_standard_input(data, valid, test)
    equal = TASKS[name].equal_settings()
    so_far: list[Comparison] = []

    def keep(comparison: Comparison) -> None:
        so_far.append(comparison)
        for path in out:
            _write(path, comparison)

    try:
        compare(
            name,
            list(data),
            networks=[part.strip() for part in re.split(r",(?![^(]*\))", networks) if part.strip()],
            seeds=seeds,
            valid=list(valid) or None,
            test=list(test) or None,
            baselines=baselines,
            reporter=reporter(),
            on_run=keep,
            settings=settings_from(TASKS[name].settings, recipe, chosen_settings(values), equal),
        )
    finally:
        if so_far and any(run.failure is None for run in so_far[-1].runs):
            _report(so_far[-1], out, json)
    _tell_failures(so_far[-1])


def _refuse_file(out: Path) -> None:
    if out.suffix.lower() not in (".md", ".json", ".svg"):
        raise UsageError(f"--out {out}: expected .md or .json for a table, or .svg for a bar chart")
    if out.exists():
        raise UsageError(f"{out} exists already, and nothing is overwritten; name another file")


def _report(comparison: Comparison, out: Sequence[Path], json: bool) -> None:
    if json:
        result_json(comparison.record())
    else:
        result(table(*comparison.table()))
    if note := comparison.note():
        say(note)
    for path in out:
        say(f"written: {path}")


def _write(path: Path, comparison: Comparison) -> None:
    """Write the table after each run; `_refuse_file` has already checked that no file is overwritten."""
    from unspool.inspection import bar_chart
    from unspool.tasks.running.model_folder import write_text

    means = {row["network"]: row["scores"] for row in comparison.rows if row["scores"]}
    if not means:
        return
    forms = {
        ".md": lambda: _markdown(*comparison.table()),
        ".json": lambda: json_form.dumps(comparison.record(), indent=2, ensure_ascii=False) + "\n",
        ".svg": lambda: bar_chart({**means, **comparison.baselines}, title=f"Scores on {comparison.scored_on}"),
    }
    write_text(path, forms[path.suffix.lower()]())


def _tell_failures(comparison: Comparison) -> None:
    """Raise an error, exit code 1, if a run failed."""
    failures = comparison.failures
    if failures:
        first = failures[0]
        raise TrainingError(
            f"{len(failures)} of {len(comparison.runs)} runs failed; the first, {first.network} with seed "
            f"{first.seed}: {first.failure}"
        )


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in (head, *rows)]
    lines.insert(1, "|---|" + "---:|" * (len(head) - 1))
    return "\n".join(lines) + "\n"
