"""Features of recordings: log-mel energies, cepstra (MFCC) and their time derivatives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from unspool.errors import SettingError
from unspool.inputs.audio.settings import AudioSettings

__all__ = ["add_deltas", "features_of", "mel_filters"]

_SCALE = 32768.0  # amplitudes of 16-bit integers, as in Kaldi and HTK
_FLOOR = torch.finfo(torch.float32).eps  # smallest energy of a band
_FRAMES = 4096  # frames transformed at once


def features_of(recordings: Sequence[Tensor], rate: int, settings: AudioSettings) -> list[Tensor]:
    r"""Compute the features of recordings.

    .. math::
        s_t &= (x_{tH}, \dots, x_{tH + N - 1}) - \text{their mean}, \quad
        \hat{s}_{t,n} = w_n (s_{t,n} - \alpha s_{t,n-1}) \\
        m_{t,b} &= \log \textstyle\sum_k F_{b,k} \lvert \mathrm{DFT}(\hat{s}_t)_k \rvert^2, \quad
        c_{t,i} = (1 + \tfrac{L}{2} \sin \tfrac{\pi i}{L}) \sqrt{\tfrac{2}{B}} \textstyle\sum_b m_{t,b}
        \cos(\tfrac{\pi i (b + 1/2)}{B})

    with pre-emphasis :math:`\alpha`, the window :math:`w_n = (0.5 - 0.5 \cos \frac{2 \pi n}{N - 1})^{0.85}`, triangular
    filters :math:`F` (`mel_filters`), and :math:`c_{t,0}` divided by :math:`\sqrt 2`. Source: Povey et al. 2011, "The
    Kaldi speech recognition toolkit", `compute-fbank-feats` and `compute-mfcc-feats` without dither and energy; Davis
    and Mermelstein 1980. The transform has a power of two as its size. Windows lie inside the recording; one shorter
    than a window is padded with zeros.

    Args:
        recordings: Amplitudes between -1 and 1, (samples,) each, at least one.
        rate: Sample rate in Hz.
        settings: Settings of the features.

    Returns:
        Features of each recording, float32 (frames, features).
    """
    length, hop = max(2, round(rate * settings.window / 1000)), max(1, round(rate * settings.hop / 1000))
    size = 1 << (length - 1).bit_length()
    filters = mel_filters(settings.bands, size, rate, settings.lowest, settings.highest)
    windows = [_windows(samples, length, hop) for samples in recordings]
    parts = [
        _energies(frames, size, settings.preemphasis, filters) for frames in torch.split(torch.cat(windows), _FRAMES)
    ]
    energies = torch.cat(parts)
    if settings.features == "cepstra":
        energies = energies @ _cosine_transform(settings.coefficients, settings.bands, settings.lifter).T
    each = torch.split(energies, [len(frames) for frames in windows])
    return [add_deltas(features, settings.deltas).float() for features in each]


def _windows(samples: Tensor, length: int, hop: int) -> Tensor:
    """Return the windows of a recording, in the amplitudes of 16-bit integers, float32 (frames, length)."""
    padded = torch.nn.functional.pad(samples * _SCALE, (0, max(0, length - len(samples))))
    return padded.unfold(0, length, hop)


def _energies(frames: Tensor, size: int, preemphasis: float, filters: Tensor) -> Tensor:
    """Return the logarithm of the energy in each band, (frames, bands), of frames of samples, (frames, window)."""
    frames = frames.double()
    frames = frames - frames.mean(1, keepdim=True)
    before = torch.cat([frames[:, :1], frames[:, :-1]], 1)
    frames = (frames - preemphasis * before) * _window(frames.shape[1])
    spectrum = torch.fft.rfft(frames, size)
    power = spectrum.real.square() + spectrum.imag.square()
    energies: Tensor = (power @ filters.T).clamp(min=_FLOOR).log()
    return energies


def add_deltas(features: Tensor, order: int, reach: int = 2) -> Tensor:
    r"""Append time derivatives to features, (frames, features · (order + 1)).

    .. math:: d_t = \frac{\sum_{i=1}^{R} i\,(x_{t+i} - x_{t-i})}{2 \sum_{i=1}^{R} i^2}

    The first and last frames are repeated beyond the ends. Source: The HTK Book, section 5.9, equation 5.16.

    Args:
        features: Features, (frames, features).
        order: Number of derivatives.
        reach: Frames on each side, R.
    """
    parts = [features]
    for _ in range(order):
        x, count = parts[-1], len(features)
        steps = torch.arange(count)
        delta = torch.zeros_like(x)
        for i in range(1, reach + 1):
            delta += i * (x[(steps + i).clamp(max=count - 1)] - x[(steps - i).clamp(min=0)])
        parts.append(delta / (2 * sum(i * i for i in range(1, reach + 1))))
    return torch.cat(parts, 1)


@cache
def mel_filters(bands: int, size: int, rate: int, lowest: float, highest: float | None) -> Tensor:
    r"""Return triangular filters that are linear in mel, float64 (bands, size // 2 + 1).

    .. math:: \mathrm{mel}(f) = 1127 \ln(1 + f / 700)

    Args:
        bands: Number of filters.
        size: Size of the Fourier transform.
        rate: Sample rate in Hz.
        lowest: Lower edge of the first filter, in Hz.
        highest: Upper edge of the last filter, in Hz. None: half of the rate.

    Raises:
        SettingError: If the lower edge is not below the upper one.
    """
    top = min(rate / 2, highest or rate / 2)
    if lowest >= top:
        raise SettingError(f"lowest = {lowest:g} Hz: expected less than the upper edge of the mel bands, {top:g} Hz")
    edges = torch.linspace(_mel(lowest), _mel(top), bands + 2, dtype=torch.float64)
    mels = torch.tensor([_mel(rate * k / size) for k in range(size // 2 + 1)], dtype=torch.float64)
    left, centre, right = (edges[i : bands + i, None] for i in range(3))
    filters = torch.minimum((mels - left) / (centre - left), (right - mels) / (right - centre)).clamp(min=0)
    filters[:, -1] = 0  # Kaldi leaves out the bin at half of the sample rate
    return filters


def _mel(frequency: float) -> float:
    return 1127.0 * math.log(1.0 + frequency / 700.0)


@cache
def _window(length: int) -> Tensor:
    return torch.hann_window(length, periodic=False, dtype=torch.float64) ** 0.85


@cache
def _cosine_transform(coefficients: int, bands: int, lifter: float) -> Tensor:
    """Return the liftered DCT-II, float64 (coefficients, bands)."""
    i, b = torch.arange(coefficients, dtype=torch.float64)[:, None], torch.arange(bands, dtype=torch.float64)
    transform = math.sqrt(2 / bands) * torch.cos(math.pi * i * (b + 0.5) / bands)
    transform[0] /= math.sqrt(2)
    return transform * (1 + lifter / 2 * torch.sin(math.pi * i / lifter) if lifter else 1)
