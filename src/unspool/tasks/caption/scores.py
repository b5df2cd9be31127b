"""Caption scores against several references: BLEU-1 to 4, ROUGE-L and CIDEr-D, equal to those of COCO's evaluation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from unspool.tasks.caption.words import caption_words

__all__ = [
    "CountedReferences",
    "DocumentFrequencies",
    "WeightedCaption",
    "bleu",
    "bleu_of_counts",
    "caption_scores",
    "cider_d",
    "consensus_caption",
    "rouge_l",
]

Words = Sequence[str]
Ngrams = Mapping[tuple[str, ...], int]

_LONGEST = 4  # words of the longest n-gram
_TINY, _SMALL = 1e-15, 1e-9  # COCO's: they keep a precision without matches defined
_BETA = 1.2  # weight of recall in ROUGE-L
_SIGMA = 6.0  # standard deviation of CIDEr-D's penalty for other lengths, in words


@dataclass(frozen=True)
class DocumentFrequencies:
    """Number of images in whose references each n-gram occurs."""

    counts: Mapping[tuple[str, ...], int]
    images: int

    @classmethod
    def of(cls, references: Iterable[Sequence[Words]]) -> DocumentFrequencies:
        """Count the n-grams of the references of each image."""
        counts: Counter[tuple[str, ...]] = Counter()
        images = 0
        for each in references:
            counts.update({ngram for reference in each for ngram in _ngrams(reference)})
            images += 1
        return cls(counts, images)


def caption_scores(
    captions: Sequence[str], references: Sequence[Sequence[str]], frequencies: DocumentFrequencies | None = None
) -> dict[str, float]:
    """Score one caption an image against its references.

    Args:
        captions: One caption an image.
        references: One or more references an image.
        frequencies: Document frequencies of CIDEr-D; those of `references` if omitted, as in COCO's evaluation.

    Returns:
        BLEU-1 to 4 and ROUGE-L between 0 and 100, CIDEr-D times 100, the share of captions that equal a reference, and
        the number of distinct captions per image.
    """
    words = [caption_words(caption) for caption in captions]
    right = [[caption_words(each) for each in row] for row in references]
    by_order = bleu(words, right)
    return {
        **{f"bleu-{order}": 100 * score for order, score in enumerate(by_order, start=1)},
        "rouge-l": 100 * rouge_l(words, right),
        "cider-d": 100 * cider_d(words, right, frequencies),
        "exact": _mean(float(one in many) for one, many in zip(words, right, strict=True)),
        "distinct": len(set(map(tuple, words))) / max(1, len(words)),
    }


class CountedReferences(NamedTuple):
    """The references of one image as BLEU counts them."""

    lengths: tuple[int, ...]
    """Number of words of each reference."""
    most: Ngrams
    """Number of times that each n-gram occurs in the reference with most of it."""

    @classmethod
    def of(cls, references: Sequence[Words]) -> CountedReferences:
        """Count the n-grams of the references of one image."""
        most: Counter[tuple[str, ...]] = Counter()
        for each in references:
            most |= _ngrams(each)
        return cls(tuple(map(len, references)), most)


def bleu(captions: Sequence[Words], references: Sequence[Sequence[Words]]) -> tuple[float, float, float, float]:
    """Return BLEU-1 to 4 of a corpus, between 0 and 1 (Papineni et al. 2002), with the closest reference length.

    The geometric mean runs over the orders up to n. Of two reference lengths that are equally close, the shorter
    counts.
    """
    return bleu_of_counts(captions, map(CountedReferences.of, references))


def bleu_of_counts(
    captions: Iterable[Words], references: Iterable[CountedReferences]
) -> tuple[float, float, float, float]:
    """Return what `bleu` returns, for references that are counted once for several systems."""
    length = closest = 0
    right, total = [0] * _LONGEST, [0] * _LONGEST
    for words, refs in zip(captions, references, strict=True):
        length += len(words)
        closest += min((abs(each - len(words)), each) for each in refs.lengths)[1]
        for ngram, count in _ngrams(words).items():
            right[len(ngram) - 1] += min(refs.most.get(ngram, 0), count)
        for order in range(1, _LONGEST + 1):
            total[order - 1] += max(0, len(words) - order + 1)
    ratio = (length + _TINY) / (closest + _SMALL)
    brevity = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    product, scores = 1.0, []
    for order in range(1, _LONGEST + 1):
        product *= (right[order - 1] + _TINY) / (total[order - 1] + _SMALL)
        scores.append(brevity * product ** (1 / order))
    one, two, three, four = scores
    return one, two, three, four


def rouge_l(captions: Sequence[Words], references: Sequence[Sequence[Words]]) -> float:
    """Return the mean ROUGE-L of the captions, between 0 and 1 (Lin 2004), with β = 1.2.

    Precision and recall of the longest common subsequence are each the best over the references.
    """
    return _mean(_rouge_l(words, refs) for words, refs in zip(captions, references, strict=True))


def _rouge_l(words: Words, references: Sequence[Words]) -> float:
    shared = [_longest_common(each, words) for each in references]
    precision = max(shared) / max(1, len(words))
    recall = max(count / max(1, len(each)) for count, each in zip(shared, references, strict=True))
    if not precision or not recall:
        return 0.0
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def cider_d(
    captions: Sequence[Words],
    references: Sequence[Sequence[Words]],
    frequencies: DocumentFrequencies | None = None,
) -> float:
    """Return the mean CIDEr-D of the captions, between 0 and 10 (Vedantam et al. 2015, arXiv:1411.5726, equation 4).

    Args:
        captions: Words of one caption an image.
        references: Words of one or more references an image.
        frequencies: Document frequencies; those of `references` if omitted. One image alone then scores 0, since each
            of its n-grams is in every document.
    """
    counted = DocumentFrequencies.of(references) if frequencies is None else frequencies
    return _mean(_cider_d(words, refs, counted) for words, refs in zip(captions, references, strict=True))


def _cider_d(words: Words, references: Sequence[Words], frequencies: DocumentFrequencies) -> float:
    caption = WeightedCaption(words, frequencies)
    return 10 * _mean(caption.similarity(WeightedCaption(each, frequencies)) for each in references)


class WeightedCaption:
    """Term frequencies of the n-grams of a caption, weighted by inverse document frequencies."""

    def __init__(self, words: Words, frequencies: DocumentFrequencies) -> None:
        self.orders: list[dict[tuple[str, ...], float]] = [{} for _ in range(_LONGEST)]
        log_images, counts = math.log(max(1, frequencies.images)), frequencies.counts
        for ngram, count in _ngrams(words).items():
            self.orders[len(ngram) - 1][ngram] = count * (log_images - math.log(max(1, counts.get(ngram, 0))))
        self.norms = [math.sqrt(sum(weight**2 for weight in order.values())) for order in self.orders]
        self.length = max(0, len(words) - 1)  # in pairs of words, as COCO counts

    def similarity(self, reference: WeightedCaption) -> float:
        """Return the mean over the orders of the clipped cosine, times the penalty for another length."""
        penalty = math.exp(-((self.length - reference.length) ** 2) / (2 * _SIGMA**2))
        total = 0.0
        for mine, theirs, norm, other in zip(self.orders, reference.orders, self.norms, reference.norms, strict=True):
            product = sum(
                min(weight, theirs.get(ngram, 0.0)) * theirs.get(ngram, 0.0) for ngram, weight in mine.items()
            )
            total += product / (norm * other) if norm and other else product
        return penalty * total / _LONGEST


def consensus_caption(captions: Sequence[str], frequencies: DocumentFrequencies) -> int:
    """Return the index of the caption that is nearest to all others by CIDEr-D; the first of equal ones."""
    weighted = [WeightedCaption(caption_words(caption), frequencies) for caption in captions]
    totals = [sum(one.similarity(other) for other in weighted if other is not one) for one in weighted]
    return max(range(len(totals)), key=totals.__getitem__)


def _ngrams(words: Words) -> Counter[tuple[str, ...]]:
    """Count the n-grams of 1 to 4 words."""
    return Counter(
        tuple(words[start : start + order])
        for order in range(1, _LONGEST + 1)
        for start in range(len(words) - order + 1)
    )


def _longest_common(one: Words, other: Words) -> int:
    """Return the length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for word in one:
        before = row
        row = [0]
        for place, (diagonal, above) in enumerate(pairwise(before)):
            row.append(diagonal + 1 if word == other[place] else max(above, row[-1]))
    return row[-1]


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return math.fsum(listed) / max(1, len(listed))
