"""Typed keyword arguments: the generated file fits the settings, and every keyword is one that a task takes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import pytest

from unspool.settings import Settings, make
from unspool.tasks import TASKS, keywords, task_class

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "write_keywords.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_keywords", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_file_fits_the_settings(script):
    written = script.PATH.read_text(encoding="utf-8")
    assert written == script.keywords(), "a setting was added or changed: run scripts/write_keywords.py"


def test_a_new_setting_makes_the_file_stale(script, monkeypatch):
    class More(TASKS["tag"].settings):
        more: tuple[int, ...] = ()
        """Another."""

    before = script.keywords()
    entries = {**TASKS, "tag": type("Entry", (), {"task": "Tagger", "settings": More})}
    monkeypatch.setattr(script, "TASKS", entries)
    assert "    more: tuple[int, ...]\n" in script.keywords()
    assert "    more: " not in before


@pytest.mark.parametrize("name", TASKS)
def test_every_keyword_is_a_setting_or_an_alias(name):
    task = task_class(name)
    names = get_type_hints(getattr(keywords, f"{task.__name__}Keywords"))
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
