"""Slots with a fixed set of values: `Literal`, enums and `bool`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from random import Random
from typing import Any, ClassVar

from unspool.commands.grammar import Node, any_of
from unspool.commands.kinds.base import SlotKind
from unspool.commands.tokens import Match, Token, find_matches, match_whole, tokenize
from unspool.errors import CommandError, SlotError, printable
from unspool.settings import nearest

__all__ = ["BooleanKind", "Choice", "ChoiceKind", "is_spoken", "make_choices"]

_IN_SINGULAR = 0.2  # share of plurals that a sample has in the singular
_HYPHENS = ("-", "‐", "–")
_ABBREVIATIONS = frozenset((
    "km", "cm", "mm", "mi", "ft", "kg", "mg", "lb", "lbs", "oz", "ml", "cl", "dl", "gal", "pt", "qt", "mph", "kmh",
    "kph", "hz", "khz", "mhz", "kb", "mb", "gb", "tb", "kwh", "hr", "hrs", "min", "mins", "sec", "secs", "deg",
))  # fmt: skip
"""Words that are written short and said in full."""


@dataclass(frozen=True)
class Choice:
    """One value of a choice, and the words that mean it."""

    key: str | int | bool
    """The value in JSON: a literal, or the name of an enum's member."""
    forms: tuple[str, ...]
    """Words and symbols that mean the value: `plus`, `+`."""
    value: Any = field(default=None, compare=False)
    """The value that the function gets; the key where the author's code is absent."""

    @property
    def spoken(self) -> str:
        """The first form that can be spoken: one with a letter or digit."""
        return next(filter(is_spoken, self.forms))


@dataclass(frozen=True)
class ChoiceKind(SlotKind):
    """`Literal` or an enum: its values, their synonyms, singular and plural, in any case, with or without hyphens.

    A synonym may be a symbol, such as `+`. Each value needs one form that people can say.
    """

    choices: tuple[Choice, ...]

    name: ClassVar[str] = "choice"
    example: ClassVar[str] = "light"

    def __post_init__(self) -> None:
        owners: dict[tuple[str, ...], Choice] = {}
        for choice in self.choices:
            if not any(map(is_spoken, choice.forms)):
                raise CommandError(f"{choice.key!r} has no letter or digit; add a synonym, written as people say it")
            for form in choice.forms:
                words = _words_of(form)
                if not words:
                    raise CommandError(f"a synonym of {choice.key!r} is empty; leave it out")
                other = owners.setdefault(words, choice)
                if other is not choice:
                    raise CommandError(f"{form!r} means both {other.key!r} and {choice.key!r}; keep one of them")

    @property
    def forms(self) -> tuple[str, ...]:
        """All words and symbols that mean a value."""
        return tuple(form for choice in self.choices for form in choice.forms)

    @property
    def spoken_forms(self) -> tuple[str, ...]:
        """All words that mean a value, without symbols, and without abbreviations where a value has full words."""
        forms: list[str] = []
        for choice in self.choices:
            spoken = [form for form in choice.forms if is_spoken(form)]
            forms += [form for form in spoken if not _is_abbreviation(form)] or spoken
        return tuple(forms)

    def parse(self, text: str, now: datetime) -> Any:
        choice = match_whole(text, self._match) or match_whole(text.strip().removeprefix("the "), self._match)
        if choice is None:
            shown = printable(text if len(text) <= 60 else f"{text[:60]}…")
            names = ", ".join(choice.spoken for choice in self.choices[:8])
            more = f" and {len(self.choices) - 8} others" if len(self.choices) > 8 else ""
            raise SlotError(f"'{shown}' is not one of {names}{more}{nearest(text.lower(), self.forms)}")
        return choice.value

    def find(self, text: str, now: datetime) -> list[tuple[int, int, Any]]:
        return [(start, end, choice.value) for start, end, choice in find_matches(text, self._match)]

    def sample(self, random: Random) -> str:
        form = random.choice(random.choice(self.choices).forms)
        words = _words_of(form)
        is_plural = form == " ".join(words) and _singular(words) != words and self._by_singular.get(_singular(words))
        return " ".join(_singular(words)) if is_plural and random.random() < _IN_SINGULAR else form

    def speak(self, value: Any) -> str:
        return self._choice_of(value).spoken

    def question(self, slot: str) -> str:
        names = [choice.spoken for choice in self.choices]
        if len(names) > 4:
            return f"Which {slot.replace('_', ' ')}?"
        return f"Which {slot.replace('_', ' ')}: {' or '.join(filter(None, (', '.join(names[:-1]), names[-1])))}?"

    def to_json(self, value: Any) -> str | int | bool:
        return self._choice_of(value).key

    def from_json(self, value: Any) -> Any:
        for choice in self.choices:
            if type(choice.key) is type(value) and choice.key == value:
                return choice.value
        raise SlotError(f"{value!r} is not one of {', '.join(str(choice.key) for choice in self.choices)}")

    def grammar(self) -> Node:
        return any_of(*self.spoken_forms)

    def record(self) -> dict[str, Any]:
        return super().record() | {"choices": [[choice.key, list(choice.forms)] for choice in self.choices]}

    @cached_property
    def _by_words(self) -> dict[tuple[str, ...], Choice]:
        return {_words_of(form): choice for choice in self.choices for form in choice.forms}

    @cached_property
    def _by_singular(self) -> dict[tuple[str, ...], Choice | None]:
        """Choices by their words in the singular; None where two differ only by number."""
        choices: dict[tuple[str, ...], Choice | None] = {}
        for words, choice in self._by_words.items():
            key = _singular(words)
            choices[key] = choice if choices.get(key, choice) is choice else None
        return choices

    @cached_property
    def _longest(self) -> int:
        return max(len(words) for words in self._by_words)

    def _match(self, tokens: list[Token], start: int) -> Match[Choice] | None:
        words: list[str] = []
        ends: list[int] = []
        for index in range(start, len(tokens)):
            if words and _is_hyphen(tokens, index):
                continue
            words.append(tokens[index].text)
            ends.append(index + 1)
            if len(words) == self._longest:
                break
        for length in range(len(words), 0, -1):
            form = tuple(words[:length])
            choice = self._by_words.get(form) or self._by_singular.get(_singular(form))
            if choice is not None:
                return ends[length - 1], choice
        return None

    def _choice_of(self, value: Any) -> Choice:
        for choice in self.choices:
            if choice.value is value or (type(choice.value) is type(value) and choice.value == value):
                return choice
        raise SlotError(f"{value!r} is not one of {', '.join(str(choice.key) for choice in self.choices)}")


