"""The half of the assistant that finds: which pairs does a question belong to, and does it belong to any?

From questions with their answers to a ranking: keys (`keys`), batches to train on (`lookups`), where training begins
(`begin`), how sure a ranking is (`confidence`), all of it put together (`matcher`), and what is right (`scores`).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
