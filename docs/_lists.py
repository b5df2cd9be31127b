"""Lists of the site that come from the code: the navigation, and tables of cells, networks, tasks, guides and names.

A page marks the place of a table with `<!-- cells -->` and `<!-- /cells -->`. The text between the marks is for readers
of the source; the site shows the table in its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

import unspool
from unspool import cells
from unspool.cells import CELLS
from unspool.cells.names import cell_files
from unspool.server.settings import ServerSettings
from unspool.settings import describe
from unspool.tasks import TASKS

__all__ = ["GROUPS", "NETWORKS", "PACKAGES", "TABLES", "fill", "navigation", "on_config", "on_page_markdown", "opening"]

_FOLDER = Path(__file__).parent
_PLACE = re.compile(r"<!-- (?P<name>[a-z]+) -->\n.*?<!-- /(?P=name) -->", re.DOTALL)
_OPENING = re.compile(r"# (?P<title>[^\n]+)\n\n(?P<sentence>\w.+?[.?!])(?=\s)", re.DOTALL)
_LINK = re.compile(r"\[([^]]+)\]\([^)]+\)")

NAMES = tuple(sorted({*unspool.__all__, *dir(unspool)}))
PACKAGES = tuple(name for name in NAMES if isinstance(getattr(unspool, name), ModuleType))
NETWORKS = tuple(TASKS["translate"].networks)

GROUPS: dict[str, dict[str, str]] = {
    "tasks": {name: f"{name}.md" for name in TASKS},
    "cells": {"": "cells/index.md", **{name: f"cells/{name}.md" for name in CELLS}},
    "networks": {"": "networks/index.md", **{name: f"networks/{name}.md" for name in NETWORKS}},
    "reference": {"": "reference/index.md", **{name: f"reference/{name}.md" for name in PACKAGES}},
}
"""Pages of each group by the name in the code; the page without a name leads there."""

_TITLED = ("cells", "networks")  # the navigation calls these pages by the name that a user types


# ---- the navigation --------------------------------------------------------------------------------------------


def on_config(config: Any) -> Any:
    """Put the pages of each group into the navigation of `mkdocs.yml`."""
    config["nav"] = navigation(config["nav"])
    return config


def navigation(entries: Iterable[Any]) -> list[Any]:
    """Replace the name of a group, such as `cells`, by the group's pages, at any depth."""
    return [{title: _expanded(value) for title, value in _items(entry)} or entry for entry in entries]


def _items(entry: Any) -> Iterable[tuple[str, Any]]:
    return entry.items() if isinstance(entry, dict) else ()


def _expanded(value: Any) -> Any:
    if isinstance(value, list):
        return navigation(value)
    group = GROUPS.get(value)
    if group is None:
        return value
    return [{name: page} if name and value in _TITLED else page for name, page in group.items()]