@dataclass(frozen=True)
class BooleanKind(ChoiceKind):
    """`bool`: `on`, `yes`, `true` or `off`, `no`, `false`."""

    choices: tuple[Choice, ...] = (
        Choice(True, ("on", "yes", "true"), True),
        Choice(False, ("off", "no", "false"), False),
    )

    name: ClassVar[str] = "boolean"

    def question(self, slot: str) -> str:
        return f"{slot.replace('_', ' ').capitalize()}: on or off?"


def make_choices(
    values: Sequence[tuple[str | int | bool, str, Any]], synonyms: Mapping[str, Sequence[str]]
) -> tuple[Choice, ...]:
    """Return choices with their synonyms.

    Args:
        values: Key, main word and value of each choice.
        synonyms: More words by the key or the main word of a choice.

    Raises:
        CommandError: If a synonym is of no choice.
    """
    choices = []
    used = set()
    for key, form, value in values:
        more = [word for name in dict.fromkeys((str(key), form)) if name in synonyms for word in synonyms[name]]
        used |= {str(key), form}
        choices.append(Choice(key, tuple(dict.fromkeys((form, *more))), value))
    for name in synonyms:
        if name not in used:
            names = [form for _, form, _ in values]
            raise CommandError(f"synonyms of {name!r}: the choices are {', '.join(names)}{nearest(name, names)}")
    return tuple(choices)


def _is_abbreviation(form: str) -> bool:
    """Return whether a form is written short and said in full: a letter, or a unit such as `lb` or `°C`."""
    letters = "".join(letter for letter in form.lower() if letter.isalnum())
    return " " not in form and (letters in _ABBREVIATIONS or (len(letters) == 1 and letters.isalpha()))


def is_spoken(form: str) -> bool:
    """Return whether people can say a form: it has a letter or digit."""
    return any(letter.isalnum() for letter in form)


def _words_of(form: str) -> tuple[str, ...]:
    tokens = tokenize(form)
    return tuple(token.text for index, token in enumerate(tokens) if not _is_hyphen(tokens, index))


def _is_hyphen(tokens: list[Token], index: int) -> bool:
    """Return whether a token joins the words on both sides: `to-do`."""
    if tokens[index].text not in _HYPHENS or not 0 < index < len(tokens) - 1:
        return False
    joined = tokens[index].glued and tokens[index + 1].glued
    return joined and tokens[index - 1].text.isalpha() and tokens[index + 1].text.isalpha()


def _singular(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return words with the last one in the singular, by its spelling."""
    *first, last = words
    if len(last) > 4 and last.endswith("ies"):
        last = f"{last[:-3]}y"
    elif len(last) > 4 and last.endswith(("ches", "shes", "sses", "xes")):
        last = last[:-2]
    elif len(last) > 3 and last.endswith("s") and not last.endswith("ss"):
        last = last[:-1]
    return (*first, last)
