"""Load a model folder for a verb, and the options that verbs with a model share."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from unspool.cli.flags import SETTINGS, chosen_settings, settings_options
from unspool.cli.talk import say
from unspool.decoding.ctc.settings import HearingSettings
from unspool.decoding.settings import DecodingSettings
from unspool.errors import ModelFolderError, SettingError, UsageError, counted
from unspool.settings import Settings, make
from unspool.tasks.catalog import TASKS
from unspool.tasks.entry import one_of

if TYPE_CHECKING:
    from unspool.tasks import Task
    from unspool.tasks.running.model_folder import Record

__all__ = [
    "apply_decoding",
    "apply_tables",
    "decoding_options",
    "device_option",
    "model_argument",
    "open_model",
    "open_model_for",
    "recorded_settings",
    "tables_options",
    "text_of",
]

F = TypeVar("F", bound=Callable[..., Any])


def model_argument(command: F) -> F:
    """Give a command the argument MODEL, a model folder, and the option `--cell` for a custom cell."""
    command = click.option(
        "--cell",
        metavar="FILE.py:CLASS",
        help="Custom cell that the model was trained with; loading it executes its code.",
    )(command)
    return click.argument("model", type=click.Path())(command)


def device_option(command: F) -> F:
    """Give a command the option `--device`."""
    return click.option("--device", default="auto", help="auto (CUDA if there is one), cpu, cuda, cuda:1 ...  [auto]")(
        command
    )


def decoding_options() -> list[click.Parameter]:
    """Return a flag for each decoding setting, for the verbs that generate outputs."""
    return settings_options(_Decoding)


def apply_decoding(task: Task[Any, Any], values: Mapping[str, Any]) -> None:
    """Set the decoding settings of a task from the flags of `decoding_options`.

    Raises:
        UsageError: If the model's task does not search for outputs.
        SettingError: If a value does not fit.
    """
    chosen = chosen_settings(values)
    if not chosen:
        return
    entry = TASKS[task.name]
    searches, names = entry.searches or entry.hears, ", ".join(name.rpartition(".")[2] for name in chosen)
    if not searches or (not entry.hears and any(name.startswith("hearing.") for name in chosen)):
        able = [each.a_model for each in TASKS.values() if each.hears or (each.searches and not searches)]
        raise UsageError(f"{names}: this is a model of the task {task.name!r}; the search of {one_of(able)} takes this")
    task.settings = make(task.settings_type, chosen, base=task.settings)


def tables_options(command: F) -> F:
    """Give a command `--items` and `--users`, tables of features for recommenders."""
    command = click.option(
        "--users", metavar="FILE", help="Table of the users' features (recommenders).  [as in training]"
    )(command)
    return click.option(
        "--items", metavar="FILE", help="Table of new items, ranked by their features alone (recommenders)."
    )(command)


def apply_tables(task: Task[Any, Any], items: str | None, users: str | None) -> None:
    """Add new items to a recommender, and use another table of users.

    Raises:
        UsageError: If the model is no recommender, or learned no such features.
        DataError: If a table can't be read.
    """
    for name, table in (("--items", items), ("--users", users)):
        if table is not None and not TASKS[task.name].ranks_items:
            able = one_of(entry.a_model for entry in TASKS.values() if entry.ranks_items)
            raise UsageError(f"{name}: this is a model of the task {task.name!r}; {able} takes this")
    recommender: Any = task
    if items is not None:
        say(f"added {counted(recommender.add_items(items), 'items')}, ranked by their features alone")
    if users is not None:
        recommender.use_users(users)


class _Decoding(Settings):
    """The settings of a search, under the names that tasks use."""

    decoding: DecodingSettings = DecodingSettings()
    hearing: HearingSettings = HearingSettings()


def open_model(folder: str, cell: str | None, device: str = "cpu") -> Task[Any, Any]:
    """Load a model folder onto a device.

    This function imports torch with the garbage collector off, so verbs import modules that need torch after the call.

    Raises:
        ModelFolderError: If the folder can't be used.
        MachineError: If this machine has no such device.
        SettingError: If `device` is no name of a device.
    """
    with _without_collector():
        from unspool.tasks import load
        from unspool.training.devices import choose_device
        from unspool.training.settings import TrainingSettings

        place = choose_device(make(TrainingSettings, {"device": device}).device)
        task = load(folder, cell=cell)
    if task._unfinished is not None:
        say(f"note: {task._unfinished}")
    task.model.to(place)
    return task


@contextmanager
def _without_collector() -> Iterator[None]:
    """Pause Python's garbage collector while torch is imported; each collection would traverse all of its objects."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def recorded_settings(folder: Path, record: Record) -> Settings:
    """Return the settings in a model folder's record; the record's task must be in `SETTINGS`.

    Raises:
        ModelFolderError: If the record holds an unknown setting, or an invalid value.
    """
    from unspool.settings import from_record

    try:
        return from_record(SETTINGS[record.task], record.settings)
    except SettingError as error:
        raise ModelFolderError(f"{folder}/unspool.json: {error.message}") from None


def open_model_for(verb: str, folder: str, cell: str | None, device: str = "cpu") -> Any:
    """Load a model folder for a verb that supports only some tasks.

    Raises:
        UsageError: If the model is of another task.
        ModelFolderError: If the folder can't be used.
    """
    task = open_model(folder, cell, device)
    if verb not in TASKS[task.name].verbs:
        takers = one_of(entry.a_model for entry in TASKS.values() if verb in entry.verbs)
        raise UsageError(
            f"{folder} is a model of the task {task.name!r}; {verb} takes {takers}. Try: unspool predict {folder}"
        )
    return task


def text_of(argument: str, what: str) -> str:
    """Return a text from the command line; `-` reads standard input to its end.

    Raises:
        UsageError: If the text is empty, or not UTF-8.
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
