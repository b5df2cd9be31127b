#!/usr/bin/env python3
"""Write `keywords.py` in the folder of each task: its settings as typed keyword arguments.

Run `scripts/write_keywords.py` after a setting was added or changed; `tests/tasks/test_keywords.py` fails until then.
"""

from __future__ import annotations

import re
import types
import typing
from pathlib import Path
from typing import Any

from unspool.settings import Settings, aliases_of, describe
from unspool.tasks.catalog import TASKS
from unspool.tasks.entry import TaskEntry
from unspool.training.settings import TrainingSettings

TASKS_FOLDER = Path(__file__).resolve().parents[1] / "src" / "unspool" / "tasks"
WIDTH = 120

BASE = TASKS_FOLDER / "parts" / "keywords.py"

FILE = '''"""{about}; written by scripts/write_keywords.py, not by hand."""

from __future__ import annotations

{imports}

__all__ = ["{name}"]


class {name}({base}, total=False):
    """{about}."""

{fields}'''


def keywords() -> dict[Path, str]:
    """Return the text of each file: keywords of training, which all tasks take, and those of each task alone.

    Type checkers refuse `Classifier(epoch=3)` and `Classifier(epochs="3")` by them. A short name that stands for
    several settings of a task is no keyword.
    """
    fields = {name: _fields(entry.settings) for name, entry in TASKS.items()}
    training = _fields(TrainingSettings)
    shared = {name: text for name, text in training.items() if all(each.get(name) == text for each in fields.values())}
    files = {BASE: _file("TrainingKeywords", "TypedDict", "Keyword arguments of training, for every task", shared)}
    for task, own in fields.items():
        entry = TASKS[task]
        rest = {name: text for name, text in own.items() if name not in shared}
        about = f"Settings of {entry.task} as typed keyword arguments"
        files[path_of(entry)] = _file(f"{entry.task}Keywords", "TrainingKeywords", about, rest)
    return files


def path_of(entry: TaskEntry) -> Path:
    """Return the path of a task's file of keywords."""
    return TASKS_FOLDER / entry.name / "keywords.py"


def _file(name: str, base: str, about: str, fields: dict[str, str]) -> str:
    """Return the text of one file, with the imports that it uses."""
    lines = _lines(fields)
    used = {each for each in ("Any", "Cell", "Literal", "Mapping") if re.search(rf"\b{each}\b", lines)} | {base}
    modules = {
        "collections.abc": {"Mapping"},
        "typing": {"Any", "Literal", "TypedDict"},
        "unspool.cells": {"Cell"},
        "unspool.tasks.parts.keywords": {"TrainingKeywords"},
    }
    groups = (("collections.abc", "typing"), ("unspool.cells", "unspool.tasks.parts.keywords"))
    imports = [
        [
            f"from {module} import {', '.join(sorted(modules[module] & used))}"
            for module in group
            if modules[module] & used
        ]
        for group in groups
    ]
    text = "\n\n".join("\n".join(group) for group in imports if group)
    return FILE.format(name=name, base=base, about=about, imports=text, fields=lines)


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
    for path, text in keywords().items():
        path.write_text(text, encoding="utf-8")
