"""Commands: Python functions that a model calls when it understands a sentence, their slots, and training sentences.

Names are imported on first use, so that the package costs nothing until then.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
