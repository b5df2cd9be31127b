"""Metrics: accuracy, precision, recall, F1, confusion matrix, calibration error, perplexity, bits per character.

Accuracy, precision, recall and F1 are fractions between 0 and 1; class ids are integers from 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unspool.errors import DataError

__all__ = [
    "Scores",
    "accuracy",
    "average_precision",
    "average_precisions",
    "bits",
    "classification_scores",
    "confusion_matrix",
    "expected_calibration_error",
    "label_nats",
    "language_model_scores",
    "macro_f1",
    "multilabel_scores",
    "per_class",
    "perplexity",
    "scores",
]

Ints = NDArray[np.int64]


class Scores(NamedTuple):
    """Precision, recall and F1 of one class, or one type of span."""

    precision: float
    """Correct predictions over all predictions; 0 without predictions."""
    recall: float
    """Correct predictions over all gold items; 0 without gold items."""
    f1: float
    """Harmonic mean of precision and recall; 0 if both are 0."""
    support: int
    """Number of gold items."""


def scores(correct: int, predicted: int, gold: int) -> Scores:
    """Compute precision, recall and F1 from three counts.

    Args:
        correct: Number of correct predictions.
        predicted: Number of predictions.
        gold: Number of gold items.
    """
    return Scores(
        precision=correct / predicted if predicted else 0.0,
        recall=correct / gold if gold else 0.0,
        f1=2 * correct / (predicted + gold) if predicted + gold else 0.0,
        support=int(gold),
    )


def accuracy(gold: ArrayLike, predicted: ArrayLike) -> float:
    """Return the fraction of correct predictions.

    Args:
        gold: Gold labels, any shape; numbers or strings.
        predicted: Predictions, the same shape.

    Raises:
        DataError: If there are no labels, or the shapes differ.
    """
    right, answers = _same_shape(gold, predicted)
    return float((right == answers).mean())


def confusion_matrix(gold: ArrayLike, predicted: ArrayLike, classes: int) -> Ints:
    """Count the predictions of each class for each gold class.

    Args:
        gold: Gold class ids, integers from 0 to `classes` - 1.
        predicted: Predicted class ids, the same shape.
        classes: Number of classes.

    Returns:
        Counts, (gold class, predicted class).

    Raises:
        DataError: If there are no ids, the shapes differ, or an id is out of range.
    """
    right, answers = _same_shape(gold, predicted)
    for name, ids in (("gold", right), ("predicted", answers)):
        if ids.dtype.kind not in "iub" or ids.min() < 0 or ids.max() >= classes:
            raise DataError(f"{name} class ids must be integers from 0 to {classes - 1}, not {_some(ids)}")
    pairs = right.astype(np.int64) * classes + answers.astype(np.int64)
    return np.bincount(pairs.ravel(), minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def per_class(confusion: Ints) -> list[Scores]:
    """Return precision, recall and F1 of every class, in the order of the confusion matrix."""
    correct, predicted, gold = np.diagonal(confusion), confusion.sum(axis=0), confusion.sum(axis=1)
    return [scores(int(c), int(p), int(g)) for c, p, g in zip(correct, predicted, gold, strict=True)]


def macro_f1(classes: Sequence[Scores]) -> float:
    """Return the unweighted mean of F1 over classes; 0 without classes."""
    return float(np.mean([each.f1 for each in classes])) if classes else 0.0


def classification_scores(gold: ArrayLike, predicted: ArrayLike, classes: int) -> dict[str, float]:
    """Compute `accuracy` and `macro_f1` of a classifier with one label per example.

    Macro F1 omits classes without gold labels and predictions. Micro-averaged F1 equals accuracy here.

    Args:
        gold: Gold class ids, (examples,).
        predicted: Predicted class ids, (examples,).
        classes: Number of classes.

    Raises:
        DataError: If there are no ids, the shapes differ, or an id is out of range.
    """
    confusion = confusion_matrix(gold, predicted, classes)
    occurs = (confusion.sum(axis=0) + confusion.sum(axis=1)) > 0
    class_scores = [each for each, is_there in zip(per_class(confusion), occurs, strict=True) if is_there]
    return {"accuracy": float(np.trace(confusion) / confusion.sum()), "macro_f1": macro_f1(class_scores)}


def multilabel_scores(gold: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Compute the scores of a classifier with several labels per example.

    Args:
        gold: Gold labels, 1 or true if an example has a label, (examples, labels).
        predicted: Predicted labels, the same shape.

    Returns:
        `micro_precision`, `micro_recall`, `micro_f1` over all pairs of example and label; `macro_f1`, the mean over the
        labels that occur; and `exact_match`, the fraction of examples with all labels correct.

    Raises:
        DataError: If there are no examples, or the shapes differ.
    """
    right, answers = (part.astype(bool) for part in _same_shape(gold, predicted))
    if right.ndim != 2:
        raise DataError(f"several labels per example come as (examples, labels), not as shape {right.shape}")
    correct, totals, counts = (right & answers).sum(axis=0), right.sum(axis=0), answers.sum(axis=0)
    micro = scores(int(correct.sum()), int(counts.sum()), int(totals.sum()))
    each = [scores(int(c), int(p), int(g)) for c, p, g in zip(correct, counts, totals, strict=True) if p + g]
    return {
        "micro_precision": micro.precision,
        "micro_recall": micro.recall,
        "micro_f1": micro.f1,
        "macro_f1": macro_f1(each),
        "exact_match": float((right == answers).all(axis=1).mean()),
    }


