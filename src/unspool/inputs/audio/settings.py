"""Settings of sounds: reading, features, augmentation and convolutions."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from unspool.data.sound_names import LONGEST_SOUND
from unspool.errors import SettingError
from unspool.settings import Dropout, Fraction, NonNegative, NonNegativeInt, Positive, PositiveInt, Settings

__all__ = ["AudioSettings", "ConvolutionSettings"]

Rate = Annotated[int, msgspec.Meta(ge=1_000, le=384_000)]
Order = Annotated[int, msgspec.Meta(ge=0, le=2)]


def _numbers(name: str, text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 0 < int(part) <= 64 for part in parts) or len(parts) > 16:
        raise SettingError(f"{name} = {text!r}: expected up to 16 whole numbers from 1 to 64, as 1,2,3")
    return [int(part) for part in parts]


class ConvolutionSettings(Settings):
    """Convolutions over time between the features and the recurrent layers (sounds)."""

    channels: PositiveInt = 128
    """Width of the convolutions."""
    kernel: PositiveInt = 5
    """Kernel size of each convolution in steps, an odd number; 5 is a context of -2 to 2."""
    dilations: str = "1,2,3"
    """Dilation of each convolution, with commas between; as many convolutions as numbers."""
    strides: str = "2,1,1"
    """Stride of each convolution, with commas between; 2 halves the number of steps."""
    convolution_dropout: Dropout = 0.1
    """Dropout rate after each convolution."""

    def check(self) -> None:
        """Refuse an even kernel, and lists that are no lists of whole numbers or differ in length."""
        if self.kernel % 2 == 0:
            raise SettingError(f"kernel = {self.kernel}: expected an odd number")
        if self.kernel > 255 or self.channels > 65_536:
            raise SettingError(
                f"kernel = {self.kernel}, channels = {self.channels}: expected at most 255 and at most 65536"
            )
        dilations, strides = _numbers("dilations", self.dilations), _numbers("strides", self.strides)
        if len(dilations) != len(strides):
            raise SettingError(
                f"dilations = {self.dilations!r} and strides = {self.strides!r}: expected as many numbers in both"
            )

    @property
    def all_dilations(self) -> list[int]:
        """Dilation of each convolution."""
        return _numbers("dilations", self.dilations)

    @property
    def all_strides(self) -> list[int]:
        """Stride of each convolution."""
        return _numbers("strides", self.strides)


class AudioSettings(Settings):
    """Reading, features and augmentation of sounds."""

    rate: Rate | None = None
    """Sample rate of the model, in Hz; recordings of another rate are resampled. None: the most frequent rate of the
    training data."""
    longest: Positive = LONGEST_SOUND
    """Maximum length of a sound, in seconds; longer ones are refused."""
    features: Literal["mel", "cepstra"] = "mel"
    """Features of a recording: mel (logarithms of the energy in mel bands), or cepstra (MFCC, their cosine transform).
    """
    bands: PositiveInt = 40
    """Number of mel bands."""
    coefficients: PositiveInt = 13
    """Number of coefficients, with the 0th (cepstra)."""
    lifter: NonNegative = 22.0
    """Liftering of the coefficients; 0: none (cepstra)."""
    window: Positive = 25.0
    """Length of the analysis window, in milliseconds."""
    hop: Positive = 10.0
    """Distance between the beginnings of two windows, in milliseconds."""
    preemphasis: Fraction = 0.97
    """Pre-emphasis: share of the sample before that is subtracted from each sample; 0: none."""
    lowest: NonNegative = 20.0
    """Lower edge of the mel bands, in Hz."""
    highest: Positive | None = None
    """Upper edge of the mel bands, in Hz. None: half of the sample rate."""
    deltas: Order = 0
    """Time derivatives beside the features: 0 (none), 1 (deltas), 2 (deltas and their deltas)."""
    level: bool = True
    """Whether to bring each recording to the same loudness (root mean square) before its features are computed."""
    center: bool = False
    """Whether to subtract each sound's own mean from its features, which removes the sound of a microphone or a room.
    """
    shift: NonNegative = 0.0
    """Augmentation in training: largest shift in time, to both sides, in milliseconds."""
    noise: NonNegative = 0.0
    """Augmentation in training: largest amplitude of white noise, relative to the sound's (root mean square). The
    smallest is a hundredth of it, and the logarithm is uniform between both."""
    speed: Annotated[float, msgspec.Meta(ge=0, le=0.5)] = 0.0
    """Augmentation in training: largest change of speed and pitch; 0.15: factors of 0.85 to 1.15, in steps of 0.05."""
    equalizer: NonNegative = 0.0
    """Augmentation in training: largest boost and cut of parts of the spectrum, in decibels, as another microphone or
    room has (FilterAugment, Nam et al. 2022, arXiv:2110.03282); mel features alone."""
    time_masks: NonNegativeInt = 0
    """Augmentation in training: number of masks over some frames (SpecAugment, Park et al. 2019, arXiv:1904.08779)."""
    time_width: PositiveInt = 25
    """Maximum width of these masks, in frames; at most a fifth of the sound."""
    band_masks: NonNegativeInt = 0
    """Augmentation in training: number of masks over some mel bands (SpecAugment)."""
    band_width: PositiveInt = 7
    """Maximum width of these masks, in bands."""
    convolutions: ConvolutionSettings = ConvolutionSettings()

    def check(self) -> None:
        """Refuse values outside the limits, so that a model folder from others can't exhaust memory."""
        if self.bands > 512 or self.coefficients > self.bands:
            raise SettingError(
                f"bands = {self.bands}, coefficients = {self.coefficients}: expected at most 512 bands, and at most as "
                f"many coefficients as bands"
            )
        if self.window > 1000 or self.hop > 1000 or self.hop < 1:
            raise SettingError(
                f"window = {self.window:g}, hop = {self.hop:g}: expected at most 1000 milliseconds, and a hop of at "
                f"least 1"
            )
        if self.time_masks > 100 or self.band_masks > 100:
            raise SettingError("time_masks and band_masks: expected at most 100")
        if self.shift > 10_000 or self.noise > 10 or self.equalizer > 60:
            raise SettingError(
                f"shift = {self.shift:g}, noise = {self.noise:g}, equalizer = {self.equalizer:g}: expected at most "
                f"10000, 10 and 60"
            )
        if self.equalizer and self.features != "mel":
            raise SettingError("equalizer changes mel bands, and the features are cepstra; leave it out")
        if self.highest is not None and self.highest <= self.lowest:
            raise SettingError(f"highest = {self.highest:g} Hz: expected more than lowest = {self.lowest:g} Hz")

    @property
    def changes_samples(self) -> bool:
        """Whether augmentation changes the samples, before the features are computed."""
        return self.shift > 0 or self.noise > 0 or self.speed > 0

    @property
    def augments(self) -> bool:
        """Whether there is any augmentation."""
        return self.changes_samples or self.equalizer > 0 or self.time_masks > 0 or self.band_masks > 0
