"""Find where an utterance begins and ends in a stream of samples, by its energy beside that of the noise before it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unspool.voice.sound_files import RATE

__all__ = ["Endpointer"]

_FRAME = 0.02  # seconds
_ABOVE_NOISE = 10.0  # decibels by which speech is louder than the noise
_LEAST = -58.0  # level of the softest speech, in decibels of full scale
_MEMORY = 150  # frames, 3 seconds, whose softest one is the noise
_LOOKING_BACK = 75  # frames in which the beginning of an utterance may lie
_ONSET, _WINDOW = 4, 6  # loud frames, of so many in a row, that begin an utterance
_GAP = 25  # quiet frames before which a loud frame is a click, not the beginning
_AROUND = 15  # frames that are kept before the first and after the last loud frame, 0.3 seconds


class Endpointer:
    """Finds one utterance in a stream of samples.

    A frame of 20 ms is loud if its level exceeds that of the softest frame of the last three seconds by 10 dB. Four
    loud frames of six begin an utterance; a pause ends it. Minimum statistics of noise: Martin 2001, "Noise power
    spectral density estimation based on optimal smoothing and minimum statistics", without the smoothing.

    Args:
        rate: Sample rate in Hz.
        pause: Quiet time that ends an utterance, in seconds.
        longest: Maximum length of an utterance, in seconds; it ends there without a pause.
        patience: Time in seconds after which the endpointer gives up if nobody speaks. None: never.
    """

    def __init__(
        self, *, rate: int = RATE, pause: float = 0.8, longest: float = 20.0, patience: float | None = None
    ) -> None:
        self._size = round(rate * _FRAME)
        self._pause, self._longest = round(pause / _FRAME), round(longest / _FRAME)
        self._patience = None if patience is None else round(patience / _FRAME)
        self._rest = np.zeros(0, np.int16)
        self._frames: list[NDArray[np.int16]] = []
        self._levels: list[float] = []
        self._begin = 0
        self._last_loud = 0
        self._seen = 0
        self.speaking = False
        """Whether the utterance has begun."""
        self.ended = False
        """Whether the utterance is over, or nobody spoke for too long."""

    def feed(self, samples: NDArray[np.int16]) -> bool:
        """Take the next samples, (samples,); return whether the utterance is over."""
        stream = np.concatenate([self._rest, samples])
        whole = len(stream) // self._size * self._size
        self._rest = stream[whole:]
        for frame in stream[:whole].reshape(-1, self._size):
            if not self.ended:
                self._take(frame)
        return self.ended

    def utterance(self) -> NDArray[np.int16] | None:
        """Return the samples of the utterance so far, with 0.3 seconds before and after it; None if nobody spoke."""
        if not self.speaking:
            return None
        return np.concatenate(self._frames[max(0, self._begin - _AROUND) : self._last_loud + 1 + _AROUND])

    def _take(self, frame: NDArray[np.int16]) -> None:
        self._frames.append(frame)
        self._levels.append(_level(frame))
        threshold = max(_LEAST, min(self._levels[-_MEMORY:]) + _ABOVE_NOISE)
        here = len(self._levels) - 1
        if not self.speaking:
            self._seen += 1
            self._look_back(threshold)
            self.ended = not self.speaking and self._patience is not None and self._seen >= self._patience
            if not self.speaking and here > 4 * _MEMORY:  # nobody speaks for long
                self._frames, self._levels = self._frames[-_MEMORY:], self._levels[-_MEMORY:]
            return
        if self._levels[-1] > threshold:
            self._last_loud = here
        self.ended = here - self._last_loud >= self._pause or here - self._begin >= self._longest

    def _look_back(self, threshold: float) -> None:
        """Find the beginning of the utterance in the last 1.5 seconds."""
        first = max(0, len(self._levels) - _LOOKING_BACK)
        loud = np.array(self._levels[first:]) > threshold
        counts = np.convolve(loud, np.ones(_WINDOW, np.int64), "valid")
        if len(loud) < _WINDOW or not (counts >= _ONSET).any():
            return
        places = np.flatnonzero(loud)
        onset = int(np.flatnonzero(counts >= _ONSET)[0])
        gaps = np.flatnonzero((np.diff(places) > _GAP) & (places[1:] <= onset + _WINDOW))
        begin = int(places[gaps[-1] + 1] if len(gaps) else places[0])
        self.speaking, self._begin, self._last_loud = True, first + begin, first + int(places[-1])


def _level(frame: NDArray[np.int16]) -> float:
    """Return the level of a frame without its mean, in decibels of full scale."""
    samples = frame.astype(np.float64) / 32768
    return float(10 * np.log10(np.var(samples) + 1e-12))
