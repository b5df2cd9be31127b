"""Held-out scores of units: R² of a line or AUC, with intervals over blocks of text, and p values over all units.

Neighbours in a text are not independent, so neither the intervals nor the p values count tokens as samples. An interval
comes from the sums of influence values over blocks of text: the delta method for R², the components of DeLong et al.
1988 for AUC, both with the variance between blocks (Obuchowski 1997 does so for clustered data). A p value compares the
score with those of the same labels, shifted circularly against the text. A shift keeps the autocorrelation of both. The
statistic of a shift is the maximum over all units (Westfall and Young 1993), which corrects for their number. Each unit
is measured in standard deviations over its shifts, so that slow units, which correlate with anything slow, count less.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unspool.inspection.concepts.labellings import Kind

__all__ = ["BLOCKS", "Shifts", "UnitScores", "mean_interval", "prediction_score", "score_units"]

Floats = NDArray[np.float64]

BLOCKS = 50
"""Blocks of the held-out text between which intervals measure the variance."""
_T = 2.01  # 97.5 % quantile of Student's t with 49 degrees of freedom
_CHUNK = 32  # units at a time
_ALIKE = 0.5  # labels that correlate more with shifted ones repeat each other


class UnitScores(NamedTuple):
    """Scores of units for targets, each (units, targets)."""

    selection: Floats
    """R² or AUC on the part that selects a unit."""
    held_out: Floats
    """R² of the line of the first part, or AUC with the direction of the first part, on the held-out part."""
    low: Floats
    high: Floats
    """Ends of the 95 % interval of `held_out`."""
    direction: Floats
    """1 if the unit rises with the target on the first part, -1 if it falls."""
    deviation: Floats
    """Association on the held-out part, in standard deviations of that with shifted labels."""


class Shifts:
    """All circular shifts of held-out labels, and the maximum over units of their association at each shift.

    Under the null hypothesis, that a unit has nothing to do with the place of the labels, each shift is equally likely
    to have the largest maximum, whatever the autocorrelation. So the share of shifts with a maximum of at least the
    score is a p value, corrected for the number of units.

    Args:
        targets: Held-out labels, (tokens, targets).
    """

    def __init__(self, targets: Floats) -> None:
        self.length = len(targets) - len(targets) % 64 if len(targets) > 1024 else len(targets)
        self._spectrum = np.conj(np.fft.rfft(_standard(targets[: self.length]), axis=0))
        own = np.fft.irfft(np.abs(self._spectrum) ** 2, self.length, axis=0)
        others = np.flatnonzero((np.abs(own) <= _ALIKE).all(axis=1))
        reach = int(others[0]) if len(others) else self.length
        self._others = others
        self.width = min(self.length, 2 * reach - 1)
        """Number of shifts around zero at which the labels correlate with themselves above 0.5."""
        self.maxima = np.zeros(self.length)

    @property
    def independent(self) -> float:
        """Approximate number of independent shifts."""
        return self.length / self.width

    @property
    def smallest(self) -> float:
        """Smallest p value that these labels allow: one of the independent shifts and the labels themselves."""
        return 1 / (1 + self.independent)

    def add(self, units: Floats) -> Floats:
        """Compare some units, (tokens, units), with all shifts; return their deviations, (units, targets)."""
        spectrum = np.fft.rfft(_standard(units[: self.length]), axis=0)
        deviations = np.zeros((units.shape[1], self._spectrum.shape[1]))
        for target in range(self._spectrum.shape[1]):
            shifted = np.fft.irfft(spectrum * self._spectrum[:, target, None], self.length, axis=0)
            spread = shifted.std(0)
            shifted = (shifted - shifted.mean(0)) / np.where(spread > 1e-12, spread, np.inf)
            deviations[:, target] = shifted[0]
            np.maximum(self.maxima, np.abs(shifted).max(1), out=self.maxima)
        return deviations

    def p_values(self, deviations: Floats) -> Floats:
        """Return p values, corrected for all units that were added, for deviations of any shape."""
        ranked = np.sort(self.maxima)
        above = self.length - np.searchsorted(ranked, np.abs(deviations) - 1e-9)
        return np.asarray(np.clip(above / self.length, self.smallest, 1), np.float64)

    def random_shift(self, generator: np.random.Generator) -> int:
        """Return a shift at which the labels differ from themselves; half the length if there is none."""
        return int(generator.choice(self._others)) if len(self._others) else self.length // 2


def _standard(values: Floats) -> Floats:
    """Return columns with mean 0 and norm 1; a constant column becomes zeros."""
    centred = values - values.mean(0)
    size = np.sqrt((centred**2).sum(0))
    return np.asarray(centred / np.where(size > 1e-12, size, np.inf), np.float64)


def score_units(
    selection: tuple[NDArray[np.float32], Floats],
    held_out: tuple[NDArray[np.float32], Floats],
    kind: Kind,
    shifts: Shifts | None = None,
) -> UnitScores:
    """Score units on labels.

    Args:
        selection: Units, (tokens, units), and labels, (tokens, targets), of the part that fits and selects.
        held_out: The same of the held-out part, in the order of the text.
        kind: Kind of the labels.
        shifts: Receives the units for p values; its targets are the first of the labels. None: deviations are zero.
    """
    parts = []
    for begin in range(0, selection[0].shape[1], _CHUNK):
        units = [np.asarray(values[:, begin : begin + _CHUNK], np.float64) for values in (selection[0], held_out[0])]
        score = _lines if kind == "numeric" else _areas
        parts.append(score(units[0], selection[1], units[1], held_out[1], shifts))
    return UnitScores(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def prediction_score(prediction: Floats, target: Floats, kind: Kind) -> float:
    """Return R² or AUC of predictions, both (tokens,)."""
    if kind == "numeric":
        spread = ((target - target.mean()) ** 2).sum()
        return float(1 - ((target - prediction) ** 2).sum() / spread) if spread > 0 else 0.0
    return float(_placements(prediction, target[:, None])[0][0])


def mean_interval(values: Floats, mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the mean of some values of a series, and half its 95 % interval by the variance between blocks.

    Args:
        values: The series in the order of the text, (tokens,).
        mask: Which tokens count, (tokens,), at least one.
    """
    starts = _block_starts(len(values))
    sums, counts = (np.add.reduceat(each, starts) for each in (np.where(mask, values, 0.0), mask.astype(np.float64)))
    mean = sums.sum() / counts.sum()
    return float(mean), float(_half_width((sums - mean * counts) / counts.sum()))


