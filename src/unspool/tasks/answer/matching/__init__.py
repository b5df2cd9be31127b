"""Retrieval of the assistant: ranks question–answer pairs for a question, with a calibrated confidence.

Modules: keys of pairs (`keys`), training batches (`training_batches`), initial weights (`initial_weights`), confidence
and its calibration (`confidence`), the ranking itself (`matcher`), and correct answers for scoring (`scores`).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
