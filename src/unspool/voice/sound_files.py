"""Write recordings as WAV files of 16 bits, one channel."""

from __future__ import annotations

import io
import wave
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unspool.writing import replace_file

__all__ = ["RATE", "write_wav"]

RATE = 16_000
"""Sample rate of recorded and synthesized speech, in Hz."""


def write_wav(path: Path, samples: NDArray[Any], rate: int = RATE) -> None:
    """Write a WAV file atomically.

    Args:
        path: The file; a missing folder is made.
        samples: Amplitudes between -1 and 1, or int16, (samples,).
        rate: Sample rate in Hz.

    Raises:
        MachineError: If the file can't be written.
    """
    whole = samples if samples.dtype == np.int16 else np.rint(np.clip(samples, -1, 1) * 32767)
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(whole.astype("<i2").tobytes())
    replace_file(path, content.getvalue())
