"""Sounds as input: features standardised by the training data, and the encoder network over them."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self
from weakref import WeakKeyDictionary

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unspool.cells import Cell
from unspool.data import FeatureFrames, Frames, Recording, Sound, is_sound_file, sound_of
from unspool.data.resampling import resample
from unspool.errors import DataError, ModelFolderError, SettingError, counted
from unspool.inputs.audio.augmentation import band_gains, change_samples, mask_features
from unspool.inputs.audio.encoded import EncodedSounds
from unspool.inputs.audio.features import features_of
from unspool.inputs.audio.settings import AudioSettings
from unspool.inputs.augmentation import generator_for
from unspool.inputs.contract import Encoder, FittedInput
from unspool.inputs.encoders import reading_stack
from unspool.inputs.files import from_base64
from unspool.layers import Pooling, Recurrent, TimeDelay
from unspool.reading import read_json
from unspool.writing import replace_file

__all__ = ["FittedAudio", "FrameEmbedding"]

_FILE = "audio.json"
_LEVEL, _SOFTEST = 0.1, 1e-6  # root mean square of the samples, and the smallest that is raised to it
_HOP = 0.01  # seconds between the frames of a feature file

Array = NDArray[np.float32]


class FrameEmbedding(nn.Module):
    """Embedding of feature frames: convolutions over time, or the frames themselves.

    Args:
        input_size: Features of a frame.
        convolutions: The convolutions. None: the frames themselves.
    """

    def __init__(self, input_size: int, convolutions: TimeDelay | None) -> None:
        super().__init__()
        self.convolutions = convolutions
        self.output_size = input_size if convolutions is None else convolutions.output_size

    def forward(self, batch: Frames) -> Tensor:
        """Return vectors, (time, batch, output_size); their lengths are `batch.lengths`."""
        if self.convolutions is None:
            steps = torch.arange(len(batch.values), device=batch.values.device)[:, None]
            return batch.values.masked_fill((steps >= batch.frames).unsqueeze(-1), 0)
        outputs: Tensor = self.convolutions(batch.values, batch.frames).outputs
        return outputs


class FittedAudio(FittedInput[Sound]):
    """Sounds, as features standardised by the mean and standard deviation of the training data.

    Args:
        settings: Settings of the features, the augmentation and the convolutions.
        rate: Sample rate of the model in Hz; 0 for feature files.
        mean: Mean of each feature in the training data, (features,).
        deviation: Standard deviation of each feature, above 0, (features,).
        reduction: Frames for each step after the embedding: the product of the strides.
        seed: Seed of the augmentation.
    """

    kind: ClassVar[str] = "audio"
    values_are_files = True

    def __init__(
        self,
        settings: AudioSettings,
        rate: int,
        mean: NDArray[np.float64],
        deviation: NDArray[np.float64],
        *,
        reduction: int = 1,
        seed: int = 0,
    ) -> None:
        self.settings, self.rate, self.mean, self.deviation = settings, rate, mean, deviation
        self.reduction, self.seed = reduction, seed
        self._cache: WeakKeyDictionary[Sound, Array] = WeakKeyDictionary()

    @classmethod
    def learn(cls, values: Sequence[Sound], columns: Sequence[str], settings: Any) -> Self:
        """Choose the sample rate, and compute mean and standard deviation of each feature; see `FittedInput.learn`."""
        audio: AudioSettings = settings.audio
        files = [value for value in values if isinstance(value, FeatureFrames)]
        rates = Counter(value.rate for value in values if isinstance(value, Recording))
        if files and rates:
            raise DataError(
                f"{len(files):,} feature files and {rates.total():,} recordings came; expected one of both kinds"
            )
        rate = 0 if files else audio.rate or max(rates, key=lambda each: (rates[each], each))
        if files and (widths := {value.values.shape[1] for value in files}) and len(widths) > 1:
            raise DataError(f"features of {', '.join(map(str, sorted(widths)))} values a frame came; expected one size")
        if files and (audio.changes_samples or audio.equalizer):
            raise SettingError(
                "shift, noise, speed and equalizer change recordings, and these data are features; leave them out"
            )
        learned = cls(
            audio,
            rate,
            np.zeros(1),
            np.ones(1),
            reduction=_reduction(settings.network.network, audio),
            seed=settings.training.seed,
        )
        count, total, squares = 0, np.zeros(1), np.zeros(1)
        for value in values:
            features = learned._raw([value])[0].astype(np.float64)
            count, total = count + len(features), total + features.sum(0)
            squares = squares + np.square(features).sum(0)
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean * mean, 0))
        learned.mean, learned.deviation = mean, np.where(deviation > 1e-6, deviation, 1.0)
        learned._cache.clear()
        return learned

    @property
    def hop(self) -> float:
        """Seconds between two frames."""
        return self.settings.hop / 1000 if self.rate else _HOP

    @property
    def input_size(self) -> int:
        """Features of a frame."""
        return len(self.mean)

    def value(self, value: Any, where: str) -> Sound:
        """Read a sound: a path, a pair of samples and rate, or the bytes of a WAV file; see `sound_of`.

        After `refuse_files`, a text is no path, but a WAV file in Base64.
        """
        if not self.reads_files and isinstance(value, str | os.PathLike):
            value = from_base64(value, where, "a WAV file")
        sound = sound_of(value, where, longest=self.settings.longest)
        self._check(sound, where)
        return sound

    def text(self, value: Sound) -> str:
        """Return the file's name; see `FittedInput.text`."""
        return str(value)

    def is_one(self, values: Any) -> bool:
        """Whether `values` is one sound: a path, bytes, a pair of samples and rate, or a `Recording`."""
        pair = isinstance(values, tuple) and len(values) == 2 and isinstance(values[1], int | np.integer)
        return pair or is_sound_file(values) or isinstance(values, str | bytes | Recording | FeatureFrames)

    def encode(self, values: Sequence[Sound], where: Sequence[str]) -> EncodedSounds:
        """Compute standardised features; see `FittedInput.encode`."""
        for value, place in zip(values, where, strict=True):
            self._check(value, place)
        features = [self.features_of(value) for value in values]
        if not self.settings.augments:
            return EncodedSounds(features, self.reduction)

        def augment(indices: Sequence[int], epoch: int) -> list[Array]:
            return self._augmented(values, indices, epoch)

        return EncodedSounds(features, self.reduction, augment=augment)

    def features_of(self, value: Sound) -> Array:
        """Return the standardised features of a sound, float32 (frames, features)."""
        if value not in self._cache:
            self._cache[value] = self._standardised(self._raw([value])[0])
        return self._cache[value]

    def _raw(self, values: Sequence[Sound], changed: Sequence[Array] | None = None) -> list[Array]:
        """Return the features of sounds before standardisation.

        Args:
            values: The sounds.
            changed: Samples of each recording after changes, at the model's rate; None: its own.
        """
        if self.rate:
            samples = [self._samples(value) for value in values] if changed is None else changed
            levelled = [torch.from_numpy(self._levelled(each)) for each in samples]
            features = [each.numpy() for each in features_of(levelled, self.rate, self.settings)]
        else:
            features = [value.values for value in values if isinstance(value, FeatureFrames)]
        if self.settings.center:
            features = [each - each.mean(0, dtype=np.float64).astype(np.float32) for each in features]
        return features

    def _levelled(self, samples: Array) -> Array:
        if not self.settings.level:
            return samples
        loudness = np.sqrt(np.mean(np.square(samples, dtype=np.float64)))
        return samples * np.float32(_LEVEL / max(loudness, _SOFTEST))

    def _samples(self, value: Sound) -> Array:
        assert isinstance(value, Recording)
        return resample(value.samples, value.rate, self.rate)

    def _standardised(self, features: Array) -> Array:
        return ((features - self.mean) / self.deviation).astype(np.float32)

    def _augmented(self, values: Sequence[Sound], indices: Sequence[int], epoch: int) -> list[Array]:
        """Return the standardised features of some values, by their indices, with the changes of an epoch."""
        settings = self.settings
        generators = [generator_for(self.seed, epoch, index) for index in indices]
        chosen = [values[index] for index in indices]
        if settings.changes_samples:
            changed = [
                change_samples(self._samples(value), self.rate, settings, generator)
                for value, generator in zip(chosen, generators, strict=True)
            ]
            features = [self._standardised(each) for each in self._raw(chosen, changed)]
        else:
            features = [self.features_of(value) for value in chosen]
        bands = self.input_size // (settings.deltas + 1)
        for place, generator in enumerate(generators):
            if settings.equalizer:
                features[place] = features[place].copy()
                gains = band_gains(bands, settings, generator) / self.deviation[:bands]
                features[place][:, :bands] += gains.astype(np.float32)
            features[place] = mask_features(features[place], bands, settings, generator)
        return features

    def _check(self, value: Sound, where: str) -> None:
        """Refuse features where the model reads recordings, and the other way round."""
        if isinstance(value, Recording) != bool(self.rate):
            came, expected = ("features", "recordings") if self.rate else ("a recording", "feature files")
            raise DataError(f"{came} came, and the model was trained on {expected}", where)
        if isinstance(value, FeatureFrames) and value.values.shape[1] != self.input_size:
            raise DataError(f"{value.values.shape[1]} features a frame came; expected {self.input_size}", where)

    def encoder(self, network: Any, cell: str | type[Cell[Any]]) -> Encoder:
        """Build the encoder: convolutions and recurrent layers, or Transformer layers; see `FittedInput.encoder`.

        The embedding holds the convolutions, whose strides shorten a sequence; the lengths of its outputs are the
        `lengths` of a batch, n frames to ⌈n / `reduction`⌉ steps.
        """
        kind = "convolutional" if network.network == "auto" else network.network
        if kind not in ("convolutional", "recurrent", "transformer"):
            raise SettingError(
                f"network = {kind} does not read sounds: expected convolutional, recurrent, transformer or auto"
            )
        embedding = FrameEmbedding(self.input_size, self._convolutions() if kind != "recurrent" else None)
        stack = reading_stack(network, kind, cell, embedding.output_size)
        directions = stack.directions if isinstance(stack, Recurrent) else 1
        pooling: Pooling = getattr(network, "pooling", "mean")
        return Encoder(
            embedding, stack, stack.output_size, pooling, drops_inputs=kind != "recurrent", directions=directions
        )

    def _convolutions(self) -> TimeDelay:
        settings = self.settings.convolutions
        return TimeDelay(
            self.input_size,
            settings.channels,
            kernel_size=settings.kernel,
            dilations=settings.all_dilations,
            strides=settings.all_strides,
            dropout=settings.convolution_dropout,
        )

    def positions(self, value: Sound) -> tuple[str, ...]:
        """Label each step with the time of its first frame, in seconds."""
        steps = -(-len(self.features_of(value)) // self.reduction)
        return tuple(f"{step * self.reduction * self.hop:.2f}s" for step in range(steps))

    def notes(self, values: Sequence[Sound]) -> list[str]:
        """Return a note on recordings with another sample rate than the model's; see `FittedInput.notes`."""
        others = sum(isinstance(value, Recording) and value.rate != self.rate for value in values)
        if not others:
            return []
        verb = "has" if others == 1 else "have"
        was = "was" if others == 1 else "were"
        count = counted(len(values), "recordings")
        return [f"{others:,} of {count} {verb} another sample rate than {self.rate:,} Hz and {was} resampled"]

    def features(self, values: Sequence[Sound]) -> Array:
        """Return mean and standard deviation over time of each standardised feature, (values, 2 · features)."""
        each = [self.features_of(value) for value in values]
        return np.array([np.concatenate([x.mean(0), x.std(0)]) for x in each], np.float32)

    def summary(self) -> str:
        """Return the features and the rate, in words."""
        if not self.rate:
            return f"{self.input_size} features a frame"
        kind = "log-mel bands" if self.settings.features == "mel" else "cepstra"
        return f"{self.input_size} {kind} at {self.rate:,} Hz"

    def save(self, folder: Path) -> None:
        """Write `audio.json` into a folder."""
        record = _Record(self.rate, self.reduction, self.mean.tolist(), self.deviation.tolist())
        replace_file(folder / _FILE, msgspec.json.encode(record) + b"\n")

    @classmethod
    def load(cls, folder: Path, settings: Any) -> Self:
        """Read the file that `save` wrote; see `FittedInput.load`."""
        record = read_json(folder / _FILE, _Record, "the sample rate, mean and deviation of the features")
        if not record.mean or len(record.mean) != len(record.deviation):
            raise ModelFolderError(f"{folder / _FILE}: mean and deviation are damaged: they differ in length")
        if record.reduction != _reduction(settings.network.network, settings.audio):
            raise ModelFolderError(f"{folder / _FILE}: reduction = {record.reduction} contradicts the settings")
        return cls(
            settings.audio,
            record.rate,
            np.array(record.mean),
            np.array(record.deviation),
            reduction=record.reduction,
            seed=settings.training.seed,
        )


def _reduction(network: str, settings: AudioSettings) -> int:
    """Return the product of the strides; 1 for a network without convolutions."""
    return 1 if network == "recurrent" else math.prod(settings.convolutions.all_strides)


Number = Annotated[float, msgspec.Meta(ge=-1e30, le=1e30)]


class _Record(msgspec.Struct):
    rate: Annotated[int, msgspec.Meta(ge=0, le=384_000)]
    reduction: Annotated[int, msgspec.Meta(ge=1, le=1 << 32)]
    mean: Annotated[list[Number], msgspec.Meta(max_length=16_384)]
    deviation: Annotated[list[Annotated[float, msgspec.Meta(gt=0, le=1e30)]], msgspec.Meta(max_length=16_384)]
