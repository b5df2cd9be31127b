r"""Calibration of classifier probabilities by temperature scaling, and their average with a linear model's.

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

__all__ = [
    "FEWEST",
    "UNCALIBRATED",
    "Calibration",
    "fit_calibration",
    "fit_temperature",
    "load_calibration",
    "mean_nats",
    "save_calibration",
]

FEWEST = 50
"""Minimum number of validation examples for calibration."""

_FILE = "calibration.json"
_WIDEST = 3.0  # |log T|: T from 0.05 to 20
_HALVINGS = 40  # bisection steps
_SHARES = 10  # steps of the linear model's share
_IGNORED = 1e9  # temperature of a network without influence


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


class Calibration(msgspec.Struct, frozen=True, omit_defaults=True):
    r"""Weights of the network's logits and of the linear model's: :math:`p = \mathrm{softmax}(z / T + w z')`."""

    temperature: float = 1.0
    """Divisor of the network's logits, above 0."""
    linear: float = 0.0
    """Factor of the linear model's logits, at least 0."""

    @property
    def network(self) -> float:
        """Factor of the network's logits, at least 0."""
        return 1 / self.temperature


UNCALIBRATED = Calibration()
"""The network's own probabilities."""


def fit_calibration(
    network: NDArray[np.floating], linear: NDArray[np.floating] | None, targets: NDArray[np.generic]
) -> Calibration:
    """Fit the temperature, and with a linear model its share, that minimise the loss.

    The share of the linear model is one of 0, 0.1 to 1; both models are brought to their own best temperature before.

    Args:
        network: Logits of the network, (examples, labels).
        linear: Logits of the linear model, (examples, labels); None without one.
        targets: See `fit_temperature`.
    """
    own = fit_temperature(network, targets)
    if linear is None:
        return Calibration(own)
    theirs = fit_temperature(linear, targets)
    best = (math.inf, Calibration(own))
    for tenths in range(_SHARES + 1):
        share = tenths / _SHARES
        mixed = (1 - share) / own * network + share / theirs * linear
        temperature = fit_temperature(mixed, targets)
        nats = mean_nats(mixed / temperature, targets)
        if nats < best[0]:
            whole = own * temperature / (1 - share) if share < 1 else _IGNORED
            best = nats, Calibration(whole, share / theirs / temperature)
    return best[1]


def mean_nats(logits: NDArray[np.floating], targets: NDArray[np.generic]) -> float:
    """Return the mean cross-entropy of the targets in nats; see `fit_temperature` for the arguments."""
    scores = np.asarray(logits, np.float64)
    if targets.ndim == 2:
        return float((np.logaddexp(0, scores) - scores * targets.astype(np.float64)).sum(1).mean())
    highest = scores.max(axis=1)
    normal = highest + np.log(np.exp(scores - highest[:, None]).sum(axis=1))
    return float((normal - scores[np.arange(len(scores)), targets.astype(np.int64)]).mean())


def save_calibration(calibration: Calibration, folder: Path) -> None:
    """Write `calibration.json`, or remove the file if nothing is calibrated."""
    if calibration == UNCALIBRATED:
        (folder / _FILE).unlink(missing_ok=True)
    else:
        replace_file(folder / _FILE, msgspec.json.encode(calibration) + b"\n")


def load_calibration(folder: Path) -> Calibration:
    """Read the file that `save_calibration` wrote; temperature 1 if there is none.

    Raises:
        ModelFolderError: If the file is damaged.
    """
    path = folder / _FILE
    try:
        calibration = msgspec.json.decode(path.read_bytes(), type=Calibration)
    except FileNotFoundError:
        return UNCALIBRATED
    except (msgspec.MsgspecError, UnicodeDecodeError, OSError) as error:
        raise ModelFolderError(f"{path} is damaged: {error}") from None
    if not 0 < calibration.temperature < math.inf:
        raise ModelFolderError(f"{path} is damaged: temperature {calibration.temperature}, expected a number above 0")
    if not 0 <= calibration.linear < math.inf:
        raise ModelFolderError(f"{path} is damaged: linear {calibration.linear}, expected a number from 0")
    return calibration


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
