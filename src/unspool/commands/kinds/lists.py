"""Slots of lists: `eggs, milk and bread`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any, ClassVar

from unspool.commands.grammar import Node, Optional, any_of, sequence
from unspool.commands.kinds.base import SlotKind
from unspool.commands.stop_words import STOP_WORDS
from unspool.errors import SlotError

__all__ = ["ListKind"]

_BETWEEN = re.compile(r"\s*(?:,|;)\s*(?:and|or|plus)?\s+|\s*[;&]\s*|,(?!\d{3})|\s+(?:and|plus)\s+", re.IGNORECASE)
_COMMA = re.compile(r"[,;]")
_SINGULAR = ("ss", "us", "is")  # ends of words that are no plural
_NO_PLURALS = frozenset(("brussels", "sports", "kids", "mens", "ladies", "christmas", "swiss", "always", "perhaps"))
_LONGEST = 200  # items


@dataclass(frozen=True)
class ListKind(SlotKind):
    """`list[T]`: values of one kind, between commas, `and`, `plus`, `&`.

    Speech has no commas: in a list of texts with `and` alone, an item ends after a plural, `lemons limes and mint`.
    """

    item: SlotKind

    name: ClassVar[str] = "list"
    example: ClassVar[str] = "eggs, milk and bread"

    def parse(self, text: str, now: datetime) -> list[Any]:
        whole = " ".join(text.split()).strip(",; ")
        try:
            single = self.item.parse(whole, now)
        except SlotError:
            single = None
        if single is not None and (self.item.name != "text" or not _BETWEEN.search(whole)):
            return [single]
        parts = [part for part in _BETWEEN.split(whole) if part.strip()]
        if self.item.name == "text" and len(parts) > 1 and not _COMMA.search(whole):
            parts = [item for part in parts[:-1] for item in _after_plurals(part)] + parts[-1:]
        if not parts:
            raise self._refuse(text)
        if len(parts) > _LONGEST:
            raise SlotError(f"a list of {len(parts)} items; expected at most {_LONGEST}")
        return [self.item.parse(part, now) for part in parts]

    def find(self, text: str, now: datetime) -> list[tuple[int, int, list[Any]]]:
        lists: list[tuple[int, int, list[Any]]] = []
        for start, end, value in self.item.find(text, now):
            if lists and _BETWEEN.fullmatch(text, lists[-1][1], start):
                first, _, values = lists[-1]
                lists[-1] = (first, end, [*values, value])
            else:
                lists.append((start, end, [value]))
        return lists

    def sample(self, random: Random) -> str:
        count = random.choice((1, 1, 2, 2, 3, 4))
        items = list(dict.fromkeys(self.item.sample(random) for _ in range(count)))
        if len(items) == 1:
            return items[0]
        # A speech recogniser writes no commas.
        spaces: tuple[str, ...] = (" ",) if self.item.name == "text" and len(items) > 2 else ()
        comma = random.choice((", ", ", ", " and ", *spaces))
        return (
            comma.join(items[:-1])
            + random.choice((" and ", " and ", ", and " if len(items) > 2 else " and "))
            + items[-1]
        )

    def speak(self, value: Any) -> str:
        items = [self.item.speak(each) for each in value]
        if self.item.name == "text" and any(len(_after_plurals(item)) > 1 for item in items[:-1]):
            return f"{', '.join(items[:-1])}, and {items[-1]}"  # with a comma, items are not cut after plurals
        return " and ".join(filter(None, (", ".join(items[:-1]), items[-1]))) if items else "nothing"

    def question(self, slot: str) -> str:
        return self.item.question(slot)

    def to_json(self, value: Any) -> list[Any]:
        if not isinstance(value, list | tuple):
            raise SlotError(f"{value!r} is not a list")
        return [self.item.to_json(each) for each in value]

    def from_json(self, value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise SlotError(f"{value!r} is not a list")
        return [self.item.from_json(each) for each in value]

    def grammar(self) -> Node | None:
        item = self.item.grammar()
        if item is None:
            return None
        more = Optional(sequence(any_of("and", sequence()), item))
        return sequence(item, Optional(sequence(any_of("and", sequence()), item, more)))

    def record(self) -> dict[str, Any]:
        return super().record() | {"item": self.item.record()}


def _after_plurals(text: str) -> list[str]:
    """Cut a text after each word in the plural, by its spelling; `eggs for dad` stays, for its stop word."""
    if not STOP_WORDS.isdisjoint(text.lower().split()):
        return [text]
    items: list[str] = []
    ended = True
    for word in text.split():
        if ended:
            items.append(word)
        else:
            items[-1] += f" {word}"
        lower = word.lower()
        ended = len(lower) > 3 and lower.endswith("s") and not lower.endswith(_SINGULAR) and lower not in _NO_PLURALS
    return items
