"""A linear classifier over bags of n-grams: what can be told without word order beyond pairs.

Each example is the set of its words and word pairs; one weight per feature and class, trained by regularised logistic
regression with L-BFGS. The features are scaled by their naive Bayes log-count ratios, as in "NBSVM".
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
    """Which features each example has: a sparse matrix of ones."""

    features: Tensor
    """Feature ids, example after example, int64 (entries,)."""
    starts: Tensor
    """Where each example begins in `features`, int64 (examples,)."""

    def transposed(self, num_features: int) -> _Bags:
        """The examples that have each feature."""
        lengths = torch.diff(self.starts, append=torch.tensor([len(self.features)]))
        example = torch.repeat_interleave(torch.arange(len(self.starts)), lengths)
        order = torch.argsort(self.features, stable=True)
        counts = torch.bincount(self.features, minlength=num_features)
        return _Bags(example[order], counts.cumsum(0) - counts)

    def sum(self, rows: Tensor) -> Tensor:
        """Add up the rows of each example's features: (features, classes) to (examples, classes)."""
        return F.embedding_bag(self.features, rows, self.starts, mode="sum")


class NgramClassifier:
    """A linear bag of n-grams, one label or several per example.

    Attributes:
        several: Whether an example may have any number of labels.
        trained_on: Examples it was trained on.
        given: Examples that were to be had; more than `trained_on` where some were left out to bound time.
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
            classes: How many classes or labels there are.
            orders: Longest n-gram, in words.
            l2: Strength of the penalty on the weights.
            max_examples: Of more examples, that many are used, evenly spaced; that bounds time and memory.
            max_weights: Features times classes; the most frequent features stay.
            iterations: Most steps of L-BFGS.

        Raises:
            DataError: If there are no examples, or not as many targets.
        """
        gold = np.asarray(targets)
        if not len(texts) or len(texts) != len(gold):
            raise DataError(f"{len(texts)} texts with {len(gold)} targets: expected as many of each, and at least one")
        chosen = np.unique(np.linspace(0, len(texts) - 1, min(max_examples, len(texts))).round().astype(np.int64))
        kept = [set(_ngrams(texts[i], orders)) for i in chosen]
        counts = Counter(gram for grams in kept for gram in grams)
        most = max(1, max_weights // classes)
        grams = sorted(counts, key=lambda gram: (-counts[gram], gram))[:most] or [""]  # a feature that nothing has
        model = cls({gram: place for place, gram in enumerate(grams)}, torch.empty(0), torch.empty(0), orders, False)
        model.several = gold.ndim == 2
        model.trained_on, model.given = len(chosen), len(texts)
        bags = model._bags(kept)
        wanted = torch.from_numpy(gold[chosen]).to(torch.int64)
        one_hot = wanted.float() if model.several else F.one_hot(wanted, classes).float()
        model._weights, model._bias = _fit(bags, one_hot, len(grams), model.several, l2, iterations)
        return model

    @property
    def note(self) -> str:
        """One phrase that says what this is and what it was trained on."""
        part = "" if self.trained_on == self.given else f", trained on {self.trained_on:,} of {self.given:,} examples"
        return f"linear bag of 1- to {self._orders}-grams{part}"

    def probabilities(self, texts: Iterable[Sequence[str]]) -> NDArray[np.float32]:
        """The probability of each class, or of each label by itself, (examples, classes)."""
        logits = self._bags(set(_ngrams(text, self._orders)) for text in texts).sum(self._weights) + self._bias
        return cast(NDArray[np.float32], (logits.sigmoid() if self.several else logits.softmax(dim=1)).numpy())

    def predict(self, texts: Iterable[Sequence[str]]) -> NDArray[np.int64]:
        """Class ids, (examples,); or 0 and 1 for each label, (examples, labels)."""
        found = self.probabilities(texts)
        return (found > 0.5).astype(np.int64) if self.several else found.argmax(axis=1).astype(np.int64)

    def evaluate(self, texts: Iterable[Sequence[str]], targets: ArrayLike) -> dict[str, float]:
        """Score it as the classifier is scored: `classification_scores` or `multilabel_scores`."""
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
    """Minimise the logistic loss plus the penalty; weights (features, classes) and bias (classes,)."""
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
    """How much likelier each feature is in a class than in the others, as a logarithm, (features, classes)."""
    anywhere = by_feature.sum(torch.ones(total, 1))
    inside, outside = with_class + 1, anywhere - with_class + 1
    return (inside / inside.sum(dim=0)).log() - (outside / outside.sum(dim=0)).log()


def _ngrams(words: Sequence[str], longest: int) -> Iterator[str]:
    lowered = [word.lower() for word in words]
    for length in range(1, longest + 1):
        for start in range(len(lowered) - length + 1):
            yield " ".join(lowered[start : start + length])
