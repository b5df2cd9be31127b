"""Forecaster: a network over a window of a series, with normalisation of each window and a loss over quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from unspool.data import SeriesWindows
from unspool.models.forecast_networks import by_step
from unspool.models.loss import Loss

__all__ = ["ForecastLoss", "ForecasterModel", "Normalization", "pinball"]

Normalization = Literal["last", "reversible", "none"]
ForecastLoss = Literal["quantiles", "absolute", "squared"]

_SMALLEST = 1e-5  # standard deviation of a window


class ForecasterModel(nn.Module):
    r"""Network that forecasts quantiles of each step, or points.

    `last` subtracts the last observed value of each window, and adds it to the outputs (as NLinear, Zeng et al. 2023,
    arXiv:2205.13504). `reversible` subtracts the mean of the window, divides by its standard deviation, and reverts
    both (Kim et al. 2022, "Reversible instance normalization"). Differs: without affine weights.

    Args:
        network: From windows to outputs, (horizon, batch, outputs).
        levels: Probability of each output's quantile, ascending, with 0.5; with a loss of points only 0.5.
        normalization: last, reversible or none.
        loss: quantiles (twice the pinball loss, averaged over the levels), absolute or squared.
        linear: Layer from the normalised look-back to all outputs, horizon · outputs, which is added to the network (as
            the autoregressive part of LSTNet, Lai et al. 2018, arXiv:1703.07015). None: no such layer.
        covariates: Numbers of channels and of covariates, for weights of each channel from the covariates of a step
            to its outputs; they start at 0. None: no such weights.
    """

    levels: Tensor

    def __init__(
        self,
        network: nn.Module,
        levels: Sequence[float],
        *,
        normalization: Normalization = "last",
        loss: ForecastLoss = "quantiles",
        linear: nn.Linear | None = None,
        covariates: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.linear = linear
        self.covariates = nn.Parameter(torch.zeros(*covariates, len(levels))) if covariates else None
        self.network, self.normalization, self.kind = network, normalization, loss
        self.register_buffer("levels", torch.tensor(levels), persistent=False)

    def forward(self, windows: SeriesWindows) -> Tensor:
        """Return the forecast of each step and quantile, (horizon, batch, outputs)."""
        level, scale = self._reference(windows)
        normalised = self._normalised(windows, level, scale)
        outputs: Tensor = self.network(normalised)
        if self.linear is not None:
            outputs = outputs + by_step(self.linear(normalised.past.T), len(outputs))
        if self.covariates is not None:
            outputs = outputs + torch.einsum(
                "hbk,bko->hbo", windows.future_covariates, self.covariates[windows.channel]
            )
        return outputs.float() * scale[:, None] + level[:, None]

    def loss(self, batch: SeriesWindows, carry: Any = None) -> Loss:
        """Return the loss of the observed values, summed; counts them."""
        forced = getattr(self.network, "forced", None)
        if forced is None:
            forecast, future, counted = self(batch), batch.future, batch.counted
        else:  # a network that reads its own outputs learns from the true values
            level, scale = self._reference(batch)
            outputs, future, counted = forced(self._normalised(batch, level, scale))
            forecast = outputs.float() * scale[:, None] + level[:, None]
            future = future * scale + level
        error = future.unsqueeze(-1) - forecast
        if self.kind == "quantiles":
            losses = 2 * pinball(error, self.levels).mean(-1)
        else:
            losses = (error.abs() if self.kind == "absolute" else error.square()).squeeze(-1)
        return Loss(losses.masked_fill(~counted, 0).sum(), max(1, int(counted.sum())))

    def normalised(self, windows: SeriesWindows) -> SeriesWindows:
        """Return windows as the network reads them."""
        return self._normalised(windows, *self._reference(windows))

    def _reference(self, windows: SeriesWindows) -> tuple[Tensor, Tensor]:
        """Return level and scale of each window, (batch,)."""
        past, observed = windows.past, windows.observed
        scale = torch.ones_like(past[0])
        if self.normalization == "none":
            return torch.zeros_like(scale), scale
        if self.normalization == "last":
            steps = torch.arange(1, len(past) + 1, device=past.device)[:, None]
            last = (steps * observed).argmax(0)
            return past.gather(0, last[None])[0], scale
        count = observed.sum(0).clamp(min=1)
        level = (past * observed).sum(0) / count
        variance = ((past - level).square() * observed).sum(0) / count
        return level, (variance + _SMALLEST**2).sqrt()

    def _normalised(self, windows: SeriesWindows, level: Tensor, scale: Tensor) -> SeriesWindows:
        past = ((windows.past - level) / scale).masked_fill(~windows.observed, 0)
        future = ((windows.future - level) / scale).masked_fill(~windows.counted, 0)
        return replace(windows, past=past, future=future)


def pinball(error: Tensor, levels: Tensor) -> Tensor:
    r"""Return the pinball loss of quantile forecasts, :math:`\max(q e, (q - 1) e)` for :math:`e = y - \hat y_q`.

    Source: Koenker and Bassett 1978, "Regression quantiles".

    Args:
        error: Target minus forecast, (..., levels).
        levels: Probability of each quantile, (levels,).
    """
    return torch.maximum(levels * error, (levels - 1) * error)