# ---- the tables ------------------------------------------------------------------------------------------------


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Put the tables into a page."""
    return fill(markdown, page.file.src_uri, config["nav"])


def fill(markdown: str, page: str, nav: list[Any]) -> str:
    """Replace each marked place of a page by its table.

    Args:
        markdown: Text of the page.
        page: Path of the page inside `docs`, which its links start from.
        nav: The navigation, groups expanded.
    """
    return _PLACE.sub(lambda place: TABLES[place["name"]](page, nav), markdown)


def _cells(page: str, nav: list[Any]) -> str:
    head = ("cell", "what", "state", "gates", "paths on a CPU")
    return _table(head, ([_link(name, f"cells/{name}.md", page), *_cell_columns(name)] for name in CELLS))


def _cell_columns(name: str) -> list[str]:
    cell = CELLS[name](16, 64)
    state = cell.initial_state(1)._fields
    gates = [gate for gate in cell.gates if gate not in ("candidate", "hidden")]
    return [_promise(f"cells/{name}.md"), ", ".join(state), ", ".join(gates) or "–", ", ".join(_paths(cell))]


def _paths(cell: Any) -> dict[str, None]:
    """Engine paths on a CPU: by default, and where the compiler does not take the number type."""
    inputs = torch.zeros(64, 32, cell.input_size)
    paths = {unspool.explain(cell, inputs).backend: None}
    with torch.autocast("cpu", dtype=torch.float16):
        return paths | {unspool.explain(cell, inputs).backend: None}


def _networks(page: str, nav: list[Any]) -> str:
    return _described("`--network`", GROUPS["networks"], page)


def _tasks(page: str, nav: list[Any]) -> str:
    head = ("task", "class", "what goes in, what comes out")
    rows = ([_link(name, f"{name}.md", page), f"`{entry.task}`", entry.summary] for name, entry in TASKS.items())
    return _table(head, rows)


def _forms(page: str, nav: list[Any]) -> str:
    rows = ([_link(name, f"{name}.md", page), entry.data_forms] for name, entry in TASKS.items())
    return _table(("task", "data"), rows)


def _examples(page: str, nav: list[Any]) -> str:
    rows = []
    for entry in TASKS.values():
        parts = [*entry.sides, *filter(None, [entry.label])]
        example = f"`({', '.join(parts)})`" if len(parts) > 1 else parts[0] if parts else "none: exercises are made up"
        rows.append([f"`{entry.task}`", example])
    return _table(("task", "one example"), rows)


def _predictions(page: str, nav: list[Any]) -> str:
    rows = []
    for entry in TASKS.values():
        answer = getattr(unspool.tasks, entry.answer)
        names = [*_fields(answer), *(name for name, value in vars(answer).items() if _is_property(name, value))]
        rows.append([f"`{entry.task}`", f"`{entry.answer}`", ", ".join(f"`{name}`" for name in names)])
    return _table(("task", "prediction", "attributes"), rows)


def _fields(answer: Any) -> list[str]:
    """Return the fields of a named tuple or of a dataclass."""
    return list(answer._fields) if hasattr(answer, "_fields") else [field.name for field in fields(answer)]


def _is_property(name: str, value: object) -> bool:
    return isinstance(value, property) and not name.startswith("_")


def _guides(page: str, nav: list[Any]) -> str:
    pages = next(entry["Guides"] for entry in nav if "Guides" in entry)
    return _table(("page", "what for"), ([_link(_title(item), item, page), _promise(item)] for item in pages))


def _names(page: str, nav: list[Any]) -> str:
    values = {name: getattr(unspool, name) for name in NAMES if name not in PACKAGES and not name.startswith("_")}
    rows = ([_link(f"`{name}`", _home(value), page), _first_line(value)] for name, value in values.items())
    return _table(("name", "what"), rows)


def _home(value: Any) -> str:
    """The page of the reference that has a name of `unspool`."""
    return f"reference/{value.__module__.split('.')[1]}.md"


def _packages(page: str, nav: list[Any]) -> str:
    packages = {name: import_module(f"unspool.{name}") for name in PACKAGES}
    rows = ([_link(f"unspool.{name}", f"reference/{name}.md", page), _first_line(it)] for name, it in packages.items())
    return _table(("package", "what"), rows)


def _limits(page: str, nav: list[Any]) -> str:
    head, settings = ("flag", "what", "default"), describe(ServerSettings)
    rows = []
    for name, setting in settings.items():
        default = f"{setting.default:,}" if isinstance(setting.default, int | float) else setting.default
        default = str(setting.default) if name == "port" else default
        rows.append([f"`--{name.replace('_', '-')}`", setting.help.replace("|", "\\|"), default or "none"])
    return _table(head, rows)


def _classes(page: str, nav: list[Any]) -> str:
    """Reference of the cells' files of which `unspool.cells.__all__` has no name."""
    listed = {*cells.__all__} - {"CELLS"}
    return "\n\n".join(
        f"::: unspool.cells.{module}" for module, file in cell_files().items() if not listed & {*file.exports}
    )


TABLES: dict[str, Callable[[str, list[Any]], str]] = {
    "cells": _cells,
    "networks": _networks,
    "tasks": _tasks,
    "forms": _forms,
    "examples": _examples,
    "predictions": _predictions,
    "guides": _guides,
    "names": _names,
    "packages": _packages,
    "limits": _limits,
    "classes": _classes,
}
"""Each table by its name in a page; a function of that page's path and the navigation."""


def _described(head: str, group: dict[str, str], page: str) -> str:
    rows = ([_link(name, target, page), _promise(target)] for name, target in group.items() if name)
    return _table((head, "what"), rows)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def _link(text: str, target: str, page: str) -> str:
    return f"[{text}]({'../' * page.count('/')}{target})"


def _title(page: str) -> str:
    return opening(page)["title"]


def _promise(page: str) -> str:
    """The first sentence of a page, without links."""
    return _LINK.sub(r"\1", " ".join(opening(page)["sentence"].split()))


def opening(page: str) -> re.Match[str]:
    """The `title` and the first `sentence` of a page."""
    match = _OPENING.match((_FOLDER / page).read_text(encoding="utf-8"))
    if match is None:
        raise ValueError(f"docs/{page} must begin with a heading and a sentence, which the lists show")
    return match


def _first_line(value: object) -> str:
    return (value.__doc__ or "").strip().partition("\n")[0]
