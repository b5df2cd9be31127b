"""Slots of free text."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any, ClassVar

from unspool.commands import phrases
from unspool.commands.kinds.base import SlotKind
from unspool.errors import SlotError

__all__ = ["TextKind"]


@dataclass(frozen=True)
class TextKind(SlotKind):
    """`str`: any words. Only a model can tell where they begin and end in a sentence."""

    topic: str = "any"
    """What training sentences fill in: `items`, `tasks`, `names`, `places`, `media` or `any`."""

    name: ClassVar[str] = "text"
    example: ClassVar[str] = "oat milk"

    def parse(self, text: str, now: datetime) -> str:
        value = " ".join(text.split()).strip(" \t,;:")
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1].strip()
        if not any(letter.isalnum() for letter in value):
            raise self._refuse(text)
        return value

    def find(self, text: str, now: datetime) -> list[tuple[int, int, str]]:
        return []

    def sample(self, random: Random) -> str:
        return phrases.sample_phrase(self.topic, random)

    def speak(self, value: Any) -> str:
        return str(value)

    def question(self, slot: str) -> str:
        name = slot.replace("_", " ")
        return f"{name.capitalize()}?" if name in ("what", "who", "whom", "where") else f"Which {name}?"

    def to_json(self, value: Any) -> str:
        if not isinstance(value, str):
            raise SlotError(f"{value!r} is not a str")
        return value

    def from_json(self, value: Any) -> str:
        return self.to_json(value)

    def record(self) -> dict[str, Any]:
        return super().record() | {"topic": self.topic}
