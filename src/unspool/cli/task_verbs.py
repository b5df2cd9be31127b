"""Command groups and options shared by the verbs that take a task: train, compare, check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from unspool.cli.flags import SettingsCommand
from unspool.cli.talk import common
from unspool.cli.talk import example as shown
from unspool.data.files import is_stream
from unspool.errors import UsageError
from unspool.settings import nearest
from unspool.tasks.catalog import TASKS

__all__ = [
    "ONE_SPELLING",
    "ResumableGroup",
    "TaskGroup",
    "as_json",
    "refuse_standard_input",
    "task_command",
    "with_baselines",
]


class TaskGroup(click.Group):
    """A verb that takes the name of a task; it builds the command of a task on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the tasks."""
        return list(TASKS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the task; an error names the nearest one."""
        name = args[0]
        if self.get_command(ctx, name) is None:
            if Path(name).exists() or "." in name:
                hint = f": name the task before the data, as unspool {self.name} {next(iter(TASKS))} {name}"
            else:
                hint = f"{nearest(name, TASKS)}; choose one of {', '.join(TASKS)}"
            raise click.UsageError(f"there is no task {name!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the tasks and their summaries."""
        with formatter.section("Tasks"):
            formatter.write_dl([(name, entry.summary) for name, entry in TASKS.items()])


class ResumableGroup(TaskGroup):
    """A verb that takes the name of a task, or `--resume FOLDER`, whose task the folder records."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse `--resume FOLDER` as a hidden command."""
        place = next((place for place, word in enumerate(args) if word not in ("--quiet", "--debug")), len(args))
        name, _, folder = "".join(args[place : place + 1]).partition("=")
        if name == "--resume":
            args = [*args[:place], "resume", *([folder] if folder else []), *args[place + 1 :]]
        return super().parse_args(ctx, args)


ONE_SPELLING = {
    "token_normalize_func": lambda name: name.replace("_", "-"),
    "help_option_names": ["-h", "--help"],
    "max_content_width": 100,
}
"""Settings of a click context that accept flags with `-` or `_`."""


def task_command(
    name: str, options: Sequence[click.Parameter], *, callback: Callable[..., Any], example: str
) -> SettingsCommand:
    """Return a command on data for one task, without its settings."""
    entry = TASKS[name]
    ordinary = [
        click.Argument(["data"], nargs=-1, required=True),
        click.Option(
            ["--valid"], type=click.Path(), multiple=True, help="Validation data; they select the best weights."
        ),
        click.Option(["--test"], type=click.Path(), multiple=True, help="Test data; scored once, after training."),
        *options,
        click.Option(
            ["--recipe"], type=click.Path(path_type=Path), help="File of settings in TOML; flags override it."
        ),
        with_baselines(),
        as_json(),
    ]
    command = SettingsCommand(
        name,
        params=ordinary,
        callback=callback,
        help=f"{entry.summary}\n\nDATA: {entry.data_forms}; files, folders, globs, also .gz.",
        epilog=shown(example),
        context_settings=ONE_SPELLING,
    )
    return common(command)


def with_baselines() -> click.Option:
    """Return the flag that turns the baselines on or off."""
    return click.Option(["--baselines/--no-baselines"], default=True, help="Also score simple baseline methods.  [on]")


def as_json() -> click.Option:
    """Return the flag for output as JSON."""
    return click.Option(["--json"], is_flag=True, help="Write the scores as one line of JSON.")


def refuse_standard_input(*paths: Sequence[str]) -> None:
    """Refuse `-` and pipes as training data: training reads them more than once, and a model folder records the paths.

    Raises:
        UsageError: If one of the paths can be read only once.
    """
    if any(is_stream(path) for part in paths for path in part):
        raise UsageError(
            "training reads its data more than once, which pipes and standard input do not allow; save it to a file"
        )
