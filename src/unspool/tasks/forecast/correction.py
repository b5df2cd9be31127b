"""Correction of forecast quantiles by the errors on validation data (conformal prediction)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unspool.errors import ModelFolderError

__all__ = ["FEWEST", "Correction", "fit_correction"]

Numbers = NDArray[np.float64]

FEWEST = 10
"""Fewest validation values of a correction."""
_PER_BIN = 200  # values from which steps have a correction of their own
_BINS = 12
_PRIOR = 30  # windows apart from each other whose errors count as much as the network's own quantiles
_SMALL = 1e-6


class Correction(NamedTuple):
    r"""Correction of quantiles around the median: :math:`q' = m + f (q - m) + o`.

    Steps are divided into bins of about equal size, from the first step to the last of the horizon.
    """

    factors: Numbers
    """(bins, levels)"""
    offsets: Numbers
    """In units of the scaled series, (bins, levels)."""

    @classmethod
    def of(
        cls,
        factors: Sequence[Sequence[float]] | None,
        offsets: Sequence[Sequence[float]] | None,
        levels: int,
        file: Path,
    ) -> Correction | None:
        """Read a stored correction.

        Raises:
            ModelFolderError: If it does not fit the levels.
        """
        if factors is None or offsets is None:
            return None
        try:
            made = cls(np.array(factors, float), np.array(offsets, float))
        except ValueError:
            made = cls(np.zeros(0), np.zeros(0))
        if made.factors.shape != made.offsets.shape or made.factors.ndim != 2 or made.factors.shape[1] != levels:
            raise ModelFolderError(
                f"{file}: the correction of the quantiles is damaged: it does not fit {levels} levels"
            )
        return made

    def apply(self, forecast: NDArray[np.float32], middle: int) -> NDArray[np.float32]:
        """Correct quantiles, (horizon, batch, levels); the median stays, and the others keep their order around it.

        Args:
            forecast: The quantiles.
            middle: Place of the median among the levels.
        """
        bins = _bins(len(forecast), len(self.factors))
        median = forecast[..., middle : middle + 1]
        moved = median + self.factors[bins][:, None] * (forecast - median) + self.offsets[bins][:, None]
        moved[..., middle] = median[..., 0]
        moved[..., middle:] = np.maximum.accumulate(moved[..., middle:], -1)
        moved[..., middle::-1] = np.minimum.accumulate(moved[..., middle::-1], -1)
        return moved.astype(np.float32)


def fit_correction(
    forecast: NDArray[np.float32],
    future: NDArray[np.float32],
    counted: NDArray[np.bool_],
    levels: Sequence[float],
    *,
    independent: float,
) -> Correction | None:
    r"""Fit a correction to forecasts of validation data, towards quantiles that hold there.

    A level :math:`\tau < 1/2` gets the factor by which :math:`P(y < m - f (m - q_\tau)) = \tau`, the quantile
    :math:`1 - \tau` of :math:`(m - y) / (m - q_\tau)`; levels above likewise. A forecast without spread gets the
    quantiles of :math:`y - m` as offsets. Each takes the finite-sample step of :math:`n + 1`. A few months of
    validation data may be calmer or wilder than later ones, so a factor :math:`f` becomes :math:`f^{w / (w + 30)}` for
    :math:`w` windows that do not overlap.

    Source: Romano et al. 2019, "Conformalized quantile regression", arXiv:1905.03222, with the scores of Sousa et al.
    2022 (scaled by the width). Differs: levels apart, steps of the horizon in bins; windows of a series overlap, so the
    guarantee for exchangeable data does not hold.

    Args:
        forecast: Quantiles in scaled units, (horizon, windows, levels).
        future: True values, (horizon, windows).
        counted: Whether a value is there, (horizon, windows).
        levels: Probability of each quantile.
        independent: Number of windows that do not overlap.

    Returns:
        The correction; None with fewer than `FEWEST` values.
    """
    total = int(counted.sum())
    if total < FEWEST:
        return None
    count = int(max(1, min(_BINS, len(forecast), total // _PER_BIN)))
    bins, middle = _bins(len(forecast), count), list(levels).index(0.5)
    factors, offsets = np.ones((count, len(levels))), np.zeros((count, len(levels)))
    weight = independent / (independent + _PRIOR)
    for place in range(count):
        chosen = counted & (bins == place)[:, None]
        quantiles, values = forecast[chosen], future[chosen]  # (values, levels), (values,)
        error = values - quantiles[:, middle]
        for column, level in enumerate(levels):
            if column == middle:
                continue
            spread = quantiles[:, column] - quantiles[:, middle]
            tail = max(level, 1 - level)
            share = min(1.0, np.ceil(tail * (len(values) + 1)) / len(values))
            sign = 1.0 if level > 0.5 else -1.0
            if np.abs(spread).max() < _SMALL:
                offsets[place, column] = sign * np.quantile(sign * error, share)
            else:
                ratio = sign * error / np.maximum(sign * spread, _SMALL)
                factors[place, column] = max(0.0, float(np.quantile(ratio, share))) ** weight
    return Correction(factors, offsets)


def _bins(steps: int, count: int) -> NDArray[np.int64]:
    """Return the bin of each step, (steps,)."""
    return np.minimum(np.arange(steps) * count // steps, count - 1)
