"""The lists of the site come from the code: the navigation holds every page, and a table has a row for each entry."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

import unspool
from unspool.cells import CELLS
from unspool.data import read_rows, read_sentences
from unspool.errors import UnspoolError
from unspool.tasks import TASKS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def import_lists() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_lists", DOCS / "_lists.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


lists = import_lists()
NAVIGATION = lists.navigation(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
MARK = re.compile(r"^<!-- ([a-z]+) -->$", re.M)


def pages_of(entries: Iterable[Any]) -> Iterator[str]:
    for entry in entries:
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            yield from pages_of(value) if isinstance(value, list) else [value]


def marks() -> Iterator[tuple[str, str]]:
    """Every place of a table: the page and the table's name."""
    for path in sorted(DOCS.rglob("*.md")):
        for name in MARK.findall(path.read_text(encoding="utf-8")):
            if name != "run":
                yield path.relative_to(DOCS).as_posix(), name


def table_of(name: str, page: str = "index.md") -> str:
    filled: str = lists.fill(f"<!-- {name} -->\nfor readers of the source\n<!-- /{name} -->", page, NAVIGATION)
    return filled


def test_the_navigation_has_every_page_once() -> None:
    pages = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
    assert sorted(pages_of(NAVIGATION)) == pages


def test_a_group_is_replaced_at_any_depth() -> None:
    nested = lists.navigation(["index.md", {"More": [{"Cells": "cells"}, "data.md"]}])
    assert nested[0] == "index.md"
    assert nested[1]["More"][1] == "data.md"
    assert {"gru": "cells/gru.md"} in nested[1]["More"][0]["Cells"]


