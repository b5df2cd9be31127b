"""Linear classifier over words, word pairs and character n-grams: the baseline of texts, and a part of the classifier.

Logistic regression with L2 regularisation over tf-idf weights, trained by L-BFGS. Without training through a network it
is hard to beat on short texts: Wang and Manning 2012, "Baselines and Bigrams"; Joulin et al. 2017, arXiv:1607.01759.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Self, cast

import msgspec
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional as F

from unspool.data.ngrams import Bag, Bags, split_pieces
from unspool.errors import DataError, ModelFolderError
from unspool.reading import read_json
from unspool.tasks.parts.calibration import fit_temperature, mean_nats
from unspool.tasks.parts.metrics import classification_scores, multilabel_scores
from unspool.training import checkpoint
from unspool.writing import replace_file

__all__ = ["MOST_WORDS", "NgramClassifier", "NgramFeatures"]

_FORMAT = 1
_WORK = 2_000_000_000  # maximum of entries times classes times strengths of the penalty, for one training
_STRENGTHS = (1.0, 10.0, 100.0)
_USUAL = 10.0
_PARTS, _FEWEST = 5, 50  # one part of the texts selects the strength, if there are enough of them
MOST_WORDS = 2_000
"""Words of a text that are counted, the first ones."""


class NgramFeatures:
    r"""Words, word pairs and character n-grams of texts, with tf-idf weights.

    An entry that a text has :math:`c` times, and that :math:`d` of :math:`n` training texts have, weighs
    :math:`(1 + \ln c) (1 + \ln \frac{1 + n}{1 + d})`. The weights of the words and pairs of a text are divided by their
    Euclidean norm, and so are those of its character n-grams. The case of letters is ignored.

    Source: tf–idf after Salton and Buckley 1988, doi:10.1016/0306-4573(88)90021-0.

    Args:
        entries: Words and pairs, each with a blank before it, and character n-grams; each once.
        counts: Number of training texts with each entry.
        texts: Number of training texts.
        orders: Length of the longest word n-gram.
        longest: Length of the longest character n-gram, from 2; 0 for none.

    Attributes:
        rarity: The second factor of each entry's weight, (entries,).
    """

    def __init__(
        self, entries: Sequence[str], counts: Sequence[int], texts: int, *, orders: int = 2, longest: int = 5
    ) -> None:
        self.entries, self.counts, self.texts, self.orders, self.longest = list(entries), counts, texts, orders, longest
        self._places = {entry: place for place, entry in enumerate(self.entries)}
        self.rarity = 1 + np.log((1 + texts) / (1 + np.array(counts, np.float64)))
        self._is_word = np.array([entry.startswith(" ") for entry in self.entries], np.bool_)

    @classmethod
    def learn(
        cls, texts: Sequence[Sequence[str]], *, orders: int = 2, longest: int = 5, max_size: int = 200_000
    ) -> Self:
        """Count the entries of texts; those in the most texts remain.

        Args:
            texts: The words of each text.
            orders: Length of the longest word n-gram.
            longest: Length of the longest character n-gram, from 2; 0 for none.
            max_size: Maximum number of entries.
        """
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(set(_entries(text, orders, longest)))
        entries = sorted(counts, key=lambda entry: (-counts[entry], entry))[:max_size] or [" "]
        return cls(entries, [counts[entry] for entry in entries], len(texts), orders=orders, longest=longest)

    def __len__(self) -> int:
        return len(self.entries)

    def bags(self, texts: Iterable[Sequence[str]]) -> Bags:
        """Return the bags of several texts, each given by its words."""
        return Bags.of([self.bag(text) for text in texts])

    def bag(self, words: Sequence[str]) -> Bag:
        """Return the entries of a text with their weights."""
        places = [self._places.get(entry, -1) for entry in _entries(words, self.orders, self.longest)]
        ids, counts = np.unique(np.array(places, np.int64), return_counts=True)
        mask = ids >= 0  # False for entries outside the vocabulary
        ids, values = ids[mask], (1 + np.log(counts[mask])) * self.rarity[ids[mask]]
        for group in (self._is_word[ids], ~self._is_word[ids]):
            values[group] /= max(math.sqrt(float(np.square(values[group]).sum())), 1e-12)
        return Bag(ids, values.astype(np.float32), 0.0)


class NgramClassifier:
    """A linear classifier over n-grams, one label or several per text.

    Attributes:
        features: The n-grams.
        weights: Weight of each entry for each class, (entries, classes).
        bias: Bias of each class, (classes,).
        several: Whether a text may have any number of labels.
    """

    title = "linear n-grams"

    def __init__(self, features: NgramFeatures, weights: Tensor, bias: Tensor, *, several: bool) -> None:
        self.features, self.weights, self.bias, self.several = features, weights, bias, several

    @classmethod
    def learn(
        cls,
        texts: Sequence[Sequence[str]],
        targets: ArrayLike,
        classes: int,
        *,
        orders: int = 2,
        longest: int = 5,
        strengths: Sequence[float] = _STRENGTHS,
        max_examples: int = 100_000,
        max_weights: int = 4_000_000,
        iterations: int = 40,
    ) -> Self:
        """Train on tokenized texts.

        A fifth of them selects the strength of the penalty, by the loss at the best temperature; then all are used.

        Args:
            texts: The words of each text.
            targets: Class ids, (texts,); or 0 and 1 for each label, (texts, labels).
            classes: Number of classes or labels.
            orders: Length of the longest word n-gram.
            longest: Length of the longest character n-gram; 0 for none.
            strengths: Inverse strengths of the L2 penalty to choose from, ascending, above 0: C of scikit-learn.
            max_examples: Maximum number of training texts, evenly spaced; bounds time and memory.
            max_weights: Maximum of entries times classes; the most frequent entries remain.
            iterations: Maximum number of L-BFGS iterations for each strength.

        Raises:
            DataError: If there are no texts, or the numbers of texts and targets differ.
        """
        gold = np.asarray(targets)
        if not len(texts) or len(texts) != len(gold):
            raise DataError(f"{len(texts)} texts with {len(gold)} targets: expected as many of each, and at least one")
        subset = np.unique(np.linspace(0, len(texts) - 1, min(max_examples, len(texts))).round().astype(np.int64))
        chosen = [texts[place] for place in subset]
        size = max(1, min(200_000, max_weights // classes))
        features = NgramFeatures.learn(chosen, orders=orders, longest=longest, max_size=size)
        bags = features.bags(chosen)
        model = cls(features, torch.zeros(len(features), classes), torch.zeros(classes), several=gold.ndim == 2)
        ids = torch.from_numpy(gold[subset]).to(torch.int64)
        one_hot = ids.float() if model.several else F.one_hot(ids, classes).float()
        strength = min(strengths, key=lambda each: abs(math.log(each / _USUAL)))
        if len(chosen) >= _FEWEST and len(bags.ids) * classes * len(strengths) <= _WORK:
            strength = model._best_strength(bags, one_hot, strengths, iterations)
        _minimise(bags, one_hot, model.weights, model.bias, strength, iterations, several=model.several)
        model.weights = model.weights.half().float()  # as saved
        return model

    def logits(self, texts: Iterable[Sequence[str]]) -> Tensor:
        """Return the logits of texts, each given by its words, (texts, classes)."""
        return _sum(self.features.bags(texts), self.weights) + self.bias

    def probabilities(self, texts: Iterable[Sequence[str]]) -> NDArray[np.float32]:
        """Return the probability of each class, or of each label independently, (texts, classes)."""
        logits = self.logits(texts)
        return cast(NDArray[np.float32], (logits.sigmoid() if self.several else logits.softmax(dim=1)).numpy())

    def predict(self, texts: Iterable[Sequence[str]]) -> NDArray[np.int64]:
        """Return class ids, (texts,); or 0 and 1 for each label, (texts, labels)."""
        shares = self.probabilities(texts)
        return (shares > 0.5).astype(np.int64) if self.several else shares.argmax(axis=1).astype(np.int64)

    def evaluate(self, texts: Iterable[Sequence[str]], targets: ArrayLike) -> dict[str, float]:
        """Compute the scores of the classifier task: `classification_scores` or `multilabel_scores`."""
        predicted = self.predict(texts)
        if self.several:
            return multilabel_scores(targets, predicted)
        return classification_scores(targets, predicted, len(self.bias))

    def save(self, folder: Path) -> None:
        """Write `ngrams.json` and `ngrams.safetensors` into a folder."""
        features = self.features
        record = _Record(
            _FORMAT, features.orders, features.longest, features.texts, features.entries, list(features.counts)
        )
        replace_file(folder / "ngrams.json", msgspec.json.encode(record) + b"\n")
        tensors = {"weights": self.weights.half(), "bias": self.bias}
        checkpoint.write(folder / "ngrams.safetensors", tensors, {"format": _FORMAT})

    @classmethod
    def load(cls, folder: Path, classes: int, *, several: bool) -> Self | None:
        """Read the files that `save` wrote; return None if there are none.

        Args:
            folder: Folder of the files.
            classes: Number of classes or labels.
            several: Whether a text may have any number of labels.

        Raises:
            ModelFolderError: If a file is damaged, or of a newer version.
        """
        path = folder / "ngrams.json"
        if not path.exists():
            return None
        record = read_json(path, _Record, "the n-grams")
        if record.format > _FORMAT:
            raise ModelFolderError(f"{path} was saved by a newer Unspool: pip install --upgrade unspool")
        if len(record.entries) != len(record.counts) or len(set(record.entries)) != len(record.entries):
            raise ModelFolderError(f"{path}: the n-grams are damaged: an entry is missing or comes twice")
        features = NgramFeatures(
            record.entries, record.counts, record.texts, orders=record.orders, longest=record.longest
        )
        file = folder / "ngrams.safetensors"
        tensors, _ = checkpoint.read(file)
        weights, bias = tensors.get("weights"), tensors.get("bias")
        shapes = [None if part is None else tuple(part.shape) for part in (weights, bias)]
        if weights is None or bias is None or shapes != [(len(features), classes), (classes,)]:
            raise ModelFolderError(
                f"{file} is damaged: its weights do not fit {len(features)} n-grams and {classes} labels"
            )
        checkpoint.refuse_not_finite(tensors, file)
        return cls(features, weights.float(), bias.float(), several=several)

    def _best_strength(self, bags: Bags, one_hot: Tensor, strengths: Sequence[float], iterations: int) -> float:
        """Return the strength with the lowest loss on every fifth text, trained on the others."""
        places = torch.arange(len(bags)) % _PARTS == 0
        held_out, rest = bags.take(places), bags.take(~places)
        targets = (one_hot[places] if self.several else one_hot[places].argmax(1)).numpy()
        weights, bias = torch.zeros_like(self.weights), torch.zeros_like(self.bias)
        best = (math.inf, strengths[0])
        for strength in strengths:  # each starts from the weights of the one before
            _minimise(rest, one_hot[~places], weights, bias, strength, iterations, several=self.several)
            logits = (_sum(held_out, weights) + bias).numpy()
            nats = mean_nats(logits / fit_temperature(logits, targets), targets)
            best = min(best, (nats, strength))
        return best[1]


_Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
_LONGEST_NGRAM = 64  # words or characters, for model folders from others


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    orders: Annotated[int, msgspec.Meta(ge=1, le=_LONGEST_NGRAM)]
    longest: Annotated[int, msgspec.Meta(ge=0, le=_LONGEST_NGRAM)]
    texts: _Count
    entries: list[str]
    counts: list[_Count]


def _entries(words: Sequence[str], orders: int, longest: int) -> Iterator[str]:
    """Yield the words, pairs and character n-grams of a text, repeated as often as it has them."""
    lowered = [word.lower() for word in words[:MOST_WORDS]]
    for length in range(1, orders + 1):
        for start in range(len(lowered) - length + 1):
            yield " " + " ".join(lowered[start : start + length])
    if longest:
        for word in lowered:
            yield from split_pieces(word, 2, longest)


def _sum(bags: Bags, rows: Tensor) -> Tensor:
    """Sum the weighted rows of each bag's entries: (entries, classes) to (bags, classes)."""
    return F.embedding_bag(bags.ids, rows, bags.offsets[:-1], mode="sum", per_sample_weights=bags.values)


