"""Options of a cell in brackets, such as `ntm(slots=32)`: parser, formatter, check against the signature."""

from __future__ import annotations

import inspect
import json
import math
import numbers
import re
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from unspool.errors import SettingError
from unspool.settings import nearest

__all__ = ["Option", "Options", "check_options", "plain_options", "read_options", "spell_options", "split_name"]

Option = bool | int | float | str | None
Options = Mapping[str, Option]

_NAME = re.compile(r"(?P<base>[\w-]+|.+?:[\w.<>]+)\s*\((?P<options>.*)\)", re.DOTALL)
_PART = re.compile(
    r"""\s*(?P<name>[^\W\d]\w*)\s*=\s*(?P<value>"(?:[^"\\]|\\.)*"|'[^'\\]*'|[^,"'()=]+?)\s*(?:,|$)""", re.DOTALL
)
_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_WORD = re.compile(r"[^\W\d][\w.-]*")
_CONSTANTS = {"true": True, "false": False, "none": None}
_NOT_FINITE = ("nan", "inf", "infinity")
_LONGEST = 10_000  # maximum characters between the brackets
_LARGEST = 2**63 - 1
_EXAMPLE = "write them as in ntm(slots=32, width=8) or my_cell.py:MyCell(rate=0.9, gate=false)"
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", types.NoneType: "none"}


def split_name(name: str) -> tuple[str, str | None]:
    """Split a cell's name into the name itself and the text in the brackets, or None without brackets."""
    match = _NAME.fullmatch(name.strip())
    return (match["base"], match["options"]) if match else (name, None)


def read_options(name: str) -> dict[str, Option]:
    """Parse the options in the brackets of a cell's name: numbers, `true`, `false`, `none`, and texts.

    Raises:
        SettingError: If a part is not `name=value`, or a name occurs twice.
    """
    text = split_name(name)[1] or ""
    if len(text) > _LONGEST:
        raise SettingError(f"a cell with {len(text):,} characters of options: expected at most {_LONGEST:,}")
    options: dict[str, Option] = {}
    place = 0
    while text[place:].strip():
        match = _PART.match(text, place)
        if match is None:
            part = text[place:].partition(",")[0].strip()
            raise SettingError(f"cell {name!r}: {part!r} is no option; {_EXAMPLE}")
        if match["name"] in options:
            raise SettingError(f"cell {name!r}: {match['name']} occurs twice; write it once")
        options[match["name"]] = _read_value(name, match["name"], match["value"])
        place = match.end()
    return options


def plain_options(options: Mapping[str, object]) -> dict[str, Option]:
    """Check options from Python: each value is a finite number, a boolean, a text, or None.

    Raises:
        SettingError: If a name is no identifier, or a value has another type.
    """
    return {name: _plain_value(name, value) for name, value in options.items()}


def spell_options(base: str, options: Options) -> str:
    """Format a cell's name with options, sorted by name; `lstm` alone without options."""
    if not options:
        return base
    return f"{base}({', '.join(f'{name}={_spell(options[name])}' for name in sorted(options))})"


def check_options(kind: type[Any], cell: str, options: Options) -> dict[str, Any]:
    """Check options against the signature of a cell class, and those of its parents if it takes `**kwargs`.

    Args:
        kind: The class; the first two arguments of its `__init__` are the input size and the hidden size.
        cell: Name of the cell in messages.
        options: Options by name.

    Returns:
        The options; integers become floats where the signature has a float.

    Raises:
        SettingError: If an option is unknown or missing, or its value has another type.
    """
    parameters = dict(_parameters(kind))
    for name in options:
        if name not in parameters:
            others = (
                f"its options are {', '.join(parameters)}"
                if parameters
                else "it has no options beside its input and hidden size"
            )
            raise SettingError(f"the cell {cell!r} has no option {name!r}{nearest(name, parameters)}; {others}")
    missing = [name for name, (one, _) in parameters.items() if one.default is one.empty and name not in options]
    if missing:
        example = spell_options(cell, dict.fromkeys(missing, "...")).replace('"', "")
        raise SettingError(f"the cell {cell!r} needs a value for {' and '.join(missing)}; write {example}")
    return {name: _convert(cell, *parameters[name], value) for name, value in options.items()}


def _parameters(kind: type[Any]) -> Iterator[tuple[str, tuple[inspect.Parameter, Any]]]:
    """Iterate over the options of a cell class, with their annotations."""
    names: set[str] = set()
    for base in kind.__mro__:
        if "__init__" not in vars(base):
            continue
        function = vars(base)["__init__"]
        parameters = list(inspect.signature(function).parameters.values())
        hints = _type_hints(function)
        for place, each in enumerate(parameters):
            sized = each.kind is each.POSITIONAL_OR_KEYWORD and place > 2  # after self and the two sizes
            if (sized or each.kind is each.KEYWORD_ONLY) and each.name not in names:
                names.add(each.name)
                yield each.name, (each, hints.get(each.name, _hint_of(each.default)))
        if not any(each.kind is each.VAR_KEYWORD for each in parameters):
            return


def _type_hints(function: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except Exception:  # names that exist only for type checkers
        return {}


def _hint_of(default: object) -> Any:
    """Return the type of an option without annotation, by its default."""
    return {bool: bool, int: int | float, float: float, str: str}.get(type(default), Any)


def _convert(cell: str, parameter: inspect.Parameter, hint: Any, value: Option) -> Any:
    try:
        return msgspec.convert(value, hint, strict=True)
    except msgspec.ValidationError:
        pass
    except TypeError:  # an annotation that msgspec does not support
        return value
    raise SettingError(f"the cell {cell!r}: {parameter.name} = {_spell(value)}: expected {_expectation(hint)}")


def _expectation(hint: Any) -> str:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return f"one of {', '.join(map(_spell, inner))}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_expectation(each) for each in inner if not (each is int and float in inner))
    return _WORDS.get(hint, getattr(hint, "__name__", str(hint)))


def _read_value(cell: str, name: str, text: str) -> Option:
    if text[0] == "'":
        return text[1:-1]
    if text[0] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            raise SettingError(f"cell {cell!r}: {name}={text} is no text as JSON writes it") from None
    if text.lower() in _CONSTANTS:
        return _CONSTANTS[text.lower()]
    if _INTEGER.fullmatch(text) and abs(int(text)) <= _LARGEST:
        return int(text)
    if _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    if _WORD.fullmatch(text) and text.lower() not in _NOT_FINITE:
        return text
    raise SettingError(
        f"cell {cell!r}: {name}={text}: expected a finite number, true or false, none, or a text (in quotes, "
        f"unless it is a word); {_EXAMPLE}"
    )


def _plain_value(name: str, value: object) -> Option:
    if not name.isidentifier():
        raise SettingError(f"cell_options: {name!r} is no name of an argument")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, numbers.Integral) and abs(int(value)) <= _LARGEST:
        return int(value)
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral) and math.isfinite(value):
        return float(value)
    raise SettingError(
        f"cell_options: {name} = {value!r}: expected a finite number, True or False, a text, or None; "
        f"a model folder can't store other values, so create them inside the cell"
    )


def _spell(value: Option) -> str:
    if isinstance(value, str):
        is_word = _WORD.fullmatch(value) and value.lower() not in (*_CONSTANTS, *_NOT_FINITE)
        return value if is_word else json.dumps(value)
    return repr(value)
