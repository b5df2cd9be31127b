"""Simple forecasts beside a network's: last value, last season, and ridge regression on the look-back."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unspool.inputs.series.windows import WindowSet

__all__ = ["LinearRegression", "last_season", "last_value"]

_MOST_WINDOWS = 60_000  # from which the regression learns
_AT_ONCE = 4096

Values = NDArray[np.float32]


def last_value(past: Values, observed: NDArray[np.bool_], horizon: int) -> Values:
    """Repeat the last observed value of each window, (lookback, batch), for all steps: (horizon, batch)."""
    steps = np.arange(1, len(past) + 1)[:, None] * observed
    return np.broadcast_to(np.take_along_axis(past, steps.argmax(0)[None], 0), (horizon, past.shape[1]))


def last_season(past: Values, observed: NDArray[np.bool_], horizon: int, season: int) -> Values:
    """Repeat the last season of each window; a missing value becomes the last one observed."""
    if season > len(past):
        return last_value(past, observed, horizon)
    filled = np.where(observed, past, last_value(past, observed, 1))
    places = len(past) - season + np.arange(horizon) % season
    repeated: Values = filled[places]
    return repeated


class LinearRegression:
    r"""Ridge regression from a look-back to all steps, after subtraction of the last value.

    .. math:: \hat y = x_L + W (x - x_L), \quad W = Y X^\top (X X^\top + \lambda I)^{-1}

    The penalty is a hundredth of the mean of the diagonal of :math:`X X^\top`.

    Args:
        weights: (lookback, horizon).
    """

    def __init__(self, weights: Tensor) -> None:
        self.weights = weights

    @classmethod
    def learn(cls, windows: WindowSet) -> LinearRegression:
        """Fit to windows; of more than 60,000, to as many at equal distances."""
        places = np.unique(np.linspace(0, len(windows) - 1, min(len(windows), _MOST_WINDOWS)).astype(np.int64))
        square = torch.zeros(windows.lookback, windows.lookback)
        product = torch.zeros(windows.lookback, windows.horizon)
        for part in _parts(places):
            batch = windows.batch(part)
            inputs, last = _centred(batch.past, batch.observed)
            targets = torch.where(batch.counted, batch.future - last, 0.0)
            square += inputs @ inputs.T
            product += inputs @ targets.T
        ridge = 0.01 * square.diagonal().mean().clamp(min=1e-6)
        weights: Tensor = torch.linalg.solve(square + ridge * torch.eye(len(square)), product)
        return cls(weights)

    def predict(self, past: Values, observed: NDArray[np.bool_]) -> Values:
        """Forecast windows, (lookback, batch): (horizon, batch)."""
        inputs, last = _centred(torch.from_numpy(past), torch.from_numpy(observed))
        forecast: Values = (self.weights.T @ inputs + last).numpy()
        return forecast


def _centred(past: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
    """Return windows without their last observed values, 0 where missing, and these values, (batch,)."""
    steps = torch.arange(1, len(past) + 1)[:, None]
    last = past.gather(0, (steps * observed).argmax(0)[None])[0]
    return torch.where(observed, past - last, 0.0), last


def _parts(places: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for begin in range(0, len(places), _AT_ONCE):
        yield places[begin : begin + _AT_ONCE]
