"""Sample rate conversion by windowed-sinc interpolation."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["resample"]

_ZEROS = 16  # zero crossings of the sinc on each side
_ROLLOFF = 0.95  # cut-off frequency, as a share of the lower Nyquist frequency
_MOST_PHASES = 1 << 14  # ratios that need more round the place of an output down to one of so many
_CHUNK = 1 << 16  # outputs of one phase computed at once


def resample(samples: NDArray[np.float32], rate: int, new_rate: int) -> NDArray[np.float32]:
    r"""Convert a signal to another sample rate.

    .. math:: y_n = \sum_k x_k\, c\, \mathrm{sinc}(c\,(t_n - k))\, w(t_n - k), \quad t_n = n \frac{r}{r'}

    The cut-off :math:`c` is 0.95 of the lower of both Nyquist frequencies, and :math:`w` a Hann window over 16 zero
    crossings on each side. Source: Smith, "Digital audio resampling", https://ccrma.stanford.edu/~jos/resample/.

    Args:
        samples: The signal, (samples,).
        rate: Its sample rate in Hz.
        new_rate: The new sample rate in Hz.

    Returns:
        The signal at the new rate, (⌈samples · new_rate / rate⌉,).
    """
    if rate == new_rate or not len(samples):
        return samples
    up, down = Fraction(new_rate, rate).as_integer_ratio()
    phases = min(up, _MOST_PHASES)
    table, width = _kernels(phases, up / down)
    count = -(-len(samples) * up // down)
    windows = sliding_window_view(np.pad(samples, (width, width)), 2 * width + 1)
    output = np.empty(count, np.float32)
    for first in range(min(up, count)):  # outputs first, first + up, ... have one phase, and windows `down` apart
        whole, phase = divmod(first * down, up)
        kernel, inputs, outputs = table[phase * phases // up], windows[whole::down], output[first::up]
        for begin in range(0, len(outputs), _CHUNK):
            part = slice(begin, min(begin + _CHUNK, len(outputs)))
            outputs[part] = inputs[part] @ kernel
    return output


@lru_cache(maxsize=64)
def _kernels(phases: int, ratio: float) -> tuple[NDArray[np.float32], int]:
    """Return the filter of each phase, (phases, taps), and the taps on each side of the centre."""
    cutoff = _ROLLOFF * min(1.0, ratio)
    reach = _ZEROS / cutoff
    width = int(np.ceil(reach))
    distance = np.arange(phases)[:, None] / phases - np.arange(-width, width + 1)  # (phases, taps), in input samples
    window = np.where(np.abs(distance) < reach, np.cos(np.pi * distance / (2 * reach)) ** 2, 0.0)
    kernels = cutoff * np.sinc(cutoff * distance) * window
    return (kernels / kernels.sum(1, keepdims=True)).astype(np.float32), width
