from .begin import begin_retriever, learn_vocabulary
from .confidence import Confidence, HeldOut, Probe, calibrate, hold_out, make_probes
from .keys import KeyIndex, PairBags, answer_weight
from .lookups import LookupSource
from .matcher import Match, Matcher, Ranking
from .scores import Target, targets

__all__ = [
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
