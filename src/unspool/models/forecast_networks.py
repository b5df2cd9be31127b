"""Networks that forecast a window: segments, step by step, encoder-decoder, patches of a Transformer, linear."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from unspool.data import SeriesWindows
from unspool.layers import Dropout, Recurrent, TransformerEncoder

__all__ = ["EncoderDecoderForecast", "LinearForecast", "PatchForecast", "SegmentForecast", "StepForecast", "by_step"]


class SegmentForecast(nn.Module):
    r"""Recurrent layers over segments of the look-back; all segments to forecast are decoded at once.

    .. math::
        h_i &= \mathrm{cell}(\mathrm{relu}(W_s x_{(i-1)w+1 \ldots iw} + b_s), h_{i-1}), \quad i = 1 \ldots L / w \\
        \hat y_{(j-1)w+1 \ldots jw} &= W_o \, \mathrm{cell}([p_j; c], h_{L/w}) + b_o

    with a learned vector :math:`p_j` for the position of each segment and :math:`c` for the channel.

    Source: Lin et al. 2023, "SegRNN", arXiv:2308.11200, section 3. Differs: any cell and depth; a mask beside missing
    values; projections of calendar features and known columns are added to the inputs of both sides.

    Args:
        stack: Recurrent layers in one direction, with inputs as wide as their outputs, an even number.
        lookback: Steps of a window.
        horizon: Steps to forecast.
        segment: Steps of a segment; the look-back is padded in front to a multiple.
        channels: Number of channels.
        covariates: Number of calendar features and known columns.
        outputs: Number of outputs of a step.
        dropout: Dropout rate before the output layer.
    """

    def __init__(
        self,
        stack: Recurrent,
        *,
        lookback: int,
        horizon: int,
        segment: int,
        channels: int,
        covariates: int,
        outputs: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        size, self.segment, self.horizon = stack.hidden_size, segment, horizon
        self.padding, self.segments = -lookback % segment, -(-horizon // segment)
        self.project = nn.Linear(2 * segment, size)
        self.encoder = stack
        self.position = nn.Parameter(torch.randn(self.segments, size // 2))
        self.channel = nn.Parameter(torch.randn(channels, size - size // 2))
        self.covariates = nn.Linear(covariates * segment, size, bias=False) if covariates else None
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(size, segment * outputs)

    def forward(self, windows: SeriesWindows) -> Tensor:
        """Return outputs, (horizon, batch, outputs), for normalised windows."""
        batch = windows.past.shape[1]
        state = self.encoder(self.embedded(windows)).state
        state = tree_map(lambda part: part.repeat_interleave(self.segments, 0), state)
        queries = torch.cat(
            [
                self.position.expand(batch, -1, -1),
                self.channel[windows.channel].unsqueeze(1).expand(-1, self.segments, -1),
            ],
            dim=-1,
        )  # (batch, segments, size)
        if self.covariates is not None:
            queries = queries + self.covariates(
                _segments(windows.future_covariates, self.segment, back=True)
            ).transpose(0, 1)
        states = self.encoder(queries.reshape(1, batch * self.segments, -1), None, state).outputs[0]
        steps = self.output(self.dropout(states)).view(batch, self.segments * self.segment, -1)
        forecast: Tensor = steps[:, : self.horizon].transpose(0, 1)
        return forecast

    def embedded(self, windows: SeriesWindows) -> Tensor:
        """Return the inputs of the recurrent layers, (segments, batch, size)."""
        vectors = self.project(_values_and_mask(windows, self.segment))
        if self.covariates is not None:
            vectors = vectors + self.covariates(_segments(windows.past_covariates, self.segment))
        return torch.relu(vectors)


class StepForecast(nn.Module):
    r"""Recurrent layers that read a series step by step, and forecast the next step; later steps follow the median.

    .. math::
        h_t = \mathrm{cell}([x_t - x_{t-1}; m_t; k_{t+1}; c], h_{t-1}), \quad \hat x_{t+1} = x_t + W h_t + b

    with :math:`m_t` for a missing value, covariates :math:`k` and a learned vector :math:`c` for the channel.
    Inputs and outputs are differences, so a state does not depend on a window's level, and goes on with new values.

    Args:
        stack: Recurrent layers in one direction, with inputs of width 2 + `covariates` + `channel_size`.
        horizon: Steps to forecast.
        channels: Number of channels.
        covariates: Number of calendar features and known columns.
        outputs: Number of outputs of a step.
        middle: Output that stands for the value of a step without a true one.
        dropout: Dropout rate before the output layer.
    """

    channel_size = 4

    def __init__(
        self,
        stack: Recurrent,
        *,
        horizon: int,
        channels: int,
        covariates: int,
        outputs: int,
        middle: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder, self.horizon, self.middle = stack, horizon, middle
        self.channel = nn.Parameter(torch.randn(channels, self.channel_size))
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(stack.output_size, outputs)

    def forced(self, windows: SeriesWindows) -> tuple[Tensor, Tensor, Tensor]:
        """Run over look-back and future with the true values.

        Returns:
            Outputs of all steps but the first, (lookback + horizon - 1, batch, outputs); their values; and which count.
        """
        values = torch.cat([windows.past, windows.future])
        observed = torch.cat([windows.observed, windows.counted])
        covariates = torch.cat([windows.past_covariates, windows.future_covariates])
        filled, inputs = self.inputs(values, observed, covariates[1:], windows.channel)
        states = self.encoder(inputs[:-1]).outputs
        outputs = self.output(self.dropout(states)) + filled[:-1].unsqueeze(-1)
        return outputs, values[1:], observed[1:]

    def embedded(self, windows: SeriesWindows) -> Tensor:
        """Return the inputs of the recurrent layers, (lookback, batch, features)."""
        covariates = torch.cat([windows.past_covariates[1:], windows.future_covariates[:1]])
        return self.inputs(windows.past, windows.observed, covariates, windows.channel)[1]

    def forward(self, windows: SeriesWindows) -> Tensor:
        """Return outputs, (horizon, batch, outputs), for normalised windows."""
        covariates = torch.cat([windows.past_covariates[1:], windows.future_covariates[:1]])
        filled, inputs = self.inputs(windows.past, windows.observed, covariates, windows.channel)
        states, state = self.encoder(inputs)
        return self.written(states[-1], state, filled[-1], windows.future_covariates, windows.channel)

    def written(self, last: Tensor, state: Any, value: Tensor, covariates: Tensor, channel: Tensor) -> Tensor:
        """Forecast from a state: the last step's output and value, (batch,), and the covariates to come."""
        outputs = []
        for step in range(len(covariates)):
            row = self.output(self.dropout(last)) + value.unsqueeze(-1)
            outputs.append(row)
            if step + 1 < len(covariates):
                after = row[:, self.middle]
                last, state = self.advance(state, after - value, torch.zeros_like(after), covariates[step + 1], channel)
                value = after
        return torch.stack(outputs)

    def advance(
        self, state: Any, change: Tensor, missing: Tensor, covariates: Tensor, channel: Tensor
    ) -> tuple[Tensor, Any]:
        """Read one step, and return the output and the state after it.

        Args:
            state: State of the recurrent layers.
            change: Difference to the value before, (batch,).
            missing: 1 where the value is missing, (batch,).
            covariates: Those of the next step, (batch, covariates).
            channel: Channel of each series, (batch,).
        """
        x = torch.cat([change[:, None], missing[:, None], covariates, self.channel[channel]], -1)
        states, state = self.encoder(x.unsqueeze(0), None, state)
        return states[0], state

    def inputs(self, values: Tensor, observed: Tensor, covariates: Tensor, channel: Tensor) -> tuple[Tensor, Tensor]:
        """Return values with the last observed one in place of missing ones, and the inputs of each step."""
        steps = torch.arange(len(values), device=values.device)[:, None]
        last = (steps * observed).cummax(0).values
        filled = values.gather(0, last)
        change = torch.diff(filled, dim=0, prepend=filled[:1])
        covariates = F.pad(covariates, (0, 0, 0, 0, 0, len(values) - len(covariates)))
        missing = (~observed).to(values.dtype)
        return filled, torch.cat(
            [
                change.unsqueeze(-1),
                missing.unsqueeze(-1),
                covariates,
                self.channel[channel].expand(len(values), -1, -1),
            ],
            -1,
        )


