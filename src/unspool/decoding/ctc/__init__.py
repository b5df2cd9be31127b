"""Decoding of CTC: greedy, prefix beam search with a language model or a grammar, forward scores, unit times."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
