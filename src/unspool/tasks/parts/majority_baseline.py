"""Always the most frequent answer."""

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
    """Gives every example the class, or the set of labels, seen most often; the lower id where two are seen as often.

    Attributes:
        answer: A class id, or for several labels 0 and 1 per label, (labels,).
        classes: How many classes or labels there are.
    """

    answer: NDArray[np.int64]
    classes: int

    @classmethod
    def learn(cls, targets: ArrayLike, classes: int) -> MajorityClass:
        """Find the most frequent answer.

        Args:
            targets: Class ids, (examples,); or 0 and 1 for each label, (examples, labels).
            classes: How many classes or labels there are.

        Raises:
            DataError: If there are no examples.
        """
        known = np.asarray(targets).astype(np.int64)
        if not len(known):
            raise DataError("there are no examples to learn from")
        answers, counts = np.unique(known, axis=0, return_counts=True)
        return cls(answers[counts.argmax()], classes)

    note = "majority class"

    def predict(self, count: int) -> NDArray[np.int64]:
        """The answer, `count` times: (count,) or (count, labels)."""
        return np.repeat(self.answer[None], count, axis=0)

    def evaluate(self, targets: ArrayLike) -> dict[str, float]:
        """Score it as the classifier is scored: `classification_scores` or `multilabel_scores`."""
        gold: NDArray[Any] = np.asarray(targets)
        if self.answer.ndim:
            return multilabel_scores(gold, self.predict(len(gold)))
        return classification_scores(gold, self.predict(len(gold)), self.classes)
