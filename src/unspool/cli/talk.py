"""Output of commands: results on stdout, messages on stderr, both from the first process of a distributed run."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import click

from unspool.cli.streams import let_go
from unspool.errors import MachineError, for_command_line
from unspool.tasks.tables import table

if TYPE_CHECKING:
    from rich.console import Console

    from unspool.training import Reporter

__all__ = [
    "common",
    "console",
    "example",
    "first",
    "flush",
    "quiet",
    "reporter",
    "result",
    "result_json",
    "say",
    "table",
    "writing",
]

F = TypeVar("F", bound=Callable[..., Any])


def first() -> bool:
    """Return whether this process prints: the first of those that `torchrun` started, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def quiet() -> bool:
    """Return whether `--quiet` switched off messages on stderr."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get("unspool.quiet"))


def example(*lines: str) -> str:
    """Return the examples at the end of a help text; their lines are not wrapped."""
    return "\n".join(["\b", "Examples:" if len(lines) > 1 else "Example:", *(f"  {line}" for line in lines)])


def common(command: F) -> F:
    """Give a command the options of all commands: `--quiet` and `--debug`."""
    for name, help_text in (
        ("debug", "Show tracebacks and warnings."),
        ("quiet", "Print only errors on stderr."),
    ):
        option = click.option(
            f"--{name}", is_flag=True, expose_value=False, is_eager=True, help=help_text, callback=_remember
        )
        command = option(command)
    return command


def _remember(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        context.meta[f"unspool.{parameter.name}"] = True


def say(text: str) -> None:
    """Print a message for the user on stderr."""
    if first() and not quiet():
        with suppress(OSError):  # a full standard error must not stop the command
            click.echo(for_command_line(text), err=True)


def result(text: str, *, newline: bool = True) -> None:
    """Write a result on stdout.

    Raises:
        MachineError: If it can't be written.
    """
    if first():
        with writing():
            click.echo(text.encode("utf-8", "backslashreplace").decode(), nl=newline)  # file names may not be UTF-8


def flush() -> None:
    """Flush standard output.

    Raises:
        MachineError: If it can't be written.
    """
    with writing():
        sys.stdout.flush()


@contextmanager
def writing() -> Iterator[None]:
    """Turn an error of standard output into a `MachineError` that names it."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        let_go(sys.stdout)
        raise MachineError(f"standard output can't be written: {error.strerror}") from None


def result_json(value: Any) -> None:
    """Write a result as one line of JSON; a number that is not finite becomes null."""
    result(json.dumps(_plain(value), ensure_ascii=False, allow_nan=False))


def reporter() -> Reporter:
    """Return the reporter of training progress: a progress bar, lines, or none with `--quiet`."""
    from unspool.training import Reporter, report_to

    return Reporter() if quiet() or not first() else report_to(render=for_command_line)


def console(*, stderr: bool = False) -> Console:
    """Return a rich console; it uses colour only on a terminal."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if abs(value) != float("inf") and value == value else None
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
