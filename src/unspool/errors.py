"""What can go wrong, and who can mend it.

::

    UnspoolError                    exit code 1
    ├── UsageError                  exit code 2: the command line or the arguments
    │   ├── SettingError            a setting that does not exist, or has a value it can't have
    │   └── MissingExtraError       an optional package is not installed
    ├── DataError                   the data: names `file:line`
    ├── CellError                   the cell's author: names the cell
    │   └── ShapeError              a tensor of another shape than the door expects
    ├── BackendError                a demanded engine path can't run this
    ├── ModelFolderError            a saved model that is damaged, newer, or not to be trusted
    ├── TrainingError               the run: not-finite loss, nothing left to train on
    ├── DecodingError               the network: what it predicts are not probabilities
    ├── MachineError                the disk is full, no such device
    └── Interrupted                 exit code 130: ctrl-C; everything was saved
    UnfinishedTrainingWarning       a model whose training has not come to its end, with its best weights so far

Every message is one sentence or two: what came, what was expected, what to try. A message names a flag to who types a
command and an argument to who writes Python: `option` and `wording` hold both, and the reader of the message picks one.
"""

from __future__ import annotations

import re

__all__ = [
    "BackendError",
    "CellError",
    "DataError",
    "DecodingError",
    "Interrupted",
    "MachineError",
    "MissingExtraError",
    "ModelFolderError",
    "SettingError",
    "ShapeError",
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
_LONGEST, _END = 600, 200  # characters of a message, and those of its end where the middle is left out


def wording(command_line: str, python: str) -> str:
    """Return a part of a message that reads differently on the command line and in Python.

    Args:
        command_line: Words for a person at the command line, such as `unspool train --resume my-model`.
        python: Words for a person who writes Python, such as `fit(..., out="my-model", resume=True)`.
    """
    return f"\x1d{command_line}\x1e{python}\x1d"


def option(name: str, value: object = True) -> str:
    """Return a mention of a setting or an argument: `--skip-bad` on the command line, `skip_bad=True` in Python.

    Args:
        name: The setting's name in Python, as `skip_bad`.
        value: The value to set; a placeholder in capitals, such as `NAME`, stands as it is. None: the name alone.
    """
    flag = "--" + name.replace("_", "-")
    if value is None:
        return wording(flag, name)
    if isinstance(value, bool):
        return wording(flag if value else flag.replace("--", "--no-", 1), f"{name}={value}")
    is_placeholder = isinstance(value, str) and value.isupper()
    return wording(f"{flag} {value}", f"{name}={value if is_placeholder else repr(value)}")


def counted(number: float, things: str) -> str:
    """A number and what is counted, in the singular for 1: 1 epoch, 2.5 epochs, 1,200 updates.

    Args:
        number: How many.
        things: What is counted, in the plural.
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
    """Return a text as one line that is safe to show on a terminal.

    Characters that can't be printed, such as the beginning of a terminal's commands, become escapes; line ends become
    blanks; of a text that is too long, the middle is left out.

    Args:
        text: Words of our own with parts of files in them.
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
        """The message with both wordings in it."""
        return super().__str__()

    def __str__(self) -> str:
        return printable(for_python(self.message))


class UsageError(UnspoolError):
    """The command line, or an argument, was not usable."""

    exit_code = 2


class SettingError(UsageError, ValueError):
    """A setting does not exist or has a value it can't have."""


class MissingExtraError(UsageError, ImportError):
    """An optional package is needed; the message holds the command that installs it."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(f"{what} needs the package {package}: pip install 'unspool[{extra}]'")


class DataError(UnspoolError, ValueError):
    """The data can't be used as it is; the message begins with `file:line` where one is known."""

    def __init__(self, message: str, where: str | None = None) -> None:
        self.where = where
        super().__init__(f"{where}: {message}" if where else message)


class CellError(UnspoolError):
    """A cell broke its contract; the message names the cell."""


class ShapeError(CellError, ValueError):
    """A tensor came with another shape than expected."""


class BackendError(UnspoolError, ValueError):
    """A demanded engine path can't run this cell or these inputs; the message says why."""


class ModelFolderError(UnspoolError):
    """A saved model is damaged, of a newer version, or asks for something that needs your word."""


class TrainingError(UnspoolError):
    """Training can't go on; what was reached is saved."""


class DecodingError(UnspoolError):
    """What a network predicts can't be chosen from: the numbers are no probabilities."""


class MachineError(UnspoolError, OSError):
    """The machine said no: disk full, no such device."""


class Interrupted(UnspoolError):  # noqa: N818 - not a fault
    """The user stopped the run; everything needed to go on is saved."""

    exit_code = 130


class UnfinishedTrainingWarning(UserWarning):
    """A model holds the best weights of a training that has not come to its end."""
