"""Decoding: choose units one at a time, over anything that predicts the next."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
