"""Learning rate schedules: constant, cosine, linear, plateau and anneal, each with warm-up."""

from __future__ import annotations

import math

from unspool.training.settings import TrainingSettings

__all__ = ["LONGEST_WARMUP", "cut", "learning_rate"]

LONGEST_WARMUP = 0.1
"""Maximum warm-up, as a fraction of the training."""


def learning_rate(
    settings: TrainingSettings,
    update: int,
    progress: float,
    factor: float = 1.0,
    *,
    longest_warmup: float | None = LONGEST_WARMUP,
) -> float:
    """Return the learning rate of one update.

    Warm-up lasts `warmup` updates, but at most a tenth of the training.

    Args:
        settings: Schedule, peak, warm-up and final fraction.
        update: Number of earlier updates.
        progress: Fraction of the training so far, between 0 and 1.
        factor: Factor of plateau and anneal so far, from `cut`.
        longest_warmup: Maximum warm-up, as a fraction of the training. None: no maximum.
    """
    floor = settings.final_learning_rate_fraction
    warm = 1.0
    if settings.warmup:
        warm = min(1.0, max((update + 1) / settings.warmup, progress / longest_warmup if longest_warmup else 0.0))
    match settings.schedule:
        case "cosine":
            share = floor + (1 - floor) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
        case "linear":
            share = floor + (1 - floor) * (1 - min(progress, 1.0))
        case "plateau" | "anneal":
            share = factor
        case "constant":
            share = 1.0
    return settings.learning_rate * warm * share


def cut(settings: TrainingSettings, factor: float, flat: int) -> tuple[float, int]:
    """Apply plateau or anneal after a validation.

    Args:
        settings: Schedule and divisor.
        factor: Factor of the learning rate before, between 0 and 1.
        flat: Validations without improvement since the last cut, this one included; 0 if it improved.

    Returns:
        The new `factor` and the new `flat`.
    """
    length = {"plateau": settings.plateau_length, "anneal": 1}.get(settings.schedule)
    if length is None or flat < length:
        return factor, flat
    return max(factor / settings.anneal_factor, settings.final_learning_rate_fraction), 0
