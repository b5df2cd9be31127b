"""Which folder may import from which: the rows of the house, top to bottom."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import unspool

ROOT = Path(unspool.__file__).parent

ROWS = [
    {"cli"},
    {"server", "tuning", "voice"},
    {"samples", "tasks"},
    {"training", "inspection", "ship"},
    {"inputs", "commands"},
    {"decoding"},
    {"models"},
    {"layers"},
    {"engine"},
    {"cells", "data"},
    {"settings"},
    {"discovery", "randomness", "reading", "writing"},
    {"errors"},
]
"""A folder imports only from rows below its own; folders on one row do not import each other."""
PLANNED: set[str] = set()
DOORS = {"__init__", "__main__"}
"""The package's own two files stand above all rows."""


def row_of(room: str) -> int:
    return next(number for number, row in enumerate(ROWS) if room in row)


def imported(tree: ast.AST, package: list[str]) -> Iterator[tuple[int, str]]:
    """Every module of the package that a file imports anywhere, in functions and for type checkers too, by line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module == "unspool":
                for alias in node.names:
                    yield node.lineno, f"unspool.{alias.name}"
            else:
                yield node.lineno, module
        elif isinstance(node, ast.Call) and node.args:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            first = node.args[0]
            if name in ("import_module", "__import__") and isinstance(first, ast.Constant):
                yield node.lineno, str(first.value)


def faults(room: str, source: str, package: list[str], where: str) -> list[str]:
    """What a file of a room imports that it may not, in words."""
    found = []
    for line, module in imported(ast.parse(source), package):
        top, _, rest = module.partition(".")
        other = rest.partition(".")[0]
        if top != "unspool" or other == room:
            continue
        if other == "__version__":
            continue
        if not any(other in row for row in ROWS):
            found.append(f"{where}:{line} imports {module}, and {other or 'the package itself'} stands in no row")
        elif row_of(other) <= row_of(room):
            found.append(f"{where}:{line}: {room} imports {module}, which does not stand below it")
    return found


def files() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def room_of(file: Path) -> str:
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("file", sorted((ROOT / "engine" / "compiler").rglob("*.py")), ids=lambda file: file.name)
def test_the_compiler_knows_no_target(file):
    package = ["unspool", *file.relative_to(ROOT).parts[:-1]]
    modules = [module for _, module in imported(ast.parse(file.read_text(encoding="utf-8")), package)]
    own = [module for module in modules if module.startswith("unspool.engine")]
    assert [module for module in own if not module.startswith("unspool.engine.compiler")] == []


def test_every_folder_and_file_stands_in_a_row():
    rooms = {room_of(file) for file in files()} - DOORS
    known = set.union(*ROWS)
    assert rooms <= known, f"{rooms - known} stand in no row: give each one in this file and in the documentation"
    assert known <= rooms | PLANNED, f"{known - rooms - PLANNED} are gone: take them out of the rows"
    assert sum(map(len, ROWS)) == len(known)


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_go_down(file):
    if room_of(file) in DOORS:
        pytest.skip("a door imports from every room")
    package = ["unspool", *file.relative_to(ROOT).parts[:-1]]
    found = faults(room_of(file), file.read_text(encoding="utf-8"), package, str(file.relative_to(ROOT)))
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("cells", "from unspool.engine import unroll"),
        ("cells", "import unspool.data.rows"),
        ("training", "def f():\n    from unspool.inspection import Trace"),
        ("layers", "from unspool import models"),
        ("layers", "from ..models.loss import Loss"),
        ("errors", "from unspool.settings import nearest"),
        ("models", "from unspool import Recurrent"),
        ("engine", "from unspool.helpers import thing"),
        ("engine", "import unspool"),
        ("engine", "if TYPE_CHECKING:\n    from unspool.layers import Recurrent"),
        ("data", "import importlib\nimportlib.import_module('unspool.tasks')"),
    ],
)
def test_an_import_that_goes_up_is_seen(room, source):
    assert len(faults(room, source, ["unspool", room], "file.py")) == 1


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("engine", "from unspool.cells import Cell\nfrom unspool.errors import CellError\nimport torch"),
        ("tasks", "from unspool.inspection import Trace\nfrom unspool.data import rows"),
        ("settings", "from unspool.errors import SettingError"),
        ("layers", "from .dropout import SequenceDropout\nfrom unspool.layers.crf import LinearChainCRF"),
    ],
)
def test_an_import_that_goes_down_is_let_be(room, source):
    assert faults(room, source, ["unspool", room], "file.py") == []
