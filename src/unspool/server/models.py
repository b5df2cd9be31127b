"""Models of a server: folders, their tasks, and what they can do, before and after loading."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unspool.commands import Command, CommandSet
from unspool.errors import ModelFolderError, UsageError
from unspool.server.faults import ApiError
from unspool.settings import nearest
from unspool.tasks.catalog import TASKS
from unspool.tasks.dialogue import commands_of
from unspool.tasks.dialogue.phrases import title_of
from unspool.tasks.entry import TaskEntry
from unspool.tasks.running.model_folder import read_record

if TYPE_CHECKING:
    from unspool.decoding import Continuations

__all__ = ["Models", "Served", "describe_folders"]

_PARSER = "commands"  # of an assistant's command parser, in the folder of the assistant


@dataclass
class Served:
    """One model of the server."""

    name: str
    """Name in requests: that of the folder."""
    folder: Path
    entry: TaskEntry
    cell: str | None = None
    """The custom cell, as `--cell` names it."""
    part_of: str | None = None
    """Name of the assistant whose command parser this is; None for a model of its own."""
    task: Any = None
    """The loaded task; None before loading."""
    batch: Continuations | None = field(default=None, repr=False)
    """Texts that a language model is writing; None for other tasks."""
    start: Any = field(default=None, repr=False)
    """State of a language model before the first unit."""
    layout: list[Any] | None = field(default=None, repr=False)
    """Shape and number type of each tensor of that state."""

    @property
    def writes(self) -> bool:
        """Whether the model continues texts."""
        return "generate" in self.entry.verbs

    @property
    def chats(self) -> bool:
        """Whether the model answers questions or understands commands in a chat."""
        return "chat" in self.entry.verbs and (self.answers or self.task is None or self.commands is not None)

    @property
    def answers(self) -> bool:
        """Whether the model answers questions, and takes corrected answers."""
        return "add" in self.entry.verbs

    @property
    def reads_files(self) -> str:
        """Kind of the files that the model reads: images or audio; empty for other inputs."""
        kind = getattr(getattr(getattr(self.task, "_fitted", None), "input", None), "kind", "")
        return kind if kind in ("images", "audio") else ""

    @property
    def commands(self) -> CommandSet | None:
        """The commands that the model learned; None if it has none, or is not loaded."""
        return None if self.task is None or "chat" not in self.entry.verbs else commands_of(self.task)

    def can(self, verb: str) -> bool:
        """Whether the model can do what a verb names: `generate`, `chat` or `add`."""
        return self.chats if verb == "chat" else verb in self.entry.verbs

    def refusal(self, verb: str) -> str:
        """Return a sentence that says why the model can't do what a verb names."""
        if verb == "chat" and verb in self.entry.verbs:
            return f"{self.name} learned from labelled sentences, not from a file of commands, so it can't chat"
        return f"{self.name} is a model of the task {self.entry.name!r}, which can't {verb}"

    def record(self) -> dict[str, Any]:
        """Return what the API tells about the model."""
        record = None if self.task is None else self.task.record
        summary = "" if record is None else record.network.get("summary", "")
        return {
            "name": self.name,
            "folder": str(self.folder),
            "task": self.entry.name,
            "summary": summary,
            "loaded": self.task is not None,
            "writes": self.writes,
            "chats": self.chats,
            "answers": self.answers,
            "forecasts": self.entry.forecasts,
            "commands": None if self.commands is None else [_command(one) for one in self.commands],
            "sides": list(self.entry.sides),
            "reads_files": self.reads_files,
        }


class Models:
    """The models by name.

    Args:
        served: At least one model; the first one answers requests that name none.
    """

    def __init__(self, served: list[Served]) -> None:
        self.by_name = {one.name: one for one in served}

    def get(self, name: str | None, *, verb: str = "") -> Served:
        """Return the model of a request.

        Args:
            name: Name in the request; None: the first model that can do what is asked.
            verb: `generate`, `chat` or `add`, if the request needs a model that can.

        Raises:
            ApiError: If there is no such model, or it can't do that.
        """
        fit = [one for one in self.by_name.values() if not verb or one.can(verb)]
        if name is None:
            if not fit:
                raise ApiError(400, f"no model of this server can {verb}", "model")
            return fit[0]
        if name not in self.by_name:
            raise ApiError(404, f"there is no model {name[:80]!r}{nearest(name, self.by_name)}", "model")
        served = self.by_name[name]
        if served not in fit:
            raise ApiError(400, served.refusal(verb), "model")
        return served

    def add(self, served: Served) -> None:
        """Add a model whose name is new; threads that go through the models see all or none of it."""
        self.by_name = {**self.by_name, served.name: served}

    @property
    def loaded(self) -> bool:
        """Whether all models are loaded."""
        return all(one.task is not None for one in self.by_name.values())


def _command(command: Command) -> dict[str, Any]:
    """Return what the API tells about a command."""
    slots = [{"name": slot.name, "kind": slot.kind.name, "required": slot.required} for slot in command.slots]
    return {
        "name": command.name,
        "title": title_of(command),
        "description": command.description,
        "confirm": command.confirm,
        "slots": slots,
    }


def describe_folders(folders: list[str], cell: str | None = None, *, parts: bool = False) -> list[Served]:
    """Read the records of model folders, without loading weights or importing torch.

    Args:
        folders: Model folders.
        cell: The custom cell of the models that have one, as `--cell` names it.
        parts: Whether the command parser of an assistant is a model too, with the name `ASSISTANT-commands`.

    Raises:
        ModelFolderError: If a folder is no model folder, or of an unrecord task.
        UsageError: If two folders have the same name.
    """
    served: list[Served] = []
    inside: list[Served] = []
    for folder in map(Path, folders):
        task = read_record(folder).task
        if task not in TASKS:
            raise ModelFolderError(f"{folder}/unspool.json names the task {task!r}; expected one of {', '.join(TASKS)}")
        name = folder.resolve().name
        if any(one.name == name for one in served):
            raise UsageError(f"two folders are called {name}; a server needs distinct names: rename one of them")
        served.append(Served(name, folder, TASKS[task], cell))
        if parts and (folder / _PARSER / "unspool.json").exists():
            entry = TASKS[read_record(folder / _PARSER).task]
            inside.append(Served(f"{name}-{_PARSER}", folder / _PARSER, entry, part_of=name))
    names = {one.name for one in served}
    return [*served, *(one for one in inside if one.name not in names)]
