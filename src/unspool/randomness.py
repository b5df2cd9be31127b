"""Random number generators per training run, in place of torch's global ones; dropout that draws from them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from threading import RLock

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["draw_from", "dropout", "generator_on", "keep_global_state", "lend"]

_GLOBAL_STATE = RLock()
"""A thread holds this lock while it replaces the state of a global generator."""

_generators: ContextVar[Mapping[str, torch.Generator] | None] = ContextVar("generators", default=None)


def generator_on(device: torch.device) -> torch.Generator | None:
    """Return the generator that this thread draws from on a device; None: torch's global one."""
    own = _generators.get()
    return None if own is None else own.get(device.type)


@contextmanager
def draw_from(generators: Iterable[torch.Generator]) -> Iterator[None]:
    """Let this thread draw from these generators inside the context, at most one per type of device."""
    token = _generators.set({generator.device.type: generator for generator in generators})
    try:
        yield
    finally:
        _generators.reset(token)


@contextmanager
def lend(generators: Iterable[torch.Generator]) -> Iterator[None]:
    """Install generators as torch's global ones inside the context, for code that takes no generator.

    Afterwards the generators have advanced, and the global ones have their state from before. Threads take turns.
    """
    with _GLOBAL_STATE, ExitStack() as restoring:
        for generator in generators:
            place = _global_generator(generator.device)
            restoring.callback(place.set_state, place.get_state())
            restoring.callback(_copy_state, place, generator)
            _copy_state(generator, place)
        yield


@contextmanager
def keep_global_state() -> Iterator[None]:
    """Restore the global generators of torch (CPU), Python and NumPy at the end of the context."""
    with _GLOBAL_STATE:
        states = torch.default_generator.get_state(), random.getstate(), np.random.get_state()
        try:
            yield
        finally:
            torch.default_generator.set_state(states[0])
            random.setstate(states[1])
            np.random.set_state(states[2])


def dropout(inputs: Tensor, rate: float) -> Tensor:
    """Apply dropout as `F.dropout` does in training, bit by bit, with the generator of this thread."""
    generator = generator_on(inputs.device)
    if generator is None or rate == 0:
        return F.dropout(inputs, rate)
    if inputs.device.type == "cuda":
        return torch._fused_dropout(inputs, 1 - rate, generator)[0]
    return inputs * torch.empty_like(inputs).bernoulli_(1 - rate, generator=generator).div_(1 - rate)


def _copy_state(source: torch.Generator, target: torch.Generator) -> None:
    target.set_state(source.get_state())


def _global_generator(device: torch.device) -> torch.Generator:
    if device.type == "cpu":
        return torch.default_generator
    if device.type == "mps":
        return torch.mps._get_default_mps_generator()
    generators: tuple[torch.Generator, ...] = getattr(torch, device.type).default_generators
    return generators[device.index or 0]
