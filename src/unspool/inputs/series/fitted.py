"""Series as input of a classifier: standardised by the training data, masked where missing, of unequal lengths."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from unspool.cells import Cell
from unspool.errors import DataError, ModelFolderError, SettingError
from unspool.inputs.audio.encoded import EncodedSounds
from unspool.inputs.audio.fitted import FrameEmbedding
from unspool.inputs.contract import Encoder, FittedInput
from unspool.inputs.encoders import reading_stack
from unspool.inputs.series.reading import Value, series_value
from unspool.layers import Beside, Recurrent, TimeDelay
from unspool.reading import read_json
from unspool.writing import replace_file

__all__ = ["FittedSeries"]

_FILE = "series.json"
_KINDS = ("fcn", "lstm-fcn", "recurrent", "convolutional", "transformer")


class FittedSeries(FittedInput[Value]):
    """Series, standardised by the mean and standard deviation of each channel in the training data.

    Args:
        columns: Columns of the series.
        mean: Mean of each channel, (channels,).
        deviation: Standard deviation of each channel, above 0, (channels,).
        masked: Whether a channel that marks missing values stands beside each channel.
        settings: Settings of the convolutions.
    """

    kind: ClassVar[str] = "series"

    def __init__(
        self,
        columns: Sequence[str],
        mean: NDArray[np.float64],
        deviation: NDArray[np.float64],
        *,
        masked: bool,
        settings: Any,
    ) -> None:
        self._columns, self.mean, self.deviation = tuple(columns), mean, deviation
        self.masked, self.convolutions = masked, settings.audio.convolutions

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the series."""
        return self._columns

    @classmethod
    def learn(cls, values: Sequence[Value], columns: Sequence[str], settings: Any) -> Self:
        """Compute mean and standard deviation of each channel; see `FittedInput.learn`."""
        widths = {value.shape[1] for value in values}
        if len(widths) > 1:
            raise DataError(f"series of {', '.join(map(str, sorted(widths)))} channels came; expected the same number")
        steps = np.concatenate(values).astype(np.float64)
        seen = ~np.isnan(steps)
        if not seen.any(0).all():
            raise DataError(f"channel {int(seen.any(0).argmin()) + 1} has no number in the training data; leave it out")
        mean, deviation = np.nanmean(steps, 0), np.nanstd(steps, 0)
        deviation = np.where(deviation > 0, deviation, 1.0)
        return cls(columns, mean, deviation, masked=not bool(seen.all()), settings=settings)

    @property
    def input_size(self) -> int:
        """Features of a step: the channels, and a mask for each if values are missing."""
        return len(self.mean) * (1 + self.masked)

    def value(self, value: Any, where: str) -> Value:
        """Convert a list or an array, (steps,) or (steps, channels), or a string of numbers or of JSON."""
        if isinstance(value, str):
            text = value.strip()
            try:
                value = json.loads(text) if text.startswith("[") else text.replace(",", " ").split()
            except ValueError as error:
                raise DataError(f"the text is no list of numbers: {error}", where) from None
        series = series_value(value, where)
        if series.shape[1] != len(self.mean):
            raise DataError(f"{series.shape[1]} channels came; expected {len(self.mean)}", where)
        return series

    def text(self, value: Value) -> str:
        """Describe a series by its size and first numbers; see `FittedInput.text`."""
        first = " ".join(f"{number:.4g}" for number in value[:4, 0])
        return f"{len(value)} steps: {first}{' ...' * (len(value) > 4)}"

    def is_one(self, values: Any) -> bool:
        """Whether `values` is one series: text, an array, or a list of numbers."""
        if isinstance(values, np.ndarray):
            return values.ndim <= 2
        numbers = isinstance(values, list | tuple) and bool(values) and all(isinstance(x, int | float) for x in values)
        return isinstance(values, str) or numbers

    def encode(self, values: Sequence[Value], where: Sequence[str]) -> EncodedSounds:
        """Standardise series; see `FittedInput.encode`."""
        for value, place in zip(values, where, strict=True):
            if value.shape[1] != len(self.mean):
                raise DataError(f"{value.shape[1]} channels came; expected {len(self.mean)}", place)
        return EncodedSounds([self._encoded(value) for value in values], 1)

    def _encoded(self, value: Value) -> Value:
        scaled = ((value - self.mean) / self.deviation).astype(np.float32)
        missing = np.isnan(scaled)
        filled = np.where(missing, np.float32(0), scaled)
        return np.concatenate([filled, missing.astype(np.float32)], 1) if self.masked else filled

    def encoder(self, network: Any, cell: str | type[Cell[Any]]) -> Encoder:
        """Build the encoder: convolutions, recurrent layers, both, or Transformer layers; see `FittedInput.encoder`.

        `fcn` pools convolutions over time (the fully convolutional network of Wang et al. 2017, arXiv:1611.06455),
        `lstm-fcn` pools them beside the states of the cell (Karim et al. 2018, arXiv:1709.05206), and `convolutional`
        runs the cell over their outputs. Differs: each sequence is normalised by itself, and padding is masked.
        """
        kind = "fcn" if network.network == "auto" else network.network
        if kind not in _KINDS:
            raise SettingError(f"network = {kind} does not read series: expected {', '.join(_KINDS)} or auto")
        before = self._convolutions() if kind in ("fcn", "convolutional") else None
        embedding = FrameEmbedding(self.input_size, before)
        pooling = network.pooling
        if kind == "fcn":
            return Encoder(embedding, None, embedding.output_size, pooling, drops_inputs=False)
        if kind == "lstm-fcn":
            both = Beside(self._convolutions(), reading_stack(network, kind, cell, self.input_size))
            return Encoder(embedding, both, both.output_size, pooling, drops_inputs=False)
        stack = reading_stack(network, kind, cell, embedding.output_size)
        directions = stack.directions if isinstance(stack, Recurrent) else 1
        return Encoder(
            embedding, stack, stack.output_size, pooling, drops_inputs=kind == "convolutional", directions=directions
        )

    def _convolutions(self) -> TimeDelay:
        settings = self.convolutions
        return TimeDelay(
            self.input_size,
            settings.channels,
            kernel_size=settings.kernel,
            dilations=settings.all_dilations,
            dropout=settings.convolution_dropout,
            norm="global",
        )

    def positions(self, value: Value) -> tuple[str, ...]:
        """Number the steps from 1."""
        return tuple(str(step) for step in range(1, len(value) + 1))

    def features(self, values: Sequence[Value]) -> NDArray[np.float32]:
        """Return mean and standard deviation over time of each standardised channel, (values, 2 · features)."""
        each = [self._encoded(value) for value in values]
        return np.array([np.concatenate([x.mean(0), x.std(0)]) for x in each], np.float32)

    def summary(self) -> str:
        """Return the number of channels, in words."""
        return f"{len(self.mean)} channel{'s' * (len(self.mean) != 1)}"

    def save(self, folder: Path) -> None:
        """Write `series.json` into a folder."""
        record = _Record(list(self._columns), self.mean.tolist(), self.deviation.tolist(), self.masked)
        replace_file(folder / _FILE, msgspec.json.encode(record) + b"\n")

    @classmethod
    def load(cls, folder: Path, settings: Any) -> Self:
        """Read the file that `save` wrote; see `FittedInput.load`."""
        record = read_json(folder / _FILE, _Record, "the mean and deviation of the channels")
        if not record.mean or len(record.mean) != len(record.deviation):
            raise ModelFolderError(f"{folder / _FILE}: mean and deviation are damaged: they differ in length")
        deviation = np.array(record.deviation)
        return cls(record.columns, np.array(record.mean), deviation, masked=record.masked, settings=settings)


class _Record(msgspec.Struct):
    columns: list[str]
    mean: list[Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)]]
    deviation: list[Annotated[float, msgspec.Meta(gt=0, le=1e300)]]
    masked: bool
