"""`unspool info`: what a model folder holds, without running anything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unspool.cli.flags import SETTINGS
from unspool.cli.models import recorded_settings
from unspool.cli.scores import scores_beside_baselines
from unspool.cli.talk import common, example, result, result_json
from unspool.errors import printable

if TYPE_CHECKING:
    from unspool.tasks.folder import Record

__all__ = ["info"]


@click.command(epilog=example("unspool info my-model"))
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Write everything as one line of JSON.")
@common
def info(model: Path, as_json: bool) -> None:
    """Say what a model folder holds: network, data, scores, and settings that are not the defaults."""
    import msgspec

    from unspool.tasks.folder import read_record

    record = read_record(model)
    changed = _changed_settings(model, record)
    if as_json:
        result_json({**msgspec.to_builtins(record), "changed_settings": changed})
        return
    lines = [f"{model}: a model of the task {record.task!r}"]
    if not record.complete:
        lines.append(f"training has not come to its end; go on with: unspool train --resume {model}")
    lines.append(f"network    {record.network.get('summary', 'unknown')}")
    lines += [f"engine     {line}" for line in record.network.get("engine", ())]
    lines += [f"{part:10} {_data_line(facts)}" for part, facts in record.data.items()]
    if record.training:
        lines.append(f"training   {_training_line(record.training)}")
    lines.append(f"versions   {', '.join(f'{name} {version}' for name, version in record.versions.items())}")
    lines.append("settings   " + (", ".join(f"{name} = {value}" for name, value in changed.items()) or "all defaults"))
    if record.metrics:
        lines += ["", scores_beside_baselines(record.metrics, record.baselines)]
    result("\n".join(printable(part, 10_000) for line in lines for part in line.split("\n")))


def _changed_settings(folder: Path, record: Record) -> dict[str, Any]:
    """The settings that differ from the defaults, by dotted name."""
    from unspool.settings import describe, to_record

    if record.task not in SETTINGS:
        return {}
    here = to_record(recorded_settings(folder, record))
    found = {}
    for name, setting in describe(SETTINGS[record.task]).items():
        value: Any = here
        for part in name.split("."):
            value = value[part]
        if value != setting.default:
            found[name] = value
    return found


def _data_line(facts: Mapping[str, Any]) -> str:
    counts = ", ".join(f"{value:,} {what}" for what, value in facts.items() if isinstance(value, int))
    return (
        f"{counts} from {', '.join(facts['paths'])}"
        if facts.get("paths")
        else f"{counts}, held out of the training data"
    )


def _training_line(training: Mapping[str, Any]) -> str:
    why = {"done": "to its end", "patience": "until nothing improved", "minutes": "until its time was up"}
    epochs, updates = training.get("epochs", 0), training.get("updates", 0)
    seconds, stopped = training.get("seconds", 0), str(training.get("stopped"))
    return f"{epochs:.4g} epochs, {updates:,} updates in {seconds:,.1f} s, {why.get(stopped, stopped)}"
