"""The kind of a slot from the annotation of an argument."""

from __future__ import annotations

import collections.abc
import enum
import types
import typing
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Literal, NamedTuple

from unspool.commands.english.numbers import number_words
from unspool.commands.kinds.base import SlotKind
from unspool.commands.kinds.choice import BooleanKind, ChoiceKind, make_choices
from unspool.commands.kinds.lists import ListKind
from unspool.commands.kinds.moments import DateKind, DatetimeKind, DurationKind, TimeKind
from unspool.commands.kinds.numbers import IntegerKind, NumberKind
from unspool.commands.kinds.text import TextKind
from unspool.commands.phrases import topic_of
from unspool.errors import CommandError

__all__ = ["Annotation", "read_annotation"]

_EXPECTED = "str, int, float, bool, timedelta, time, date, datetime, Literal, an Enum, or a list of one of these"
_LISTS = (list, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection)


class Annotation(NamedTuple):
    """What an annotation says of a slot."""

    kind: SlotKind
    optional: bool
    """Whether None is a value."""
    question: str | None
    """The question of `Annotated[timedelta, "For how long?"]`."""


def read_annotation(
    annotation: Any,
    slot: str,
    *,
    synonyms: Mapping[str, Sequence[str] | str] | None = None,
    language: str = "en",
    day_first: bool = True,
) -> Annotation:
    """Return the kind of a slot.

    Args:
        annotation: A type, resolved if it was a text.
        slot: Name of the argument.
        synonyms: More words for the values of a choice.
        language: Language of times and dates.
        day_first: Whether 3/5/2027 is the third of May.

    Raises:
        CommandError: If there is no kind for the annotation, or a synonym is of no value.
        MissingExtraError: If the language needs a package that is not installed.
    """
    question = None
    if typing.get_origin(annotation) is Annotated:
        annotation, *notes = typing.get_args(annotation)
        question = next((note for note in notes if isinstance(note, str)), None)
    optional = False
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        options = typing.get_args(annotation)
        others = [option for option in options if option is not type(None)]
        optional = len(others) < len(options)
        if len(others) != 1:
            raise CommandError(f"argument {slot!r}: {_shown(annotation)} is one of several types; expected one")
        inner = read_annotation(others[0], slot, synonyms=synonyms, language=language, day_first=day_first)
        return inner._replace(optional=optional, question=question or inner.question)
    words = {key: (value,) if isinstance(value, str) else tuple(value) for key, value in (synonyms or {}).items()}
    try:
        kind = _kind(annotation, slot, words, language, day_first)
    except CommandError as error:
        raise CommandError(f"argument {slot!r}: {error.message}") from None
    if words and not isinstance(kind.item if isinstance(kind, ListKind) else kind, ChoiceKind):
        raise CommandError(f"argument {slot!r} has synonyms, but {_shown(annotation)} has no list of values")
    return Annotation(kind, optional, question)


def _kind(
    annotation: Any, slot: str, synonyms: Mapping[str, Sequence[str]], language: str, day_first: bool
) -> SlotKind:
    origin = typing.get_origin(annotation)
    if annotation in _LISTS or origin in _LISTS:
        inner = (typing.get_args(annotation) or (str,))[0]
        item = read_annotation(inner, slot, language=language, day_first=day_first, synonyms=synonyms or None)
        if item.optional or isinstance(item.kind, ListKind):
            raise CommandError(f"{_shown(annotation)}: expected a list of plain values, such as list[str]")
        return ListKind(item.kind)
    if origin is Literal:
        return ChoiceKind(make_choices([_literal(value) for value in typing.get_args(annotation)], synonyms))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return _enum_kind(annotation, synonyms)
    if annotation is bool:
        return _boolean_kind(synonyms)
    if annotation is timedelta and language.lower().partition("-")[0] != "en":
        raise CommandError(f"durations are read in English only; language={language!r} is for time, date and datetime")
    makers: dict[Any, typing.Callable[[], SlotKind]] = {
        int: IntegerKind,
        float: NumberKind,
        str: lambda: TextKind(topic_of(slot)),
        timedelta: DurationKind,
        time: lambda: TimeKind(language),
        date: lambda: DateKind(language, day_first),
        datetime: lambda: DatetimeKind(language, day_first),
    }
    try:
        maker = makers.get(annotation)
    except TypeError:  # not hashable
        maker = None
    if maker is None:
        raise CommandError(f"there are no values for {_shown(annotation)}; expected {_EXPECTED}")
    return maker()


def _literal(value: Any) -> tuple[str | int | bool, str, Any]:
    """Return the key, the main word and the value of a literal."""
    if isinstance(value, enum.Enum):
        return value.name, _spaced(value.name), value
    if isinstance(value, bool):
        return value, "on" if value else "off", value
    if isinstance(value, int):
        return value, number_words(value), value
    if isinstance(value, str):
        return value, _spaced(value) if value.islower() else value.replace("_", " "), value
    raise CommandError(f"Literal[{value!r}]: expected texts, integers or members of an enum")


def _enum_kind(annotation: type[enum.Enum], synonyms: Mapping[str, Sequence[str]]) -> ChoiceKind:
    """Return the choices of an enum: the names of its members, aliases, and values that are words."""
    if not annotation.__members__:
        raise CommandError(f"the enum {annotation.__name__} has no members")
    words = {key: list(value) for key, value in synonyms.items()}
    for name, member in annotation.__members__.items():
        forms = words.setdefault(member.name, [])
        if name != member.name:
            forms.append(_spaced(name))
        if isinstance(member.value, str) and member.value.replace(" ", "").isalpha():
            forms.append(member.value.lower())
    return ChoiceKind(make_choices([_literal(member) for member in annotation], words))


def _boolean_kind(synonyms: Mapping[str, Sequence[str]]) -> BooleanKind:
    if not synonyms:
        return BooleanKind()
    choices = []
    used: set[str] = set()
    for choice in BooleanKind().choices:
        names = {str(choice.key), *choice.forms} & synonyms.keys()
        used |= names
        more = [word for name in sorted(names) for word in synonyms[name]]
        choices.append(type(choice)(choice.key, (*choice.forms, *more), choice.value))
    for name in synonyms.keys() - used:
        raise CommandError(f"synonyms of {name!r}: expected those of 'on' and 'off'")
    return BooleanKind(tuple(choices))


def _spaced(name: str) -> str:
    return " ".join(name.replace("_", " ").replace("-", " ").lower().split())


def _shown(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) and not typing.get_args(annotation) else str(annotation)
