"""Forecasts from windows: quantiles of the steps to come, beyond the trained horizon from the network's own medians."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unspool.data import SeriesWindows
from unspool.inputs.series.windows import WindowSet

__all__ = ["roll_out"]

_AT_ONCE = 1024  # windows of a batch

Quantiles = NDArray[np.float32]


def roll_out(
    windows: WindowSet, quantiles: Callable[[SeriesWindows], Quantiles], *, trained: int, horizon: int, middle: int
) -> Quantiles:
    """Forecast the steps after windows.

    Args:
        windows: Windows whose future is `horizon` steps long and unknown.
        quantiles: Returns the quantiles of a batch whose future is `trained` steps long, (trained, batch, levels).
        trained: Horizon of the network.
        horizon: Steps to forecast. Each block of `trained` steps takes the medians of the blocks before for true.
        middle: Place of the median among the levels.

    Returns:
        Quantiles, (horizon, windows, levels).
    """
    return np.concatenate(list(_batches(windows, quantiles, trained, horizon, middle)), 1)


def _batches(
    windows: WindowSet, quantiles: Callable[[SeriesWindows], Quantiles], trained: int, horizon: int, middle: int
) -> Iterator[Quantiles]:
    lookback = windows.lookback
    for begin in range(0, len(windows), _AT_ONCE):
        batch = windows.batch(np.arange(begin, min(begin + _AT_ONCE, len(windows))))
        count = batch.past.shape[1]
        covariates = _padded(torch.cat([batch.past_covariates, batch.future_covariates]), lookback + horizon + trained)
        past, observed, blocks = batch.past, batch.observed, []
        for first in range(0, horizon, trained):
            here = replace(
                batch,
                past=past,
                observed=observed,
                past_covariates=covariates[first : first + lookback],
                future_covariates=covariates[first + lookback : first + lookback + trained],
                future=past.new_zeros(trained, count),
                counted=observed.new_zeros(trained, count),
            )
            blocks.append(quantiles(here))
            median = torch.from_numpy(blocks[-1][..., middle].copy())
            past = torch.cat([past, median])[-lookback:]
            observed = torch.cat([observed, torch.ones_like(median, dtype=torch.bool)])[-lookback:]
        yield np.concatenate(blocks)[:horizon]


def _padded(covariates: Tensor, steps: int) -> Tensor:
    """Add steps of zeros, (steps, batch, features), that no forecast step reads."""
    return torch.cat([covariates, covariates.new_zeros(max(0, steps - len(covariates)), *covariates.shape[1:])])
