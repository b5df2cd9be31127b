"""`Turn` and `DialogueState`: what an assistant says to one sentence, and what it remembers between sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from unspool.commands import Command

__all__ = ["DialogueState", "Due", "Kind", "Pending", "Turn", "Understanding", "to_json"]

Kind = Literal["answer", "did", "failed", "would", "ask", "confirm", "cancel", "refuse"]
"""What a turn did: answered a question, carried out a command, failed to, named the call whose function is absent,
asked for a missing value, asked for confirmation, dropped a command, or refused the sentence."""


class Turn(NamedTuple):
    """An assistant's reply to one sentence."""

    text: str
    """The sentence."""
    reply: str
    """What the assistant says."""
    kind: Kind
    command: str | None = None
    """Name of the command that was carried out, or is under way."""
    arguments: Mapping[str, Any] = MappingProxyType({})
    """Typed arguments of the command so far."""
    detail: str = ""
    """Source of an answer, or familiarity of a command, in one line."""
    json_arguments: Mapping[str, Any] = MappingProxyType({})
    """The arguments as JSON."""

    @property
    def acted(self) -> bool:
        """Whether a function was called."""
        return self.kind in ("did", "failed")

    def record(self) -> dict[str, Any]:
        """Return all fields as JSON."""
        fields = self._asdict()
        fields["arguments"] = dict(fields.pop("json_arguments"))
        return fields


class Due(NamedTuple):
    """A call that a sentence led to, before its function runs."""

    text: str
    """The sentence."""
    command: Command
    """The command with its function."""
    arguments: dict[str, Any]
    """Typed arguments."""
    detail: str = ""
    """Familiarity of the command, in one line; empty for a reply such as `yes`."""
    before: Due | None = None
    """Call of a command that stands before this one in the same sentence."""


class Understanding(NamedTuple):
    """What an assistant understands of one sentence."""

    call: str | None
    """Name of the command; None if the sentence is none."""
    arguments: dict[str, Any]
    """Arguments of the command as JSON."""
    missing: tuple[str, ...]
    """Required arguments that the sentence does not give."""
    answer: str
    """The answer to a question; empty for a command."""


@dataclass
class Pending:
    """A command that waits for a value or for confirmation."""

    command: Command
    arguments: dict[str, Any]
    asking: str | None = None
    """Name of the slot that was asked for; None while waiting for confirmation."""
    failures: int = 0
    """Replies in a row that were no value."""


@dataclass
class DialogueState:
    """Memory of a dialogue."""

    pending: Pending | None = None
    last: tuple[Command, dict[str, Any]] | None = None
    """The last call and its arguments."""
    nearest: tuple[str, ...] = field(default=())
    """The two most probable commands of the last sentence."""

    def copy(self) -> DialogueState:
        """Return a copy that changes apart from the original."""
        pending, last = self.pending, self.last
        return replace(
            self,
            pending=None if pending is None else replace(pending, arguments=dict(pending.arguments)),
            last=None if last is None else (last[0], dict(last[1])),
        )

    def lines(self) -> list[str]:
        """Describe the state for people, one fact a line."""
        lines = []
        if self.pending is not None:
            what = f"asking for {self.pending.asking}" if self.pending.asking else "waiting for yes or no"
            lines.append(f"under way: {_call(self.pending.command, self.pending.arguments)}, {what}")
        if self.last is not None:
            lines.append(f"last call: {_call(*self.last)}")
        if self.nearest:
            lines.append(f"nearest commands of the last sentence: {', '.join(self.nearest)}")
        return lines or ["nothing is under way"]

    def record(self) -> dict[str, Any]:
        """Return the state as JSON."""
        pending, last = self.pending, self.last
        return {
            "pending": None
            if pending is None
            else {
                "command": pending.command.name,
                "arguments": to_json(pending.command, pending.arguments),
                "asking": pending.asking,
            },
            "last": None if last is None else {"command": last[0].name, "arguments": to_json(*last)},
            "nearest": list(self.nearest),
        }


def to_json(command: Command, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return typed arguments as JSON."""
    return {
        name: None if value is None else command.slot(name).kind.to_json(value) for name, value in arguments.items()
    }


def _call(command: Command, arguments: Mapping[str, Any]) -> str:
    inside = ", ".join(f"{name}={command.slot(name).kind.speak(value)}" for name, value in arguments.items())
    return f"{command.name}({inside})"