class EncoderDecoderForecast(nn.Module):
    r"""One recurrent stack reads the look-back step by step, another writes all steps from its state.

    The decoder's inputs are a learned vector for each step and the covariates, not its own outputs. Source: after
    Sutskever et al. 2014, arXiv:1409.3215.

    Args:
        encoder: Recurrent layers with inputs of width `covariates` + `encoder_extra`.
        decoder: Recurrent layers with inputs of width `covariates` + `decoder_extra`.
        horizon: Steps to forecast.
        channels: Number of channels.
        outputs: Number of outputs of a step.
        dropout: Dropout rate before the output layer.
    """

    channel_size = 4
    position_size = 8
    encoder_extra = 2 + channel_size
    """Inputs of the encoder besides covariates: value, mask, channel."""
    decoder_extra = position_size + channel_size

    def __init__(
        self,
        encoder: Recurrent,
        decoder: Recurrent,
        *,
        horizon: int,
        channels: int,
        outputs: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.channel = nn.Parameter(torch.randn(channels, self.channel_size))
        self.position = nn.Parameter(torch.randn(horizon, self.position_size))
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(decoder.output_size, outputs)

    def embedded(self, windows: SeriesWindows) -> Tensor:
        """Return the inputs of the encoder, (lookback, batch, features)."""
        channel = self.channel[windows.channel].expand(len(windows.past), -1, -1)
        both = [windows.past.unsqueeze(-1), (~windows.observed).float().unsqueeze(-1)]
        return torch.cat([*both, windows.past_covariates, channel], -1)

    def forward(self, windows: SeriesWindows) -> Tensor:
        """Return outputs, (horizon, batch, outputs), for normalised windows."""
        state = self.encoder(self.embedded(windows)).state
        batch, horizon = windows.past.shape[1], len(self.position)
        channel = self.channel[windows.channel].expand(horizon, -1, -1)
        inputs = torch.cat([self.position.unsqueeze(1).expand(-1, batch, -1), windows.future_covariates, channel], -1)
        outputs: Tensor = self.output(self.dropout(self.decoder(inputs, None, state).outputs))
        return outputs


class PatchForecast(nn.Module):
    """Transformer over patches of the look-back; a linear layer over all of its outputs forecasts all steps.

    Source: Nie et al. 2023, "A time series is worth 64 words", arXiv:2211.14730, section 3. Differs: patches do not
    overlap; projections of covariates are added to them.

    Args:
        stack: Transformer layers.
        lookback: Steps of a window.
        horizon: Steps to forecast.
        segment: Steps of a patch.
        channels: Number of channels.
        covariates: Number of calendar features and known columns.
        outputs: Number of outputs of a step.
        dropout: Dropout rate before the output layer.
    """

    def __init__(
        self,
        stack: TransformerEncoder,
        *,
        lookback: int,
        horizon: int,
        segment: int,
        channels: int,
        covariates: int,
        outputs: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.segment, self.horizon, self.padding = segment, horizon, -lookback % segment
        self.project = nn.Linear(2 * segment, stack.size)
        self.covariates = nn.Linear(covariates * segment, stack.size, bias=False) if covariates else None
        self.channel = nn.Parameter(torch.zeros(channels, stack.size))
        self.encoder = stack
        self.dropout = Dropout(dropout)
        self.output = nn.Linear((lookback + self.padding) // segment * stack.size, horizon * outputs)

    def forward(self, windows: SeriesWindows) -> Tensor:
        """Return outputs, (horizon, batch, outputs), for normalised windows."""
        vectors = self.project(_values_and_mask(windows, self.segment)) + self.channel[windows.channel]
        if self.covariates is not None:
            vectors = vectors + self.covariates(_segments(windows.past_covariates, self.segment))
        states = self.encoder(vectors).outputs.transpose(0, 1).flatten(1)
        return by_step(self.output(self.dropout(states)), self.horizon)


class LinearForecast(nn.Module):
    """One linear layer from the look-back to all steps; or two, for the moving average and for the rest.

    Source: Zeng et al. 2023, "Are Transformers effective for time series forecasting?", arXiv:2205.13504: NLinear, and
    DLinear with `average`.

    Args:
        lookback: Steps of a window.
        horizon: Steps to forecast.
        outputs: Number of outputs of a step.
        average: Steps of the moving average, an odd number. None: no decomposition.
    """

    def __init__(self, *, lookback: int, horizon: int, outputs: int, average: int | None = None) -> None:
        super().__init__()
        self.horizon, self.average = horizon, average
        self.output = nn.Linear(lookback, horizon * outputs)
        self.trend = nn.Linear(lookback, horizon * outputs) if average else None

    def forward(self, windows: SeriesWindows) -> Tensor:
        """Return outputs, (horizon, batch, outputs), for normalised windows."""
        rest = windows.past.T  # (batch, lookback)
        outputs = torch.zeros((), device=rest.device)
        if self.trend is not None:
            half = (self.average or 1) // 2
            padded = F.pad(rest.unsqueeze(1), (half, half), mode="replicate")
            trend = F.avg_pool1d(padded, 2 * half + 1, stride=1)[:, 0]
            rest, outputs = rest - trend, self.trend(trend)
        return by_step(outputs + self.output(rest), self.horizon)


def by_step(outputs: Tensor, horizon: int) -> Tensor:
    """Return the outputs of a layer over all steps, (batch, horizon · outputs), as (horizon, batch, outputs)."""
    return outputs.reshape(len(outputs), horizon, -1).transpose(0, 1)


def _segments(steps: Tensor, size: int, *, back: bool = False) -> Tensor:
    """Cut steps, (time, batch, features), into segments, (segments, batch, size · features).

    Zeros in front, or at the `back`, fill the last segment.
    """
    missing = -len(steps) % size
    if missing:
        steps = F.pad(steps, (0, 0, 0, 0, 0, missing) if back else (0, 0, 0, 0, missing, 0))
    return steps.reshape(-1, size, *steps.shape[1:]).transpose(1, 2).flatten(2)


def _values_and_mask(windows: SeriesWindows, size: int) -> Tensor:
    """Return the segments of the values, and of the mask of missing ones, (segments, batch, 2 · size)."""
    missing = (~windows.observed).to(windows.past.dtype)
    return torch.cat([_segments(part.unsqueeze(-1), size) for part in (windows.past, missing)], -1)
