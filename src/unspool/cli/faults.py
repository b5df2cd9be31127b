"""Error messages on stderr, exit codes, and filters for library warnings."""

from __future__ import annotations

import difflib
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click

from unspool.cli.streams import let_go
from unspool.cli.talk import first
from unspool.errors import MachineError, UnspoolError, for_command_line, printable

__all__ = ["exit_code_of", "without_warnings"]


def exit_code_of(error: BaseException, *, debug: bool) -> int:
    """Print the message of an error on stderr, and return the exit code."""
    if isinstance(error, BrokenPipeError):  # the reader of standard output has exited
        let_go(sys.stdout)
        return 1
    if debug:
        traceback.print_exception(error)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return 2
    if isinstance(error, click.UsageError):
        _print_error(_usage(error))
        return 2
    if isinstance(error, click.ClickException):
        _print_error(error.format_message())
        return error.exit_code
    if isinstance(error, KeyboardInterrupt | click.Abort):
        _print_error("stopped by ctrl-C")
        return 130
    if isinstance(error, UnspoolError):
        _print_error(for_command_line(error.message), everywhere=isinstance(error, MachineError))
        return error.exit_code
    _print_error(_unexpected(error), everywhere=True)
    return 1


def _print_error(text: str, *, everywhere: bool = False) -> None:
    """Print one line on stderr; without `everywhere`, only the first process of a distributed run prints."""
    if first() or everywhere:
        who = "unspool" if first() else f"unspool (process {os.environ['RANK']})"
        with suppress(OSError):  # the disk behind standard error may be full as well
            click.echo(f"{who}: {printable(' '.join(text.split()))}", err=True)


def _usage(error: click.UsageError) -> str:
    text = error.format_message()
    if isinstance(error, click.NoSuchOption):
        text = f"there is no flag {error.option_name}{_nearest_flag(error)}"
    elif isinstance(error, click.MissingParameter) and error.param is not None:
        text = f"{error.param.make_metavar(error.ctx or click.Context(click.Command(None)))} is missing"
        if isinstance(error.param, click.Option):
            text = f"the flag {error.param.opts[0]} is missing: {error.param.help}"
    if error.ctx is None:
        return text
    text = text if text.endswith((".", "?", "!")) else f"{text};"
    return f"{text} see: {error.ctx.command_path} --help"


def _nearest_flag(error: click.NoSuchOption) -> str:
    if error.ctx is None:
        return ""
    names = [name for parameter in error.ctx.command.params for name in (*parameter.opts, *parameter.secondary_opts)]
    close = difflib.get_close_matches(error.option_name, [name for name in names if name.startswith("-")], n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _unexpected(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'the machine'}: {error.strerror}; run again with --debug to see where"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "there is not enough memory; try a smaller --batch-tokens, --batch-size or --hidden"
    if isinstance(error, RuntimeError) and not first() and "peer" in str(error):
        return "stopped, since another process of this run has failed"
    lines = str(error).strip().splitlines() or [""]
    return (
        f"Unspool met an unexpected error ({type(error).__name__}: {lines[0][:300]}); "
        f"run again with --debug to see where"
    )


@contextmanager
def without_warnings(debug: bool) -> Iterator[None]:
    """Suppress the warnings of libraries unless `--debug` is on."""
    import warnings

    if debug:
        yield
        return
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
