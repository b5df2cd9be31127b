#!/usr/bin/env python3
"""Write `keywords.py` in the folder of each task: its settings as typed keyword arguments.

Run `scripts/write_keywords.py` after a setting was added or changed; `tests/tasks/test_keywords.py` fails until then.
"""

from __future__ import annotations

import types
import typing
from pathlib import Path
from typing import Any

from unspool.settings import Settings, aliases_of, describe
from unspool.tasks.catalog import TASKS
from unspool.tasks.entry import TaskEntry

TASKS_FOLDER = Path(__file__).resolve().parents[1] / "src" / "unspool" / "tasks"
WIDTH = 120

FILE = '''"""Settings of {task} as typed keyword arguments; written by scripts/write_keywords.py, not by hand.

Only for type checkers: mypy refuses `{task}(epoch=3)` and `{task}(epochs="3")`.
A short name that stands for several settings of the task is no keyword; set those in a struct.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, {names}

from unspool.cells import Cell

__all__ = ["{task}Keywords"]


class {task}Keywords(TypedDict, total=False):
    """Settings of {task}."""

{fields}'''


def path_of(entry: TaskEntry) -> Path:
    """Return the path of a task's file of keywords."""
    return TASKS_FOLDER / entry.name / "keywords.py"


def keywords(entry: TaskEntry) -> str:
    """Return the text of a task's file of keywords."""
    fields = _lines(_fields(entry.settings))
    names = "Literal, TypedDict" if "Literal[" in fields else "TypedDict"
    return FILE.format(task=entry.task, names=names, fields=fields)


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
    for each in TASKS.values():
        path_of(each).write_text(keywords(each), encoding="utf-8")
