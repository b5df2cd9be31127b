"""Peers of the frontier benchmark: what a person would choose for each task in place of Unspool."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["PEERS", "Peer"]


@dataclass(frozen=True)
class Peer:
    """A method beside Unspool."""

    title: str
    task: str
    learn: str
    """The function that trains and scores, as `module:name`. It takes a data set, a time limit in minutes and a seed,
    and returns `scores` on the test data and a `detail` in words."""
    scores: Sequence[str] = ("accuracy", "f1", "nats", "perplexity", "bleu")
    """The scores for which the method fits: compressors and PPM take characters alone."""
    limited: bool = False
    """Whether it trains until the time limit; the others end by themselves and are run once."""
    adapts: bool = False
    """Whether it goes on learning from the test text while that is scored, which Unspool does not."""
    package: tuple[str, str] | None = None
    """Module that has to be there, and the package that brings it."""

    def missing(self) -> str | None:
        """Why it cannot take part; None if it can."""
        if self.package is None or importlib.util.find_spec(self.package[0]) is not None:
            return None
        return f"{self.package[1]} is not installed"


_CHARACTERS = ("nats",)

PEERS: dict[str, Peer] = {
    "linear": Peer(
        "tf–idf + logistic regression (scikit-learn)",
        "classify",
        "rivals.linear_texts:linear_texts",
        package=("sklearn", "scikit-learn"),
    ),
    "crf": Peer("CRF (python-crfsuite)", "tag", "rivals.taggers:crf", package=("pycrfsuite", "python-crfsuite")),
    "perceptron": Peer("averaged perceptron", "tag", "rivals.taggers:averaged_perceptron"),
    "kneser-ney": Peer("Kneser–Ney", "write", "rivals.text_models:kneser_ney"),
    "ppm": Peer("PPM, order 8", "write", "rivals.text_models:ppm", _CHARACTERS),
    "ppm-adaptive": Peer("PPM, adaptive", "write", "rivals.text_models:ppm_adaptive", _CHARACTERS, adapts=True),
    "lzma": Peer("lzma", "write", "rivals.text_models:lzma_text", _CHARACTERS, adapts=True),
    "zlib": Peer("zlib", "write", "rivals.text_models:zlib_text", _CHARACTERS, adapts=True),
    "torch": Peer(
        "LSTM with attention, plain torch", "translate", "rivals.torch_translator:torch_translator", limited=True
    ),
}
"""The peers by name."""
