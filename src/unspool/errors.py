"""Exceptions, exit codes and messages that fit the command line or Python.

::

    UnspoolError                    exit code 1
    ├── UsageError                  exit code 2: the command line or the arguments
    │   ├── SettingError            an unknown setting, or an invalid value
    │   └── MissingExtraError       an optional package is not installed
    ├── DataError                   the data: names `file:line`
    ├── CommandError                a command of the user's file: names `file:line` where there is one
    ├── SlotError                   a text is not a value of the slot
    ├── CellError                   the cell: names the cell
    │   └── ShapeError              a tensor of another shape than expected
    ├── BackendError                a backend does not support this cell or these inputs
    ├── ModelFolderError            a model folder that is damaged, newer, or not to be trusted
    ├── TrainingError               the training: a loss that is not finite, no data to train on
    ├── DecodingError               the network: its outputs are not probabilities
    ├── MachineError                the machine: the disk is full, no such device
    └── Interrupted                 exit code 130: ctrl-C; a checkpoint is saved
    UnfinishedTrainingWarning       a model of an unfinished training, with its best weights so far

Every message is one sentence or two: what came, what was expected, what to try. On the command line a message names a
flag, in Python an argument. `option` and `wording` hold both; `for_command_line` and `for_python` pick one.
"""

from __future__ import annotations

import re

__all__ = [
    "BackendError",
    "CellError",
    "CommandError",
    "DataError",
    "DecodingError",
    "Interrupted",
    "MachineError",
    "MissingExtraError",
    "ModelFolderError",
    "SettingError",
    "ShapeError",
    "SlotError",
    "TrainingError",
    "UnfinishedTrainingWarning",
    "UnspoolError",
    "UsageError",
    "counted",
    "for_command_line",
    "for_python",
    "option",
    "printable",
    "wording",
]

_BOTH = re.compile("\x1d([^\x1d\x1e]*)\x1e([^\x1d\x1e]*)\x1d")
_LONGEST, _END = 600, 200  # most characters of a message, and of its end after an ellipsis


def wording(command_line: str, python: str) -> str:
    """Return a part of a message with one text for the command line and another for Python.

    Args:
        command_line: Text for users of the command line, such as `unspool train --resume my-model`; may be empty.
        python: Text for users of Python, such as `fit(..., out="my-model", resume=True)`; may be empty.
    """
    return f"\x1d{command_line}\x1e{python}\x1d"


def option(name: str, value: object = True) -> str:
    """Return the name of a setting with its value: `--skip-bad` on the command line, `skip_bad=True` in Python.

    Args:
        name: The setting's name in Python, as `skip_bad`.
        value: The value; a placeholder in capitals, such as `NAME`, is not quoted. None: the name alone.
    """
    flag = "--" + name.replace("_", "-")
    if value is None:
        return wording(flag, name)
    if isinstance(value, bool):
        return wording(flag if value else flag.replace("--", "--no-", 1), f"{name}={value}")
    is_placeholder = isinstance(value, str) and value.isupper()
    return wording(f"{flag} {value}", f"{name}={value if is_placeholder else repr(value)}")


def counted(number: float, things: str) -> str:
    """Return a number with its noun, in the singular for 1: 1 epoch, 2.5 epochs, 1,200 updates.

    Args:
        number: The number.
        things: The noun in the plural.
    """
    singular = things[:-3] + "y" if things.endswith("ies") else things.removesuffix("s")
    return f"{number:{',' if isinstance(number, int) else '.4g'}} {singular if number == 1 else things}"


def for_command_line(text: str) -> str:
    """Return a message with the flags of the command line."""
    return _BOTH.sub(r"\1", text)


def for_python(text: str) -> str:
    """Return a message with the arguments of Python."""
    return _BOTH.sub(r"\2", text)


def printable(text: str, longest: int = _LONGEST) -> str:
    """Return a text as one line without control characters, safe to show on a terminal.

    Control characters, such as the beginning of a terminal's commands, become escapes; line ends become blanks. An
    ellipsis replaces the middle of a text that is too long.

    Args:
        text: A message, which may quote parts of files.
        longest: Most characters; at least 300.
    """
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " if c.isspace() else repr(c)[1:-1] for c in text)
    return text if len(text) <= longest else f"{text[: longest - _END - 5]} ... {text[-_END:]}"


class UnspoolError(Exception):
    """Base of every error that Unspool raises on purpose.

    `str(error)` names arguments of Python; `for_command_line(error.message)` names flags.
    """

    exit_code = 1

    @property
    def message(self) -> str:
        """The message with both wordings, for the command line and for Python."""
        return super().__str__()

    def __str__(self) -> str:
        return printable(for_python(self.message))


class UsageError(UnspoolError):
    """The command line or an argument is invalid."""

    exit_code = 2


class SettingError(UsageError, ValueError):
    """A setting does not exist or has an invalid value."""


class MissingExtraError(UsageError, ImportError):
    """An optional package is missing; the message holds the command that installs it."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(f"{what} needs the package {package}: pip install -c constraints.txt '.[{extra}]'")


class DataError(UnspoolError, ValueError):
    """The data are invalid; the message begins with `file:line` where there is one."""

    def __init__(self, message: str, where: str | None = None) -> None:
        self.where = where
        super().__init__(f"{where}: {message}" if where else message)


class CommandError(UnspoolError, ValueError):
    """A command is invalid; the message begins with `file:line` where there is one."""

    def __init__(self, message: str, where: str | None = None) -> None:
        self.where = where
        super().__init__(f"{where}: {message}" if where else message)


class SlotError(UnspoolError, ValueError):
    """A text is not a value of a slot; the message says what was expected."""


class CellError(UnspoolError):
    """A cell violates the protocol of cells; the message names the cell."""


class ShapeError(CellError, ValueError):
    """A tensor has another shape than expected."""


class BackendError(UnspoolError, ValueError):
    """A backend does not support this cell or these inputs; the message says why."""


class ModelFolderError(UnspoolError):
    """A model folder is damaged, of a newer version, or needs the user's consent to run code."""


class TrainingError(UnspoolError):
    """Training can't continue; the weights and the state so far are saved."""


class DecodingError(UnspoolError):
    """The outputs of a network are not probabilities, so that decoding can't choose among them."""


class MachineError(UnspoolError, OSError):
    """The machine failed: disk full, no such device."""


class Interrupted(UnspoolError):  # noqa: N818 - not a fault
    """The user stopped the training; a checkpoint for resuming it is saved."""

    exit_code = 130


class UnfinishedTrainingWarning(UserWarning):
    """A model holds the best weights of an unfinished training."""
