"""What is reached without a network: the figures every trained model is shown beside."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