def _lines(x: Floats, y: Floats, new_x: Floats, new_y: Floats, shifts: Shifts | None) -> UnitScores:
    x_mean, y_mean = x.mean(0), y.mean(0)
    x, new_x = x - x_mean, new_x - x_mean
    variance = (x**2).sum(0)[:, None]
    products = x.T @ (y - y_mean)  # (units, targets)
    slope = products / np.where(variance > 1e-12, variance, np.inf)
    fitted = slope * products / np.maximum(((y - y_mean) ** 2).sum(0), 1e-300)
    deviation = np.zeros_like(slope)
    if shifts is not None:
        covered = shifts.add(new_x)
        deviation[:, : covered.shape[1]] = covered
    starts = _block_starts(len(new_x))
    score, half = np.zeros_like(slope), np.zeros_like(slope)
    for target in range(y.shape[1]):
        residual = (new_y[:, target] - y_mean[target])[:, None] - new_x * slope[:, target]
        errors = np.add.reduceat(residual**2, starts, axis=0)
        spread = np.add.reduceat((new_y[:, target] - new_y[:, target].mean()) ** 2, starts)[:, None]
        ratio = errors.sum(0) / spread.sum()
        influence = (errors - ratio * spread) / spread.sum()
        score[:, target], half[:, target] = 1 - ratio, _half_width(influence)
    return UnitScores(fitted, score, score - half, np.minimum(1, score + half), np.sign(slope), deviation)


def _areas(x: Floats, y: Floats, new_x: Floats, new_y: Floats, shifts: Shifts | None) -> UnitScores:
    first = np.stack([_placements(column, y)[0] for column in x.T])
    direction = np.where(first >= 0.5, 1.0, -1.0)
    score, half, ranks = np.zeros_like(first), np.zeros_like(first), np.zeros_like(new_x)
    for unit, column in enumerate(new_x.T):
        score[unit], influence, ranks[:, unit] = _placements(column, new_y)
        half[unit] = _half_width(np.add.reduceat(influence, _block_starts(len(influence)), axis=0))
    deviation = np.zeros_like(first)
    if shifts is not None:
        covered = shifts.add(ranks)
        deviation[:, : covered.shape[1]] = covered
    score = np.where(direction > 0, score, 1 - score)
    low, high = np.maximum(0, score - half), np.minimum(1, score + half)
    return UnitScores(np.maximum(first, 1 - first), score, low, high, direction, deviation)


def _placements(x: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the AUC of one unit for 0-1 targets, the influence of each token, and the ranks of the unit.

    Args:
        x: The unit, (tokens,).
        y: The targets, (tokens, targets).
    """
    order = np.argsort(x, kind="stable")
    values = x[order]
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    sizes = np.diff(np.append(starts, len(x)))
    group = np.repeat(np.arange(len(starts)), sizes)
    positive = np.add.reduceat(y[order], starts, axis=0)  # of each group of equal values
    negative = sizes[:, None] - positive
    ones, zeros = np.maximum(positive.sum(0), 1e-12), np.maximum(negative.sum(0), 1e-12)
    below_positive = (np.cumsum(positive, 0) - positive / 2) / ones
    below_negative = (np.cumsum(negative, 0) - negative / 2) / zeros
    area: Floats = (below_negative * positive).sum(0) / ones
    influence, ranks = np.empty_like(y), np.empty(len(x))
    above = (below_negative - area) / ones
    under = (1 - below_positive - area) / zeros
    influence[order] = np.where(y[order] == 1, above[group], under[group])
    ranks[order] = (starts + (sizes - 1) / 2)[group]
    return area, influence, ranks


def _block_starts(length: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, length, min(BLOCKS, max(1, length)) + 1).astype(np.int64)[:-1])


def _half_width(influence: Floats) -> Floats:
    """Return half the 95 % interval, from the influence of each block, (blocks, ...)."""
    blocks = len(influence)
    centred = influence - influence.mean(0)
    half: Floats = _T * np.sqrt(blocks / max(1, blocks - 1) * (centred**2).sum(0))
    return half
