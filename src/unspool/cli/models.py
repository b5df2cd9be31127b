"""Opening a model for the verbs that use one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from unspool.errors import UsageError

if TYPE_CHECKING:
    from unspool.tasks import Task

__all__ = ["device_option", "model_argument", "open_model", "text_of"]

F = TypeVar("F", bound=Callable[..., Any])


def model_argument(command: F) -> F:
    """The model folder, and the cell that it may ask for."""
    command = click.option(
        "--cell", metavar="FILE.py:CLASS", help="The cell of your own that the model was trained with; runs its code."
    )(command)
    return click.argument("model", type=click.Path())(command)


def device_option(command: F) -> F:
    """Where the model runs."""
    return click.option("--device", default="auto", help="auto (CUDA if there is one), cpu, cuda, cuda:1 ...  [auto]")(
        command
    )


def open_model(folder: str, cell: str | None, device: str = "cpu") -> Task[Any]:
    """Load a model folder onto a device.

    Raises:
        ModelFolderError: If the folder can't be used.
        MachineError: If this machine has no such device.
        SettingError: If nothing is called so.
    """
    from unspool.settings import make
    from unspool.tasks import load
    from unspool.training.devices import choose_device
    from unspool.training.settings import TrainingSettings

    place = choose_device(make(TrainingSettings, {"device": device}).device)
    task = load(folder, cell=cell)
    task.model.to(place)
    return task


def text_of(argument: str, what: str) -> str:
    """A text from the command line; `-` reads standard input to its end.

    Raises:
        UsageError: If it is empty, or not UTF-8.
    """
    from unspool.data import read_text

    text = "".join(read_text("-")).removesuffix("\n") if argument == "-" else argument
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"the {what} is not UTF-8") from None
    if not text.strip():
        raise UsageError(f"the {what} is empty; expected at least one word")
    return text
