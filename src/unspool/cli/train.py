"""`unspool train`: train a model on files, or resume a training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unspool.cli.flags import SETTINGS, SettingsCommand, chosen_settings, settings_from, settings_options
from unspool.cli.open_model import recorded_settings
from unspool.cli.scores import scores_beside_baselines
from unspool.cli.talk import common, example, reporter, result, result_json, say
from unspool.cli.task_verbs import (
    ONE_SPELLING,
    ResumableGroup,
    as_json,
    refuse_standard_input,
    task_command,
    with_baselines,
)
from unspool.errors import ModelFolderError, SettingError, UsageError
from unspool.settings import Settings, describe, nearest
from unspool.tasks.catalog import TASKS
from unspool.training.settings import TrainingSettings

if TYPE_CHECKING:
    from unspool.tasks import Task

__all__ = ["train"]


class _TrainGroup(ResumableGroup):
    """`train TASK DATA...`, or `train --resume FOLDER`, whose task the folder records."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command that trains a task, or the one that resumes a training."""
        if cmd_name == "resume":
            return common(_ResumeCommand("--resume", context_settings=ONE_SPELLING, help="Resume a training."))
        return _task_command(cmd_name) if cmd_name in SETTINGS else None


class _ResumeCommand(SettingsCommand):
    """`train --resume FOLDER`; its flags are those of the folder's task."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the folder first, because its task decides the flags."""
        if not args or args[0] in ("-h", "--help"):
            raise click.UsageError("--resume needs the folder of a training: unspool train --resume FOLDER", ctx)
        name = _recorded(_under_way(Path(args[0]), "--overwrite" in args)).task
        argument = click.Argument(["folder"], type=click.Path(path_type=Path))
        ordinary = [argument, _overwrite(), _allow(), with_baselines(), as_json()]
        self.params = [*ordinary, *self.params, *settings_options(SETTINGS[name])]
        self.callback = _resume
        return super().parse_args(ctx, args)


def _recorded(folder: Path) -> Any:
    from unspool.tasks.running.model_folder import read_record

    record = read_record(folder)
    if record.task not in SETTINGS:
        raise ModelFolderError(f"{folder} holds a model of the task {record.task!r}, which this Unspool does not know")
    return record


def _recorded_settings(folder: Path, record: Any, values: Mapping[str, Any]) -> Settings:
    """Return the recorded settings of a training; a custom cell needs `--cell` again, because it runs code."""
    from unspool.cells import is_built_in, split_name

    settings: Any = recorded_settings(folder, record)
    cell = settings.network.cell
    if not is_built_in(cell) and "network.cell" not in chosen_settings(values):
        raise ModelFolderError(
            f"{folder} uses a custom cell, {cell!r}; resuming executes its code. If you trust it, "
            f"pass --cell: unspool train --resume {folder} --cell {split_name(cell)[0]}"
        )
    return settings  # type: ignore[no-any-return]


def _with_options(chosen: dict[str, object], recorded: Any) -> dict[str, object]:
    """Add the recorded options of a custom cell to a `--cell` without options."""
    from unspool.cells import is_built_in, with_recorded_options

    if recorded is None or is_built_in(recorded.network.cell) or "network.cell" not in chosen:
        return chosen
    return {**chosen, "network.cell": with_recorded_options(str(chosen["network.cell"]), recorded.network.cell)}


def _task_command(name: str) -> click.Command:
    path = click.Path(path_type=Path)
    ordinary = [
        click.Option(["--out"], type=path, metavar="FOLDER", required=True, help="New folder for the model."),
        click.Option(["--resume"], is_flag=True, help="Resume the training in FOLDER, or begin one."),
        _overwrite(),
        _allow(),
    ]
    command = task_command(
        name, ordinary, callback=lambda **values: _train(name, **values), example=TASKS[name].train_example
    )
    command.params += settings_options(SETTINGS[name])
    return command


def _overwrite() -> click.Option:
    text = (
        "Replace the model in FOLDER once the new one is complete; the training writes to FOLDER.new. A folder with "
        "other content is refused."
    )
    return click.Option(["--overwrite"], is_flag=True, help=text)


