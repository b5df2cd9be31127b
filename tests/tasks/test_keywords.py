"""Typed keyword arguments: the generated file fits the settings, and every keyword is one that a task takes."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import pytest

from unspool.settings import Settings, make
from unspool.tasks import TASKS, task_class

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "write_keywords.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_keywords", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("entry", TASKS.values(), ids=TASKS)
def test_the_file_fits_the_settings(script, entry):
    files = script.keywords()
    for path in (script.path_of(entry), script.BASE):
        written = path.read_text(encoding="utf-8")
        assert written == files[path], "a setting was added or changed: run scripts/write_keywords.py"


def test_a_new_setting_makes_the_file_stale(script, monkeypatch):
    class More(TASKS["tag"].settings):
        more: tuple[int, ...] = ()
        """Another."""

    entry = TASKS["tag"]
    assert "    more: " not in script.keywords()[script.path_of(entry)]
    monkeypatch.setattr(script, "TASKS", {**TASKS, "tag": replace(entry, settings=More)})
    assert "    more: tuple[int, ...]\n" in script.keywords()[script.path_of(entry)]


@pytest.mark.parametrize("name", TASKS)
def test_every_keyword_is_a_setting_or_an_alias(name):
    task = task_class(name)
    module = import_module(f"unspool.tasks.{name}.keywords")
    names = get_type_hints(getattr(module, f"{task.__name__}Keywords"))
    assert {"cell", "epochs", "lr", "seed"} <= names.keys()
    defaults = task().settings
    names.pop("cell_options")  # of the cell, and no setting
    for keyword, hint in names.items():
        value = plain_default(defaults, task.settings_type, keyword)
        assert make(task.settings_type, {keyword: value}) == defaults
        assert value is None or type(value) in (hint, *getattr(hint, "__args__", ())) or value in hint.__args__


def plain_default(settings: Any, kind: type[Settings], keyword: str) -> Any:
    """The default of the setting that a keyword stands for."""
    from unspool.settings import ALIASES, describe

    own = ALIASES.get(keyword, keyword)
    return next(setting.default for setting in describe(kind).values() if setting.short == own)
