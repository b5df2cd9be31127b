"""Controls of a concept finder: lookup by token or position, shuffled labels, control task, and a sparse probe."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unspool.inspection.concepts.labellings import Kind
from unspool.inspection.concepts.scoring import Floats, prediction_score

__all__ = ["SparseProbe", "best_threshold", "control_labels", "lookup_score", "sparse_probe"]


class SparseProbe(NamedTuple):
    """Linear probe of few units, chosen one by one."""

    units: tuple[int, ...]
    """Indices of the columns, in the order of choice."""
    score: float
    """R² or AUC on the held-out part."""


def lookup_score(keys: tuple[NDArray[np.int64], NDArray[np.int64]], labels: tuple[Floats, Floats], kind: Kind) -> float:
    """Return the held-out score of the mean label of each key, such as a token or a position.

    Args:
        keys: Keys of the part that fits and of the held-out part, whole numbers from 0, (tokens,) each.
        labels: Labels of both parts, (tokens,) each. A key without labels predicts the mean of all.
        kind: Kind of the labels.
    """
    first, second = keys
    size = int(max(first.max(initial=0), second.max(initial=0))) + 1
    counts = np.bincount(first, minlength=size)
    sums = np.bincount(first, weights=labels[0], minlength=size)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), labels[0].mean())
    return prediction_score(means[second], labels[1], kind)


def control_labels(ids: NDArray[np.int64], labels: Floats, generator: np.random.Generator) -> Floats:
    """Return labels that depend on the token alone: each token draws one from all labels.

    Source: the control tasks of Hewitt and Liang 2019, arXiv:1909.03368, section 2.1.
    """
    drawn = generator.choice(labels, int(ids.max(initial=0)) + 1)
    result: Floats = drawn[ids]
    return result


def sparse_probe(
    selection: tuple[Floats, Floats], held_out: tuple[Floats, Floats], kind: Kind, *, size: int
) -> SparseProbe:
    """Choose units one by one by the R² of a linear fit on the first part, and score the fit on the held-out part.

    Args:
        selection: Candidate units, (tokens, units), and labels, (tokens,), of the first part.
        held_out: The same of the held-out part.
        kind: Kind of the labels; a class counts as 0 and 1.
        size: Most units.
    """
    mean, spread = selection[0].mean(0), np.maximum(selection[0].std(0), 1e-9)
    x, y = (selection[0] - mean) / spread, selection[1] - selection[1].mean()
    products, squares = x.T @ y / len(x), x.T @ x / len(x)
    chosen: list[int] = []
    weights = np.zeros(0)
    for _ in range(min(size, x.shape[1])):
        gains = {unit: _gain(squares, products, [*chosen, unit]) for unit in range(x.shape[1]) if unit not in chosen}
        chosen.append(max(gains, key=gains.__getitem__))
        weights = _weights(squares, products, chosen)
    prediction = ((held_out[0][:, chosen] - mean[chosen]) / spread[chosen]) @ weights + selection[1].mean()
    return SparseProbe(tuple(chosen), prediction_score(prediction, held_out[1], kind))


def best_threshold(values: Floats, marks: NDArray[np.bool_], direction: float) -> float:
    """Return the threshold of a unit that maximises the balanced accuracy.

    Args:
        values: The unit, (tokens,).
        marks: Whether the property holds, (tokens,).
        direction: 1 if the unit is above the threshold where the property holds, -1 if below.
    """
    order = np.argsort(values * direction)
    ordered, right = values[order], marks[order]
    recall = 1 - np.cumsum(right) / max(1, right.sum())
    specificity = np.cumsum(~right) / max(1, (~right).sum())
    score = recall + specificity
    score[:-1][ordered[1:] == ordered[:-1]] = -1  # no threshold lies between equal values
    place = min(int(score[:-1].argmax()), len(ordered) - 2) if len(ordered) > 1 else 0
    return float((ordered[place] + ordered[min(place + 1, len(ordered) - 1)]) / 2)


def _weights(squares: Floats, products: Floats, units: list[int]) -> Floats:
    ridge = 1e-6 * np.eye(len(units))
    return np.asarray(np.linalg.solve(squares[np.ix_(units, units)] + ridge, products[units]), np.float64)


def _gain(squares: Floats, products: Floats, units: list[int]) -> float:
    return float(products[units] @ _weights(squares, products, units))
