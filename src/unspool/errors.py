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

Every message is one sentence or two: what came, what was expected, what to try.
"""

from __future__ import annotations

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
    "UnspoolError",
    "UsageError",
]


class UnspoolError(Exception):
    """Base of every error that Unspool raises on purpose."""

    exit_code = 1


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
