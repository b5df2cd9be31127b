"""Run other programs without a shell: find one, split a command line, and fill in its placeholders."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence

from unspool.errors import MachineError, UsageError

__all__ = ["fill", "first_installed", "run_program", "split_command", "why"]

_LINE = 200  # most characters of a program's complaint


def first_installed(names: Iterable[str]) -> str | None:
    """Return the first program that is installed; None if none is."""
    return next((name for name in names if shutil.which(name) is not None), None)


def split_command(command: str, flag: str) -> list[str]:
    """Split a command line into words as a shell would; no shell runs it.

    Args:
        command: The command line.
        flag: Flag that it came by, for messages.

    Raises:
        UsageError: If the command line is empty, has an open quote, or names no program of this machine.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"{flag} {command!r}: {error}; expected a command line") from None
    if not words:
        raise UsageError(f"{flag} is empty; expected a command line")
    if shutil.which(words[0]) is None:
        raise UsageError(f"{flag} {command!r}: there is no program {words[0]!r} on this machine")
    return words


def fill(words: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """Replace each `{name}` in the words by its value; a value stays one argument, whatever it holds.

    A value that would be read as a flag, since it begins with a hyphen, gets a blank in front.
    """
    filled = []
    for word in words:
        for name, value in values.items():
            safe = f" {value}" if value.startswith("-") and word == f"{{{name}}}" else value
            word = word.replace(f"{{{name}}}", safe)
        filled.append(word)
    return filled


def run_program(words: Sequence[str], *, limit: float, flag: str) -> bytes:
    """Run a program to its end, and return what it writes on standard output.

    Args:
        words: Program and arguments.
        limit: Time limit in seconds.
        flag: Name of the program's part, for messages.

    Raises:
        MachineError: If it can't be started, fails, or does not end in time.
    """
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        raise MachineError(f"{flag}: {words[0]} did not end within {limit:g} seconds") from None
    except (OSError, ValueError) as error:
        raise MachineError(f"{flag}: {words[0]} can't be started: {error}") from None
    if done.returncode != 0:
        raise MachineError(f"{flag}: {words[0]} {why(done.returncode, done.stderr)}")
    return done.stdout


def why(code: int, complaint: bytes) -> str:
    """Return how a program ended, with the last line of its complaint."""
    lines = complaint.decode("utf-8", "replace").strip().splitlines()
    said = f": {lines[-1].strip()[:_LINE]}" if lines else ""
    return f"failed with exit code {code}{said}"
