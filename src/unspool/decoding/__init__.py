"""Decoding: choose units one at a time, over anything that predicts the next."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unspool.decoding.hypotheses import Hypothesis
    from unspool.decoding.sampling import SelfStarting, sample, sample_next
    from unspool.decoding.search import decode
    from unspool.decoding.settings import DecodingSettings
    from unspool.decoding.states import StepModel, select
    from unspool.decoding.streaming import stream, stream_settings, text_pieces

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

_HOME = {
    "DecodingSettings": "settings",
    "Hypothesis": "hypotheses",
    **dict.fromkeys(("StepModel", "select"), "states"),
    **dict.fromkeys(("SelfStarting", "sample", "sample_next"), "sampling"),
    "decode": "search",
    **dict.fromkeys(("stream", "stream_settings", "text_pieces"), "streaming"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
