"""`unspool info`: summarise a model folder without running the model."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unspool.cli.flags import SETTINGS
from unspool.cli.open_model import recorded_settings
from unspool.cli.scores import score_table, scores_beside_baselines
from unspool.cli.talk import common, example, result, result_json
from unspool.errors import UsageError, counted, for_command_line, printable

if TYPE_CHECKING:
    from unspool.tasks.running.model_folder import Record
    from unspool.training.keeping import Best

__all__ = ["info"]


@click.command(epilog=example("unspool info my-model"))
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Write everything as one line of JSON.")
@click.option("--recipe", is_flag=True, help="Write the recipe that repeats the training, a file of settings in TOML.")
@common
def info(model: Path, as_json: bool, recipe: bool) -> None:
    """Summarise a model folder: network, data, scores, and settings that differ from the defaults."""
    import msgspec

    from unspool.tasks.running.exportable import exportable
    from unspool.tasks.running.model_folder import read_record

    if recipe and as_json:
        raise UsageError("--json and --recipe are two forms of output; pass one of them")
    record = read_record(model)
    if recipe:
        result(_recipe(model, record).rstrip("\n"))
        return
    changed = _changed_settings(model, record)
    best = None if record.complete else _best_so_far(model, record)
    if as_json:
        so_far = {} if best is None else {"best_so_far": {"epoch": best.epoch, **best.metrics}}
        facts = {"changed_settings": changed, "exports_to": exportable(model, record)}
        result_json({**msgspec.to_builtins(record), **facts, **so_far})
        return
    lines = [f"{model}: a model of the task {record.task!r}"]
    if not record.complete:
        lines += _unfinished_lines(model, record, best)
    lines.append(f"network    {record.network.get('summary', 'unknown')}")
    lines += [f"engine     {line}" for line in record.network.get("engine", ())]
    lines += [f"{part:10} {_data_line(facts)}" for part, facts in record.data.items()]
    if record.training:
        lines.append(f"training   {_training_line(record.training)}")
    if record.pruned:
        weights = counted(record.pruned.get("weights", 0), "weights")
        lines.append(f"pruned     {', '.join(record.pruned.get('units', ()))}; {weights} are zero")
    lines.append(f"exports to {exportable(model, record)}")
    lines.append(f"versions   {', '.join(f'{name} {version}' for name, version in record.versions.items())}")
    for title, part in (
        ("settings", changed.keys() - set(record.planned)),
        ("planned", changed.keys() & set(record.planned)),
    ):
        values = ", ".join(f"{name} = {value}" for name, value in changed.items() if name in part)
        if values or title == "settings":
            lines.append(f"{title:10} {values or 'all defaults'}")
    if record.metrics:
        lines += ["", scores_beside_baselines(record.metrics, record.baselines)]
    if scores := record.pruned.get("scores"):
        head = ", ".join(record.pruned.get("test", ())) or "data in memory"
        lines += ["", score_table({f"{when} pruning": scores[when] for when in scores}, head)]
    result("\n".join(printable(part, 10_000) for line in lines for part in line.split("\n")))


def _recipe(folder: Path, record: Record) -> str:
    """Return all settings of a training in TOML, with the course of a training that had a time limit."""
    from unspool.settings import write_recipe

    if record.task not in SETTINGS:
        raise UsageError(f"{folder} holds a model of the task {record.task!r}, which this Unspool does not know")
    settings = recorded_settings(folder, record)
    if course := record.training.get("course"):
        settings = settings.replace(**{"training.course": course})
    paths = " ".join(shlex.quote(path) for path in record.data.get("train", {}).get("paths", ()))
    return f"# unspool train {record.task} {paths or 'DATA'} --recipe RECIPE --out FOLDER\n{write_recipe(settings)}"


def _best_so_far(folder: Path, record: Record) -> Best | None:
    from unspool.tasks.running.save_and_load import WEIGHTS
    from unspool.tasks.running.unfinished import best_of_unfinished

    return best_of_unfinished(folder, record, folder / WEIGHTS)


def _unfinished_lines(folder: Path, record: Record, best: Best | None) -> list[str]:
    """Return the lines on an unfinished training: its best weights so far, and how to resume it."""
    from unspool.tasks.running.unfinished import describe_best, way_on, way_to_use

    if record.task not in SETTINGS:
        return ["training has not come to its end"]
    settings = recorded_settings(folder, record)
    lines = [f"training has not come to its end; go on with: {way_on(folder, settings)}"]
    if best is not None:
        use = way_to_use(folder, record.task, settings)
        lines.append(f"its best weights so far, {describe_best(best)}, can be used: {use}")
    return [for_command_line(line) for line in lines]


def _changed_settings(folder: Path, record: Record) -> dict[str, Any]:
    """Return the settings that differ from the defaults, by dotted name."""
    from unspool.settings import describe, to_record

    if record.task not in SETTINGS:
        return {}
    recorded = to_record(recorded_settings(folder, record))
    changed = {}
    for name, setting in describe(SETTINGS[record.task]).items():
        value: Any = recorded
        for part in name.split("."):
            value = value[part]
        if value != setting.default:
            changed[name] = value
    return changed


def _data_line(facts: Mapping[str, Any]) -> str:
    counts = ", ".join(counted(value, what) for what, value in facts.items() if type(value) is int)
    if facts.get("in_memory"):
        return f"{counts} from memory"
    return (
        f"{counts} from {', '.join(facts['paths'])}"
        if facts.get("paths")
        else f"{counts}, held out of the training data"
    )


def _training_line(training: Mapping[str, Any]) -> str:
    why = {
        "done": "to its end",
        "patience": "until nothing improved",
        "minutes": "until its time was up",
        "reporter": "until a callback ended it",
    }
    epochs, updates = training.get("epochs", 0), training.get("updates", 0)
    seconds, stopped = training.get("seconds", 0), str(training.get("stopped"))
    return (
        f"{counted(epochs, 'epochs')}, {counted(updates, 'updates')} in {seconds:,.1f} s, {why.get(stopped, stopped)}"
    )
