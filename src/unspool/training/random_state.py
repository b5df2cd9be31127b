"""Every random number generator a run draws from, as tensors and plain values, to be put back later."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

__all__ = ["capture", "restore", "seed", "unchanged"]


def seed(number: int, *, rank: int = 0) -> None:
    """Start all generators from one number; processes of one run draw different numbers."""
    mixed = random.Random(f"{number} {rank}")  # text is hashed, so that near numbers and high bits all tell
    random.seed(mixed.getrandbits(64))
    np.random.seed(mixed.getrandbits(32))
    torch.manual_seed(mixed.getrandbits(63))  # CUDA too, also before it is initialised


def capture(device: torch.device) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state of Python's, NumPy's and torch's generators, and the device's where it has its own."""
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = cast(tuple[Any, ...], np.random.get_state(legacy=True))
    tensors = {
        "torch": torch.get_rng_state(),
        "python": torch.tensor(words, dtype=torch.int64),
        "numpy": torch.from_numpy(keys.astype(np.int64)),
    }
    if device.type == "cuda":
        tensors["cuda"] = torch.cuda.get_rng_state(device)
    record = {"python": [version, gauss], "numpy": [name, int(position), int(has_gauss), float(cached)]}
    return tensors, record


def restore(tensors: Mapping[str, Tensor], record: Mapping[str, Any], device: torch.device) -> None:
    """Put all generators back to where `capture` found them."""
    version, gauss = record["python"]
    random.setstate((version, tuple(tensors["python"].tolist()), gauss))
    name, position, has_gauss, cached = record["numpy"]
    np.random.set_state((name, tensors["numpy"].numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(tensors["torch"])
    if device.type == "cuda" and "cuda" in tensors:
        torch.cuda.set_rng_state(tensors["cuda"], device)


@contextmanager
def unchanged(device: torch.device) -> Iterator[None]:
    """Whatever is drawn inside, the numbers drawn afterwards are the same."""
    tensors, record = capture(device)
    try:
        yield
    finally:
        restore(tensors, record, device)