@pytest.mark.parametrize(("page", "name"), list(marks()))
def test_a_table_takes_its_place_and_its_links_lead_somewhere(page: str, name: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    filled = lists.fill(text, page, NAVIGATION)
    table = table_of(name, page)
    assert f"<!-- {name} -->" not in filled
    assert table in filled
    for target in re.findall(r"^\| \[[^]]+\]\(([^)]+)\)", table, re.M):
        assert ((DOCS / page).parent / target).is_file()


def test_every_table_has_its_place_on_a_page() -> None:
    assert {name for _, name in marks()} == lists.TABLES.keys()


@pytest.mark.parametrize("name", CELLS)
def test_the_table_of_cells_says_what_a_cell_is(name: str) -> None:
    row = next(line for line in table_of("cells").splitlines() if line.startswith(f"| [{name}]("))
    _, _, what, state, _, paths, _ = re.split(r" ?\| ?", row)
    assert what.endswith(".")
    assert state.split(", ") == list(CELLS[name](3, 4).initial_state(1)._fields)
    assert paths.split(", ")[0] == unspool.explain(CELLS[name](16, 64), inputs(64, 32, 16)).backend


def inputs(*shape: int) -> Any:
    import torch

    return torch.zeros(*shape)


@pytest.mark.parametrize("table", ["tasks", "forms", "examples", "predictions"])
def test_every_task_stands_in_the_tables_of_tasks(table: str) -> None:
    text = table_of(table)
    names = {entry.name: entry.task for entry in TASKS.values()}
    assert all(f"[{name}](" in text or f"`{task}`" in text for name, task in names.items())
    assert len(text.splitlines()) == len(TASKS) + 2


LISTED = [page for group in lists.GROUPS.values() for page in group.values() if not page.startswith("reference/")]


@pytest.mark.parametrize("page", [*LISTED, *next(entry["Guides"] for entry in NAVIGATION if "Guides" in entry)])
def test_a_page_begins_with_a_heading_and_a_sentence(page: str) -> None:
    """Lists show both; a reader learns from the sentence what the page is for."""
    heading, blank, *first = (DOCS / page).read_text(encoding="utf-8").splitlines()[:5]
    assert heading.startswith("# ")
    assert blank == ""
    opening = lists.opening(page)
    assert opening["title"] == heading.removeprefix("# ")
    assert " ".join(first).startswith(" ".join(opening["sentence"].split()))


PROSE = re.compile(r"^(```+).*?^\1$|^\$\$$.*?^\$\$$|^\|.*?$", re.M | re.S)


FOR_USERS = [entry for entry in NAVIGATION if "Inside Unspool" not in entry]


@pytest.mark.parametrize("page", ["../README.md", "../CONTRIBUTING.md", *pages_of(FOR_USERS)])
def test_lines_of_prose_have_at_most_120_columns(page: str) -> None:
    text = PROSE.sub(lambda match: "\n" * match[0].count("\n"), (DOCS / page).read_text(encoding="utf-8"))
    assert [number for number, line in enumerate(text.splitlines(), 1) if len(line) > 120] == []


# ---- what the code does not list -------------------------------------------------------------------------------


def test_the_table_of_extras_has_every_extra() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    rows = re.findall(r"^\| `(\w+)` \|", (DOCS / "index.md").read_text(encoding="utf-8"), re.M)
    assert sorted(rows) == sorted(extras.keys() - {"docs", "test", "dev", "bench"})


@pytest.mark.parametrize("read", [read_rows, read_sentences])
def test_the_table_of_forms_has_every_suffix(read: Callable[..., Any], tmp_path: Path) -> None:
    """The message about a file of an unknown form lists the suffixes that the reader knows."""
    unknown = tmp_path / "data.xyz"
    unknown.write_bytes(b"\x01\n")
    with pytest.raises(UnspoolError) as raised:
        next(iter(read(unknown)))
    suffixes = set(re.findall(r"\.[a-z][a-z0-9]+\b", raised.value.message)) - {".xyz"}
    assert len(suffixes) > 3
    page = (DOCS / "data.md").read_text(encoding="utf-8")
    assert [suffix for suffix in sorted(suffixes) if f"`{suffix}`" not in page] == []


SETTINGS = re.compile(r"^\| setting \|.*\n\|[-| ]+\n((?:\|.*\n)+)", re.M)


@pytest.mark.parametrize("task", TASKS)
def test_settings_in_the_tables_of_a_task_exist(task: str) -> None:
    text = (DOCS / f"{task}.md").read_text(encoding="utf-8")
    rows = [row for table in SETTINGS.findall(text) for row in table.splitlines()]
    known = set(settings_of(TASKS[task].settings))
    for row in rows:
        for name in re.findall(r"`([a-z][a-z_-]+)`", row.split("|")[1]):
            assert name.replace("-", "_") in known, f"docs/{task}.md: {row}"


def settings_of(struct: Any) -> Iterator[str]:
    for name in struct.__struct_fields__:
        yield name
        default = getattr(struct(), name)
        if hasattr(default, "__struct_fields__"):
            yield from settings_of(type(default))


# ---- the reference ---------------------------------------------------------------------------------------------

PUBLIC = [(package, name) for package in lists.PACKAGES for name in getattr(unspool, package).__all__]


@pytest.fixture(scope="module")
def read_statically() -> Any:
    """The package as the reference reads it."""
    griffe = pytest.importorskip("griffe", reason="the reference is built with the extra `docs`")
    return griffe.load("unspool", search_paths=[ROOT / "src"], resolve_aliases=True)


def test_the_reference_has_every_public_name(read_statically: Any) -> None:
    found = {name for entry in TASKS.values() for name in (entry.task, entry.answer)}  # a new task need not be listed
    missing = [
        f"unspool.{package}.{name}"
        for package, name in PUBLIC
        if not is_shown(read_statically, package, name)
        and not (name in found and name not in read_statically["tasks"].members)
    ]
    assert missing == [], "write a docstring, or a line `::: unspool.package.module.name` in docs/reference/package.md"
    assert len(PUBLIC) > 100
    listed = re.findall(r"^\| \[`(\w+)`\]", table_of("names"), re.M)
    assert {*listed, *lists.PACKAGES} >= {*unspool.__all__} - {"__version__"}


def is_shown(read_statically: Any, package: str, name: str) -> bool:
    """Whether the page of the package names it, or mkdocstrings shows it because it has a docstring."""
    page = (DOCS / "reference" / f"{package}.md").read_text(encoding="utf-8")
    if re.search(rf"^::: unspool\.{package}\.(\w+\.)*{name}$|^### .*`{name}`", page, re.M):
        return True
    member = read_statically[package].members.get(name)
    try:
        return member.kind.value != "module" and member.docstring is not None
    except Exception:  # an alias that griffe can't follow is not shown
        return False
