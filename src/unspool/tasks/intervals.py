"""Confidence intervals of a mean over few values, by Student's t."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import NamedTuple

__all__ = ["CONFIDENCE", "Interval", "mean_interval", "student_t"]

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A mean with its 95 % confidence interval."""

    mean: float
    half_width: float | None
    """Half width of the interval, so that the interval is `mean` ± `half_width`; None for fewer than two values."""
    observations: int
    """Number of values."""

    def __str__(self) -> str:
        return f"{self.mean:.4g}" if self.half_width is None else f"{self.mean:.4g} ± {self.half_width:.2g}"


def mean_interval(values: Sequence[float]) -> Interval:
    """Compute the mean and its 95 % confidence interval for independent samples, at least one.

    The half width is t · s / √n, with the sample standard deviation s and Student's t of n - 1 degrees of freedom. The
    interval is exact for normally distributed values.
    """
    count = len(values)
    if not all(map(math.isfinite, values)):
        return Interval(math.nan, None, count)
    if count < 2:
        return Interval(fmean(values), None, count)
    return Interval(fmean(values), student_t(count - 1) * stdev(values) / math.sqrt(count), count)


def student_t(degrees: int, confidence: float = CONFIDENCE) -> float:
    """Compute the two-sided critical value of Student's t distribution.

    Args:
        degrees: Degrees of freedom, at least 1.
        confidence: Probability of the interval ±t, between 0 and 1.
    """
    low, high = 0.0, 1.0
    while _within(high, degrees) < confidence:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, degrees) < confidence else (low, middle)
    return high


def _within(t: float, degrees: int) -> float:
    """Probability of the interval ±t. Source: Abramowitz and Stegun 1964, equations 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    total = term = (cosine if odd else 1.0) if degrees > 1 else 0.0
    for k in range(2 + odd, degrees - 1, 2):
        term *= (k - 1) / k * cosine**2
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
