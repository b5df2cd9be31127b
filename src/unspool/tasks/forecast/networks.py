"""Networks of a forecaster, from its settings and its fitted state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from unspool.cells import Cell
from unspool.inputs.encoders import recurrent_stack
from unspool.layers import Recurrent, TransformerEncoder, initialize
from unspool.models import (
    EncoderDecoderForecast,
    ForecasterModel,
    LinearForecast,
    PatchForecast,
    SegmentForecast,
    StepForecast,
)
from unspool.tasks.forecast.fitted import FittedForecaster
from unspool.tasks.forecast.settings import ForecasterSettings

__all__ = ["build_forecaster"]

_WITH_LINEAR = ("segments", "encoder-decoder", "patches")


def build_forecaster(
    settings: ForecasterSettings, fitted: FittedForecaster, cell: str | type[Cell[Any]], levels: Sequence[float]
) -> ForecasterModel:
    """Build the model that settings describe.

    Args:
        settings: The settings.
        fitted: Sizes of the windows, channels and covariates.
        cell: The cell of recurrent layers, or its name.
        levels: Probability of each output of a step.
    """
    network, covariates = settings.network, fitted.num_covariates
    with_linear = network.linear and network.network in _WITH_LINEAR
    model = ForecasterModel(
        _network(settings, fitted, cell, levels),
        levels,
        normalization=settings.series.normalization,
        loss=settings.loss,
        linear=nn.Linear(fitted.lookback, fitted.horizon * len(levels)) if with_linear else None,
        covariates=(len(fitted.channels), covariates) if covariates and network.network != "recurrent" else None,
    )
    initialize(model, network.initialization, forget_bias=network.forget_bias)
    return model


def _network(
    settings: ForecasterSettings, fitted: FittedForecaster, cell: str | type[Cell[Any]], levels: Sequence[float]
) -> nn.Module:
    network, covariates = settings.network, fitted.num_covariates

    def stack(input_size: int) -> Recurrent:
        return recurrent_stack(network, cell, input_size, bidirectional=False)

    window: dict[str, Any] = {"lookback": fitted.lookback, "horizon": fitted.horizon, "outputs": len(levels)}
    if network.network in ("linear", "decomposed"):
        return LinearForecast(**window, average=network.average if network.network == "decomposed" else None)
    step: dict[str, Any] = {
        "horizon": fitted.horizon,
        "channels": len(fitted.channels),
        "outputs": len(levels),
        "dropout": network.dropout,
    }
    parts = {**window, **step, "segment": fitted.segment, "covariates": covariates}
    if network.network == "segments":
        return SegmentForecast(stack(network.hidden), **parts)
    if network.network == "patches":
        encoder = TransformerEncoder(
            network.hidden,
            heads=network.heads,
            feedforward=network.feedforward,
            layers=network.layers,
            dropout=network.dropout,
            attention_dropout=network.attention_dropout,
            activation="gelu",
            positions="learned",
        )
        return PatchForecast(encoder, **parts)
    if network.network == "recurrent":
        size = 2 + covariates + StepForecast.channel_size
        return StepForecast(stack(size), **step, covariates=covariates, middle=list(levels).index(0.5))
    encoder_size = covariates + EncoderDecoderForecast.encoder_extra
    return EncoderDecoderForecast(stack(encoder_size), stack(covariates + EncoderDecoderForecast.decoder_extra), **step)
