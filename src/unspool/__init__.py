"""Train, look inside and ship sequence models on your own data.

Names and the packages below (`unspool.training`) are imported on first use, so that `import unspool` costs nothing.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import unspool.cells
    import unspool.data
    import unspool.decoding
    import unspool.engine
    import unspool.errors
    import unspool.inspection
    import unspool.layers
    import unspool.models
    import unspool.settings
    import unspool.tasks
    import unspool.training  # noqa: F401 - so that type checkers know all of them as attributes
    from unspool.cells import Cell, LinearCell
    from unspool.engine import explain, unroll
    from unspool.errors import UnspoolError
    from unspool.inspection import Trace
    from unspool.layers import Recurrent
    from unspool.tasks import Algorithm, Assistant, Classifier, LanguageModel, Reader, Tagger, Translator, compare, load

__all__ = [
    "Algorithm",
    "Assistant",
    "Cell",
    "Classifier",
    "LanguageModel",
    "LinearCell",
    "Reader",
    "Recurrent",
    "Tagger",
    "Trace",
    "Translator",
    "UnspoolError",
    "__version__",
    "compare",
    "explain",
    "load",
    "unroll",
]

__version__ = "0.1.0"

logging.getLogger(__name__).addHandler(logging.NullHandler())  # an application decides what is shown

_HOME = {
    **dict.fromkeys(("Cell", "LinearCell"), "cells"),
    **dict.fromkeys(("explain", "unroll"), "engine"),
    "UnspoolError": "errors",
    "Trace": "inspection",
    "Recurrent": "layers",
    **dict.fromkeys(
        ("Algorithm", "Assistant", "Classifier", "LanguageModel", "Reader", "Tagger", "Translator", "compare", "load"),
        "tasks",
    ),
}


_PACKAGES = frozenset(
    (
        *("cells", "data", "decoding", "engine", "errors", "inspection"),
        *("layers", "models", "settings", "tasks", "training"),
    )
)

if not TYPE_CHECKING:  # a type checker would take any name for one that exists

    def __getattr__(name: str) -> Any:
        if name in _PACKAGES:
            return import_module(f"{__name__}.{name}")
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*__all__, *_PACKAGES})
