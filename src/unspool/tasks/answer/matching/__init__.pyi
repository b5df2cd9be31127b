from .confidence import Confidence, HeldOut, Probe, calibrate, hold_out, make_probes
from .initial_weights import begin_retriever, learn_vocabulary
from .keys import KeyIndex, PairBags, answer_weight
from .matcher import Calibration, Match, Matcher, Ranking
from .scores import Target, targets
from .training_batches import LookupSource

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
