"""What is public: `__all__` of every package and module, importable, sorted, and light where that is promised."""

from __future__ import annotations

import ast
import importlib
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import unspool
from unspool.tasks import TASKS

ROOT = Path(unspool.__file__).parent
COPIED = "unspool.samples.assistant.commands"
"""A file that users copy and change; its commands are no names of the package."""
MODULES = ["unspool", *(f"unspool.{name}" for name in sorted(
    module.name.removeprefix("unspool.") for module in pkgutil.walk_packages([str(ROOT)], "unspool.")
) if not name.endswith("__main__") and f"unspool.{name}" != COPIED)]  # fmt: skip
PACKAGES = [name for name in MODULES if (ROOT.parent / Path(*name.split(".")) / "__init__.py").is_file()]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT.parent)}
LIGHT = [
    "unspool",
    "unspool.cells",
    "unspool.cells.names",
    "unspool.cli",
    "unspool.commands",
    "unspool.commands.command_set",
    "unspool.data",
    "unspool.decoding",
    "unspool.tasks",
    "unspool.training",
    "unspool.settings",
    "unspool.errors",
]


def source_of(name: str) -> ast.Module:
    """The file that lists a module's public names: the stub of a package that loads names on first use."""
    path = ROOT.parent / Path(*name.split("."))
    stub = path / "__init__.pyi"
    file = stub if stub.exists() else path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


def public_names(name: str) -> list[str] | None:
    """`__all__` of a module as its file lists it; None where it has none."""
    for statement in source_of(name).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                return list(ast.literal_eval(value))
    return None


def as_ruff_sorts(names: list[str]) -> list[str]:
    """SCREAMING_CASE, then CamelCase, then the rest, digits by their value."""

    def key(name: str) -> tuple[int, list[tuple[int, int, str]]]:
        kind = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
        parts = re.findall(r"\d+|\D+", name)
        return kind, [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]

    return sorted(names, key=key)


def bound(statements: list[ast.stmt], package: str) -> set[str]:
    """Public names that a package's file binds: what it defines, and what it imports from within the package."""
    names: set[str] = set()
    for statement in statements:
        match statement:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.ImportFrom(level=1, names=aliases):
                names |= {alias.asname or alias.name for alias in aliases}
            case ast.ImportFrom(module=str(module), names=aliases) if f"{module}.".startswith(f"{package}."):
                names |= {alias.asname or alias.name for alias in aliases}
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), body=body):
                names |= bound(body, package)
    return {name for name in names if not name.startswith("_")}


def imported(name: str) -> ModuleType:
    """A module; one that stands on a rival that is not installed is skipped."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != "jax":
            raise
        pytest.skip("jax is not installed")


@pytest.mark.parametrize("name", PACKAGES)
def test_all_is_what_a_package_makes_public(name):
    tree = source_of(name)
    public = bound(tree.body, name)
    listed = set(public_names(name) or ()) - {"__version__"}
    assert listed == public
    found = (
        {task for entry in TASKS.values() for task in (entry.task, entry.answer)} if name == "unspool.tasks" else set()
    )
    assert set(getattr(importlib.import_module(name), "__all__", ())) - {"__version__"} - (found - public) == public


@pytest.mark.parametrize("name", MODULES)
def test_all_is_sorted_and_every_name_in_it_exists(name):
    module = imported(name)
    listed = public_names(name)
    if listed is None:
        names = bound(source_of(name).body, name)
        assert not names, f"{name} has no __all__, yet makes {names} public"
        return
    assert listed == as_ruff_sorts(listed)
    assert len(set(listed)) == len(listed)
    missing = [public for public in listed if not hasattr(module, public)]
    assert not missing


@pytest.mark.parametrize("name", [name for name in MODULES if name not in PACKAGES])
def test_public_functions_and_classes_of_a_module_are_listed(name):
    listed = set(getattr(imported(name), "__all__", ()))
    defined = {
        node.name
        for node in source_of(name).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    }
    assert defined <= listed, f"{defined - listed} should stand in __all__ or begin with an underscore"


@pytest.mark.parametrize("name", [name for name in PACKAGES if hasattr(importlib.import_module(name), "__getattr__")])
def test_a_lazy_package_finds_every_name_and_refuses_others(name):
    module = importlib.import_module(name)
    for public in module.__all__:
        assert getattr(module, public) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        module.no_such_name  # noqa: B018


def test_packages_are_attributes_after_import_unspool_alone():
    code = "import unspool as u; print(u.training.fit.__module__, u.settings.make.__module__, 'cells' in dir(u))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert ran.stdout.split() == ["unspool.training.loop", "unspool.settings", "True"], ran.stderr


@pytest.mark.parametrize("name", LIGHT)
def test_importing_does_not_import_torch(name):
    heavy = ("torch", "numpy", "tokenizers", "pyarrow")
    code = f"import sys, {name}; print([name for name in {heavy!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "[]"


def test_ruff_s_order():
    assert as_ruff_sorts(["b", "Ab", "AB", "a10", "a2", "_x", "B"]) == ["AB", "Ab", "B", "_x", "a2", "a10", "b"]
