"""Cells by name: the built-in ones, and a person's own as `module:Class` or `file.py:Class`; with sizes in brackets."""

from __future__ import annotations

import ast
import functools
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
from unspool.cells.hyper import HyperLSTMCell
from unspool.cells.lstm import LayerNormLSTMCell, LSTMCell, PeepholeLSTMCell
from unspool.cells.minimal import MinGRUCell, MinLSTMCell
from unspool.cells.multiplicative import MultiplicativeLSTMCell, MultiplicativeRNNCell
from unspool.cells.turing import FeedForwardNTMCell, NTMCell
from unspool.errors import CellError, SettingError
from unspool.settings import nearest

__all__ = ["CELLS", "cell_class", "cell_name", "is_built_in"]

_WIDEST = 65_536

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
    "mrnn": MultiplicativeRNNCell,
    "mlstm": MultiplicativeLSTMCell,
    "hyperlstm": HyperLSTMCell,
    "ntm": NTMCell,
    "ntm-feedforward": FeedForwardNTMCell,
}


_BY_PLAIN_NAME = {name.replace("-", ""): name for name in CELLS}
_ELSEWHERE = {"rnn": "elman", "simplernn": "elman", "vanillarnn": "elman"}
"""What other libraries call a cell of the catalog."""


def cell_class(name: str | type[Cell[Any]]) -> type[Cell[Any]]:
    """Find a cell class by its name, by `module:Class`, by `path/to/file.py:Class`, or take the class itself.

    Case does not count in the name of a cell of the catalog, nor do `-` and `_`: `LSTM`, `minGRU`, `gru_reset_before`.

    Sizes of a cell beyond `input_size` and `hidden_size` follow its name in brackets, as in
    `hyperlstm(hyper_size=32, layer_norm=True)`: the class found is then made with them. A module or file is imported,
    which runs its code.

    Raises:
        SettingError: If there is no such cell, or it has no such size; the message lists or suggests names.
        CellError: If what was found is not a cell.
    """
    if inspect.isclass(name):
        found: Any = name
    elif name.endswith(")") and "(" in name:
        return _sized(name)
    elif own := _catalog_name(name):
        return CELLS[own]
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
            f"there is no cell {name!r}{_hint(name)}; choose one of {', '.join(CELLS)}, "
            f"or name your own as my_file.py:MyCell"
        )
    if not _is_cell(found):
        raise CellError(f"{name} is not a cell: it must be a class that derives from unspool.Cell")
    return found  # type: ignore[no-any-return]


def cell_name(cell: str | type[Cell[Any]]) -> str:
    """The name under which `cell_class` finds a cell again; of a cell of the catalog, the catalog's spelling."""
    if isinstance(cell, str):
        base, bracket, sizes = cell.partition("(")
        own = _catalog_name(base.strip())
        return f"{own}{bracket}{sizes}" if own else cell
    for name, known in CELLS.items():
        if known is cell:
            return name
    return f"{cell.__module__}:{cell.__qualname__}"


def is_built_in(name: str) -> bool:
    """Whether a name is that of a cell of Unspool's own, so that finding it runs nobody else's code."""
    base, bracket, _ = name.partition("(")
    return bool(_catalog_name(base.strip())) and (not bracket or name.endswith(")"))


def _catalog_name(name: str) -> str | None:
    """The catalog's spelling of a name, in any case and with or without `-` and `_`; None where it has no such cell."""
    return _BY_PLAIN_NAME.get(name.lower().replace("-", "").replace("_", ""))


def _hint(name: str) -> str:
    meant = _ELSEWHERE.get(name.lower().replace("-", "").replace("_", ""))
    return f" (did you mean {meant!r}?)" if meant else nearest(name, CELLS)


@functools.cache
def _sized(name: str) -> type[Cell[Any]]:
    """The class of a name with sizes in brackets."""
    base, _, written = name.removesuffix(")").partition("(")
    kind = cell_class(base.strip())
    sizes = _sizes(name, written)
    known = _size_names(kind)
    for size in sizes:
        if size not in known:
            listed = (
                f"its sizes are {', '.join(known)}" if known else "it has no sizes beside its input and hidden size"
            )
            raise SettingError(f"the cell {base!r} has no size {size!r}{nearest(size, known)}; {listed}")

    def make(self: Cell[Any], input_size: int, hidden_size: int) -> None:
        kind.__init__(self, input_size, hidden_size, **sizes)

    more = {"__init__": make, "__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
    return type(kind.__name__, (kind,), more)


def _size_names(kind: type[Cell[Any]]) -> list[str]:
    """The keyword-only arguments that a cell class is made with, its parents' too where it hands them on."""
    names: list[str] = []
    for base in kind.__mro__:
        if "__init__" in vars(base):
            parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
            names += [each.name for each in parameters if each.kind is each.KEYWORD_ONLY and each.name not in names]
            if not any(each.kind is each.VAR_KEYWORD for each in parameters):
                break
    return names


def _sizes(name: str, written: str) -> dict[str, int]:
    """Read `slots=32, width=8`."""
    sizes: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in written.split(","))):
        key, _, text = (piece.strip() for piece in part.partition("="))
        try:
            value = ast.literal_eval(text.capitalize() if text in ("true", "false") else text)
        except (SyntaxError, ValueError):
            value = None
        if not isinstance(value, int):
            raise SettingError(f"cell {name!r}: {part!r} is no size; write them as in ntm(slots=32, width=8)")
        if not isinstance(value, bool) and not 1 <= value <= _WIDEST:
            raise SettingError(f"cell {name!r}: {key} = {value}: expected between 1 and {_WIDEST}")
        sizes[key] = value
    return sizes


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
