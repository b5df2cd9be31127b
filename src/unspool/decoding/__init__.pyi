from .continuations import Continuation, Continuations, Sampling, continued
from .hypotheses import Hypothesis
from .sampling import SelfStarting, sample_next
from .search import decode
from .settings import DecodingSettings
from .states import StepModel, select
from .streaming import TextPieces, stream, stream_settings, text_pieces

__all__ = [
    "Continuation",
    "Continuations",
    "DecodingSettings",
    "Hypothesis",
    "Sampling",
    "SelfStarting",
    "StepModel",
    "TextPieces",
    "continued",
    "decode",
    "sample_next",
    "select",
    "stream",
    "stream_settings",
    "text_pieces",
]
