"""The half of the assistant that finds: which pairs does a question belong to, and does it belong to any?

From questions with their answers to a ranking: keys (`keys`), batches to train on (`lookups`), where training begins
(`begin`), how sure a ranking is (`confidence`), all of it put together (`matcher`), and what is right (`scores`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unspool.tasks.answer.matching.confidence import Confidence, HeldOut, Probe, calibrate, hold_out, make_probes
    from unspool.tasks.answer.matching.initial_weights import begin_retriever, learn_vocabulary
    from unspool.tasks.answer.matching.keys import KeyIndex, PairBags, answer_weight
    from unspool.tasks.answer.matching.matcher import Calibration, Match, Matcher, Ranking
    from unspool.tasks.answer.matching.scores import Target, targets
    from unspool.tasks.answer.matching.training_batches import LookupSource

__all__ = [
    "Calibration",
    "Confidence",
    "HeldOut",
    "KeyIndex",
    "LookupSource",
    "Match",
    "Matcher",
    "PairBags",
    "Probe",
    "Ranking",
    "Target",
    "answer_weight",
    "begin_retriever",
    "calibrate",
    "hold_out",
    "learn_vocabulary",
    "make_probes",
    "targets",
]

_HOME = {
    **dict.fromkeys(("begin_retriever", "learn_vocabulary"), "initial_weights"),
    **dict.fromkeys(("Confidence", "HeldOut", "Probe", "calibrate", "hold_out", "make_probes"), "confidence"),
    **dict.fromkeys(("KeyIndex", "PairBags", "answer_weight"), "keys"),
    "LookupSource": "training_batches",
    **dict.fromkeys(("Calibration", "Match", "Matcher", "Ranking"), "matcher"),
    **dict.fromkeys(("Target", "targets"), "scores"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
