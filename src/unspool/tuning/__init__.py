"""Tuning: the search for the settings of a task that score best on validation data, within a time limit."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
