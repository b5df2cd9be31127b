"""Slots of integers and numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any, ClassVar

from unspool.commands.english import samples, spoken
from unspool.commands.english.numbers import Number, ends_number, match_number, number_words
from unspool.commands.grammar import Node
from unspool.commands.kinds.base import SlotKind
from unspool.commands.tokens import Match, Token, find_matches, match_whole, word_at
from unspool.errors import SlotError

__all__ = ["IntegerKind", "NumberKind"]


@dataclass(frozen=True)
class IntegerKind(SlotKind):
    """`int`: `20`, `1,250`, `a hundred and twenty-one`, `minus three`, `a dozen`, `20 percent`."""

    name: ClassVar[str] = "integer"
    example: ClassVar[str] = "twenty-one"

    def parse(self, text: str, now: datetime) -> int:
        number = match_whole(text, match_number)
        if number is None or number.value.denominator != 1:
            raise self._refuse(text)
        return number.integer

    def find(self, text: str, now: datetime) -> list[tuple[int, int, int]]:
        numbers = find_matches(text, _match_sure)
        return [(start, end, number.integer) for start, end, number in numbers if number.value.denominator == 1]

    def sample(self, random: Random) -> str:
        return samples.sample_integer(random)[0]

    def speak(self, value: Any) -> str:
        return number_words(value)

    def question(self, slot: str) -> str:
        return f"What number is the {slot.replace('_', ' ')}?"

    def to_json(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise SlotError(f"{value!r} is not an int")
        return value

    def from_json(self, value: Any) -> int:
        return self.to_json(value)

    def grammar(self) -> Node:
        return spoken.INTEGER


@dataclass(frozen=True)
class NumberKind(SlotKind):
    """`float`: all that an integer may be, and `twenty point five`, `two and a half`, `three quarters`."""

    name: ClassVar[str] = "number"
    example: ClassVar[str] = "twenty point five"

    def parse(self, text: str, now: datetime) -> float:
        number = match_whole(text, match_number)
        if number is None:
            raise self._refuse(text)
        return float(number.value)

    def find(self, text: str, now: datetime) -> list[tuple[int, int, float]]:
        return [(start, end, float(number.value)) for start, end, number in find_matches(text, _match_sure)]

    def sample(self, random: Random) -> str:
        return samples.sample_number(random)[0]

    def speak(self, value: Any) -> str:
        return number_words(value)

    def question(self, slot: str) -> str:
        return f"What number is the {slot.replace('_', ' ')}?"

    def to_json(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise SlotError(f"{value!r} is not a finite number")
        return value

    def from_json(self, value: Any) -> float:
        return self.to_json(value)

    def grammar(self) -> Node:
        return spoken.NUMBER


def _match_sure(tokens: list[Token], start: int) -> Match[Number] | None:
    """Match a number that is not a part of a time, a date, an ordinal or a word."""
    match = match_number(tokens, start)
    if match is None or not match[1].sure:
        return None
    end, _ = match
    before, after = word_at(tokens, start - 1), word_at(tokens, end)
    if word_at(tokens, start) in ("minus", "-", "−") and ends_number(tokens, start):
        return None  # `five minus three`: an operation, no sign
    if start and tokens[start].glued and (before in (":", "/", "-", ".") or before.isalnum()):
        return None
    is_glued = end < len(tokens) and tokens[end].glued
    if is_glued and after == "." and word_at(tokens, end + 1).isdigit():
        return None
    if is_glued and (after in (":", "/", "-") or (after.isalnum() and after not in ("x", "k"))):
        goes_on = end + 1 < len(tokens) and tokens[end + 1].glued
        if after.isalnum() or goes_on:
            return None
    return match
