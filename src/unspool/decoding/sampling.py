"""Sampling of the next unit: temperature, top-k and top-p."""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor

from unspool.decoding.states import StepModel
from unspool.errors import SettingError

__all__ = ["SelfStarting", "chances", "check_seed", "draw", "sample_next", "seeded"]


class SelfStarting(StepModel, Protocol):
    """A step model that starts from a number of sequences alone."""

    def start(self, batch_size: int) -> Any:
        """Return the state before the first unit."""


def chances(
    log_probabilities: Tensor, *, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    """Return the sampling probability of each unit, (batch, vocabulary); arguments as in `sample_next`.

    At temperature 0, the most likely unit has probability 1; ties go to the lowest unit.
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
        # relative to the maximum, so that a small temperature does not take every unit to -infinity
        scores = (scores - scores.amax(-1, keepdim=True)) / max(temperature, 1e-30)
    if top_k is not None and top_k < scores.shape[-1]:
        best = scores.topk(top_k, dim=-1)  # by index: ties must not let more units through
        scores = torch.full_like(scores, float("-inf")).scatter(-1, best.indices, best.values)
    probabilities = scores.softmax(-1)
    if top_p is not None and top_p < 1:
        ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
        before = ordered.cumsum(-1) - ordered  # sum of the more likely units; the most likely one always stays
        ordered = ordered.masked_fill((before >= top_p) & (before > 0), 0)  # a tiny top_p is 0 in float32
        probabilities = torch.zeros_like(probabilities).scatter(-1, order, ordered / ordered.sum(-1, keepdim=True))
    return probabilities


def check_seed(seed: int) -> None:
    """Raise `SettingError` unless a seed is between 0 and 2^63 - 1."""
    if not 0 <= seed < 2**63:
        raise SettingError(f"seed = {seed}: expected a whole number from 0 to 2^63 - 1")


def seeded(seed: int, device: torch.device) -> torch.Generator:
    """Return a random number generator with a seed.

    Raises:
        SettingError: If the seed is not between 0 and 2^63 - 1.
    """
    check_seed(seed)
    return torch.Generator(device).manual_seed(seed)


def draw(probabilities: Tensor, numbers: Tensor) -> Tensor:
    """Draw one unit per row from given random numbers, so that rows do not depend on each other.

    Args:
        probabilities: Of each unit, (batch, vocabulary); a row need not sum to 1.
        numbers: Uniform in [0, 1), float32 (batch,).

    Returns:
        The first unit where the cumulative probability exceeds the number times the row's sum, int64 (batch,).
    """
    sums = probabilities.cumsum(-1)
    aims = numbers.unsqueeze(-1) * sums[:, -1:]
    units = torch.searchsorted(sums, aims, right=True).clamp(max=probabilities.shape[-1] - 1)
    possible = probabilities.gather(-1, units) > 0
    if not possible.all():  # rounding can move an aim, or a cumulative sum, onto a unit of probability 0
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
        temperature: Above 1 flattens the distribution, below 1 sharpens it; 0 takes the most likely unit.
        top_k: Draw from this many most likely units only.
        top_p: Nucleus sampling: draw from the fewest most likely units whose probabilities sum to at least this
            (Holtzman et al. 2020, arXiv:1904.09751).
        generator: Random number generator; torch's global one if omitted.

    Returns:
        Units, int64 (batch,).

    Raises:
        SettingError: If a setting is out of range.
    """
    probabilities = chances(log_probabilities, temperature=temperature, top_k=top_k, top_p=top_p)
    if temperature == 0:
        return probabilities.argmax(-1)
    return torch.multinomial(probabilities, 1, generator=generator).squeeze(-1)
