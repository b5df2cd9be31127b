#!/usr/bin/env python3
"""Write src/unspool/tasks/keywords.py: the settings of each task as typed keyword arguments.

Run `scripts/write_keywords.py` after a setting was added or changed; `tests/tasks/test_keywords.py` fails until then.
"""

from __future__ import annotations

import types
import typing
from pathlib import Path
from typing import Any

from unspool.settings import Settings, aliases_of, describe
from unspool.tasks.catalog import TASKS

PATH = Path(__file__).resolve().parents[1] / "src" / "unspool" / "tasks" / "keywords.py"
WIDTH = 120

HEAD = '''"""The settings of each task as typed keyword arguments; written by scripts/write_keywords.py, not by hand.

Only for type checkers: `Classifier(hiden=3)` and `Classifier(hidden="3")` are errors of mypy. A short name that
stands for several settings of a task is no keyword; set those in a struct (`AssistantSettings(memory=...)`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from unspool.cells import Cell

__all__ = [
{names}]


class _Keywords(TypedDict, total=False):
    """What all tasks have."""

{shared}'''

CLASS = '''

class {name}(_Keywords, total=False):
    """Settings of {task}."""

{fields}'''


def keywords() -> str:
    """Return the text of the file."""
    fields = {f"{entry.task}Keywords": _fields(entry.settings) for entry in TASKS.values()}
    first, *others = fields.values()
    shared = {name: text for name, text in first.items() if all(other.get(name) == text for other in others)}
    head = HEAD.format(names="".join(f'    "{name}",\n' for name in sorted(fields)), shared=_lines(shared))
    classes = [
        CLASS.format(
            name=name,
            task=name.removesuffix("Keywords"),
            fields=_lines({key: text for key, text in own.items() if key not in shared}),
        )
        for name, own in fields.items()
    ]
    return "".join([head, *classes])


def _fields(settings: type[Settings]) -> dict[str, str]:
    """The annotation of each setting and alias that a single word names."""
    known = describe(settings)
    shorts = [setting.short for setting in known.values()]
    fields: dict[str, str] = {}
    for name, setting in known.items():
        if shorts.count(setting.short) == 1 or name == setting.short:
            text = "str | type[Cell[Any]]" if setting.short == "cell" else _annotation(setting.type)
            fields |= dict.fromkeys([setting.short, *aliases_of(setting.short, settings)], text)
            if setting.short == "cell":
                fields["cell_options"] = "Mapping[str, object] | None"
    return fields


def _annotation(kind: Any) -> str:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _annotation(arguments[0])
    if origin is typing.Literal:
        return "Literal[" + ", ".join(f'"{choice}"' for choice in arguments) + "]"
    if origin in (typing.Union, types.UnionType):
        return " | ".join(map(_annotation, arguments))
    if origin is not None:
        return f"{origin.__name__}[{', '.join(map(_annotation, arguments))}]"
    if kind in (type(None), ...):
        return "None" if kind is type(None) else "..."
    return str(kind.__name__)


def _lines(fields: dict[str, str]) -> str:
    """A line for each field; a long choice has a line for each value, as ruff formats it."""
    lines = []
    for name, text in fields.items():
        line = f"    {name}: {text}\n"
        if len(line) > WIDTH:
            inside, bracket, rest = text.partition("]")
            choices = inside.removeprefix("Literal[").split(", ")
            inner = "".join(f"        {choice},\n" for choice in choices)
            line = f"    {name}: Literal[\n{inner}    {bracket}{rest}\n"
        lines.append(line)
    return "".join(lines)


if __name__ == "__main__":
    PATH.write_text(keywords(), encoding="utf-8")
