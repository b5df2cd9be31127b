from .hypotheses import Hypothesis
from .sampling import SelfStarting, sample, sample_next
from .search import decode
from .settings import DecodingSettings
from .states import StepModel, select
from .streaming import stream, stream_settings, text_pieces

__all__ = [
    "DecodingSettings",
    "Hypothesis",
    "SelfStarting",
    "StepModel",
    "decode",
    "sample",
    "sample_next",
    "select",
    "stream",
    "stream_settings",
    "text_pieces",
]
