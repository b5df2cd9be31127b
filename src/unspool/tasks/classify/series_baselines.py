"""Baselines for series: nearest neighbour by dynamic time warping, and random convolutions with ridge regression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from unspool.inputs.series.reading import Value
from unspool.tasks.parts.metrics import classification_scores

__all__ = ["RandomConvolutions", "nearest_by_warping", "series_baselines", "warping_distances"]

_MOST_CELLS = 2e9  # of all alignment tables
_KERNELS = 1000
_AT_ONCE = 64

Features = NDArray[np.float32]


def series_baselines(
    fitted: Any,
    train: Sequence[Value],
    gold: NDArray[np.int64],
    held_out: Sequence[Value],
    right: NDArray[np.int64],
    classes: int,
) -> dict[str, dict[str, float]]:
    """Return the scores of both baselines by name; the nearest neighbour for small data alone.

    Args:
        fitted: The fitted input, which standardises series.
        train: Training series.
        gold: Their classes, (series,).
        held_out: Other series.
        right: Their classes.
        classes: Number of classes.
    """
    learned = fitted.encode(train, [""] * len(train)).features
    others = fitted.encode(held_out, [""] * len(held_out)).features
    scores = {}
    cells = float(sum(map(len, learned))) * sum(map(len, others))
    if cells <= _MOST_CELLS:
        predicted = gold[nearest_by_warping(learned, others)]
        scores["nearest by DTW"] = classification_scores(right, predicted, classes)
    model = RandomConvolutions.learn(learned, gold, classes)
    scores["random convolutions"] = classification_scores(right, model.predict(others), classes)
    return scores


def nearest_by_warping(train: Sequence[Features], others: Sequence[Features]) -> NDArray[np.int64]:
    """Return the index of the nearest training series of each other series, under dynamic time warping."""
    return np.array([int(warping_distances(each, train).argmin()) for each in others])


def warping_distances(series: Features, others: Sequence[Features]) -> NDArray[np.float64]:
    r"""Return the dynamic time warping distance of a series to others of any length, over all channels at once.

    .. math:: D_{ij} = \lVert x_i - y_j \rVert^2 + \min(D_{i-1,j}, D_{i,j-1}, D_{i-1,j-1})

    The distance is the last :math:`D`, without a window. Source: Sakoe and Chiba 1978. All others advance together, one
    anti-diagonal at a time.

    Args:
        series: (steps, channels).
        others: (steps, channels) each.
    """
    lengths = np.array([len(each) for each in others])
    most, steps = int(lengths.max()), len(series)
    padded = np.zeros((len(others), most, series.shape[1]), np.float64)
    for place, each in enumerate(others):
        padded[place, : len(each)] = each
    squares = np.square(padded).sum(-1)[:, None] + np.square(series, dtype=np.float64).sum(-1)[:, None]
    cost = np.maximum(squares - 2 * np.einsum("ic,njc->nij", series.astype(np.float64), padded), 0)
    before = np.full((len(others), steps + 1), np.inf)  # anti-diagonals by row, shifted by one
    last = before.copy()
    last[:, 0] = 0.0
    distances = np.full(len(others), np.inf)
    for diagonal in range(steps + most - 1):
        rows = np.arange(max(0, diagonal - most + 1), min(steps, diagonal + 1))
        columns = diagonal - rows
        corner = last[:, rows] if diagonal else np.zeros((len(others), 1))
        here = np.full_like(before, np.inf)
        here[:, rows + 1] = cost[:, rows, columns] + np.minimum(
            np.minimum(before[:, rows], before[:, rows + 1]) if diagonal else np.inf, corner
        )
        ended = np.flatnonzero(lengths - 1 == diagonal - (steps - 1))
        distances[ended] = here[ended, steps]
        last, before = before, here
        if not diagonal:
            last[:, 0] = np.inf
    return distances


class RandomConvolutions:
    r"""Ridge regression over the maximum and the share of positive outputs of random dilated convolutions.

    Source: Dempster et al. 2020, "ROCKET", arXiv:1910.13051: kernels of 7, 9 or 11 steps with normal weights of mean 0,
    a uniform bias, and dilations :math:`2^u` up to the length of the series. Differs: 1,000 kernels instead of 10,000;
    zeros past the end of shorter series, whose outputs don't count; the penalty is chosen by generalised
    cross-validation.

    Args:
        kernels: For each size and dilation: weights, (kernels, channels, size), biases, dilation.
        mean: Mean of each feature.
        deviation: Standard deviation of each feature, above 0.
        weights: (features, classes).
        bias: (classes,).
    """

    def __init__(
        self,
        kernels: Sequence[tuple[torch.Tensor, torch.Tensor, int]],
        mean: NDArray[np.float64],
        deviation: NDArray[np.float64],
        weights: NDArray[np.float64],
        bias: NDArray[np.float64],
    ) -> None:
        self._kernels, self._mean, self._deviation = kernels, mean, deviation
        self._weights, self._bias = weights, bias

    @classmethod
    def learn(
        cls, series: Sequence[Features], targets: NDArray[np.int64], classes: int, *, seed: int = 0
    ) -> RandomConvolutions:
        """Draw kernels from a seed, and fit the regression to standardised series, (steps, channels) each."""
        kernels = _draw(series[0].shape[1], max(map(len, series)), seed)
        features = _features(kernels, series)
        mean, deviation = features.mean(0), features.std(0)
        deviation = np.where(deviation > 1e-8, deviation, 1.0)
        inputs = (features - mean) / deviation
        outputs = np.where(np.arange(classes) == targets[:, None], 1.0, -1.0)
        bias = outputs.mean(0)
        return cls(kernels, mean, deviation, _ridge(inputs, outputs - bias), bias)

    def predict(self, series: Sequence[Features]) -> NDArray[np.int64]:
        """Return the class of each series, (series,)."""
        inputs = (_features(self._kernels, series) - self._mean) / self._deviation
        best: NDArray[np.int64] = (inputs @ self._weights + self._bias).argmax(1)
        return best


def _draw(channels: int, longest: int, seed: int) -> list[tuple[torch.Tensor, torch.Tensor, int]]:
    generator = np.random.default_rng(seed)
    groups: dict[tuple[int, int], int] = {}
    for _ in range(_KERNELS):
        size = int(generator.choice((7, 9, 11)))
        most = max(0.0, np.log2(max(1, (longest - 1) / (size - 1))))
        dilation = int(2 ** generator.uniform(0, most))
        groups[size, dilation] = groups.get((size, dilation), 0) + 1
    kernels = []
    for (size, dilation), count in sorted(groups.items()):
        weights = generator.normal(size=(count, channels, size))
        weights -= weights.mean((1, 2), keepdims=True)
        bias = generator.uniform(-1, 1, count)
        kernels.append((torch.from_numpy(weights).float(), torch.from_numpy(bias).float(), dilation))
    return kernels


@torch.no_grad()
def _features(
    kernels: Sequence[tuple[torch.Tensor, torch.Tensor, int]], series: Sequence[Features]
) -> NDArray[np.float64]:
    """Return maximum and share of positive outputs of every kernel, (series, 2 · kernels)."""
    rows = []
    for begin in range(0, len(series), _AT_ONCE):
        part = series[begin : begin + _AT_ONCE]
        lengths = torch.tensor([len(each) for each in part])
        padded = torch.zeros(len(part), part[0].shape[1], int(lengths.max()))
        for place, each in enumerate(part):
            padded[place, :, : len(each)] = torch.from_numpy(each.T.copy())
        valid = (torch.arange(padded.shape[-1]) < lengths[:, None])[:, None]
        columns = []
        for weights, bias, dilation in kernels:
            half = dilation * (weights.shape[-1] // 2)
            outputs = F.conv1d(padded, weights, bias, dilation=dilation, padding=half)
            columns.append(outputs.masked_fill(~valid, -torch.inf).amax(-1))
            columns.append(((outputs > 0) & valid).sum(-1) / lengths[:, None])
        rows.append(torch.cat(columns, 1))
    return torch.cat(rows).double().numpy()


def _ridge(inputs: NDArray[np.float64], outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights of ridge regression, with the penalty of the smallest generalised cross-validation error."""
    left, values, right = np.linalg.svd(inputs, full_matrices=False)
    projected, count = left.T @ outputs, len(inputs)
    best, error = np.zeros((inputs.shape[1], outputs.shape[1])), np.inf
    for penalty in np.logspace(-3, 5, 17):
        shrink = values**2 / (values**2 + penalty)
        rest = outputs - left @ (shrink[:, None] * projected)
        gcv = float(np.square(rest).mean() / (1 - shrink.sum() / count + 1e-9) ** 2)
        if gcv < error:
            error = gcv
            best = right.T @ ((values / (values**2 + penalty))[:, None] * projected)
    return best
