"""Commands as JSON in a model folder, without functions. The reader checks every type and size."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from unspool.commands.definition import Command, Slot
from unspool.commands.kinds.base import SlotKind
from unspool.commands.kinds.choice import BooleanKind, Choice, ChoiceKind
from unspool.commands.kinds.lists import ListKind
from unspool.commands.kinds.moments import DateKind, DatetimeKind, DurationKind, TimeKind
from unspool.commands.kinds.numbers import IntegerKind, NumberKind
from unspool.commands.kinds.text import TextKind
from unspool.commands.phrases import TOPICS
from unspool.errors import CommandError, ModelFolderError, SlotError

__all__ = ["commands_from_record", "kind_from_record", "record_of_commands"]

_Name = Annotated[str, Meta(min_length=1, max_length=100)]
_Text = Annotated[str, Meta(min_length=1, max_length=1000)]
_Sentence = Annotated[str, Meta(max_length=1000)]


class _Kind(Struct, forbid_unknown_fields=True):
    kind: _Name
    language: Annotated[str, Meta(max_length=20)] = "en"
    day_first: bool = True
    topic: _Name = "any"
    choices: Annotated[
        list[tuple[bool | int | _Text, Annotated[list[_Text], Meta(min_length=1, max_length=1000)]]],
        Meta(max_length=10000),
    ] = []
    item: _Kind | None = None


class _Slot(Struct, forbid_unknown_fields=True):
    name: _Name
    kind: _Kind
    required: bool
    question: _Sentence
    default: Any = None


class _Command(Struct, forbid_unknown_fields=True):
    name: _Name
    templates: Annotated[list[_Text], Meta(max_length=1000)]
    examples: Annotated[list[_Text], Meta(max_length=10000)]
    confirm: bool
    limit: Annotated[float, Meta(gt=0, le=1e9)]
    description: _Sentence
    slots: Annotated[list[_Slot], Meta(max_length=100)]


class _Commands(Struct, forbid_unknown_fields=True):
    commands: Annotated[list[_Command], Meta(min_length=1, max_length=1000)]


def record_of_commands(commands: Iterable[Command]) -> dict[str, Any]:
    """Return commands as JSON. A default that is no value of its slot is left out."""
    return {
        "commands": [
            {
                "name": command.name,
                "templates": list(command.templates),
                "examples": list(command.examples),
                "confirm": command.confirm,
                "limit": float(command.limit),
                "description": command.description[:1000],
                "slots": [_record_of_slot(slot) for slot in command.slots],
            }
            for command in commands
        ]
    }


def commands_from_record(record: object) -> tuple[Command, ...]:
    """Return the commands of a record, without functions. The members of an enum are their names.

    Raises:
        ModelFolderError: If the record is damaged.
    """
    try:
        commands = msgspec.convert(record, _Commands, strict=True).commands
        return tuple(
            Command(
                name=command.name,
                templates=tuple(command.templates),
                examples=tuple(command.examples),
                confirm=command.confirm,
                limit=command.limit,
                description=command.description,
                slots=tuple(_slot(slot) for slot in command.slots),
            )
            for command in commands
        )
    except (msgspec.ValidationError, RecursionError) as error:
        raise ModelFolderError(f"the commands of the model are damaged: {error}") from None
    except (CommandError, SlotError) as error:
        raise ModelFolderError(f"the commands of the model are damaged: {error.message}") from None


def kind_from_record(record: object) -> SlotKind:
    """Return the kind of a record.

    Raises:
        ModelFolderError: If the record is damaged.
    """
    try:
        return _kind(msgspec.convert(record, _Kind, strict=True))
    except (msgspec.ValidationError, RecursionError) as error:
        raise ModelFolderError(f"a slot's kind is damaged: {error}") from None
    except CommandError as error:
        raise ModelFolderError(f"a slot's kind is damaged: {error.message}") from None


def _record_of_slot(slot: Slot) -> dict[str, Any]:
    try:
        default = None if slot.default is None else slot.kind.to_json(slot.default)
    except SlotError:
        default = None
    return {
        "name": slot.name,
        "kind": slot.kind.record(),
        "required": slot.required,
        "question": slot.question[:1000],
        "default": default,
    }


def _slot(record: _Slot) -> Slot:
    kind = _kind(record.kind)
    default = None if record.default is None else kind.from_json(record.default)
    return Slot(record.name, kind, record.required, default, record.question)


def _kind(record: _Kind) -> SlotKind:
    choices = tuple(Choice(key, tuple(forms), key) for key, forms in record.choices)
    match record.kind:
        case IntegerKind.name:
            return IntegerKind()
        case NumberKind.name:
            return NumberKind()
        case DurationKind.name:
            return DurationKind()
        case TimeKind.name:
            return TimeKind(record.language)
        case DateKind.name:
            return DateKind(record.language, record.day_first)
        case DatetimeKind.name:
            return DatetimeKind(record.language, record.day_first)
        case BooleanKind.name if [choice.key for choice in choices] == [True, False]:
            return BooleanKind(choices)
        case ChoiceKind.name if choices:
            return ChoiceKind(choices)
        case TextKind.name if record.topic in (*TOPICS, "any"):
            return TextKind(record.topic)
        case ListKind.name if record.item is not None and record.item.item is None:
            return ListKind(_kind(record.item))
    raise CommandError(f"there is no kind {record.kind!r} with these fields")
