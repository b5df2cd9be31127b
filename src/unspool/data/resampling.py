"""Sample rate conversion by windowed-sinc interpolation."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

__all__ = ["resample"]

_ZEROS = 16  # zero crossings of the sinc on each side
_ROLLOFF = 0.95  # cut-off frequency, as a share of the lower Nyquist frequency
_MOST_PHASES = 4096  # rates whose ratio needs more are approximated, with an error of at most 1 in 16 million
_CHUNK = 1 << 16  # output samples computed at once


def resample(samples: NDArray[np.float32], rate: float, new_rate: float) -> NDArray[np.float32]:
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
    ratio = Fraction(min(rate, new_rate)) / Fraction(max(rate, new_rate))
    small, large = ratio.limit_denominator(_MOST_PHASES).as_integer_ratio()
    up, down = (small, large) if new_rate < rate else (large, small)
    table, width = _kernels(up, down)
    count = -(-len(samples) * up // down)
    padded = np.pad(samples, (width, width + 1))
    output = np.empty(count, np.float32)
    taps = np.arange(2 * width + 1)
    for begin in range(0, count, _CHUNK):
        places = np.arange(begin, min(begin + _CHUNK, count), dtype=np.int64) * down
        whole, phase = places // up, places % up
        output[begin : begin + len(places)] = (padded[whole[:, None] + taps] * table[phase]).sum(1)
    return output


def _kernels(up: int, down: int) -> tuple[NDArray[np.float32], int]:
    """Return the filter of each phase, (phases, taps), and the taps on each side of the centre."""
    cutoff = _ROLLOFF * min(1.0, up / down)
    reach = _ZEROS / cutoff
    width = int(np.ceil(reach))
    distance = np.arange(up)[:, None] / up - np.arange(-width, width + 1)  # (phases, taps), in input samples
    window = np.where(np.abs(distance) < reach, np.cos(np.pi * distance / (2 * reach)) ** 2, 0.0)
    kernels = cutoff * np.sinc(cutoff * distance) * window
    return (kernels / kernels.sum(1, keepdims=True)).astype(np.float32), width
