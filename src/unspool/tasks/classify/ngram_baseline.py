"""Linear baseline over bags of n-grams: no word order beyond word pairs.

Each example is the set of its words and word pairs. Regularised logistic regression with L-BFGS trains one weight per
feature and class. Naive Bayes log-count ratios scale the features, as in "NBSVM".
Source: Wang and Manning 2012, "Baselines and Bigrams", section 2. Differs: logistic loss, one vector per class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional as F

from unspool.errors import DataError
from unspool.tasks.parts.metrics import classification_scores, multilabel_scores

__all__ = ["NgramClassifier"]


class _Bags(NamedTuple):
    """Sparse binary matrix of examples and features."""

    features: Tensor
    """Feature ids, concatenated over the examples, int64 (entries,)."""
    starts: Tensor
    """Offset of each example in `features`, int64 (examples,)."""

    def transposed(self, num_features: int) -> _Bags:
        """Return the transpose: the examples of each feature."""
        lengths = torch.diff(self.starts, append=torch.tensor([len(self.features)]))
        example = torch.repeat_interleave(torch.arange(len(self.starts)), lengths)
        order = torch.argsort(self.features, stable=True)
        counts = torch.bincount(self.features, minlength=num_features)
        return _Bags(example[order], counts.cumsum(0) - counts)

    def sum(self, rows: Tensor) -> Tensor:
        """Sum the rows of each example's features: (features, classes) to (examples, classes)."""
        return F.embedding_bag(self.features, rows, self.starts, mode="sum")


