"""Scores of forecasts: MSE, MAE, MASE, sMAPE, CRPS and coverage, over all windows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unspool.inputs.series.windows import Scaling
from unspool.tasks.forecast.settings import interval_ends

__all__ = ["ForecastScores"]

Numbers = NDArray[np.float64]


class ForecastScores:
    r"""Sums over windows, from which the scores follow.

    With :math:`y` a true value and :math:`f` its forecast (the median), over all observed values of all windows:

    - `mse`, `mae`: mean of :math:`(y - f)^2` and of :math:`|y - f|`, in units of each series' standard deviation in the
      training data.
    - `mase`: for each series, the mean of :math:`|y - f|` over the mean of :math:`|y_t - y_{t-s}|` of all steps before
      the first one to forecast, with the season :math:`s`; then the mean over the series (Hyndman and Koehler 2006; as
      in the M4 competition).
    - `smape`: for each series, the mean of :math:`200 |y - f| / (|y| + |f|)`, 0 where both are 0; then the mean over
      the series (as in the M4 competition), in percent.
    - `crps`: mean over the values and over the levels :math:`q` of :math:`2 \max(q e, (q - 1) e)` with
      :math:`e = y - \hat y_q`, scaled as `mae`; with denser levels it tends to the continuous ranked probability score
      (Gneiting and Raftery 2007), and equals `mae` for a point.
    - `coverage`: share of the values inside the interval, ends included.

    A channel counts as a series of its own.

    Args:
        scalings: Scaling of each series.
        channels: Number of channels.
        levels: Probability of each quantile; a single 0.5 for points.
        interval: Probability of the interval, whose ends are among the levels.
    """

    def __init__(self, scalings: Sequence[Scaling], channels: int, levels: Sequence[float], interval: float) -> None:
        self._mean, self._deviation, self._seasonal = (
            np.concatenate([np.broadcast_to(part, (channels,)) for part in parts])
            for parts in zip(*scalings, strict=True)
        )
        self._levels, self._middle = np.array(levels), list(levels).index(0.5)
        ends = interval_ends(interval)
        self._ends = [list(levels).index(end) for end in ends] if set(ends) <= set(levels) else None
        self._count, self._absolute, self._relative = (np.zeros(len(self._mean)) for _ in range(3))
        self._squares = self._pinball = self._inside = 0.0

    def add(
        self,
        forecast: NDArray[np.float32],
        future: NDArray[np.float32],
        counted: NDArray[np.bool_],
        sequence: NDArray[np.int64],
    ) -> None:
        """Add windows.

        Args:
            forecast: Quantiles in scaled units, (horizon, windows, levels).
            future: True values in scaled units, (horizon, windows).
            counted: Whether a value is there, (horizon, windows).
            sequence: Index of each window's sequence: series times channels, (windows,).
        """
        point = forecast[..., self._middle].astype(np.float64)
        error = np.where(counted, future - point, 0.0)
        mean, deviation = self._mean[sequence], self._deviation[sequence]
        true, guess = future * deviation + mean, point * deviation + mean
        size = np.abs(true) + np.abs(guess)
        relative = np.where(counted & (size > 0), 200 * np.abs(true - guess) / np.where(size > 0, size, 1), 0.0)
        np.add.at(self._count, sequence, counted.sum(0))
        np.add.at(self._absolute, sequence, np.abs(error).sum(0))
        np.add.at(self._relative, sequence, relative.sum(0))
        self._squares += float(np.square(error).sum())
        errors = future[..., None] - forecast
        losses = np.maximum(self._levels * errors, (self._levels - 1) * errors).mean(-1)
        self._pinball += 2 * float(losses[counted].sum())
        if self._ends is not None:
            low, high = (forecast[..., place] for place in self._ends)
            self._inside += float(((future >= low) & (future <= high) & counted).sum())

    def scores(self) -> dict[str, float]:
        """Return all scores by name; a MASE without a scale and a coverage without an interval are left out."""
        total, there = self._count.sum(), self._count > 0
        counts = np.maximum(self._count, 1)
        scaled = there & (self._seasonal > 0)
        scores = {
            "mse": self._squares / total,
            "mae": self._absolute.sum() / total,
        }
        if scaled.any():
            each = self._absolute * self._deviation / counts / np.where(scaled, self._seasonal, 1)
            scores["mase"] = each[scaled].mean()
        scores["smape"] = (self._relative / counts)[there].mean()
        scores["crps"] = self._pinball / total
        if self._ends is not None:
            scores["coverage"] = self._inside / total
        return {name: float(value) for name, value in scores.items()}
