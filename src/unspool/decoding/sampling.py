"""Choose the next unit from its probabilities."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from unspool.decoding.states import StepModel
from unspool.errors import SettingError

__all__ = ["SelfStarting", "chances", "draw", "sample", "sample_next", "seeded"]


class SelfStarting(StepModel, Protocol):
    """A step model that needs nothing but a number of sequences to begin."""

    def start(self, batch_size: int) -> Any:
        """The state before the first unit."""


def chances(
    log_probabilities: Tensor, *, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    """With what chance each unit is drawn, (batch, vocabulary); arguments are those of `sample_next`.

    At temperature 0 the likeliest unit, the first of equals, has chance 1.
    """
    if not 0 <= temperature < math.inf:
        raise SettingError(f"temperature = {temperature}: expected a finite number, 0 or more")
    if top_k is not None and top_k < 1:
        raise SettingError(f"top_k = {top_k}: expected 1 or more")
    if top_p is not None and not 0 < top_p <= 1:
        raise SettingError(f"top_p = {top_p}: expected more than 0 and at most 1")
    if temperature == 0:
        return torch.zeros_like(log_probabilities).scatter(-1, log_probabilities.argmax(-1, keepdim=True), 1)
    scores = log_probabilities.float()
    if temperature != 1:
        # from the likeliest down, so that a small temperature does not take every unit to -infinity
        scores = (scores - scores.amax(-1, keepdim=True)) / max(temperature, 1e-30)
    if top_k is not None and top_k < scores.shape[-1]:
        best = scores.topk(top_k, dim=-1)  # by place, not by value: equal scores must not let more through
        scores = torch.full_like(scores, float("-inf")).scatter(-1, best.indices, best.values)
    probabilities = scores.softmax(-1)
    if top_p is not None and top_p < 1:
        ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
        before = ordered.cumsum(-1) - ordered  # what the likelier ones add up to; the likeliest always stays
        ordered = ordered.masked_fill((before >= top_p) & (before > 0), 0)  # a tiny top_p is 0 in float32
        probabilities = torch.zeros_like(probabilities).scatter(-1, order, ordered / ordered.sum(-1, keepdim=True))
    return probabilities


def seeded(seed: int, device: torch.device) -> torch.Generator:
    """A generator of random numbers that begins at a seed.

    Raises:
        SettingError: If the seed is not between 0 and 2^63 - 1.
    """
    if not 0 <= seed < 2**63:
        raise SettingError(f"seed = {seed}: expected a whole number from 0 to 2^63 - 1")
    return torch.Generator(device).manual_seed(seed)


def draw(probabilities: Tensor, numbers: Tensor) -> Tensor:
    """Draw one unit for each row by numbers drawn before, so that a row's unit does not hang on its neighbours.

    Args:
        probabilities: Of each unit, (batch, vocabulary); a row need not add up to 1.
        numbers: Even between 0 and 1, 1 left out, float32 (batch,).

    Returns:
        The first unit at which the probabilities add up to more than that share of their sum, int64 (batch,).
    """
    sums = probabilities.cumsum(-1)
    aims = numbers.unsqueeze(-1) * sums[:, -1:]
    units = torch.searchsorted(sums, aims, right=True).clamp(max=probabilities.shape[-1] - 1)
    possible = probabilities.gather(-1, units) > 0
    if not possible.all():  # an aim rounded up to the whole sum, or sums that rose by rounding where nothing was added
        units = torch.where(possible, units, probabilities.argmax(-1, keepdim=True))
    return units.squeeze(-1)


def sample_next(
    log_probabilities: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw one unit for each row.

    Args:
        log_probabilities: In nats, (batch, vocabulary).
        temperature: Above 1 evens the chances out, below 1 sharpens them; 0 takes the likeliest.
        top_k: Draw from this many likeliest units only.
        top_p: Draw from the fewest likeliest units whose chances add up to at least this (Holtzman et al. 2020,
            arXiv:1904.09751).
        generator: Where chance comes from.

    Returns:
        Units, int64 (batch,).

    Raises:
        SettingError: If a setting is out of its range.
    """
    probabilities = chances(log_probabilities, temperature=temperature, top_k=top_k, top_p=top_p)
    if temperature == 0:
        return probabilities.argmax(-1)
    return torch.multinomial(probabilities, 1, generator=generator).squeeze(-1)


@torch.no_grad()
def sample(
    model: SelfStarting,
    prompt: Tensor,
    *,
    length: int,
    forbidden: Tensor | None = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> Iterator[Tensor]:
    """Write on from a prompt, one unit of each sequence at a time; memory does not grow with the length.

    Args:
        model: What predicts the next unit.
        prompt: Units to begin with, int64 (time, batch), at least one step.
        length: How many units to write.
        forbidden: Units that are never written, bool (vocabulary,).
        temperature: As in `sample_next`.
        top_k: As in `sample_next`.
        top_p: As in `sample_next`.
        generator: Where chance comes from.

    Yields:
        The next unit of each sequence, int64 (batch,).
    """
    state = model.start(prompt.shape[1])
    scores = None
    for ids in prompt:
        scores, state = model.advance(ids, state)
    for _ in range(length):
        assert scores is not None, "the prompt has no step"
        if forbidden is not None:
            scores = scores.masked_fill(forbidden, float("-inf"))
        ids = sample_next(scores, temperature=temperature, top_k=top_k, top_p=top_p, generator=generator)
        yield ids
        scores, state = model.advance(ids, state)
