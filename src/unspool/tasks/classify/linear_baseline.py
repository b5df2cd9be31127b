"""Linear baselines: logistic regression over numeric features, and the choice of baseline for an input."""

from __future__ import annotations

from typing import Any, Self, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional as F

from unspool.tasks.classify.data import LabelledExamples
from unspool.tasks.classify.fitted import FittedClassifier
from unspool.tasks.classify.nearest_series import warping_baseline
from unspool.tasks.parts.majority_baseline import MajorityClass
from unspool.tasks.parts.metrics import classification_scores, multilabel_scores
from unspool.tasks.parts.ngram_classifier import NgramClassifier
from unspool.tasks.parts.random_convolutions import RandomConvolutions

__all__ = ["LinearClassifier", "baseline_scores", "linear_baseline"]

_MOST_IMAGES = 20_000  # that a baseline learns from, spread over the training data


class LinearClassifier:
    r"""Logistic regression with L2 regularisation, trained by L-BFGS.

    .. math:: p = \mathrm{softmax}(W x + b), \quad \mathrm{loss} = -\sum \log p_y + \frac{\lambda}{2} \lVert W \rVert^2

    Args:
        weights: Weights, (features, classes).
        bias: Biases, (classes,).
        several: Whether an example may have any number of labels; the model then uses a sigmoid per label.
    """

    def __init__(self, weights: Tensor, bias: Tensor, several: bool) -> None:
        self._weights, self._bias, self.several = weights, bias, several

    @classmethod
    def learn(
        cls, features: NDArray[np.float32], targets: ArrayLike, classes: int, *, l2: float = 1.0, iterations: int = 100
    ) -> Self:
        """Train on numeric features.

        Args:
            features: Standardised numbers, (examples, features).
            targets: Class ids, (examples,); or 0 and 1 for each label, (examples, labels).
            classes: Number of classes or labels.
            l2: Strength of the L2 penalty, at least 0.
            iterations: Maximum number of L-BFGS iterations.
        """
        gold = torch.from_numpy(np.asarray(targets))
        inputs = torch.from_numpy(features)
        weights = torch.zeros(features.shape[1], classes, requires_grad=True)
        bias = torch.zeros(classes, requires_grad=True)
        optimizer = torch.optim.LBFGS([weights, bias], max_iter=iterations, line_search_fn="strong_wolfe")

        @torch.enable_grad()
        def loss() -> Tensor:
            optimizer.zero_grad()
            logits = inputs @ weights + bias
            if gold.ndim == 2:
                total = F.binary_cross_entropy_with_logits(logits, gold.float(), reduction="sum")
            else:
                total = F.cross_entropy(logits, gold.long(), reduction="sum")
            mean = (total + 0.5 * l2 * weights.square().sum()) / len(gold)
            mean.backward()  # type: ignore[no-untyped-call]
            return mean

        optimizer.step(loss)  # type: ignore[no-untyped-call]
        return cls(weights.detach(), bias.detach(), gold.ndim == 2)

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return class ids, (examples,); or 0 and 1 for each label, (examples, labels)."""
        logits = torch.from_numpy(features) @ self._weights + self._bias
        predictions = (logits > 0).long() if self.several else logits.argmax(1)
        return cast(NDArray[np.int64], predictions.numpy())

    def evaluate(self, features: NDArray[np.float32], targets: ArrayLike) -> dict[str, float]:
        """Compute the scores of the classifier task: `classification_scores` or `multilabel_scores`."""
        predicted = self.predict(features)
        if self.several:
            return multilabel_scores(targets, predicted)
        return classification_scores(targets, predicted, len(self._bias))


def linear_baseline(features: list[list[str]] | NDArray[np.float32]) -> tuple[str, Any]:
    """Return the title and the class of the linear baseline for some features."""
    return (
        ("linear", LinearClassifier) if isinstance(features, np.ndarray) else (NgramClassifier.title, NgramClassifier)
    )


def baseline_scores(
    fitted: FittedClassifier, train: LabelledExamples, held_out: LabelledExamples, *, several: bool
) -> dict[str, dict[str, float]]:
    """Return the scores of the majority class, for one label each, of a linear model, and of baselines for series.

    Args:
        fitted: The fitted state of the classifier.
        train: Training data; of more than 20,000 images, as many spread over them count.
        held_out: Data to score; examples with labels absent from training are left out.
        several: Whether an example may have any number of labels.
    """
    if fitted.input.kind == "images" and len(train.values) > _MOST_IMAGES:
        train = train.take(np.linspace(0, len(train.values) - 1, _MOST_IMAGES).astype(np.int64))
    gold, right = fitted.targets(train), fitted.targets(held_out)
    if not several:
        mask = right >= 0
        held_out, right = held_out.take(np.flatnonzero(mask)), right[mask]
    features, others = fitted.input.features(train.values), fitted.input.features(held_out.values)
    classes, scores = len(fitted.labels), {}
    if not several:
        scores["majority class"] = MajorityClass.learn(gold, classes).evaluate(right)
    name, kind = linear_baseline(features)
    linear = fitted.linear if isinstance(fitted.linear, kind) else kind.learn(features, gold, classes)
    scores[name] = linear.evaluate(others, right)
    if fitted.input.kind == "series" and not several:
        steps, other_steps = fitted.steps(train.values), fitted.steps(held_out.values)
        if (nearest := warping_baseline(steps, gold, other_steps, right, classes)) is not None:
            scores["nearest by DTW"] = nearest
        convolutions = fitted.linear
        if not isinstance(convolutions, RandomConvolutions):
            convolutions = RandomConvolutions.learn(steps, gold, classes)
        scores[convolutions.title] = convolutions.evaluate(other_steps, right)
    return scores
