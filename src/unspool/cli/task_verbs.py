"""What the verbs that are followed by the name of a task have in common."""

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
    "TaskGroup",
    "as_json",
    "refuse_standard_input",
    "task_command",
    "with_baselines",
]


class TaskGroup(click.Group):
    """A verb that is followed by the name of a task; each task's command is made when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The tasks."""
        return list(TASKS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the task, or name the nearest."""
        name = args[0]
        if self.get_command(ctx, name) is None:
            if Path(name).exists() or "." in name:
                hint = f": name the task before the data, as unspool {self.name} {next(iter(TASKS))} {name}"
            else:
                hint = f"{nearest(name, TASKS)}; choose one of {', '.join(TASKS)}"
            raise click.UsageError(f"there is no task {name!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the tasks."""
        with formatter.section("Tasks"):
            formatter.write_dl([(name, entry.summary) for name, entry in TASKS.items()])


ONE_SPELLING = {
    "token_normalize_func": lambda name: name.replace("_", "-"),
    "help_option_names": ["-h", "--help"],
    "max_content_width": 100,
}
"""Flags may be written with `-` or `_`."""


def task_command(
    name: str, options: Sequence[click.Parameter], *, callback: Callable[..., Any], example: str
) -> SettingsCommand:
    """A command on data, for one task."""
    entry = TASKS[name]
    ordinary = [
        click.Argument(["data"], nargs=-1, required=True),
        click.Option(["--valid"], type=click.Path(), multiple=True, help="Data that choose the best weights."),
        click.Option(["--test"], type=click.Path(), multiple=True, help="Data to score once, at the very end."),
        *options,
        click.Option(["--recipe"], type=click.Path(path_type=Path), help="Settings in TOML; flags go before them."),
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
    """The flag that asks for the scores of simple methods."""
    return click.Option(
        ["--baselines/--no-baselines"], default=True, help="Whether simple methods are scored too.  [on]"
    )


def as_json() -> click.Option:
    """The flag that asks for JSON."""
    return click.Option(["--json"], is_flag=True, help="Write the scores as one line of JSON.")


def refuse_standard_input(*paths: Sequence[str]) -> None:
    """Refuse `-` and pipes as data to train on: they are read more than once, and a model folder remembers their place.

    Raises:
        UsageError: If one of the paths can be read only once.
    """
    if any(is_stream(path) for part in paths for path in part):
        raise UsageError(
            "training reads its data more than once, and standard input or a pipe can't be; save it to a file first"
        )
