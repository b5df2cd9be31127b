"""Train, look inside and ship sequence models on your own data.

Names and packages (`unspool.training`) load on first use, so `import unspool` costs nothing. `__init__.pyi` lists them.
"""

import logging

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]

logging.getLogger(__name__).addHandler(logging.NullHandler())  # the application decides which records to show
