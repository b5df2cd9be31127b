r"""Calibration of classifier probabilities by temperature scaling.

.. math::
    p = \mathrm{softmax}(z / T)

Source: Guo et al. 2017, arXiv:1706.04599, section 4.2. Differs: log T has a standard normal prior. The prior avoids
extreme temperatures for few examples, or for perfect predictions. Multi-label classifiers use the sigmoid.
"""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from unspool.errors import ModelFolderError
from unspool.writing import replace_file

__all__ = ["FEWEST", "fit_temperature", "load_temperature", "save_temperature"]

FEWEST = 50
"""Minimum number of validation examples for calibration."""

_FILE = "calibration.json"
_WIDEST = 3.0  # |log T|: T from 0.05 to 20
_HALVINGS = 40  # bisection steps


def fit_temperature(logits: NDArray[np.floating], targets: NDArray[np.generic]) -> float:
    """Fit the temperature with the largest posterior probability.

    Args:
        logits: Logits of all labels, (examples, labels).
        targets: Label ids, integers (examples,); or 0 and 1 for each label, (examples, labels).

    Returns:
        The temperature, between 0.05 and 20.
    """
    scores = np.asarray(logits, np.float64)
    scores = scores if targets.ndim == 2 else scores - scores.max(axis=1, keepdims=True)
    low, high = -_WIDEST, _WIDEST  # log(1 / T)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _slope(scores, targets, middle) > 0:
            high = middle
        else:
            low = middle
    return math.exp(-(low + high) / 2)


def save_temperature(temperature: float, folder: Path) -> None:
    """Write `calibration.json`, or remove the file if the temperature is 1."""
    if temperature == 1:
        (folder / _FILE).unlink(missing_ok=True)
    else:
        replace_file(folder / _FILE, msgspec.json.encode(_Record(temperature)) + b"\n")


def load_temperature(folder: Path) -> float:
    """Read the file that `save_temperature` wrote; return 1 if there is none.

    Raises:
        ModelFolderError: If the file is damaged.
    """
    path = folder / _FILE
    try:
        temperature = msgspec.json.decode(path.read_bytes(), type=_Record).temperature
    except FileNotFoundError:
        return 1.0
    except (msgspec.MsgspecError, UnicodeDecodeError, OSError) as error:
        raise ModelFolderError(f"{path} is damaged: {error}") from None
    if not 0 < temperature < math.inf:
        raise ModelFolderError(f"{path} is damaged: temperature {temperature}, expected a number above 0")
    return temperature


class _Record(msgspec.Struct):
    temperature: float


def _slope(scores: NDArray[np.float64], targets: NDArray[np.generic], log_inverse: float) -> float:
    """Derivative of the negative log-posterior with respect to log(1 / T)."""
    inverse = math.exp(log_inverse)
    if targets.ndim == 2:
        shares = 1 / (1 + np.exp(-np.clip(inverse * scores, -500, 500)))
        pull = float(((shares - targets.astype(np.float64)) * scores).sum())
    else:
        weights = np.exp(inverse * scores)
        means = (weights * scores).sum(axis=1) / weights.sum(axis=1)
        pull = float((means - scores[np.arange(len(scores)), targets.astype(np.int64)]).sum())
    return inverse * pull + log_inverse
