"""Data of the task `command`: sentences with intents and slots, from files or memory; imports no torch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from unspool.commands import CommandSet
from unspool.commands.background import background, corrupted
from unspool.data import (
    DataSource,
    Layout,
    Reader,
    RowsInMemory,
    Sample,
    Utterance,
    read_utterances,
    split,
    utterances_of_rows,
)
from unspool.errors import DataError
from unspool.tasks.command.settings import CommandSettings
from unspool.tasks.contracts import Examples
from unspool.tasks.parts.data_settings import table_options

__all__ = ["CommandsInMemory", "UtteranceExamples", "commands_of", "is_commands", "open_data", "samples"]


@dataclass(frozen=True)
class UtteranceExamples(Examples):
    """Sentences with their intents and slots."""

    utterances: list[Utterance]
    commands: CommandSet | None = None
    """The commands that sentences were made from; None for labelled data alone."""

    @property
    def texts(self) -> list[str]:
        """The sentences."""
        return [each.text for each in self.utterances]

    @property
    def where(self) -> list[str]:
        """Place of each sentence for messages."""
        return [each.where for each in self.utterances]

    def take(self, places: NDArray[np.int64]) -> Self:
        """Return the sentences at some indices."""
        return type(self)([self.utterances[place] for place in places], self.commands)

    def divide(self, fraction: float, seed: int) -> tuple[Self, Self]:
        """Hold out a random share of the sentences; see `Examples.divide`."""
        rest, held_out = split(len(self.utterances), fraction, seed)
        return self.take(rest), self.take(held_out)

    def sizes(self) -> dict[str, int]:
        """Return the number of sentences, and of slots if there are any."""
        slots = sum(len(each.slots) for each in self.utterances)
        return {"sentences": len(self.utterances), **({"slots": slots} if slots else {})}

    def samples(self) -> Iterator[Sample]:
        """Yield each sentence with its intents."""
        return samples(self.utterances)


@dataclass(frozen=True)
class CommandsInMemory(RowsInMemory):
    """Commands from Python functions, with sentences out of scope beside them."""

    commands: CommandSet | None = None
    others: tuple[Utterance, ...] = ()
    """Sentences out of scope, such as the questions of an assistant."""

    @classmethod
    def of(cls, commands: CommandSet, others: Iterable[Utterance] = ()) -> Self:
        """Return commands as a data source."""
        others = tuple(others)
        content = json.dumps([commands.record(), others], sort_keys=True)
        return cls((), hashlib.sha256(content.encode()).hexdigest(), commands, others)


def is_commands(path: object) -> bool:
    """Return whether a path names a Python file of commands."""
    return isinstance(path, str | os.PathLike) and os.fspath(path).endswith(".py")


def commands_of(source: DataSource) -> CommandSet | None:
    """Load the commands of a data source; None if it has none. Loading runs the code of the Python files.

    Raises:
        CommandError: If a file fails, or two commands are alike.
    """
    if isinstance(source, CommandsInMemory):
        return source.commands
    files = [] if isinstance(source, RowsInMemory) else [path for path in _listed(source) if is_commands(path)]
    if not files:
        return None
    return CommandSet(tuple(command for file in files for command in CommandSet.load(file)))


def open_data(
    settings: CommandSettings,
    source: DataSource,
    before: Layout | None = None,
    *,
    skip_bad: bool | None = None,
    commands: CommandSet | None = None,
) -> Reader[Utterance]:
    """Open sentences with intents and slots for reading.

    Args:
        settings: The settings of the task.
        source: Files, or rows in memory.
        before: Layout of the task's earlier data; the source is read the same way.
        skip_bad: Skip and count malformed lines; by the settings if omitted.
        commands: The commands of the source, if they are loaded already; see `commands_of`.

    Raises:
        CommandError: If a Python file of commands fails.
        DataError: If a file is missing, empty or in an unknown format.
    """
    data, options = settings.data, table_options(settings.data, skip_bad)
    columns: dict[str, Any] = {"text": data.text, "intent": data.intent, "slots": data.slots}
    columns |= {"separator": data.separator, "out_of_scope": data.out_of_scope}
    commands = commands or commands_of(source)
    if isinstance(source, RowsInMemory):
        if isinstance(source, CommandsInMemory) and commands is not None:
            made = [*_sentences(commands, settings), *source.others]
            return Reader(["commands in memory"], lambda _: iter(made), skip_bad=False)
        return utterances_of_rows(source.reader(skip_bad=options["skip_bad"]), **columns)
    earlier = [] if before is None else before.columns_of("text", "intent", "slots")
    tables = [path for path in _listed(source) if not is_commands(path)]
    labelled = read_utterances(tables, columns=earlier, **options, **columns) if tables else None
    if commands is None:
        return cast(Reader[Utterance], labelled)

    def read(part: str) -> Iterator[Utterance | DataError]:
        return iter(labelled if part == "tables" and labelled is not None else _sentences(commands, settings))

    names = ["commands", *(["tables"] if labelled is not None else [])]
    return Reader(names, read, skip_bad=False, layout=None if labelled is None else labelled.layout)


def _listed(source: Any) -> list[Any]:
    return [source] if isinstance(source, str | os.PathLike) else list(source)


def _sentences(commands: CommandSet, settings: CommandSettings) -> list[Utterance]:
    """Make training sentences of commands, and with the setting `background` sentences out of scope."""
    seed = settings.training.seed
    utterances = commands.utterances(most=settings.sentences * len(commands), seed=seed)
    if not settings.background:
        return utterances
    count = len(utterances)
    everyday = background(commands, most=max(1, count // 2), seed=seed)
    return [*utterances, *everyday, *corrupted(utterances, most=max(1, count // 5), seed=seed)]


def samples(examples: Iterable[Utterance]) -> Iterator[Sample]:
    """Convert sentences to samples for summaries and checks."""
    for each in examples:
        yield Sample(each.where, (each.text,), each.intents or ("none of the intents",))
