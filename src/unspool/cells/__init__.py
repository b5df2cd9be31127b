"""Recurrent cells: one time step each, with the base class for custom cells.

`__init__.pyi` lists what type checkers know. Every other public name of a cell's file is an attribute too.
"""

from importlib import import_module as _import_module
from typing import Any

import lazy_loader

_listed, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    from unspool.cells.names import cell_files

    if name not in __all__:
        for module, file in cell_files().items():
            if name in file.exports and name != "CELLS":
                return getattr(_import_module(f"{__name__}.{module}"), name)
    return _listed(name)
