"""The half of the assistant that finds: which pairs does a question belong to, and does it belong to any?

From questions with their answers to a ranking: keys (`keys`), batches to train on (`lookups`), where training begins
(`begin`), how sure a ranking is (`confidence`), and all of it put together (`matcher`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unspool.tasks.matching.begin import begin_retriever, learn_vocabulary
    from unspool.tasks.matching.confidence import Confidence, calibrate
    from unspool.tasks.matching.keys import PairBags, answer_weight
    from unspool.tasks.matching.lookups import LookupSource
    from unspool.tasks.matching.matcher import Match, Matcher, Ranking

__all__ = [
    "Confidence",
    "LookupSource",
    "Match",
    "Matcher",
    "PairBags",
    "Ranking",
    "answer_weight",
    "begin_retriever",
    "calibrate",
    "learn_vocabulary",
]

_HOME = {
    **dict.fromkeys(("begin_retriever", "learn_vocabulary"), "begin"),
    **dict.fromkeys(("Confidence", "calibrate"), "confidence"),
    **dict.fromkeys(("PairBags", "answer_weight"), "keys"),
    "LookupSource": "lookups",
    **dict.fromkeys(("Match", "Matcher", "Ranking"), "matcher"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
