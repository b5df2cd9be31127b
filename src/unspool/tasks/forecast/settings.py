"""Settings and command-line help of the task `forecast`: network, windows, data and training."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Literal

from unspool.data.forms import forms_of
from unspool.data.series_names import ID_NAMES, TIME_NAMES
from unspool.errors import SettingError
from unspool.inputs.network_settings import StackSettings
from unspool.settings import Dropout, Fraction, PositiveInt, Settings
from unspool.tasks.entry import TaskEntry
from unspool.tasks.parts.data_settings import TableSettings
from unspool.training.settings import TrainingSettings

__all__ = ["ENTRY", "ForecasterNetwork", "ForecasterSettings", "SeriesDataSettings", "SeriesSettings", "interval_ends"]


class ForecasterNetwork(StackSettings):
    """A network that forecasts the steps after a window."""

    network: Literal["segments", "recurrent", "encoder-decoder", "patches", "linear", "decomposed"] = "segments"
    """Architecture: segments (the cell over segments of the look-back, all segments to come decoded at once), recurrent
    (the cell step by step; each forecast is the next input), encoder-decoder (two stacks, step by step), patches (a
    Transformer over segments), linear (one layer), decomposed (one layer for the moving average, one for the rest)."""
    segment: PositiveInt | None = None
    """Steps of a segment or patch (segments, patches). None: a season, or a part of one."""
    linear: bool = True
    """Whether a linear layer from the look-back to the forecast is added to the network; it starts as the ridge
    regression on the training data (segments, encoder-decoder, patches)."""
    heads: PositiveInt = 4
    """Number of attention heads (patches)."""
    feedforward: PositiveInt = 256
    """Hidden width of the feed-forward blocks (patches)."""
    attention_dropout: Dropout = 0.0
    """Dropout rate of the attention weights (patches)."""
    average: PositiveInt = 25
    """Steps of the moving average, an odd number (decomposed)."""

    def check(self) -> None:
        """Refuse widths that a network can't divide, and an even moving average."""
        super().check()
        if self.network == "patches" and self.hidden % self.heads:
            raise SettingError(f"hidden = {self.hidden} can't be divided among heads = {self.heads}")
        if self.average % 2 == 0:
            raise SettingError(f"average = {self.average}: expected an odd number of steps")


class SeriesSettings(Settings):
    """How series are cut into windows and scaled."""

    lookback: PositiveInt | None = None
    """Steps that a forecast is made from. None: three seasons or two horizons, or fewer for short series."""
    season: PositiveInt | None = None
    """Steps of a season, such as 24 for hours; 1 for none. It sets the seasonal baseline and the scale of the MASE.
    None: by the frequency of the times, or else by autocorrelation."""
    normalization: Literal["last", "reversible", "none"] = "last"
    """Normalisation of each window: last (subtract the last value), reversible (subtract the mean, divide by the
    standard deviation), none. Before it, each series is standardised by its training values."""
    calendar: bool = True
    """Whether the network reads hour, weekday, day of the month and month, as far as the frequency makes them vary."""


class SeriesDataSettings(TableSettings):
    """How tables of series are read."""

    lists: ClassVar = {
        "forms": partial(forms_of, "rows"),
        "times": partial(tuple, TIME_NAMES),
        "ids": partial(tuple, ID_NAMES),
    }

    format: str | None = None
    """File format ({forms}). None: by file name."""
    layout: Literal["auto", "long", "rows"] = "auto"
    """Layout of the table: long (a row for each time, with a column for each channel), or rows (a row for each series,
    with numbered columns)."""
    time: str | None = None
    """Column of times: a name, or a number from 1; `none` for no times. None: {times}, or the first with times."""
    id: str | None = None
    """Column that tells series apart: a name, or a number from 1; `none` for one series. None: {ids}, or the column of
    texts."""
    target: str | None = None
    """Columns to forecast, with commas between. None: all columns of numbers."""
    known: str | None = None
    """Columns whose future is known too, such as holidays, with commas between; `predict` takes them as `future`."""
    split: str | None = None
    """Where validation and test begin: numbers of steps for training, validation and test, as 8640,2880,2880, and later
    steps are left out; or the first times of validation and test, as 2017-06-26,2017-10-24. None: by shares."""
    valid_fraction: Fraction = 0.1
    """Share of the steps before the test, at their end, held out for validation; at least a horizon."""
    test_fraction: Fraction = 0.2
    """Share of the steps, at their end, held out for the final test; at least a horizon."""