def label_nats(probabilities: NDArray[np.floating], targets: NDArray[Any]) -> float:
    """Return the mean cross-entropy of labels, in nats per example; probabilities are clipped at 1e-12.

    Args:
        probabilities: Of each label, (examples, labels).
        targets: Label ids, integers (examples,); or 0 and 1 for each label, (examples, labels).
    """
    shares = np.clip(probabilities.astype(np.float64), 1e-12, 1 - 1e-12)
    if targets.ndim == 2:
        return float(-(targets * np.log(shares) + (1 - targets) * np.log1p(-shares)).sum(1).mean())
    return float(-np.log(shares[np.arange(len(shares)), targets]).mean())


def average_precision(gold: ArrayLike, confidences: ArrayLike) -> float:
    r"""Compute the average precision: the area under the curve of precision over recall, without interpolation.

    .. math:: \mathrm{AP} = \sum_n (R_n - R_{n-1}) P_n

    Precision and recall are those of all predictions with at least the n-th highest confidence; equal ones count
    together.

    Args:
        gold: 1 or true for a correct prediction, (predictions,).
        confidences: Confidence of each prediction, (predictions,).

    Returns:
        A number between 0 and 1; 0 if no prediction is correct.
    """
    right, confidence = np.asarray(gold, bool), np.asarray(confidences, np.float64)
    order = np.argsort(-confidence, kind="stable")
    right, confidence = right[order], confidence[order]
    if not right.any():
        return 0.0
    last = np.flatnonzero(np.append(confidence[1:] != confidence[:-1], True))  # the last of equal confidences
    correct = np.cumsum(right)[last]
    precision, recall = correct / (last + 1), correct / right.sum()
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def average_precisions(gold: ArrayLike, confidences: ArrayLike) -> dict[str, float]:
    """Compute the average precision of a classifier with several labels per example; no threshold takes part.

    Args:
        gold: Gold labels, 1 or true if an example has a label, (examples, labels).
        confidences: Confidence of each label, the same shape.

    Returns:
        `micro_ap` over all pairs of example and label, and `macro_ap`, the mean over the labels that occur.
    """
    right, confidence = np.asarray(gold, bool), np.asarray(confidences, np.float64)
    each = [average_precision(right[:, label], confidence[:, label]) for label in np.flatnonzero(right.any(0))]
    return {
        "micro_ap": average_precision(right.ravel(), confidence.ravel()),
        "macro_ap": float(np.mean(each)) if each else 0.0,
    }


def expected_calibration_error(confidences: ArrayLike, correct: ArrayLike, bins: int = 15) -> float:
    """Compute the expected calibration error, between 0 and 1; Guo et al. 2017, equation 3.

    Args:
        confidences: Probability of each prediction, between 0 and 1, (predictions,).
        correct: Whether each prediction is correct, (predictions,).
        bins: Number of bins of equal width.

    Returns:
        The mean over predictions of |mean confidence - accuracy| in the prediction's bin.

    Raises:
        DataError: If there are no predictions, or the shapes differ.
    """
    right, shares = _same_shape(correct, confidences)
    places = np.clip(np.ceil(shares * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(places, weights=shares.astype(np.float64) - right.astype(np.float64), minlength=bins)
    return float(np.abs(gaps).sum() / len(shares))


def perplexity(nats: float, count: int) -> float:
    """Compute the perplexity of `count` targets with a total negative log-likelihood of `nats`.

    Raises:
        DataError: If there are no targets.
    """
    mean = _mean(nats, count)
    return math.exp(mean) if mean < 700 else math.inf


def bits(nats: float, count: int) -> float:
    """Convert a total negative log-likelihood in nats to bits per target (per character, if `count` is characters).

    Raises:
        DataError: If there are no targets.
    """
    return _mean(nats, count) / math.log(2)


def language_model_scores(nats: float, count: int, characters: int | None = None) -> dict[str, float]:
    """Compute the scores of a language model.

    Args:
        nats: Total negative log-likelihood of the text, in nats.
        count: Number of targets in units of the model, including end-of-sentence marks.
        characters: Number of characters of the text, for comparing models over different units; None if unknown.

    Returns:
        `nats` per target, `perplexity` per target and, with `characters`, `bits_per_character`.

    Raises:
        DataError: If there are no targets.
    """
    result = {"nats": _mean(nats, count), "perplexity": perplexity(nats, count)}
    if characters is not None:
        result["bits_per_character"] = bits(nats, characters)
    return result


def _mean(nats: float, count: int) -> float:
    if count < 1:
        raise DataError("there is nothing to score: the text holds no target")
    return nats / count


def _same_shape(gold: ArrayLike, predicted: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    right, answers = np.asarray(gold), np.asarray(predicted)
    if right.shape != answers.shape:
        raise DataError(f"{right.shape} right answers can't be compared with {answers.shape} predictions")
    if right.size == 0:
        raise DataError("there is nothing to score: no answers")
    return right, answers


def _some(ids: NDArray[Any]) -> str:
    return f"{ids.min()} to {ids.max()}" if ids.dtype.kind in "iufb" else f"{ids.ravel()[0]!r}"