class NgramClassifier:
    """A linear bag of n-grams, one label or several per example.

    Attributes:
        several: Whether an example may have any number of labels.
        trained_on: Number of training examples.
        given: Number of available examples; larger than `trained_on` if a limit on time left some out.
    """

    def __init__(self, places: dict[str, int], weights: Tensor, bias: Tensor, orders: int, several: bool) -> None:
        self._places, self._weights, self._bias, self._orders = places, weights, bias, orders
        self.several = several
        self.trained_on = self.given = 0

    @classmethod
    def learn(
        cls,
        texts: Sequence[Sequence[str]],
        targets: ArrayLike,
        classes: int,
        *,
        orders: int = 2,
        l2: float = 3.0,
        max_examples: int = 100_000,
        max_weights: int = 4_000_000,
        iterations: int = 40,
    ) -> NgramClassifier:
        """Train on tokenized examples.

        Args:
            texts: The words of each example.
            targets: Class ids, (examples,); or 0 and 1 for each label, (examples, labels).
            classes: Number of classes or labels.
            orders: Maximum n-gram length, in words.
            l2: Strength of the L2 penalty, at least 0.
            max_examples: Maximum number of training examples, evenly spaced; bounds time and memory.
            max_weights: Maximum of features times classes; the most frequent features remain.
            iterations: Maximum number of L-BFGS iterations.

        Raises:
            DataError: If there are no examples, or the numbers of examples and targets differ.
        """
        gold = np.asarray(targets)
        if not len(texts) or len(texts) != len(gold):
            raise DataError(f"{len(texts)} texts with {len(gold)} targets: expected as many of each, and at least one")
        subset = np.unique(np.linspace(0, len(texts) - 1, min(max_examples, len(texts))).round().astype(np.int64))
        examples = [set(_ngrams(texts[i], orders)) for i in subset]
        counts = Counter(gram for grams in examples for gram in grams)
        most = max(1, max_weights // classes)
        grams = sorted(counts, key=lambda gram: (-counts[gram], gram))[:most] or [""]  # a feature of no example
        model = cls({gram: place for place, gram in enumerate(grams)}, torch.empty(0), torch.empty(0), orders, False)
        model.several = gold.ndim == 2
        model.trained_on, model.given = len(subset), len(texts)
        bags = model._bags(examples)
        ids = torch.from_numpy(gold[subset]).to(torch.int64)
        one_hot = ids.float() if model.several else F.one_hot(ids, classes).float()
        model._weights, model._bias = _fit(bags, one_hot, len(grams), model.several, l2, iterations)
        return model

    @property
    def note(self) -> str:
        """Description of the model and its training data, in one phrase."""
        part = "" if self.trained_on == self.given else f", trained on {self.trained_on:,} of {self.given:,} examples"
        return f"linear bag of 1- to {self._orders}-grams{part}"

    def probabilities(self, texts: Iterable[Sequence[str]]) -> NDArray[np.float32]:
        """Return the probability of each class, or of each label independently, (examples, classes)."""
        logits = self._bags(set(_ngrams(text, self._orders)) for text in texts).sum(self._weights) + self._bias
        return cast(NDArray[np.float32], (logits.sigmoid() if self.several else logits.softmax(dim=1)).numpy())

    def predict(self, texts: Iterable[Sequence[str]]) -> NDArray[np.int64]:
        """Return class ids, (examples,); or 0 and 1 for each label, (examples, labels)."""
        shares = self.probabilities(texts)
        return (shares > 0.5).astype(np.int64) if self.several else shares.argmax(axis=1).astype(np.int64)

    def evaluate(self, texts: Iterable[Sequence[str]], targets: ArrayLike) -> dict[str, float]:
        """Compute the scores of the classifier task: `classification_scores` or `multilabel_scores`."""
        predicted = self.predict(texts)
        if self.several:
            return multilabel_scores(targets, predicted)
        return classification_scores(targets, predicted, len(self._bias))

    def _bags(self, examples: Iterable[set[str]]) -> _Bags:
        lists = [sorted(self._places[gram] for gram in grams if gram in self._places) for grams in examples]
        lengths = np.array([len(each) for each in lists], dtype=np.int64)
        flat = np.fromiter((place for each in lists for place in each), dtype=np.int64, count=int(lengths.sum()))
        return _Bags(torch.from_numpy(flat), torch.from_numpy(lengths.cumsum() - lengths))


def _fit(
    bags: _Bags, one_hot: Tensor, num_features: int, several: bool, l2: float, iterations: int
) -> tuple[Tensor, Tensor]:
    """Minimise the logistic loss plus the L2 penalty; return weights (features, classes) and bias (classes,)."""
    by_feature = bags.transposed(num_features)
    scale = _log_count_ratios(by_feature.sum(one_hot), one_hot.sum(dim=0), len(one_hot), by_feature)
    weights = torch.zeros_like(scale, requires_grad=True)
    bias = torch.zeros(one_hot.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, bias], max_iter=iterations, history_size=5, line_search_fn="strong_wolfe")

    @torch.no_grad()
    def loss_and_gradients() -> float:
        logits = bags.sum(weights * scale) + bias
        if several:
            total = F.binary_cross_entropy_with_logits(logits, one_hot, reduction="sum")
            difference = logits.sigmoid() - one_hot
        else:
            total = -(logits.log_softmax(dim=1) * one_hot).sum()
            difference = logits.softmax(dim=1) - one_hot
        weights.grad = (by_feature.sum(difference) * scale + l2 * weights) / len(one_hot)
        bias.grad = difference.mean(dim=0)
        return float((total + 0.5 * l2 * weights.square().sum()) / len(one_hot))

    optimizer.step(loss_and_gradients)  # type: ignore[no-untyped-call]
    return (weights * scale).detach(), bias.detach()


def _log_count_ratios(with_class: Tensor, examples: Tensor, total: int, by_feature: _Bags) -> Tensor:
    """Log ratio of each feature's frequency inside and outside each class, (features, classes)."""
    anywhere = by_feature.sum(torch.ones(total, 1))
    inside, outside = with_class + 1, anywhere - with_class + 1
    return (inside / inside.sum(dim=0)).log() - (outside / outside.sum(dim=0)).log()


def _ngrams(words: Sequence[str], longest: int) -> Iterator[str]:
    lowered = [word.lower() for word in words]
    for length in range(1, longest + 1):
        for start in range(len(lowered) - length + 1):
            yield " ".join(lowered[start : start + length])
