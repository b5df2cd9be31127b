"""Cells by name: the built-in ones, and a person's own as `module:Class` or `file.py:Class`; options in brackets."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from unspool.cells.base import Cell
from unspool.cells.names import cell_files
from unspool.cells.options import Option, check_options, plain_options, read_options, spell_options, split_name
from unspool.errors import CellError, SettingError, UnspoolError, option
from unspool.settings import nearest

__all__ = ["CELLS", "cell_class", "cell_name", "is_built_in", "with_recorded_options"]

_WIDEST = 65_536

CELLS: dict[str, type[Cell[Any]]] = {
    name: importlib.import_module(f"{__package__}.{module}").CELLS[name]
    for module, file in cell_files().items()
    for name in file.names
}
"""The built-in cells, by name."""

_BY_PLAIN_NAME = {name.replace("-", ""): name for name in CELLS}
_ELSEWHERE = {"rnn": "elman", "simplernn": "elman", "vanillarnn": "elman"}
"""What other libraries call a cell of the catalog."""


def cell_class(name: str | type[Cell[Any]], options: Mapping[str, object] | None = None) -> type[Cell[Any]]:
    """Find a cell class by its name, by `module:Class`, by `path/to/file.py:Class`, or take the class itself.

    Case does not count in the name of a cell of the catalog, nor do `-` and `_`: `LSTM`, `minGRU`, `gru_reset_before`.

    Options of a cell, arguments of its `__init__` beyond input and hidden size, follow its name in brackets, as in
    `hyperlstm(hyper_size=32, layer_norm=true)`, or come as `options`: instances of the class returned have them. A
    module or file is imported, which runs its code.

    Args:
        name: The name or the class.
        options: Options of the cell by name: finite numbers, true or false, texts, or None.

    Raises:
        SettingError: If there is no such cell, or it has no such option, or not of that type; the message lists or
            suggests names.
        CellError: If the name stands for something that is not a cell.
    """
    base, own = _parts(name)
    written = _merged(cell_name(name), own, options)
    kind: Any = base if inspect.isclass(base) else _named_class(str(base))
    if not _is_cell(kind):
        raise CellError(f"{name} is not a cell: it must be a class that derives from unspool.Cell")
    label = base if isinstance(base, str) else kind.__name__
    if is_built_in(label):
        _refuse_large(label, written)
    check_options(kind, label, written)
    return _configured(kind, spell_options("", written)) if written else kind


def cell_name(cell: str | type[Cell[Any]], options: Mapping[str, object] | None = None) -> str:
    """The name under which `cell_class` finds a cell again, in one spelling.

    A cell of the catalog has the catalog's spelling; options stand in brackets, sorted by name.

    Raises:
        SettingError: If what stands in the brackets can't be read, or an option has a value that no name can hold.
    """
    base, own = _parts(cell)
    if isinstance(base, str):
        plain = _catalog_name(base.strip()) or base
    else:
        names = [name for name, kind in CELLS.items() if kind is base]
        plain = names[0] if names else f"{base.__module__}:{base.__qualname__}"
    return spell_options(plain, _merged(plain, own, options))


def is_built_in(name: str) -> bool:
    """Whether a name is that of a cell of Unspool's own, so that finding it runs nobody else's code."""
    return bool(_catalog_name(split_name(name)[0].strip()))


def with_recorded_options(cell: str | type[Cell[Any]], recorded: str) -> str | type[Cell[Any]]:
    """Give a cell the options with which a model was trained.

    Args:
        cell: The cell, without options or with the same.
        recorded: The cell's name in the model's settings.

    Raises:
        SettingError: If the cell has other options.
    """
    base, own = _parts(cell)
    options = read_options(recorded)
    if own and spell_options("", own) != spell_options("", options):
        raise SettingError(
            f"the model was trained with the cell {recorded}, and {option('cell', cell_name(cell))} has other options; "
            f"leave the options out, or write the same"
        )
    return spell_options(base, options) if isinstance(base, str) else cell_class(base, options)


def _parts(cell: Any) -> tuple[Any, dict[str, Option]]:
    """A cell without its options, and the options."""
    if isinstance(cell, str):
        return split_name(cell)[0], read_options(cell)
    if isinstance(cell, functools.partial):
        if cell.args:
            raise SettingError(f"{cell} has arguments without a name; name them, as in partial(MyCell, rate=0.9)")
        return cell.func, plain_options(cell.keywords)
    if not inspect.isclass(cell):
        raise CellError(f"{cell!r} is not a cell: expected the name of one, or a class that derives from unspool.Cell")
    written = vars(cell).get("_options")
    return (cell, {}) if written is None else (cell.__mro__[1], read_options(f"cell{written}"))


def _merged(cell: str, own: Mapping[str, Option], options: Mapping[str, object] | None) -> dict[str, Option]:
    more = plain_options(options or {})
    for name in more:
        if name in own:
            raise SettingError(f"{name} stands in the brackets of the cell {cell!r} and in cell_options; pass it once")
    return {**own, **more}


def _refuse_large(cell: str, options: Mapping[str, Option]) -> None:
    """Keep a stranger's record from building a network without end."""
    for name, value in options.items():
        if isinstance(value, int) and not 0 <= value <= _WIDEST:
            raise SettingError(f"the cell {cell!r}: {name} = {value}: expected between 0 and {_WIDEST}")


@functools.lru_cache(maxsize=128)
def _configured(kind: type[Cell[Any]], written: str) -> type[Cell[Any]]:
    """A subclass whose instances have the options that are written in brackets."""
    options = check_options(kind, kind.__name__, read_options(f"cell{written}"))

    def make(self: Cell[Any], input_size: int, hidden_size: int) -> None:
        try:
            kind.__init__(self, input_size, hidden_size, **options)
        except UnspoolError:
            raise
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise CellError(f"{kind.__name__} can't be made with {written[1:-1]}: {what}") from error

    more = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
    return type(kind.__name__, (kind,), {"__init__": make, "_options": written, **more})


def _named_class(name: str) -> Any:
    """What stands under a name without options."""
    if own := _catalog_name(name):
        return CELLS[own]
    if ":" not in name:
        raise SettingError(
            f"there is no cell {name!r}{_hint(name)}; choose one of {', '.join(CELLS)}, "
            f"or name your own as my_file.py:MyCell"
        )
    module_name, _, class_name = name.rpartition(":")
    module = _import(module_name)
    kind = getattr(module, class_name, None)
    if kind is None:
        cells = [key for key, value in vars(module).items() if _is_cell(value) and value.__module__ == module.__name__]
        raise SettingError(f"{module_name} has no class {class_name!r}; its cells are: {', '.join(cells) or 'none'}")
    return kind


def _catalog_name(name: str) -> str | None:
    """The catalog's spelling of a name, in any case and with or without `-` and `_`; None where it has no such cell."""
    return _BY_PLAIN_NAME.get(name.lower().replace("-", "").replace("_", ""))


def _hint(name: str) -> str:
    meant = _ELSEWHERE.get(name.lower().replace("-", "").replace("_", ""))
    return f" (did you mean {meant!r}?)" if meant else nearest(name, CELLS)


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
