"""Majority-class baseline for classification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unspool.errors import DataError
from unspool.tasks.parts.metrics import classification_scores, multilabel_scores

__all__ = ["MajorityClass"]


@dataclass(frozen=True)
class MajorityClass:
    """Predicts the most frequent class, or set of labels, for every example; ties go to the lower id.

    Attributes:
        answer: A class id, or for several labels 0 and 1 per label, (labels,).
        classes: Number of classes or labels.
    """

    answer: NDArray[np.int64]
    classes: int

    @classmethod
    def learn(cls, targets: ArrayLike, classes: int) -> MajorityClass:
        """Find the most frequent class, or set of labels.

        Args:
            targets: Class ids, (examples,); or 0 and 1 for each label, (examples, labels).
            classes: Number of classes or labels.

        Raises:
            DataError: If there are no examples.
        """
        gold = np.asarray(targets).astype(np.int64)
        if not len(gold):
            raise DataError("there are no examples to learn from")
        answers, counts = np.unique(gold, axis=0, return_counts=True)
        return cls(answers[counts.argmax()], classes)

    note = "majority class"

    def predict(self, count: int) -> NDArray[np.int64]:
        """Repeat the answer: (count,) or (count, labels)."""
        return np.repeat(self.answer[None], count, axis=0)

    def evaluate(self, targets: ArrayLike) -> dict[str, float]:
        """Compute the scores of the classifier task: `classification_scores` or `multilabel_scores`."""
        gold: NDArray[Any] = np.asarray(targets)
        if self.answer.ndim:
            return multilabel_scores(gold, self.predict(len(gold)))
        return classification_scores(gold, self.predict(len(gold)), self.classes)
