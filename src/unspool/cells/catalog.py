"""Cells by name: the built-in ones, and a person's own as `module:Class` or `file.py:Class`."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from unspool.cells.base import Cell
from unspool.cells.elman import ElmanCell, ElmanReLUCell
from unspool.cells.gru import GRUCell, ResetBeforeGRUCell
from unspool.cells.lstm import LayerNormLSTMCell, LSTMCell, PeepholeLSTMCell
from unspool.cells.minimal import MinGRUCell, MinLSTMCell
from unspool.errors import CellError, SettingError
from unspool.settings import nearest

__all__ = ["CELLS", "cell_class", "cell_name"]

CELLS: dict[str, type[Cell[Any]]] = {
    "elman": ElmanCell,
    "elman-relu": ElmanReLUCell,
    "lstm": LSTMCell,
    "lstm-peephole": PeepholeLSTMCell,
    "lstm-layernorm": LayerNormLSTMCell,
    "gru": GRUCell,
    "gru-reset-before": ResetBeforeGRUCell,
    "mingru": MinGRUCell,
    "minlstm": MinLSTMCell,
}


def cell_class(name: str | type[Cell[Any]]) -> type[Cell[Any]]:
    """Find a cell class by its name, by `module:Class`, by `path/to/file.py:Class`, or take the class itself.

    A module or file is imported, which runs its code.

    Raises:
        SettingError: If there is no such cell; the message lists or suggests names.
        CellError: If what was found is not a cell.
    """
    if inspect.isclass(name):
        found: Any = name
    elif name in CELLS:
        return CELLS[name]
    elif ":" in name:
        module_name, _, class_name = name.rpartition(":")
        module = _import(module_name)
        found = getattr(module, class_name, None)
        if found is None:
            cells = [
                key for key, value in vars(module).items() if _is_cell(value) and value.__module__ == module.__name__
            ]
            raise SettingError(
                f"{module_name} has no class {class_name!r}; its cells are: {', '.join(cells) or 'none'}"
            )
    else:
        raise SettingError(
            f"there is no cell {name!r}{nearest(name, CELLS)}; choose one of {', '.join(CELLS)}, "
            f"or name your own as my_file.py:MyCell"
        )
    if not _is_cell(found):
        raise CellError(f"{name} is not a cell: it must be a class that derives from unspool.Cell")
    return found  # type: ignore[no-any-return]


def cell_name(cell: str | type[Cell[Any]]) -> str:
    """The name under which `cell_class` finds a cell again."""
    if isinstance(cell, str):
        return cell
    for name, known in CELLS.items():
        if known is cell:
            return name
    return f"{cell.__module__}:{cell.__qualname__}"


def _is_cell(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, Cell)


def _import(name: str) -> ModuleType:
    path = Path(name)
    if path.suffix == ".py":
        if not path.is_file():
            raise SettingError(f"{name}: no such file (a cell of your own is named my_file.py:MyCell)")
        key = f"unspool_user_{path.stem}"
        spec = importlib.util.spec_from_file_location(key, path)
        if spec is None or spec.loader is None:
            raise SettingError(f"{name}: not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[key] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[key]
            raise CellError(f"{name} can't be imported: {type(error).__name__}: {error}") from error
        return module
    if "" not in sys.path:
        sys.path.insert(0, "")  # the installed command, unlike `python -m`, does not look where the user stands
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise SettingError(
            f"there is no module {error.name!r} (looked for the cell {name!r} here and on the Python path)"
        ) from None
    except Exception as error:
        raise CellError(f"{name} can't be imported: {type(error).__name__}: {error}") from error
