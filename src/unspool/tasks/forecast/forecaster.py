"""`Forecaster`, the task of predicting the next values of series, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unspool.data import (
    Bucketed,
    Clock,
    DataSource,
    Layout,
    Series,
    SeriesTable,
    SeriesWindows,
    evaluation_batches,
)
from unspool.errors import DataError, UsageError, counted
from unspool.inputs.series.windows import Scaling, WindowSet, scaling_of
from unspool.inspection import Trace
from unspool.inspection.attention import AttentionRecording
from unspool.inspection.edits import Edits
from unspool.layers import Recurrent
from unspool.models import PatchForecast, SegmentForecast
from unspool.settings import Settings
from unspool.tasks.forecast.backtest import Backtest, Origin, rolling_origins
from unspool.tasks.forecast.baselines import LinearRegression, last_season, last_value
from unspool.tasks.forecast.correction import fit_correction
from unspool.tasks.forecast.data import SeriesExamples, continued, open_data
from unspool.tasks.forecast.fitted import FittedForecaster, num_steps
from unspool.tasks.forecast.forecast import ChannelForecast, Forecast
from unspool.tasks.forecast.histories import is_one_series, is_series_in_list, read_histories, source_of, with_future
from unspool.tasks.forecast.networks import build_forecaster
from unspool.tasks.forecast.plan import RULES
from unspool.tasks.forecast.rollout import roll_out
from unspool.tasks.forecast.scores import ForecastScores
from unspool.tasks.forecast.settings import ForecasterSettings, interval_ends
from unspool.tasks.forecast.stream import ForecastStream
from unspool.tasks.parts.batches import bucketed
from unspool.tasks.parts.finite import check_output
from unspool.tasks.running.model_folder import rounded
from unspool.tasks.running.splits import Splits
from unspool.tasks.task import DataLike, Task
from unspool.tasks.trainable import device_of

if TYPE_CHECKING:
    from unspool.tasks.forecast.keywords import ForecasterKeywords

__all__ = ["Forecaster"]

_AT_ONCE = 1024  # windows of a batch without gradients
_CALIBRATED = 2000  # windows of the validation data that correct the quantiles
_SMALL_START = 0.1  # of the output layer beside a linear path
_STEP_PARTS = 4  # of the horizon, whose scores are shown apart
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
        if self._fitted is None:
            assert self._table is not None
            table, begins = continued(table, self._table.series)
            return replace(SeriesExamples.of(table, self.settings), begin=begins)
        table, begins = continued(table, self._fitted.ends)
        examples = SeriesExamples.of(table, self.settings, self._fitted.season)
        return replace(examples, begin=begins, horizon=self._fitted.horizon, whole=False)

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
        return build_forecaster(self.settings, self.fitted, self._cell, self._outputs)

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
            yield places, self._uncorrected(model(batch.to(device))), batch

    def _uncorrected(self, outputs: Tensor) -> NDArray[np.float32]:
        """Return the quantiles of the network's outputs, (horizon, batch, levels), ascending."""
        numbers = outputs.float().cpu().numpy()
        if numbers.shape[-1] == 1 and len(self.levels) > 1:
            numbers = np.repeat(numbers, len(self.levels), -1)
        return np.sort(numbers, -1)

    def quantiles(self, outputs: Tensor) -> NDArray[np.float32]:
        """Return the corrected quantiles of the network's outputs, (horizon, batch, levels), scaled and ascending."""
        return self._corrected(self._uncorrected(outputs))

    def _corrected(self, forecast: NDArray[np.float32]) -> NDArray[np.float32]:
        correction = self.fitted.correction
        return forecast if correction is None else correction.apply(forecast, self.levels.index(0.5))

    def _empty_scores(self, examples: SeriesExamples, levels: Sequence[float]) -> ForecastScores:
        scalings = [
            self._scaling_before(each, begin if examples.whole else 0)
            for each, begin in zip(examples.series, examples.begin, strict=True)
        ]
        return ForecastScores(scalings, len(self.fitted.channels), levels, self.settings.interval)

    def _scaling_before(self, series: Series, begin: int) -> Scaling:
        """Return the scaling of a series, with the scale of the MASE from the steps before those to forecast."""
        scaling = self.fitted.scaling(series)
        if begin <= self.fitted.season:
            return scaling
        return scaling._replace(seasonal=scaling_of(series.values[:begin], self.fitted.season).seasonal)

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
        for each, begin in zip(last.examples.series, last.examples.begin, strict=True):
            self.fitted.scalings[each.id] = self._scaling_before(each, begin)
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
        forecast, future, seen = (np.concatenate(part, 1) for part in (forecasts, futures, counts))
        fitted.correction = fit_correction(
            forecast, future, seen, self.levels, independent=windows.num_independent / len(fitted.channels)
        )
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
                score.add(forecast[..., None], batch.future.numpy(), batch.counted.numpy(), windows.sequence[places])
        return {name: score.scores() for name, score in scores.items()}

    # ---- use ---------------------------------------------------------------------------------------------------

    def predict(self, texts: Any = None, *, horizon: int | None = None, future: Any = None) -> Any:
        """Forecast the next values: of the training series, or of others.

        Args:
            texts: The values so far: files, a table or a mapping of columns; one series as an array, (steps,) or
                (steps, channels), or as text with a step a line; or a list of such series. None: the data of the
                training, held-out parts included.
            horizon: Steps to forecast; that of training if omitted. Beyond it, the network goes on from its medians.
            future: Known columns of the steps to come, in files or a table, if the model has such columns.

        Returns:
            A list with a `Forecast` for each series; for a single array or text, one `Forecast`.

        Raises:
            DataError: If the values can't be read, are too few, or known columns are missing.
            UsageError: If the model has not been trained.
        """
        self._need_model()
        steps = self.fitted.horizon if horizon is None else horizon
        if steps < 1:
            raise UsageError(f"horizon = {horizon}: expected at least one step")
        if texts is None:
            return self._forecast(self._following(self.fitted.ends, future, steps), steps, self.fitted.clock)
        if self._is_one(texts):
            return self._read_and_forecast(texts, future, steps)[0]
        if isinstance(texts, list) and texts and all(self._is_one(each) or is_series_in_list(each) for each in texts):
            return [self._placed(f"text {number}", each, future, steps) for number, each in enumerate(texts, 1)]
        return self._read_and_forecast(texts, future, steps)

    def _is_one(self, texts: Any) -> bool:
        if isinstance(texts, str) and not self.fitted.reads_files:
            return True
        return is_one_series(texts)

    def _placed(self, where: str, data: Any, future: Any, horizon: int) -> Forecast:
        """Return the forecast of one of several series; an error has its place."""
        try:
            return self._read_and_forecast(data, future, horizon)[0]
        except DataError as error:
            raise DataError(error.message.removeprefix(f"{error.where}: "), where) from None

    def _read_and_forecast(self, data: Any, future: Any, horizon: int) -> list[Forecast]:
        table = self._histories(data)
        return self._forecast(self._following(table.series, future, horizon), horizon, table.clock)

    def _histories(self, data: Any) -> SeriesTable:
        source = source_of(data, self.fitted.channels, reads_files=self.fitted.reads_files)
        table = read_histories(source, self.settings, self.fitted, self._layout_before())
        self.fitted.refuse_short(table.series, 0)
        return table

    def _following(self, series: Sequence[Series], future: Any, horizon: int) -> list[Series]:
        source = (
            None if future is None else source_of(future, self.fitted.covariates, reads_files=self.fitted.reads_files)
        )
        return with_future(series, source, self.settings, self.fitted, self._layout_before(), horizon)

    def _forecast(self, series: Sequence[Series], horizon: int, clock: Clock) -> list[Forecast]:
        fitted = self.fitted
        quantiles = roll_out(
            fitted.to_come(series, max(horizon, fitted.horizon), clock),
            self._quantiles,
            trained=fitted.horizon,
            horizon=horizon,
            middle=self.levels.index(0.5),
        )
        check_output(torch.from_numpy(quantiles), "the series")
        width = len(fitted.channels)
        return [
            self._forecast_of(each, quantiles[:, place * width : (place + 1) * width], horizon, clock)
            for place, each in enumerate(series)
        ]

    @torch.no_grad()
    def _quantiles(self, batch: SeriesWindows) -> NDArray[np.float32]:
        return self.quantiles(self.model(batch.to(device_of(self.model))))

    def _forecast_of(self, series: Series, quantiles: NDArray[np.float32], horizon: int, clock: Clock) -> Forecast:
        """Return the forecast of a series, from scaled quantiles, (horizon, channels, levels)."""
        fitted, settings = self.fitted, self.settings
        steps = num_steps(series)
        scaling = fitted.scaling(series)
        has_interval = settings.loss == "quantiles" or fitted.correction is not None
        levels = list(self.levels) if has_interval else [0.5]
        channels = {}
        for place, name in enumerate(fitted.channels):
            values = quantiles[:, place].astype(np.float64) * scaling.deviation[place] + scaling.mean[place]
            by_level = {level: values[:, self.levels.index(level)].tolist() for level in levels}
            low, high = (by_level[end] if has_interval else None for end in interval_ends(settings.interval))
            channels[name] = ChannelForecast(by_level[0.5], low, high, by_level)
        before = min(steps, max(_HISTORY * horizon, 2 * fitted.season))
        texts = [clock.text(time) for time in clock.times(series.start, steps - before, before + horizon)]
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

    def stream(self, data: Any = None) -> ForecastStream:
        """Return a series that grows: `update` adds a step and forecasts the next ones.

        Args:
            data: The values so far of one series, as for `predict`. None: the training data, if they are one series.

        Raises:
            DataError: If the values are too few.
            UsageError: If there are several series, or the model has known columns or has not been trained.
        """
        self._need_model()
        series = self.fitted.ends if data is None else self._histories(data).series
        if len(series) != 1:
            raise UsageError(f"stream takes one series, and {len(series)} came")
        self.fitted.refuse_short(series, 0)
        return ForecastStream(self, series[0])

    def backtest(self, data: DataLike, *, stride: int | None = None, most: int | None = None) -> Backtest:
        """Forecast from rolling origins within labelled data, with the weights as they are.

        Args:
            data: The series, as for `evaluate`.
            stride: Steps between two origins; a horizon if omitted.
            most: Most origins of each series, the latest; all if omitted.

        Raises:
            DataError: If the data can't be used.
            UsageError: If the model has not been trained.
        """
        self._need_model()
        examples = self._read(self._data_source(data))
        self.fitted.refuse_short(examples.series, self.fitted.horizon)
        origins = []
        for cut, true in rolling_origins(examples, self.fitted, stride or self.fitted.horizon, most):
            forecast = self._forecast([cut], self.fitted.horizon, self.fitted.clock)[0]
            origins.append(Origin(forecast, dict(zip(self.fitted.channels, true.T.tolist(), strict=True))))
        return Backtest(origins)

    def score_types(self, data: DataLike, labels: Any = None) -> dict[str, dict[str, float]]:
        """Return the scores by step of the horizon, in four parts."""
        self._need_model()
        examples = self._read(self._data_source(data))
        fitted, windows = self.fitted, self.fitted.windows(examples)
        edges = sorted({round(fitted.horizon * part / _STEP_PARTS) for part in range(_STEP_PARTS + 1)})
        parts = [self._empty_scores(examples, self.levels) for _ in edges[1:]]
        for places, forecast, batch in self._forecasts(self.model, windows):
            corrected, future, seen = self._corrected(forecast), batch.future.numpy(), batch.counted.numpy()
            for first, last, part in zip(edges, edges[1:], parts, strict=False):
                part.add(corrected[first:last], future[first:last], seen[first:last], windows.sequence[places])
        return {
            f"steps {first + 1} to {last}": rounded(part.scores())
            for first, last, part in zip(edges, edges[1:], parts, strict=False)
        }

    def trace(self, text: Any = None, edits: Edits = ()) -> Trace:
        """Read one series and return the recorded intermediate values, step by step or segment by segment.

        The positions are the times of the steps, or of the first step of each segment. The first channel is read.

        Args:
            text: The series, as for `predict`. None: the first of the training data.
            edits: Changes of gates and states during the run.

        Raises:
            DataError: If the series can't be read or is too short.
            UsageError: If an edit does not fit the network, or the model has not been trained.
        """
        self._need_model()
        if edits:
            return self._edited_trace(text, edits)
        fitted, network = self.fitted, self.model.network
        table = None if text in (None, "") else self._histories(text)
        clock = fitted.clock if table is None else table.clock
        series = (fitted.ends if table is None else table.series)[0]
        batch = fitted.to_come([series], fitted.horizon, clock).take(np.array([0])).batch(np.array([0]))
        batch = batch.to(device_of(self.model))
        times = _positions(network, series, fitted, clock)
        attention, stack = AttentionRecording(getattr(network, "encoder", None), times), self._stack()
        with attention.watch(), torch.no_grad():
            if stack is None:
                output, arrays, notes = self._recorded(lambda: self.model(batch))
            else:
                _, arrays, notes = self._recorded(lambda: stack(network.embedded(self.model.normalised(batch))))
                output = self.model(batch)
        check_output(output, "series")
        if len(times) == len(batch.past):
            arrays["input / value"] = batch.past.cpu().numpy()
        scaling = fitted.scaling(series)
        medians = self.quantiles(output)[:, 0, self.levels.index(0.5)]
        values = (medians.astype(np.float64) * scaling.deviation[0] + scaling.mean[0]).tolist()
        prediction = {"channel": fitted.channels[0], "next values": [round(value, 6) for value in values]}
        return Trace(times, arrays, prediction, self._summary(), (*notes, *attention.notes), attention.maps())


def _positions(network: nn.Module, series: Series, fitted: FittedForecaster, clock: Clock) -> tuple[str, ...]:
    """Return the times of the steps that a network reads, or of the first step of each segment."""
    times = clock.times(series.start, num_steps(series) - fitted.lookback, fitted.lookback)
    texts = [clock.text(time) for time in times]
    if isinstance(network, SegmentForecast | PatchForecast):
        return tuple(texts[max(0, place)] for place in range(-network.padding, fitted.lookback, network.segment))
    return tuple(texts)
