"""The notebooks of the course run from top to bottom, with their assertions, and every result has a picture."""

from __future__ import annotations

import io
import json
import runpy
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from notebook_html import Elements

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
RUNNER = runpy.run_path(str(ROOT / "scripts" / "run_notebooks.py"))


def cells(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def test_there_are_five_in_order():
    assert [path.name[:2] for path in NOTEBOOKS] == ["1-", "2-", "3-", "4-", "5-"]


def timed(path: Path) -> Any:
    """Mark the two notebooks that take longest as slow; `.ci/run` runs all five."""
    return pytest.param(path, marks=[pytest.mark.slow] if path.name[0] in "13" else [pytest.mark.learn])


@pytest.mark.parametrize("path", [timed(path) for path in NOTEBOOKS], ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_pictures(path):
    shown: list[Any] = []
    with redirect_stdout(io.StringIO()):
        RUNNER["run"](path, shown.append)
    pictures = [Elements(value._repr_html_()) for value in shown if hasattr(value, "_repr_html_")]
    assert pictures
    assert all({"img", "pre"} & {tag for tag, _ in elements.all} for elements in pictures)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs_and_with_folded_answers(path):
    listed = cells(path)
    code = [cell for cell in listed if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert len({cell["id"] for cell in listed}) == len(listed)
    assert any("assert " in "".join(cell["source"]) for cell in code)
    last = "".join(listed[-1]["source"])
    assert last.startswith("## Exercises")
    assert last.count("<details>") == last.count("</details>") == last.count("\n**") >= 3


def test_a_failed_assertion_fails_the_run_and_names_the_cell(tmp_path):
    sources = ["x = 1\nx + 1", "assert x == 2, 'not two'"]
    listed = [{"cell_type": "code", "source": source.splitlines(keepends=True)} for source in sources]
    path = tmp_path / "n.ipynb"
    path.write_text(json.dumps({"cells": listed}))
    shown: list[Any] = []
    with pytest.raises(AssertionError, match="not two") as failure:
        RUNNER["run"](path, shown.append)
    assert shown == [2]
    assert str(failure.traceback[-1].path).endswith("code cell 2")
