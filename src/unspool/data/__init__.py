"""From files to batches: readers, vocabularies, encoded examples and the order they come in.

Names are imported on first use, so that reading files imports no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