class ForecasterSettings(Settings):
    """Settings of a forecaster."""

    horizon: PositiveInt | None = None
    """Steps to forecast. None: a season."""
    network: ForecasterNetwork = ForecasterNetwork(cell="gru", hidden=64, dropout=0.1)
    series: SeriesSettings = SeriesSettings()
    data: SeriesDataSettings = SeriesDataSettings()
    training: TrainingSettings = TrainingSettings(
        epochs=30, batch_size=64, learning_rate=1e-3, schedule="cosine", weight_decay=0.0, patience=10
    )
    loss: Literal["quantiles", "absolute", "squared"] = "quantiles"
    """Loss: quantiles (pinball loss, which gives intervals of its own), absolute or squared error of one value; their
    intervals come from the errors on the validation data."""
    quantiles: str = "0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9"
    """Probabilities of the forecast quantiles, ascending, with 0.5, with commas between."""
    interval: Fraction = 0.8
    """Probability that a value lies in the printed interval; the quantiles at both of its ends are forecast too."""
    calibrate: bool = True
    """Whether to widen or narrow the quantiles by the errors on the validation data, so that they hold there if
    hundreds of its windows do not overlap; half of the way if 30 do not (conformal prediction, Romano et al. 2019)."""
    choose_by: Literal["crps", "mae", "mse", "mase"] = "crps"
    """Validation score that selects the best weights and ends training early."""

    def check(self) -> None:
        """Refuse quantiles that are no ascending probabilities."""
        _ = self.levels

    @property
    def levels(self) -> tuple[float, ...]:
        """Probabilities of all quantiles, those of the interval included, ascending."""
        try:
            levels = [float(part) for part in self.quantiles.split(",")]
        except ValueError:
            raise SettingError(f"quantiles = {self.quantiles!r}: expected numbers with commas between") from None
        if levels != sorted(set(levels)) or not all(0 < level < 1 for level in levels) or 0.5 not in levels:
            raise SettingError(f"quantiles = {self.quantiles!r}: expected ascending numbers between 0 and 1, with 0.5")
        return tuple(sorted({*levels, *interval_ends(self.interval)}))


def interval_ends(interval: float) -> tuple[float, float]:
    """Return the probabilities of the quantiles at both ends of an interval, given the probability within it."""
    return round(0.5 - interval / 2, 6), round(0.5 + interval / 2, 6)


ENTRY = TaskEntry(
    name="forecast",
    order=48,
    module="forecaster",
    task="Forecaster",
    answer="Forecast",
    settings=ForecasterSettings,
    a_model="a forecaster",
    summary="Forecasting: predicts the next values of one or many series, with intervals.",
    data_forms="tables (csv, tsv, jsonl, parquet, npy) of numbers over time: a row a time, or a row a series",
    sides=("series",),
    train_example="unspool train forecast sales.csv --horizon 12 --out my-forecaster",
    compare_example="unspool compare forecast sales.csv --networks linear,segments,recurrent --epochs 20",
    predict_verb="forecast",
    predict_writes="the next values with times and intervals",
    usual_networks=("linear", "gru", "lstm", "patches"),
    networks={
        "segments": {"network.network": "segments"},
        "recurrent": {"network.network": "recurrent"},
        "encoder-decoder": {"network.network": "encoder-decoder"},
        "patches": {"network.network": "patches"},
        "linear": {"network.network": "linear"},
        "decomposed": {"network.network": "decomposed"},
    },
    networks_help="segments, recurrent, encoder-decoder, patches (a Transformer), linear, decomposed",
    with_cell={"network.network": "segments"},
    forecasts=True,
)
