"""Commands of an assistant: found among its data, learned by a parser, and kept in a folder of its own."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unspool.commands import CommandSet
from unspool.data import Files, Utterance
from unspool.errors import DataError, ModelFolderError, UnfinishedTrainingWarning, UsageError, for_python
from unspool.tasks.running.unfinished import way_on
from unspool.training import Reporter

if TYPE_CHECKING:
    from unspool.tasks.answer.assistant import Assistant
    from unspool.tasks.command.parser import CommandParser

__all__ = ["FOLDER", "load_parser", "split_commands", "train_parser"]

FOLDER = "commands"
"""Folder of the parser in the folder of an assistant."""


def split_commands(train: Any, commands: str | os.PathLike[str] | CommandSet | None) -> tuple[Any, CommandSet | None]:
    """Take the Python files of commands out of the paths of a training, and load them; their code runs.

    Args:
        train: Data of a training, in any form that `Task.fit` takes.
        commands: More commands.

    Raises:
        CommandError: If a file fails, or two commands are alike.
        DataError: If no questions and answers are left.
    """
    paths = [train] if isinstance(train, str | os.PathLike) else train
    listed = list(paths) if isinstance(paths, list | tuple) else []
    files = [path for path in listed if isinstance(path, str | os.PathLike) and os.fspath(path).endswith(".py")]
    if files:
        if commands is not None:
            raise UsageError("commands came twice: as a file among the data, and as commands")
        train = [path for path in listed if path not in files]
        if not train:
            raise DataError(
                f"{os.fspath(files[0])} holds commands, and there are no questions and answers; add a file of them, or "
                f"train a command parser on the commands alone, with which you can chat as well"
            )
        return Files(map(os.fspath, train)), CommandSet(
            tuple(command for file in files for command in CommandSet.load(file))
        )
    if commands is None or isinstance(commands, CommandSet):
        return train, commands
    return train, CommandSet.load(commands)


def train_parser(
    assistant: Assistant,
    out: str | Path | None,
    *,
    minutes: float | None,
    resume: bool,
    overwrite: bool,
    reporter: Reporter | None,
) -> CommandParser | None:
    """Train the parser of an assistant's commands, with its questions as sentences out of scope.

    Args:
        assistant: The trained assistant.
        out: Folder of the assistant; None: nothing is written.
        minutes: Time limit; None: the parser's own default.
        resume: Continue an earlier training of the parser.
        overwrite: Replace an earlier parser.
        reporter: Progress reporter.

    Returns:
        The parser; None if the assistant has no commands.
    """
    from unspool.tasks.command.data import CommandsInMemory
    from unspool.tasks.command.parser import CommandParser

    commands = assistant.fitted.commands
    if commands is None:
        return None
    training = assistant.settings.training
    sentences = assistant.settings.sentences
    limit: Any = {} if minutes is None else {"minutes": minutes}
    parser = CommandParser(
        seed=training.seed, threads=training.threads, device=training.device, sentences=sentences, **limit
    )
    data: Any = CommandsInMemory.of(commands, _questions(assistant))
    folder = None if out is None else Path(out) / FOLDER
    going_on = resume and folder is not None and (folder / "unspool.json").exists()
    parser.fit(data, out=folder, resume=going_on, overwrite=overwrite and not going_on, reporter=reporter)
    return parser


def load_parser(assistant: Assistant, folder: Path) -> CommandParser | None:
    """Load the parser of an assistant; None if it has no commands, or its training has not begun.

    Raises:
        ModelFolderError: If the parser is damaged.

    Warns:
        UnfinishedTrainingWarning: If the training of the parser is not complete.
    """
    from unspool.tasks.command.parser import CommandParser

    if assistant.fitted.commands is None:
        return None
    if not (folder / FOLDER / "unspool.json").exists():
        message = (
            f"{folder} has commands, and their training has not begun; go on with: {way_on(folder, assistant.settings)}"
        )
        warnings.warn(for_python(message), UnfinishedTrainingWarning, stacklevel=4)
        return None
    parser = CommandParser.load(folder / FOLDER)
    learned = parser.commands
    if learned is None or learned.record() != assistant.fitted.commands.record():
        raise ModelFolderError(f"{folder / FOLDER} is damaged: its commands are not those of the assistant")
    return parser


def _questions(assistant: Assistant) -> Iterator[Utterance]:
    """Yield the questions of an assistant as sentences out of scope."""
    for question in assistant.questions:
        for wording in question.wordings:
            yield Utterance("questions", wording, ())
