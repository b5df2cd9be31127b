"""`SlotKind`: how the values of a slot are read from a text, found in a sentence, sampled, spoken and stored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from random import Random
from typing import Any, ClassVar

from unspool.commands.grammar import Node
from unspool.errors import SlotError, printable

__all__ = ["SlotKind", "refusal"]


class SlotKind(ABC):
    """A kind of value. Kinds are immutable, and equal if they read all texts alike."""

    name: ClassVar[str]
    """Name of the kind in records."""
    example: ClassVar[str]
    """A value for messages."""

    @abstractmethod
    def parse(self, text: str, now: datetime) -> Any:
        """Return the value of a text.

        Args:
            text: The words of the value alone: `ten minutes`.
            now: The moment that relative and ambiguous values count from.

        Raises:
            SlotError: If the text is not such a value.
        """

    @abstractmethod
    def find(self, text: str, now: datetime) -> list[tuple[int, int, Any]]:
        """Find the values in a sentence, from left to right: offsets of start and end, and the value.

        A text that may mean something else is left out: `five` alone is a time only after `at`. So is free text.
        """

    @abstractmethod
    def sample(self, random: Random) -> str:
        """Return a random value as people write or say it, for training sentences."""

    @abstractmethod
    def speak(self, value: Any) -> str:
        """Return a value in words, for a confirmation: `ten minutes`. `parse` reads the words back."""

    @abstractmethod
    def question(self, slot: str) -> str:
        """Return what a dialogue asks when a slot of this kind is missing: `How long?`."""

    @abstractmethod
    def to_json(self, value: Any) -> Any:
        """Return a value as JSON.

        Raises:
            SlotError: If the value is not of this kind.
        """

    @abstractmethod
    def from_json(self, value: Any) -> Any:
        """Return a value from JSON.

        Raises:
            SlotError: If the JSON is not a value of this kind.
        """

    def grammar(self) -> Node | None:
        """Return the grammar of the spoken values; None if there is none, as for free text."""
        return None

    def record(self) -> dict[str, Any]:
        """Return the kind as JSON; `unspool.commands.records.kind_from_record` reads it."""
        return {"kind": self.name}

    def _refuse(self, text: str) -> SlotError:
        return refusal(text, self.name, self.example)


def refusal(text: str, kind: str, example: str) -> SlotError:
    """Return the error for a text that is not a value."""
    shown = printable(text if len(text) <= 60 else f"{text[:60]}…")
    article = "an" if kind[0] in "aeio" else "a"
    return SlotError(f"'{shown}' is not {article} {kind}; expected something like '{example}'")
