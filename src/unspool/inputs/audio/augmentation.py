"""Augmentation of sounds in training: shift, speed, noise, and masks over time and frequency.

All numbers follow from the seed, the epoch and the index of the example, so that a resumed training draws the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unspool.data.resampling import resample
from unspool.inputs.audio.settings import AudioSettings

__all__ = ["band_gains", "change_samples", "mask_features"]

_STEPS = 20  # speed factors are multiples of 1/20
_NOISE_RANGE = 2  # powers of ten between the loudest and the softest noise


def change_samples(
    samples: NDArray[np.float32], rate: int, settings: AudioSettings, generator: np.random.Generator
) -> NDArray[np.float32]:
    """Change speed, position and noise of a recording.

    Args:
        samples: Amplitudes, (samples,).
        rate: Sample rate in Hz.
        settings: The largest changes.
        generator: Source of the random numbers.

    Returns:
        Amplitudes, (samples,); of another length if the speed changed.
    """
    factor, shift, loudness = generator.uniform(-1, 1), generator.uniform(-1, 1), generator.uniform()
    steps = int(np.rint(factor * settings.speed * _STEPS))
    if steps:
        samples = resample(samples, _STEPS + steps, _STEPS)
    if settings.shift:
        samples = _shifted(samples, int(np.rint(shift * settings.shift / 1000 * rate)))
    if settings.noise:
        level = np.float32(settings.noise * 10 ** (-_NOISE_RANGE * loudness) * np.sqrt(np.mean(np.square(samples))))
        samples = samples + level * generator.standard_normal(len(samples), np.float32)
    return samples


def band_gains(bands: int, settings: AudioSettings, generator: np.random.Generator) -> NDArray[np.float32]:
    """Return what an equalizer adds to log-mel energies, (bands,): gains at two to five edges, linear between them.

    Args:
        bands: Number of mel bands.
        settings: The largest gain, in decibels.
        generator: Source of the random numbers.
    """
    count = int(generator.integers(0, 4))
    edges = np.concatenate([[0], np.sort(generator.uniform(0, bands - 1, count)), [bands - 1]])
    decibels = generator.uniform(-settings.equalizer, settings.equalizer, count + 2)
    gains: NDArray[np.float32] = (np.interp(np.arange(bands), edges, decibels) * np.log(10) / 10).astype(np.float32)
    return gains


def mask_features(
    features: NDArray[np.float32], bands: int, settings: AudioSettings, generator: np.random.Generator
) -> NDArray[np.float32]:
    """Set features to 0, their mean, in some stretches of frames and of bands.

    Args:
        features: Standardised features, (frames, features).
        bands: Number of features of one frame without its time derivatives.
        settings: Number and width of the masks.
        generator: Source of the random numbers.
    """
    masked = features.copy()
    frames = len(masked)
    for _ in range(settings.time_masks):
        width = int(generator.integers(0, min(settings.time_width, frames // 5) + 1))
        begin = int(generator.integers(0, frames - width + 1))
        masked[begin : begin + width] = 0
    for _ in range(settings.band_masks):
        width = int(generator.integers(0, min(settings.band_width, bands // 2) + 1))
        begin = int(generator.integers(0, bands - width + 1))
        for first in range(0, masked.shape[1], bands):
            masked[:, first + begin : first + begin + width] = 0
    return masked


def _shifted(samples: NDArray[np.float32], shift: int) -> NDArray[np.float32]:
    """Move a recording in time: later by a beginning of zeros, or earlier by cutting its beginning off.

    At least half of the recording is left.
    """
    if shift >= 0:
        return np.concatenate([np.zeros(shift, np.float32), samples])
    return samples[min(-shift, len(samples) // 2) :]
