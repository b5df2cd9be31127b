"""What is reached without a network: the figures every trained model is shown beside."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unspool.tasks.baselines.kneser_ney import KneserNey
    from unspool.tasks.baselines.majority import MajorityClass
    from unspool.tasks.baselines.most_frequent_tag import MostFrequentTag
    from unspool.tasks.baselines.ngrams import NgramClassifier

__all__ = ["KneserNey", "MajorityClass", "MostFrequentTag", "NgramClassifier"]

_PLACES = {
    "KneserNey": "kneser_ney",
    "MajorityClass": "majority",
    "MostFrequentTag": "most_frequent_tag",
    "NgramClassifier": "ngrams",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