def _transposed(bags: Bags, entries: int) -> Bags:
    """Return the transpose: for each entry, the bags that have it."""
    order = torch.argsort(bags.ids, stable=True)
    counts = torch.bincount(bags.ids, minlength=entries)
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return Bags(bags.rows[order], bags.values[order], offsets, torch.zeros(entries))


def _minimise(
    bags: Bags,
    one_hot: Tensor,
    weights: Tensor,
    bias: Tensor,
    strength: float,
    iterations: int,
    *,
    several: bool,
) -> None:
    """Minimise the logistic loss plus the squared norm of the weights over 2 C, in place."""
    parameters = [weights.requires_grad_(), bias.requires_grad_()]
    optimizer = torch.optim.LBFGS(parameters, max_iter=iterations, history_size=6, line_search_fn="strong_wolfe")
    texts, penalty, by_entry = len(one_hot), 1 / strength, _transposed(bags, len(weights))

    @torch.no_grad()
    def loss_and_gradients() -> float:
        logits = _sum(bags, weights) + bias
        if several:
            total = F.binary_cross_entropy_with_logits(logits, one_hot, reduction="sum")
            difference = logits.sigmoid() - one_hot
        else:
            total = -(logits.log_softmax(dim=1) * one_hot).sum()
            difference = logits.softmax(dim=1) - one_hot
        weights.grad = (_sum(by_entry, difference) + penalty * weights) / texts
        bias.grad = difference.mean(dim=0)
        return float((total + 0.5 * penalty * weights.square().sum()) / texts)

    optimizer.step(cast(Any, loss_and_gradients))  # type: ignore[no-untyped-call]
    for parameter in parameters:
        parameter.requires_grad_(False)
