"""`command`: the decorator that makes a function a command, with its templates, examples and slots."""

from __future__ import annotations

import inspect
import math
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar

from unspool.commands.annotations import read_annotation
from unspool.commands.kinds.base import SlotKind
from unspool.commands.template import Template, fixed_places, most_places, parse_example, parse_template
from unspool.errors import CommandError, SlotError
from unspool.settings import nearest

__all__ = ["Command", "Slot", "command", "command_of"]

F = TypeVar("F", bound=Callable[..., Any])

_NAME = re.compile(r"\w[\w .-]{0,63}")


@dataclass(frozen=True)
class Slot:
    """One argument of a command's function."""

    name: str
    kind: SlotKind
    required: bool = True
    default: Any = None
    question: str = ""
    """What a dialogue asks when the value is missing: `How long?`."""


@dataclass(frozen=True)
class Command:
    """A command: one intent of a model, and the function that carries it out."""

    name: str
    templates: tuple[str, ...]
    examples: tuple[str, ...] = ()
    confirm: bool = False
    """Whether a dialogue asks before it calls the function."""
    limit: float = 10.0
    """Most seconds that the function may take."""
    slots: tuple[Slot, ...] = ()
    description: str = ""
    """First line of the function's docstring."""
    function: Callable[..., Any] | None = field(default=None, compare=False)
    """None where the author's code is absent, as in a model folder."""
    where: str | None = field(default=None, compare=False)
    """The function's `file:line`."""

    def __post_init__(self) -> None:
        self._check()

    def slot(self, name: str) -> Slot:
        """Return a slot by its name.

        Raises:
            KeyError: If there is none.
        """
        for slot in self.slots:
            if slot.name == name:
                return slot
        raise KeyError(f"command {self.name!r} has no slot {name!r}")

    def unfilled(self, values: Mapping[str, Any]) -> tuple[Slot, ...]:
        """Return the required slots that have no value yet, in the order of the arguments."""
        return tuple(slot for slot in self.slots if slot.required and slot.name not in values)

    @cached_property
    def parsed_templates(self) -> tuple[Template, ...]:
        """The templates as trees."""
        return tuple(parse_template(template) for template in self.templates)

    @cached_property
    def parsed_examples(self) -> tuple[Template, ...]:
        """The examples, cut at marked values."""
        return tuple(parse_example(example) for example in self.examples)

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(slot.name for slot in self.slots)

    def _check(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise CommandError(f"{self.name!r} is no name of a command; expected letters, digits, '_', '-', at most 64")
        if not self.templates and not self.examples:
            raise CommandError(
                f"{self.name} has no template; expected one such as @command('set a timer for {{length}}')"
            )
        is_number = isinstance(self.limit, int | float) and not isinstance(self.limit, bool)
        if not is_number or not (math.isfinite(self.limit) and self.limit > 0):
            raise CommandError(f"{self.name}: limit={self.limit!r}; expected seconds above 0")
        for template in (*self.parsed_templates, *self.parsed_examples):
            for name in template.slots:
                if name not in self._names:
                    raise CommandError(
                        f"{self.name} has no argument {name!r}, which {template.source!r} names; "
                        f"its arguments: {', '.join(self._names) or 'none'}{nearest(name, self._names)}"
                    )
                if most_places(template.parts, name) > 1:
                    raise CommandError(f"{self.name}: a sentence of {template.source!r} holds {{{name}}} twice")
            for place in fixed_places(template.parts):
                try:
                    self.slot(place.slot).kind.parse(place.value or "", datetime.now())
                except SlotError as error:
                    raise CommandError(f"{self.name}: {template.source!r}: {error.message}") from None


def command(
    *templates: str,
    examples: Sequence[str] = (),
    confirm: bool = False,
    limit: float = 10.0,
    name: str | None = None,
    synonyms: Mapping[str, Mapping[str, Sequence[str] | str]] | None = None,
    language: str = "en",
    day_first: bool = True,
) -> Callable[[F], F]:
    """Make a function a command. The function stays as it is; `command_of` returns its `Command`.

    Args:
        templates: Sentences with places of arguments: `turn {state} the {device} [in the {room}]`; a place may fix
            its value: `{state=dim} the {device}`.
        examples: Whole sentences, in which values may be marked: `put {item=oat milk} on my list`.
        confirm: Whether a dialogue asks before it calls the function.
        limit: Most seconds that the function may take.
        name: Name of the command; the function's name if omitted.
        synonyms: More words for the values of a choice, by argument and value: `{"device": {"light": ["lamp"]}}`.
        language: Language of times and dates, as `de`; others than English need the extra `dates`.
        day_first: Whether 3/5/2027 is the third of May, not the fifth of March.

    Raises:
        CommandError: If a template names an unknown argument, an annotation has no kind, or a template is malformed.
        MissingExtraError: If the language needs a package that is not installed.
    """
    if len(templates) == 1 and callable(templates[0]):
        function = typing.cast(Any, templates[0])
        raise CommandError(
            f"{function.__name__} has no template; write @command('set a timer for {{length}}')", _where(function)
        )

    def decorate(function: F) -> F:
        scope = sys._getframe(1).f_locals  # where an enum of the annotations may be defined
        where = _where(function)
        try:
            if getattr(function, "__command__", None) is not None:
                raise CommandError(f"{function.__name__} is a command already; pass all templates to one @command")
            for text in (*templates, *([examples] if isinstance(examples, str) else examples)):
                if not isinstance(text, str):
                    raise CommandError(f"{function.__name__}: the template {text!r} is not a text")
            made = Command(
                name=function.__name__ if name is None else name,
                templates=tuple(dict.fromkeys(templates)),
                examples=(examples,) if isinstance(examples, str) else tuple(dict.fromkeys(examples)),
                confirm=confirm,
                limit=limit,
                slots=_slots_of(function, synonyms or {}, language, day_first, scope),
                description=(inspect.getdoc(function) or "").partition("\n")[0].strip(),
                function=function,
                where=where,
            )
        except CommandError as error:
            raise CommandError(error.message, where) from None
        function.__command__ = made  # type: ignore[attr-defined]
        return function

    return decorate


def command_of(function: Callable[..., Any]) -> Command:
    """Return the command of a decorated function.

    Raises:
        CommandError: If the function is not decorated.
    """
    made = getattr(function, "__command__", None)
    if not isinstance(made, Command):
        name = getattr(function, "__name__", repr(function))
        raise CommandError(f"{name} is not a command; put @command('...') above its definition")
    return made


def _slots_of(
    function: Callable[..., Any],
    synonyms: Mapping[str, Mapping[str, Sequence[str] | str]],
    language: str,
    day_first: bool,
    scope: Mapping[str, Any],
) -> tuple[Slot, ...]:
    name = function.__name__
    try:
        arguments = {each: hint for each, hint in function.__annotations__.items() if each != "return"}
        hints = typing.get_type_hints(
            types.SimpleNamespace(__annotations__=arguments),
            globalns=getattr(inspect.unwrap(function), "__globals__", {}),
            localns=dict(scope),
            include_extras=True,
        )
    except Exception as error:
        raise CommandError(f"{name}: an annotation can't be read: {error}") from None
    parameters = inspect.signature(function).parameters
    for argument in synonyms:
        if argument not in parameters:
            raise CommandError(
                f"{name}: synonyms for {argument!r}, which is no argument{nearest(argument, parameters)}"
            )
    slots = []
    for argument, parameter in parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise CommandError(f"{name}: the argument {parameter} can't be a slot; expected arguments with names")
        if argument not in hints:
            raise CommandError(f"{name}: the argument {argument!r} has no type; write {argument}: str, or another type")
        try:
            found = read_annotation(
                hints[argument], argument, synonyms=synonyms.get(argument), language=language, day_first=day_first
            )
        except CommandError as error:
            raise CommandError(f"{name}: {error.message}") from None
        has_default = parameter.default is not parameter.empty
        slots.append(
            Slot(
                argument,
                found.kind,
                required=not (has_default or found.optional),
                default=parameter.default if has_default else None,
                question=found.question or found.kind.question(argument),
            )
        )
    return tuple(slots)


def _where(function: Callable[..., Any]) -> str | None:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return None if code is None else f"{code.co_filename}:{code.co_firstlineno}"
