"""Peers of language models that count: Kneser–Ney, PPM, zlib and lzma."""

from __future__ import annotations

import lzma
import math
import zlib
from typing import Any

from workloads.frontier_sets import DataSet

from rivals.ppm import PPM
from rivals.reading import read_running_text
from unspool.data import Vocabulary, token_array
from unspool.models.kneser_ney import KneserNey
from unspool.tasks.parts.metrics import language_model_scores

__all__ = ["kneser_ney", "lzma_text", "ppm", "ppm_adaptive", "zlib_text"]

_ORDERS = {"character": range(4, 13), "blank": range(3, 6)}
_HELD_OUT = 18  # without a validation file, the last eighteenth of the training text chooses the order


def kneser_ney(data: DataSet, minutes: float | None, seed: int) -> dict[str, Any]:
    """Count n-grams of the order that is best on validation text."""
    units = "blank" if "blank" in data.flags else "character"
    train, valid, test = (read_running_text(part) for part in (data.train, data.valid, data.test))
    part, held_out = (train, valid) if valid else _divide(train)
    vocabulary = Vocabulary.learn([part], units=units)
    size, ids, other = len(vocabulary), token_array([part], vocabulary), token_array([held_out], vocabulary)
    nats = {order: float(KneserNey.learn(ids, size, order=order).nats(other).mean()) for order in _ORDERS[units]}
    order = min(nats, key=nats.__getitem__)
    vocabulary = Vocabulary.learn([train], units=units)
    model = KneserNey.learn(token_array([train], vocabulary), len(vocabulary), order=order)
    ids = token_array([test], vocabulary)
    scores = language_model_scores(float(model.nats(ids).sum()), len(ids), len(test) if units == "character" else None)
    return {"scores": scores, "detail": f"order {order}"}


def ppm(data: DataSet, minutes: float | None, seed: int, *, adapt: bool = False) -> dict[str, Any]:
    """Count the training text, and score the test text."""
    train, test = read_running_text(data.train), read_running_text(data.test)
    nats = PPM(set(train)).learn(train).nats(test, train, adapt=adapt)
    return {"scores": language_model_scores(math.fsum(nats), len(nats), len(nats)), "detail": "order 8, method D"}


def ppm_adaptive(data: DataSet, minutes: float | None, seed: int) -> dict[str, Any]:
    """Do the same, and go on counting on the test text."""
    return ppm(data, minutes, seed, adapt=True)


def zlib_text(data: DataSet, minutes: float | None, seed: int) -> dict[str, Any]:
    """Compress the test text with the end of the training text as dictionary, as much of it as zlib takes."""
    train, test = read_running_text(data.train), read_running_text(data.test)
    compressor = zlib.compressobj(9, zdict=train.encode()[-32_768:])
    size = len(compressor.compress(test.encode()) + compressor.flush())
    return {"scores": _scores_of_bytes(size, len(test)), "detail": "the last 32 KiB of the training text"}


def lzma_text(data: DataSet, minutes: float | None, seed: int) -> dict[str, Any]:
    """Compress both texts and the training text alone; the difference is the size of the test text."""
    train, test = read_running_text(data.train).encode(), read_running_text(data.test)
    whole = train + test.encode()
    window = max(4096, len(whole))
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": window}]
    sizes = [len(lzma.compress(text, lzma.FORMAT_RAW, filters=filters)) for text in (whole, train)]
    return {"scores": _scores_of_bytes(sizes[0] - sizes[1], len(test)), "detail": "whole training text in the window"}


def _divide(text: str) -> tuple[str, str]:
    cut = len(text) - len(text) // _HELD_OUT
    return text[:cut], text[cut:]


def _scores_of_bytes(count: int, characters: int) -> dict[str, float]:
    return language_model_scores(8 * count * math.log(2), characters, characters)