def _under_way(folder: Path, overwrite: bool) -> Path:
    """Return the folder of the training to resume: with `overwrite`, FOLDER.new if it exists."""
    from unspool.tasks.running.model_folder import place_beside

    return place_beside(folder) if overwrite and place_beside(folder).is_dir() else folder


def _allow() -> click.Option:
    text = (
        "When resuming: a setting that may differ from the recorded one, although it changes the results "
        "(learning_rate ...)."
    )
    return click.Option(["--allow"], multiple=True, metavar="SETTING", help=text)


@click.group(
    cls=_TrainGroup,
    epilog=example(*(entry.train_example for entry in TASKS.values()), "unspool train --resume my-model")
    + "\n\nAll settings: unspool train TASK --help",
    subcommand_metavar="TASK DATA... --out FOLDER [--SETTING VALUE ...]",
)
@common
def train() -> None:
    """Train a model on your files, or resume the training in a folder."""


def _train(
    name: str,
    data: tuple[str, ...],
    out: Path,
    valid: tuple[str, ...],
    test: tuple[str, ...],
    recipe: Path | None,
    resume: bool,
    overwrite: bool,
    allow: tuple[str, ...],
    baselines: bool,
    json: bool,
    **values: Any,
) -> None:
    from unspool.tasks import task_class
    from unspool.tasks.running.model_folder import RECORD, place_beside

    refuse_standard_input(data, valid, test)
    base = None
    begun = place_beside(out) if overwrite else out
    if resume and (begun / RECORD).is_file():
        record = _recorded(begun)
        if record.task != name:
            raise UsageError(f"{begun} holds a training of the task {record.task!r}, not {name!r}")
        base = _recorded_settings(begun, record, values)
    chosen: dict[str, Any] = _with_options(chosen_settings(values), base)
    if recipe is None and base is None:
        task = task_class(name)(**chosen)
    else:
        task = task_class(name)(settings_from(SETTINGS[name], recipe, chosen, base))
    _fit(task, data, valid, test, out, resume=resume, overwrite=overwrite, allow=allow, baselines=baselines)
    _report(task, out, json)


def _resume(folder: Path, overwrite: bool, allow: tuple[str, ...], baselines: bool, json: bool, **values: Any) -> None:
    from unspool.tasks import task_class

    begun = _under_way(folder, overwrite)
    record = _recorded(begun)
    base = _recorded_settings(begun, record, values)
    if in_memory := [part for part, facts in record.data.items() if facts.get("in_memory")]:
        raise UsageError(
            f"{begun} was trained on data in memory ({', '.join(in_memory)}), which no folder holds; resume in Python, "
            f"with the same data: fit(..., out={str(folder)!r}, resume=True)"
        )
    settings = settings_from(SETTINGS[record.task], None, _with_options(chosen_settings(values), base), base)
    paths = {part: tuple(record.data.get(part, {}).get("paths", ())) for part in ("train", "valid", "test")}
    task = task_class(record.task)(settings)
    data = (paths["train"], paths["valid"], paths["test"])
    _fit(task, *data, folder, resume=True, overwrite=overwrite, allow=allow, baselines=baselines)
    _report(task, folder, json)


def _fit(
    task: Task[Any, Any],
    train: tuple[str, ...],
    valid: tuple[str, ...],
    test: tuple[str, ...],
    out: Path,
    **options: Any,
) -> None:
    from unspool.data import Files

    options["allow"] = [_training_setting(name) for name in options["allow"]]
    task.fit(
        Files(train), valid=Files(valid) or None, test=Files(test) or None, out=out, reporter=reporter(), **options
    )


def _training_setting(name: str) -> str:
    names = [setting.short for setting in describe(TrainingSettings).values()]
    plain = name.replace("-", "_").removeprefix("training.")
    if plain not in names:
        raise SettingError(f"--allow {name}: there is no training setting {plain!r}{nearest(plain, names)}")
    return plain


def _report(task: Task[Any, Any], out: Path, json: bool) -> None:
    assert task.record is not None
    if json:
        result_json({"model": str(out), **task.record.metrics, "baselines": task.record.baselines})
    else:
        result(scores_beside_baselines(task.record.metrics, task.record.baselines, task.score_titles))
    say(f"saved in {out}; go on with: unspool {TASKS[task.name].next_verb} {out}")
