"""Metrics: plain functions from answers to figures.

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
    "bits",
    "classification_scores",
    "confusion_matrix",
    "expected_calibration_error",
    "language_model_scores",
    "macro_f1",
    "multilabel_scores",
    "per_class",
    "perplexity",
    "scores",
]

Ints = NDArray[np.int64]


class Scores(NamedTuple):
    """How well one class, or one type of span, is found."""

    precision: float
    """Right answers among those given; 0 when none was given."""
    recall: float
    """Right answers among those to be given; 0 when there were none."""
    f1: float
    """Harmonic mean of the two; 0 when both are 0."""
    support: int
    """How many there were to find."""


def scores(correct: int, predicted: int, gold: int) -> Scores:
    """Precision, recall and F1 from three counts.

    Args:
        correct: Answers given that are right.
        predicted: Answers given.
        gold: Answers that were to be given.
    """
    return Scores(
        precision=correct / predicted if predicted else 0.0,
        recall=correct / gold if gold else 0.0,
        f1=2 * correct / (predicted + gold) if predicted + gold else 0.0,
        support=int(gold),
    )


def accuracy(gold: ArrayLike, predicted: ArrayLike) -> float:
    """The fraction of answers that are right.

    Args:
        gold: Right answers, any shape; numbers or strings.
        predicted: Answers given, the same shape.

    Raises:
        DataError: If there are none, or not as many of the one as of the other.
    """
    right, given = _same_shape(gold, predicted)
    return float((right == given).mean())


def confusion_matrix(gold: ArrayLike, predicted: ArrayLike, classes: int) -> Ints:
    """Count how often each class was taken for each.

    Args:
        gold: Right class ids, integers from 0 to `classes` - 1.
        predicted: Class ids given, the same shape.
        classes: How many classes there are.

    Returns:
        Counts, (gold class, predicted class).

    Raises:
        DataError: If there is nothing to count, the shapes differ, or an id is not that of a class.
    """
    right, given = _same_shape(gold, predicted)
    for name, ids in (("gold", right), ("predicted", given)):
        if ids.dtype.kind not in "iub" or ids.min() < 0 or ids.max() >= classes:
            raise DataError(f"{name} class ids must be integers from 0 to {classes - 1}, not {_some(ids)}")
    pairs = right.astype(np.int64) * classes + given.astype(np.int64)
    return np.bincount(pairs.ravel(), minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def per_class(confusion: Ints) -> list[Scores]:
    """Precision, recall and F1 of every class, in the order of the confusion matrix."""
    correct, predicted, gold = np.diagonal(confusion), confusion.sum(axis=0), confusion.sum(axis=1)
    return [scores(int(c), int(p), int(g)) for c, p, g in zip(correct, predicted, gold, strict=True)]


def macro_f1(classes: Sequence[Scores]) -> float:
    """The mean F1 over classes, each counting the same; 0 without any."""
    return float(np.mean([each.f1 for each in classes])) if classes else 0.0


def classification_scores(gold: ArrayLike, predicted: ArrayLike, classes: int) -> dict[str, float]:
    """What a classifier with one label per example reports: `accuracy` and `macro_f1`.

    Macro F1 leaves out classes that are neither right nor given anywhere. Micro-averaged F1 equals accuracy here.

    Args:
        gold: Right class ids, (examples,).
        predicted: Class ids given, (examples,).
        classes: How many classes there are.

    Raises:
        DataError: As `confusion_matrix`.
    """
    confusion = confusion_matrix(gold, predicted, classes)
    occurs = (confusion.sum(axis=0) + confusion.sum(axis=1)) > 0
    found = [each for each, is_there in zip(per_class(confusion), occurs, strict=True) if is_there]
    return {"accuracy": float(np.trace(confusion) / confusion.sum()), "macro_f1": macro_f1(found)}


def multilabel_scores(gold: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """What a classifier with several labels per example reports.

    Args:
        gold: Whether each label belongs to each example, true or 1, (examples, labels).
        predicted: Whether each label was given to it, the same shape.

    Returns:
        `micro_precision`, `micro_recall`, `micro_f1` over all pairs of example and label; `macro_f1`, the mean over the
        labels that occur; and `exact_match`, the fraction of examples with all labels right.

    Raises:
        DataError: If there are none, or the shapes differ.
    """
    right, given = (part.astype(bool) for part in _same_shape(gold, predicted))
    if right.ndim != 2:
        raise DataError(f"several labels per example come as (examples, labels), not as shape {right.shape}")
    correct, asked, answered = (right & given).sum(axis=0), right.sum(axis=0), given.sum(axis=0)
    micro = scores(int(correct.sum()), int(answered.sum()), int(asked.sum()))
    each = [scores(int(c), int(p), int(g)) for c, p, g in zip(correct, answered, asked, strict=True) if p + g]
    return {
        "micro_precision": micro.precision,
        "micro_recall": micro.recall,
        "micro_f1": micro.f1,
        "macro_f1": macro_f1(each),
        "exact_match": float((right == given).all(axis=1).mean()),
    }


def expected_calibration_error(confidences: ArrayLike, correct: ArrayLike, bins: int = 15) -> float:
    """How far probabilities are from how often they are right, between 0 and 1; Guo et al. 2017, equation 3.

    Args:
        confidences: Probability of each answer, between 0 and 1, (answers,).
        correct: Whether each answer is right, (answers,).
        bins: Number of bins of equal width.

    Returns:
        The mean over answers of |mean confidence - share of right answers| in the answer's bin.

    Raises:
        DataError: If there are no answers, or not as many of the one as of the other.
    """
    right, shares = _same_shape(correct, confidences)
    places = np.clip(np.ceil(shares * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(places, weights=shares.astype(np.float64) - right.astype(np.float64), minlength=bins)
    return float(np.abs(gaps).sum() / len(shares))


def perplexity(nats: float, count: int) -> float:
    """Perplexity of `count` targets that cost `nats` together: how many equally likely choices that would be.

    Raises:
        DataError: If there are no targets.
    """
    mean = _mean(nats, count)
    return math.exp(mean) if mean < 700 else math.inf


def bits(nats: float, count: int) -> float:
    """Bits per target (bits per character, if `count` counts characters) of targets that cost `nats` together.

    Raises:
        DataError: If there are no targets.
    """
    return _mean(nats, count) / math.log(2)


def language_model_scores(nats: float, count: int, characters: int | None = None) -> dict[str, float]:
    """What a language model reports.

    Args:
        nats: Total negative log-likelihood of the text.
        count: Targets it sums over, in the model's own units, end-of-sentence marks included.
        characters: Characters of the text, where they are known; with them models over different units can be compared.

    Returns:
        `nats` per target, `perplexity` per target and, with `characters`, `bits_per_character`.

    Raises:
        DataError: If there are no targets.
    """
    found = {"nats": _mean(nats, count), "perplexity": perplexity(nats, count)}
    if characters is not None:
        found["bits_per_character"] = bits(nats, characters)
    return found


def _mean(nats: float, count: int) -> float:
    if count < 1:
        raise DataError("there is nothing to score: the text holds no target")
    return nats / count


def _same_shape(gold: ArrayLike, predicted: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    right, given = np.asarray(gold), np.asarray(predicted)
    if right.shape != given.shape:
        raise DataError(f"{right.shape} right answers can't be compared with {given.shape} given ones")
    if right.size == 0:
        raise DataError("there is nothing to score: no answers")
    return right, given


def _some(ids: NDArray[Any]) -> str:
    return f"{ids.min()} to {ids.max()}" if ids.dtype.kind in "iufb" else f"{ids.ravel()[0]!r}"
