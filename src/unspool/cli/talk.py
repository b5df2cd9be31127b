"""What a command says: results on stdout, talk on stderr, and nothing twice where several processes run."""

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
    """Whether this is the process that talks, of those that `torchrun` started."""
    return os.environ.get("RANK", "0") == "0"


def quiet() -> bool:
    """Whether the talk on stderr was switched off."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get("unspool.quiet"))


def example(*lines: str) -> str:
    """The end of a help text: command lines that are not broken."""
    return "\n".join(["\b", "Examples:" if len(lines) > 1 else "Example:", *(f"  {line}" for line in lines)])


def common(command: F) -> F:
    """Give a command the options that all have: `--quiet` and `--debug`."""
    for name, help_text in (
        ("debug", "Show tracebacks and warnings."),
        ("quiet", "Say nothing on stderr but errors."),
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
    """Tell the person something, on stderr."""
    if first() and not quiet():
        with suppress(OSError):  # a full standard error costs no result
            click.echo(for_command_line(text), err=True)


def result(text: str, *, newline: bool = True) -> None:
    """Write a result, on stdout.

    Raises:
        MachineError: If it can't be written.
    """
    if first():
        with writing():
            click.echo(text.encode("utf-8", "backslashreplace").decode(), nl=newline)  # file names may be no UTF-8


def flush() -> None:
    """Write what standard output still holds back.

    Raises:
        MachineError: If it can't be written.
    """
    with writing():
        sys.stdout.flush()


@contextmanager
def writing() -> Iterator[None]:
    """Name standard output in what goes wrong with it."""
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
    """What tells how training goes: a bar, lines, or nobody."""
    from unspool.training import Reporter, report_to

    return Reporter() if quiet() or not first() else report_to(render=for_command_line)


def console(*, stderr: bool = False) -> Console:
    """A rich console; it colours only on a terminal."""
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
