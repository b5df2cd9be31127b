"""Thresholds of multi-label classifiers: the probability from which a label is predicted, chosen on held-out data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from unspool.errors import ModelFolderError
from unspool.reading import read_json
from unspool.tasks.parts.metrics import multilabel_scores
from unspool.writing import replace_file

__all__ = ["choose_thresholds", "load_thresholds", "save_thresholds", "threshold_note"]

_FILE = "thresholds.json"
_FEWEST = 10  # examples of a label that decide its own threshold


def choose_thresholds(shares: NDArray[np.floating], targets: NDArray[np.generic]) -> NDArray[np.float64]:
    """Choose the threshold of each label that maximises its F1.

    A label with fewer than 10 examples takes the threshold that maximises micro F1 over all labels.

    Args:
        shares: Probability of each label, (examples, labels).
        targets: 0 and 1 for each label, (examples, labels).

    Returns:
        Between 0 and 1, (labels,).
    """
    gold = np.asarray(targets).astype(bool)
    shared = _best(np.asarray(shares, np.float64).ravel(), gold.ravel())
    return np.array(
        [
            _best(np.asarray(column, np.float64), right) if right.sum() >= _FEWEST else shared
            for column, right in zip(shares.T, gold.T, strict=True)
        ]
    )


def threshold_note(shares: NDArray[np.floating], targets: NDArray[np.generic], thresholds: NDArray[np.float64]) -> str:
    """Return a sentence with F1 on validation data at 0.5 and at the chosen thresholds."""
    before, after = multilabel_scores(targets, shares >= 0.5), multilabel_scores(targets, shares >= thresholds)
    return (
        f"thresholds of the labels chosen on validation, from {thresholds.min():.2f} to {thresholds.max():.2f}: "
        f"micro F1 {before['micro_f1']:.3f} at 0.5, {after['micro_f1']:.3f} now; "
        f"macro F1 {before['macro_f1']:.3f}, {after['macro_f1']:.3f}"
    )


def _best(shares: NDArray[np.float64], gold: NDArray[np.bool_]) -> float:
    """Return the threshold with the largest F1, half way to the next smaller probability; 0.5 without gold labels."""
    if not gold.any():
        return 0.5
    order = np.argsort(-shares, kind="stable")
    falling, correct = shares[order], gold[order].cumsum()
    f1 = 2 * correct / (np.arange(1, len(order) + 1) + gold.sum())
    f1[:-1][falling[:-1] == falling[1:]] = -1.0  # equal probabilities stay together
    last = int(f1.argmax())
    following = falling[last + 1] if last + 1 < len(falling) else 0.0
    return float((falling[last] + following) / 2)


def save_thresholds(thresholds: NDArray[np.float64] | None, folder: Path) -> None:
    """Write `thresholds.json`, or remove the file if none were chosen."""
    if thresholds is None:
        (folder / _FILE).unlink(missing_ok=True)
    else:
        replace_file(folder / _FILE, msgspec.json.encode(thresholds.tolist()) + b"\n")


def load_thresholds(folder: Path, labels: int) -> NDArray[np.float64] | None:
    """Read the file that `save_thresholds` wrote; None if there is none.

    Raises:
        ModelFolderError: If the file is damaged.
    """
    if not (folder / _FILE).is_file():
        return None
    numbers = read_json(folder / _FILE, _Thresholds, "the threshold of each label")
    if len(numbers) != labels:
        raise ModelFolderError(f"{folder / _FILE} is damaged: {len(numbers)} thresholds for {labels} labels")
    return np.array(numbers)


_Thresholds = list[Annotated[float, msgspec.Meta(ge=0, le=1)]]
