"""Train, look inside and ship sequence models on your own data.

Names and packages (`unspool.training`) load on first use, so `import unspool` costs nothing. `__init__.pyi` lists them.
"""

import logging
from typing import Any

import lazy_loader

__version__ = "0.1.0"

_find, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]


def __getattr__(name: str) -> Any:
    """Find a name of the stub, or the class of a task that the catalog found."""
    try:
        return _find(name)
    except AttributeError:
        if name.startswith("_") or name not in _find("tasks").__all__:
            raise
        return getattr(_find("tasks"), name)


logging.getLogger(__name__).addHandler(logging.NullHandler())  # the application decides which records to show
