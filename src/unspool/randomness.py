"""Random numbers for training: generators of a run's own, in place of torch's global ones."""

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
"""Held by a thread for as long as it replaces the state of a global generator."""

_generators: ContextVar[Mapping[str, torch.Generator] | None] = ContextVar("generators", default=None)


def generator_on(device: torch.device) -> torch.Generator | None:
    """The generator that this thread draws from on a device; None: torch's global one."""
    own = _generators.get()
    return None if own is None else own.get(device.type)


@contextmanager
def draw_from(generators: Iterable[torch.Generator]) -> Iterator[None]:
    """Let this thread draw from these generators, at most one for each type of device; other threads do not notice."""
    token = _generators.set({generator.device.type: generator for generator in generators})
    try:
        yield
    finally:
        _generators.reset(token)


@contextmanager
def lend(generators: Iterable[torch.Generator]) -> Iterator[None]:
    """Let torch's global generators continue these, for code that takes no generator.

    Afterwards the generators have moved on, and the global ones are as they were. Threads that lend take turns.
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
    """Leave the global generators of torch (CPU), Python and NumPy as they are, whatever the code inside draws."""
    with _GLOBAL_STATE:
        states = torch.default_generator.get_state(), random.getstate(), np.random.get_state()
        try:
            yield
        finally:
            torch.default_generator.set_state(states[0])
            random.setstate(states[1])
            np.random.set_state(states[2])


def dropout(inputs: Tensor, rate: float) -> Tensor:
    """`F.dropout` as in training, to the same bits, from the generator of this thread."""
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
