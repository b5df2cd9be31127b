"""Forecasts that go on with new values: a recurrent network keeps its state, others keep their window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unspool.data import Series
from unspool.errors import DataError, UsageError
from unspool.models import StepForecast

if TYPE_CHECKING:
    from unspool.tasks.forecast.forecast import Forecast
    from unspool.tasks.forecast.forecaster import Forecaster

__all__ = ["ForecastStream"]


class ForecastStream:
    """A series that grows, with a forecast after each new step.

    A network that reads step by step (`network = recurrent`) keeps its state, so an update costs one step, and the
    network remembers more than a look-back. Other networks read their window again.

    Args:
        model: The forecaster, trained without known columns.
        series: The values so far, at least a look-back.

    Example:
        >>> stream = model.stream()  # doctest: +SKIP
        >>> stream.update([451.0]).values  # doctest: +SKIP
        [430.2, ...]
    """

    def __init__(self, model: Forecaster, series: Series) -> None:
        if model.fitted.covariates:
            raise UsageError("a model with known columns can't be updated step by step; call predict with its future")
        self._model, self._series = model, series
        network = model.model.network
        self._network: StepForecast | None = None
        if isinstance(network, StepForecast) and model.settings.series.normalization != "reversible":
            self._network = network
            self._read()

    @property
    def series(self) -> Series:
        """The values so far."""
        return self._series

    @property
    def keeps_state(self) -> bool:
        """Whether an update costs one step of the network."""
        return self._network is not None

    def update(self, values: Any) -> Forecast:
        """Add the next step, and forecast the steps after.

        Args:
            values: Value of each channel, or one number for a single channel; NaN for a missing one.

        Raises:
            DataError: If there are more or fewer values than channels, or one is infinite.
        """
        row = np.atleast_1d(np.asarray(values, float))
        width = self._series.values.shape[1]
        if row.shape != (width,) or np.isinf(row).any():
            raise DataError(f"{np.shape(values)} values came; expected one finite number for each of {width} channels")
        series = self._series
        self._series = Series(
            series.id,
            series.start,
            np.concatenate([series.values, row[None]]),
            np.zeros((len(series) + 1, 0)),
            series.where,
        )
        if self._network is not None:
            self._step(row)
        return self.forecast()

    def forecast(self) -> Forecast:
        """Forecast the steps after the values so far."""
        model = self._model
        if self._network is None:
            return model._forecast([self._series], model.fitted.horizon, model.fitted.clock)[0]
        quantiles = self._from_state(self._network)
        return model._forecast_of(self._series, quantiles, model.fitted.horizon, model.fitted.clock)

    @torch.no_grad()
    def _read(self) -> None:
        """Run the network over all values so far."""
        network = self._network
        assert network is not None
        scaled = self._scaled(self._series.values)
        observed = ~torch.isnan(scaled)
        self._channel = torch.arange(scaled.shape[1])
        covariates = self._covariates(len(self._series) + 1)[1:]
        filled, inputs = network.inputs(scaled.nan_to_num(), observed, covariates, self._channel)
        states, self._state = network.encoder(inputs)
        self._last, self._value = states[-1], filled[-1]

    @torch.no_grad()
    def _step(self, row: NDArray[np.float64]) -> None:
        network = self._network
        assert network is not None
        value = self._scaled(row)
        missing = torch.isnan(value)
        value = torch.where(missing, self._value, value)
        covariates = self._covariates(len(self._series) + 1)[-1]
        change = value - self._value
        self._last, self._state = network.advance(self._state, change, missing.float(), covariates, self._channel)
        self._value = value

    @torch.no_grad()
    def _from_state(self, network: StepForecast) -> NDArray[np.float32]:
        model, steps = self._model, len(self._series)
        covariates = self._covariates(steps + model.fitted.horizon)[steps:]
        outputs = network.written(self._last, self._state, self._value, covariates, self._channel)
        return model.quantiles(outputs)

    def _scaled(self, values: NDArray[np.float64]) -> Tensor:
        scaling = self._model.fitted.scaling(self._series)
        return torch.from_numpy((values - scaling.mean) / scaling.deviation).float()

    def _covariates(self, steps: int) -> Tensor:
        """Return the calendar features of the first steps, (steps, channels, features)."""
        features = torch.from_numpy(self._model.fitted.covariates_of(self._series, steps))
        return features.unsqueeze(1).expand(-1, self._series.values.shape[1], -1)
