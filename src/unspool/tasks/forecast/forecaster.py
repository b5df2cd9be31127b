"""`Forecaster`, the task of predicting the next values of series, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from unspool.data import Bucketed, DataSource, Layout, Series, SeriesTable, SeriesWindows, evaluation_batches
from unspool.errors import DataError, UsageError, counted, option
from unspool.inputs.encoders import recurrent_stack
from unspool.inputs.series.windows import WindowSet
from unspool.inspection import Trace
from unspool.inspection.edits import Edits
from unspool.layers import Recurrent, TransformerEncoder, initialize
from unspool.models import (
    EncoderDecoderForecast,
    ForecasterModel,
    LinearForecast,
    PatchForecast,
    SegmentForecast,
    StepForecast,
)
from unspool.settings import Settings
from unspool.tasks.forecast.baselines import LinearRegression, last_season, last_value
from unspool.tasks.forecast.correction import fit_correction
from unspool.tasks.forecast.data import SeriesExamples, open_data
from unspool.tasks.forecast.fitted import FittedForecaster
from unspool.tasks.forecast.forecast import ChannelForecast, Forecast
from unspool.tasks.forecast.plan import RULES
from unspool.tasks.forecast.scores import ForecastScores
from unspool.tasks.forecast.settings import ForecasterSettings
from unspool.tasks.parts.batches import bucketed
from unspool.tasks.parts.finite import check_output
from unspool.tasks.running.splits import Splits
from unspool.tasks.task import Task
from unspool.tasks.trainable import device_of

if TYPE_CHECKING:
    from unspool.tasks.forecast.keywords import ForecasterKeywords

__all__ = ["Forecaster"]

_AT_ONCE = 1024  # windows of a batch without gradients
_CALIBRATED = 2000  # windows of the validation data that correct the quantiles
_SMALL_START = 0.1  # of the output layer beside a linear path
_HISTORY = 3  # horizons before a forecast in pictures


class Forecaster(Task[SeriesExamples, FittedForecaster]):
    """Forecaster: predicts the next values of one or many series, with intervals.

    Example:
        >>> from unspool import Forecaster
        >>> model = Forecaster(horizon=12).fit("sales.csv")  # doctest: +SKIP
        >>> model.predict()[0].values  # doctest: +SKIP
        [451.2, 430.9, ...]
    """

    name: ClassVar[str] = "forecast"
    settings_type: ClassVar[type[Settings]] = ForecasterSettings
    fitted_type: ClassVar[type[FittedForecaster]] = FittedForecaster
    summary: ClassVar[str] = "Predicts the next values of a series."
    _rules = RULES

    def __init__(self, settings: ForecasterSettings | None = None, **values: Unpack[ForecasterKeywords]) -> None:
        super().__init__(settings, **values)
        self._table: SeriesTable | None = None
        """The training data while test and validation files are read."""

    @property
    def metric(self) -> tuple[str, bool]:
        return self.settings.choose_by, False

    @property
    def main_score(self) -> tuple[str, bool]:
        return "mae", False

    @property
    def levels(self) -> tuple[float, ...]:
        """Probabilities of the quantiles, ascending; 0.5 is the forecast itself."""
        levels: tuple[float, ...] = self.settings.levels
        return levels

    @property
    def _outputs(self) -> tuple[float, ...]:
        """Probabilities of the network's outputs."""
        return self.levels if self.settings.loss == "quantiles" else (0.5,)

    # ---- data --------------------------------------------------------------------------------------------------

    def _columns_in_memory(self) -> tuple[str, ...]:
        return ("value",)

    def _read(self, source: DataSource) -> SeriesExamples:
        reader = open_data(self.settings, source, self._layout_before())
        clock = None
        if self._read_as is not None:
            clock = self._fitted.clock if self._fitted is not None and self._table is None else self._clock_before()
        table = SeriesTable.of(reader, reader.layout, clock)
        self._remember(reader)
        if self._read_as is None:  # training data
            self._table = table
            return SeriesExamples.of(table, self.settings)
        return self._later(table)

    def _layout_before(self) -> Layout | None:
        """Return the layout of the training data; of a loaded model, with its channels."""
        if self._read_as is None or self._read_as.values or self._fitted is None:
            return self._read_as
        return replace(self._read_as, values=self._fitted.channels)

    def _clock_before(self) -> Any:
        return None if self._table is None else self._table.clock

    def _later(self, table: SeriesTable) -> SeriesExamples:
        """Return validation, test or other data, with the steps before them that are known."""
        if self._fitted is not None:
            table, begins = self._fitted.continued(table)
            examples = SeriesExamples.of(table, self.settings, self._fitted.season)
            return replace(examples, begin=tuple(begins), horizon=self._fitted.horizon)
        assert self._table is not None
        earlier = {each.id: each for each in self._table.series}
        series, begins = [], []
        for each in table.series:
            before = earlier.get(each.id)
            if before is not None and table.clock.unit == "step":
                each = replace(each, start=table.clock.later(before.start, len(before)))
            joined = None if before is None else before.joined(each, table.clock)
            series.append(each if joined is None else joined)
            begins.append(len(series[-1]) - len(each))
        examples = SeriesExamples.of(replace(table, series=series), self.settings)
        return replace(examples, begin=tuple(begins))

    def _notes(self, train: SeriesExamples, held_out: SeriesExamples | None) -> list[str]:
        fitted, table = self.fitted, train.table
        clock = "without times" if table.clock.unit == "step" else table.clock.name
        season = "no season" if fitted.season == 1 else f"a season of {fitted.season}"
        calendar = sorted({name.partition(" ")[2] for name in fitted.calendar})
        reads = f", and the calendar ({', '.join(calendar)})" if calendar else ""
        notes = [
            f"steps {clock}, {season}; the network reads {counted(fitted.lookback, 'steps')}{reads} and forecasts "
            f"{fitted.horizon}"
        ]
        missing = sum(int(np.isnan(each.values).sum()) for each in table.series)
        if missing:
            notes.append(f"{missing:,} values are missing, {table.gaps:,} of the times without a row; they are masked")
        return notes

    # ---- network, batches --------------------------------------------------------------------------------------

    def _build(self) -> nn.Module:
        settings, fitted = self.settings, self.fitted
        network, outputs = settings.network, len(self._outputs)
        shape: dict[str, Any] = {
            "lookback": fitted.lookback,
            "horizon": fitted.horizon,
            "known": fitted.num_known,
            "outputs": outputs,
        }
        parts = {**shape, "segment": fitted.segment, "channels": len(fitted.channels), "dropout": network.dropout}
        made: nn.Module
        if network.network in ("linear", "decomposed"):
            made = LinearForecast(**shape, average=network.average if network.network == "decomposed" else None)
        elif network.network == "patches":
            stack = TransformerEncoder(
                network.hidden,
                heads=network.heads,
                feedforward=network.feedforward,
                layers=network.layers,
                dropout=network.dropout,
                attention_dropout=network.attention_dropout,
                activation="gelu",
                positions="learned",
            )
            made = PatchForecast(stack, **parts)
        elif network.network == "segments":
            made = SegmentForecast(self._recurrent(network.hidden), **parts)
        else:
            del parts["lookback"], parts["segment"]
            if network.network == "recurrent":
                made = StepForecast(
                    self._recurrent(2 + fitted.num_known + StepForecast.channel_size),
                    middle=self._outputs.index(0.5),
                    **parts,
                )
            else:
                known = parts.pop("known")
                made = EncoderDecoderForecast(self._recurrent(known + 6), self._recurrent(known + 12), **parts)
        linear = network.linear and network.network in ("segments", "encoder-decoder", "patches")
        model = ForecasterModel(
            made,
            self._outputs,
            normalization=settings.series.normalization,
            loss=settings.loss,
            linear=nn.Linear(fitted.lookback, fitted.horizon * outputs) if linear else None,
        )
        initialize(model, network.initialization, forget_bias=network.forget_bias)
        return model

    def _start(self, examples: SeriesExamples) -> None:
        """Set the linear path, or the linear network, to the ridge regression on the training data."""
        layer = self.model.linear
        if layer is None and self.settings.network.network == "linear":
            layer = self.model.network.output
        if layer is None:
            return
        regression = LinearRegression.learn(self.fitted.windows(examples))
        with torch.no_grad():
            layer.weight.copy_(regression.weights.T.repeat_interleave(len(self._outputs), 0))
            layer.bias.zero_()
            output = getattr(self.model.network, "output", None)
            if output is not None and output is not layer:
                output.weight.mul_(_SMALL_START)
                output.bias.zero_()

    def _recurrent(self, input_size: int) -> Recurrent:
        return recurrent_stack(self.settings.network, self._cell, input_size, bidirectional=False)

    def _stack(self) -> Recurrent | None:
        encoder = getattr(self.model.network, "encoder", None)
        return encoder if isinstance(encoder, Recurrent) else None

    def _summary(self) -> str:
        network, fitted = self.settings.network, self.fitted
        layers = f"{counted(network.layers, 'layers')} of {network.hidden}"
        return {
            "segments": f"{network.cell} over segments of {fitted.segment}, {layers}",
            "recurrent": f"{network.cell} step by step, {layers}",
            "encoder-decoder": f"{network.cell} encoder-decoder, {layers} each",
            "patches": f"transformer over patches of {fitted.segment}, {layers}",
            "linear": "one linear layer",
            "decomposed": "linear layers for the moving average and the rest",
        }[network.network] + f", {fitted.lookback} steps to {fitted.horizon}"

    def _source(self, examples: SeriesExamples) -> Bucketed[SeriesWindows]:
        windows = self.fitted.windows(examples)
        if not len(windows):
            raise DataError("there is no window with values to read and to forecast; expected longer series")
        training = self.settings.training
        return bucketed(windows, training.replace(batch_tokens=max(training.batch_tokens, training.batch_size)))

    # ---- scores ------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def _forecasts(
        self, model: nn.Module, windows: WindowSet
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32], SeriesWindows]]:
        """Yield the indices, the uncorrected quantiles (horizon, batch, levels) and the windows of each batch."""
        device = device_of(model)
        for places, batch in evaluation_batches(windows, batch_tokens=_AT_ONCE, batch_size=_AT_ONCE):
            outputs = model(batch.to(device)).float().cpu().numpy()
            if outputs.shape[-1] == 1 and len(self.levels) > 1:
                outputs = np.repeat(outputs, len(self.levels), -1)
            yield places, np.sort(outputs, -1), batch

    def _corrected(self, forecast: NDArray[np.float32]) -> NDArray[np.float32]:
        correction = self.fitted.correction
        return forecast if correction is None else correction.apply(forecast, self.levels.index(0.5))

    def _empty_scores(self, examples: SeriesExamples, levels: Sequence[float]) -> ForecastScores:
        scalings = [self.fitted.scaling(each) for each in examples.series]
        return ForecastScores(scalings, len(self.fitted.channels), levels, self.settings.interval)

    def _score(self, model: nn.Module, examples: SeriesExamples) -> dict[str, float]:
        windows = self.fitted.windows(examples)
        scores = self._empty_scores(examples, self.levels)
        for places, forecast, batch in self._forecasts(model, windows):
            corrected = self._corrected(forecast)
            scores.add(corrected, batch.future.numpy(), batch.counted.numpy(), windows.sequence[places])
        return scores.scores()

    def _finish(self, splits: Splits[SeriesExamples], score: Callable[[], None]) -> list[str]:
        """Correct the quantiles, keep the last steps of all data, then compute the final scores."""
        notes = [] if splits.valid is None else self._correct(splits.valid.examples)
        score()
        last = splits.test or splits.valid or splits.train
        self.fitted.remember_ends(last.examples.table)
        return notes

    def _correct(self, examples: SeriesExamples) -> list[str]:
        """Fit the correction of the quantiles to validation data; return a note."""
        fitted = self.fitted
        if not self.settings.calibrate:
            return []
        before = self._score(self.model, examples).get("coverage")
        windows = fitted.windows(examples)
        chosen = np.unique(np.linspace(0, len(windows) - 1, min(len(windows), _CALIBRATED)).astype(np.int64))
        forecasts, futures, counts = [], [], []
        for _, forecast, batch in self._forecasts(self.model, windows.take(chosen)):
            forecasts.append(forecast)
            futures.append(batch.future.numpy())
            counts.append(batch.counted.numpy())
        whole = (np.concatenate(part, 1) for part in (forecasts, futures, counts))
        fitted.correction = fit_correction(*whole, self.levels)
        if fitted.correction is None or before is None:
            return ["the validation data are too few to correct the quantiles"]
        after = self._score(self.model, examples)["coverage"]
        share = f"{100 * self.settings.interval:.4g} %"
        return [f"the {share} interval held {before:.3f} of the validation values; corrected by them, {after:.3f}"]

    def _baselines(self, train: SeriesExamples, held_out: SeriesExamples) -> dict[str, dict[str, float]]:
        fitted, learn, windows = self.fitted, self.fitted.windows(train), self.fitted.windows(held_out)
        names = ["last value", *([f"last season ({fitted.season})"] if fitted.season > 1 else []), "linear"]
        linear = LinearRegression.learn(learn)
        scores = {name: self._empty_scores(held_out, (0.5,)) for name in names}
        for places, batch in evaluation_batches(windows, batch_tokens=_AT_ONCE, batch_size=_AT_ONCE):
            past, observed = batch.past.numpy(), batch.observed.numpy()
            forecasts = [last_value(past, observed, fitted.horizon)]
            if fitted.season > 1:
                forecasts.append(last_season(past, observed, fitted.horizon, fitted.season))
            forecasts.append(linear.predict(past, observed))
            for score, forecast in zip(scores.values(), forecasts, strict=True):
                score.add(
                    forecast[..., None], batch.future.numpy(), batch.counted.numpy(), windows.sequence[places]
                )
        return {name: score.scores() for name, score in scores.items()}

    # ---- use ---------------------------------------------------------------------------------------------------

    def predict(self, texts: Any = None, *, horizon: int | None = None, future: Any = None) -> Any:
        """Forecast the next values: of the training series, or of others.

        Args:
            texts: The values so far: files, a table or a mapping of columns, an array (steps,) or (steps, channels), or
                text with a step a line; several of these as a list. None: the training data, held-out parts included.
            horizon: Steps to forecast; that of training if omitted. Beyond it, the network goes on from its medians.
            future: Known columns of the steps to come, in files or a table, if the model has such columns.

        Returns:
            A list with a forecast for each series; for a single array or text, one forecast.

        Raises:
            DataError: If the values can't be read, are too few, or known columns are missing.
            UsageError: If the model has not been trained.
        """
        self._need_model()
        if texts is None:
            series = self.fitted.ends
        else:
            series = self._series_of(texts)
        return self._forecast(series, horizon or self.fitted.horizon, future)

    def _series_of(self, data: Any) -> list[Series]:
        source = self._data_source(data)
        reader = open_data(self.settings, source, self._layout_before())
        return SeriesTable.of(reader, reader.layout, self.fitted.clock).series

    def _forecast(self, series: Sequence[Series], horizon: int, future: Any) -> list[Forecast]:
        fitted = self.fitted
        windows = fitted.to_come(series, horizon)
        width, quantiles = len(fitted.channels), np.zeros((0, 0, 0), np.float32)
        parts = list(self._longer(windows, horizon))
        quantiles = np.concatenate(parts, 1)  # (horizon, sequences, levels)
        check_output(torch.from_numpy(quantiles), "the series")
        return [
            self._forecast_of(each, quantiles[:, place * width : (place + 1) * width], horizon)
            for place, each in enumerate(series)
        ]

    def _longer(self, windows: WindowSet, horizon: int) -> Iterator[NDArray[np.float32]]:
        """Yield corrected quantiles of the steps to come, (horizon, batch, levels), for each batch of windows."""
        own, middle = self.fitted.horizon, self.levels.index(0.5)
        for begin in range(0, len(windows), _AT_ONCE):
            places = np.arange(begin, min(begin + _AT_ONCE, len(windows)))
            batch = windows.batch(places)
            known = torch.cat([batch.past_known, batch.future_known])
            if len(batch.future_known) < own:  # fewer steps than the network forecasts
                gap = own - len(batch.future_known)
                known = torch.cat([known, known.new_zeros(gap, *known.shape[1:])])
            past, observed, blocks = batch.past, batch.observed, []
            for first in range(0, horizon, own):
                rest = known[first : first + windows.lookback + own]
                if len(rest) < windows.lookback + own:
                    rest = torch.cat([rest, rest.new_zeros(windows.lookback + own - len(rest), *rest.shape[1:])])
                step = replace(
                    batch,
                    past=past,
                    observed=observed,
                    past_known=rest[: windows.lookback],
                    future_known=rest[windows.lookback :],
                    future=past.new_zeros(own, past.shape[1]),
                    counted=observed.new_zeros(own, past.shape[1]),
                )
                forecast = self._quantiles(step)
                blocks.append(forecast)
                median = torch.from_numpy(forecast[..., middle])
                past = torch.cat([past, median])[-windows.lookback :]
                observed = torch.cat([observed, torch.ones_like(median, dtype=torch.bool)])[-windows.lookback :]
            yield np.concatenate(blocks)[:horizon]

    @torch.no_grad()
    def _quantiles(self, batch: SeriesWindows) -> NDArray[np.float32]:
        outputs = self.model(batch.to(device_of(self.model))).float().cpu().numpy()
        if outputs.shape[-1] == 1 and len(self.levels) > 1:
            outputs = np.repeat(outputs, len(self.levels), -1)
        return self._corrected(np.sort(outputs, -1))

    def _forecast_of(self, series: Series, quantiles: NDArray[np.float32], horizon: int) -> Forecast:
        """Return the forecast of a series, from scaled quantiles, (horizon, channels, levels)."""
        fitted, clock, settings = self.fitted, self.fitted.clock, self.settings
        seen = np.flatnonzero(~np.isnan(series.values).all(1))
        steps = int(seen[-1]) + 1
        scaling = fitted.scaling(series)
        has_interval = settings.loss == "quantiles" or fitted.correction is not None
        levels = list(self.levels) if has_interval else [0.5]
        ends = [round(0.5 - settings.interval / 2, 6), round(0.5 + settings.interval / 2, 6)]
        channels = {}
        for place, name in enumerate(fitted.channels):
            values = quantiles[:, place].astype(np.float64) * scaling.deviation[place] + scaling.mean[place]
            by_level = {level: values[:, self.levels.index(level)].tolist() for level in levels}
            low, high = (by_level[end] if has_interval else None for end in ends)
            channels[name] = ChannelForecast(by_level[0.5], low, high, by_level)
        before = min(steps, max(_HISTORY * horizon, 2 * fitted.season))
        times = clock.times(series.start, steps - before, before + horizon)
        texts = [clock.text(time) for time in times]
        history = {name: series.values[steps - before : steps, place].tolist() for place, name in enumerate(channels)}
        longer = f"the model was trained for {fitted.horizon} steps; later ones build on its own forecasts"
        return Forecast(
            series.id,
            texts[before:],
            channels,
            settings.interval,
            history,
            texts[:before],
            longer if horizon > fitted.horizon else "",
        )

    def trace(self, text: Any = None, edits: Edits = ()) -> Trace:
        """Forecast one series and return the recorded intermediate values."""
        raise UsageError("not yet")
