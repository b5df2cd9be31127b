"""`unspool compare`: several networks on the same data, with the same budget, in one table."""

from __future__ import annotations

import json as json_form
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from unspool.cli.flags import chosen_settings, settings_from, settings_options
from unspool.cli.scores import figure
from unspool.cli.talk import common, example, reporter, result, result_json, say, table
from unspool.cli.tasks import ONE_SPELLING, TaskGroup, refuse_standard_input, task_command
from unspool.errors import Interrupted, UnspoolError, UsageError
from unspool.settings import Settings, make, nearest
from unspool.tasks.catalog import TASKS, TaskEntry, one_of

if TYPE_CHECKING:
    from unspool.tasks import Task
    from unspool.training import Reporter

__all__ = ["compare"]


class _Outcome(NamedTuple):
    """What one network reached, and what it took."""

    network: str
    scores: Mapping[str, float]
    """On the held-out data that the table is about."""
    weights: int
    updates: int
    seconds: float
    """Of training, its validations included."""
    tokens_per_second: float


class _CompareGroup(TaskGroup):
    """`compare TASK DATA... --networks A,B,C`."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command that compares networks on one task."""
        return _task_command(cmd_name) if cmd_name in TASKS else None


def _task_command(name: str) -> click.Command:
    entry = TASKS[name]
    usual = ",".join(entry.usual_networks)
    named = f", {entry.networks_help}" if entry.networks_help else ""
    ordinary = [
        click.Option(["--networks"], default=usual, help=f"Cells by name or as my_file.py:MyCell{named}.  [{usual}]"),
        click.Option(
            ["--out"],
            type=click.Path(path_type=Path),
            multiple=True,
            help="Also write the table, or a picture of it: a new .md, .json or .svg file.",
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
    """Train several networks with an equal budget and show them in one table.

    Each sees the same data, split, seed and number of updates, and all other settings are alike too; none stops early
    unless --patience says so. The score is on the test data, or on the validation data where there are none.
    """


def _compare(
    name: str,
    data: tuple[str, ...],
    valid: tuple[str, ...],
    test: tuple[str, ...],
    networks: str,
    out: tuple[Path, ...],
    recipe: Path | None,
    baselines: bool,
    json: bool,
    **values: Any,
) -> None:
    for path in out:
        _refuse_file(path)
    refuse_standard_input(data, valid, test)
    equal = make(TASKS[name].settings, {"training.patience": None})
    settings = settings_from(TASKS[name].settings, recipe, chosen_settings(values), equal)
    chosen = _settings_of(name, networks, settings)
    outcomes: list[_Outcome] = []
    simple: Mapping[str, Mapping[str, float]] = {}
    failure: UnspoolError | None = None
    for network, own in chosen.items():
        say(f"-- {network} --")
        try:
            task, speed = _trained(name, own, data, valid, test, baselines=baselines and not simple)
        except UnspoolError as error:
            failure = _failure(network, error, finished=bool(outcomes))
            break
        outcomes.append(_outcome(network, task, speed))
        simple = simple or task.record.baselines  # type: ignore[union-attr]
    part = "test" if test or settings.data.test_fraction > 0 else "valid"  # type: ignore[attr-defined]
    if outcomes:
        _report(outcomes, simple, part, out, json)
    if failure is not None:
        raise failure


def _failure(network: str, error: UnspoolError, *, finished: bool) -> UnspoolError:
    """What is raised after the table, if there is one; what went wrong keeps its own words and exit code."""
    table = "the table holds what was finished before" if finished else "nothing was finished before"
    if isinstance(error, Interrupted):
        return Interrupted(f"stopped while {network} was trained; {table}")
    if finished:
        say(f"{network} was not finished; {table}")
    return error


def _refuse_file(out: Path) -> None:
    if out.suffix.lower() not in (".md", ".json", ".svg"):
        raise UsageError(f"--out {out}: a table is written as .md or .json, a picture of it as .svg")
    if out.exists():
        raise UsageError(f"{out} exists already, and nothing is overwritten; name another file")


def _settings_of(name: str, networks: str, settings: Settings) -> dict[str, Settings]:
    """The settings of each network, all of them looked at before the first is trained."""
    entry = TASKS[name]
    names = list(dict.fromkeys(part.strip() for part in re.split(r",(?![^(]*\))", networks) if part.strip()))
    if not names:
        raise UsageError(f"--networks names nothing to compare; try --networks {','.join(entry.usual_networks)}")
    found = {}
    for network in names:
        if network not in entry.networks:
            _check_cell(entry, network)
        found[network] = settings.replace(**entry.network_settings(network))
    return found


def _check_cell(entry: TaskEntry, network: str) -> None:
    """Refuse a network that is neither a cell nor one of the task's."""
    from unspool.cells import CELLS, cell_class, is_built_in

    known = [*entry.networks, *CELLS]
    if not is_built_in(network) and ":" not in network:
        elsewhere = [other.name for other in TASKS.values() if network in other.networks]
        if elsewhere:
            problem = f"the network {network!r} is one of the task {one_of(elsewhere)}, not of {entry.name}"
        else:
            problem = f"there is no cell {network!r}{nearest(network, known)}"
        raise UsageError(f"{problem}; choose among {', '.join(known)}, or name a cell of your own as my_file.py:MyCell")
    cell_class(network)


def _trained(
    name: str,
    settings: Settings,
    data: tuple[str, ...],
    valid: tuple[str, ...],
    test: tuple[str, ...],
    *,
    baselines: bool,
) -> tuple[Task[Any], float]:
    from unspool.tasks import task_class

    ear = _listener(reporter())
    task = task_class(name)(settings)
    task.fit(list(data), valid=list(valid) or None, test=list(test) or None, baselines=baselines, reporter=ear)
    return task, ear.speed  # type: ignore[attr-defined]


def _listener(inner: Reporter) -> Reporter:
    """A reporter that passes everything on, and remembers the speed."""
    from unspool.training import Progress, Reporter

    class Listener(Reporter):
        interval = inner.interval
        speed = float("nan")
        started, note, finished = staticmethod(inner.started), staticmethod(inner.note), staticmethod(inner.finished)
        progress, scoring = staticmethod(inner.progress), staticmethod(inner.scoring)
        scored = staticmethod(inner.scored)

        def validated(self, progress: Progress, metrics: dict[str, float], improved: bool) -> None:
            self.speed = progress.tokens_per_second
            inner.validated(progress, metrics, improved)

    return Listener()


def _outcome(network: str, task: Task[Any], speed: float) -> _Outcome:
    record = task.record
    assert record is not None
    scores = record.metrics.get("test", record.metrics.get("valid", {}))
    facts = record.training
    return _Outcome(network, scores, record.network["weights"], facts["updates"], facts["seconds"], round(speed, 1))


def _report(
    outcomes: Sequence[_Outcome],
    baselines: Mapping[str, Mapping[str, float]],
    part: str,
    out: Sequence[Path],
    json: bool,
) -> None:
    record = {"scored_on": part, "networks": [each._asdict() for each in outcomes], "baselines": dict(baselines)}
    head, rows = _rows(outcomes, baselines, part)
    if json:
        result_json(record)
    else:
        result(table(head, rows))
    for path in out:
        from unspool.inspection import bar_chart
        from unspool.tasks.folder import write_text

        forms = {
            ".md": lambda: _markdown(head, rows),
            ".json": lambda: json_form.dumps(record, indent=2) + "\n",
            ".svg": lambda: bar_chart(
                {**{each.network: each.scores for each in outcomes}, **baselines}, title=f"Scores on {part}"
            ),
        }
        write_text(path, forms[path.suffix.lower()]())
        say(f"written: {path}")


def _rows(
    outcomes: Sequence[_Outcome], baselines: Mapping[str, Mapping[str, float]], part: str
) -> tuple[list[str], list[list[str]]]:
    scored = [*(each.scores for each in outcomes), *baselines.values()]
    names = list(dict.fromkeys(name for scores in scored for name in scores))
    head = [f"on {part}", *names, "weights", "updates", "seconds", "tokens/s"]
    rows = [
        [
            each.network,
            *(figure(each.scores.get(name)) for name in names),
            *(f"{number:,}" for number in (each.weights, each.updates)),
            f"{each.seconds:,.1f}",
            f"{each.tokens_per_second:,.0f}",
        ]
        for each in outcomes
    ]
    rows += [[label, *(figure(scores.get(name)) for name in names), *[""] * 4] for label, scores in baselines.items()]
    return head, rows


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in (head, *rows)]
    lines.insert(1, "|---|" + "---:|" * (len(head) - 1))
    return "\n".join(lines) + "\n"
