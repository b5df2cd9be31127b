"""Data pipeline: file readers, vocabularies, encoded examples and sources of mini-batches.

Names are imported on first use, so that the readers work without importing torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
