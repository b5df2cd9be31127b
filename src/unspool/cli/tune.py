"""`unspool tune`: search the settings that score best within a time limit, and keep the best model."""

from __future__ import annotations

import itertools
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unspool.cli.flags import chosen_settings, settings_from, settings_options
from unspool.cli.talk import common, example, reporter, result, result_json, say, table
from unspool.cli.task_verbs import ONE_SPELLING, ResumableGroup, as_json, refuse_standard_input, task_command
from unspool.errors import UsageError
from unspool.tasks.catalog import TASKS

if TYPE_CHECKING:
    from unspool.tuning import Tuning

__all__ = ["tune"]

_EXAMPLE = "unspool tune classify reviews.tsv --out my-tuning --minutes 60"
_OWN = ("training.minutes", "training.course")  # settings that the lengths of the trials decide


class _TuneGroup(ResumableGroup):
    """`tune TASK DATA... --out FOLDER`, or `tune --resume FOLDER`."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command that tunes a task, or the one that resumes a tuning."""
        if cmd_name == "resume":
            return _resume_command()
        return _task_command(cmd_name) if cmd_name in TASKS else None


def _resume_command() -> click.Command:
    folder = click.Argument(["folder"], type=click.Path(path_type=Path))
    return common(
        click.Command(
            "--resume",
            params=[folder, _minutes(None), *_limits(), as_json()],
            callback=_resume,
            help="Resume the tuning in a folder.",
            context_settings=ONE_SPELLING,
        )
    )


def _task_command(name: str) -> click.Command:
    path, data = click.Path(path_type=Path), shlex.split(TASKS[name].train_example)[2:]
    ordinary = [
        click.Option(["--out"], type=path, metavar="FOLDER", required=True, help="New folder for the tuning."),
        click.Option(["--resume"], is_flag=True, help="Resume the tuning in FOLDER, or begin one."),
        _minutes(60.0),
        click.Option(
            ["--trial-minutes"],
            type=float,
            help="Minutes of a full training; with --epochs N, it has N epochs instead.  [a sixth of --minutes]",
        ),
        *_limits(),
        click.Option(
            ["--space"], type=path, help="File in TOML with the settings to vary and their ranges.  [the task's space]"
        ),
    ]
    command = task_command(
        name,
        ordinary,
        callback=lambda **values: _tune(name, **values),
        example=f"unspool tune {shlex.join(itertools.takewhile(_is_data, data))} --out my-tuning --minutes 60",
    )
    command.params += settings_options(TASKS[name].settings, leave_out=_OWN)
    return command


def _is_data(word: str) -> bool:
    return not word.startswith("--")


def _minutes(default: float | None) -> click.Option:
    shown = "as recorded" if default is None else f"{default:g}"
    text = f"Time limit of the whole search; time before a resume counts.  [{shown}]"
    return click.Option(["--minutes"], type=float, default=default, help=text)


def _limits() -> list[click.Option]:
    return [
        click.Option(["--trials"], type=click.IntRange(1), help="Maximum number of trials.  [none]"),
        click.Option(
            ["--jobs"],
            type=click.IntRange(1, 256),
            help="Trainings at a time, each in a process of its own.  [one for two cores]",
        ),
    ]


@click.group(
    cls=_TuneGroup,
    context_settings=ONE_SPELLING,
    epilog=example(_EXAMPLE, "unspool tune --resume my-tuning"),
    subcommand_metavar="TASK DATA... --out FOLDER [--SETTING VALUE ...]",
)
@common
def tune() -> None:
    """Search the settings that score best on validation data, or resume a search.

    The first trial has the default settings. Each trial trains for a ninth of the full length; the best third go on to
    a third, and the best third of these to all of it. A setting that is passed as a flag is fixed. The folder receives
    the best model and a recipe. The package optuna is needed (extra `tune`).
    """


def _tune(
    name: str,
    data: tuple[str, ...],
    out: Path,
    valid: tuple[str, ...],
    test: tuple[str, ...],
    recipe: Path | None,
    resume: bool,
    minutes: float,
    trial_minutes: float | None,
    trials: int | None,
    jobs: int | None,
    space: Path | None,
    baselines: bool,
    json: bool,
    **values: Any,
) -> None:
    from unspool.data import Files
    from unspool.tuning import tune

    refuse_standard_input(data, valid, test)
    chosen: dict[str, Any] = chosen_settings(values)
    tuning = tune(
        name,
        Files(data),
        out=out,
        minutes=minutes,
        trial_minutes=trial_minutes,
        trials=trials,
        jobs=jobs,
        space=space,
        valid=Files(valid) or None,
        test=Files(test) or None,
        resume=resume,
        baselines=baselines,
        reporter=reporter(),
        settings=None if recipe is None else settings_from(TASKS[name].settings, recipe, {}),
        **chosen,
    )
    _report(tuning, json)


def _resume(folder: Path, minutes: float | None, trials: int | None, jobs: int | None, json: bool) -> None:
    from unspool.tuning.session import resume_tuning

    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; name the folder of a tuning: unspool tune --resume FOLDER")
    _report(resume_tuning(folder, minutes=minutes, trials=trials, jobs=jobs, reporter=reporter()), json)


def _report(tuning: Tuning, json: bool) -> None:
    if json:
        result_json(tuning.record())
    else:
        result(table(*tuning.table()))
    say(tuning.note())
    say(f"best model: {tuning.folder / 'best'}; its settings: {tuning.folder / 'recipe.toml'}")
    say(f"train it again with: {_way_to_repeat(tuning)}")


def _way_to_repeat(tuning: Tuning) -> str:
    """Return the command that repeats the training of the best model, with the files of the tuning."""
    from unspool.tuning.result import RECIPE

    words = ["unspool", "train", tuning.task, *(tuning.files.get("train", ()) or ("DATA",))]
    words += [word for path in tuning.files.get("valid", ()) for word in ("--valid", path)]
    return shlex.join([*words, "--recipe", str(tuning.folder / RECIPE), "--out", "FOLDER"])
