"""Simple captioners to compare a network with: a constant caption, the nearest image's, a model that sees no image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain, repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unspool.data import END, Sequences
from unspool.models.kneser_ney import KneserNey
from unspool.tasks.caption.scores import (
    CountedReferences,
    DocumentFrequencies,
    WeightedCaption,
    bleu_of_counts,
    consensus_caption,
)
from unspool.tasks.caption.words import caption_words

__all__ = ["Blind", "best_constant", "nearest_captions"]

_CANDIDATES, _SCORED = 100, 300  # captions that are tried as the constant one, and images that they are scored on
_ORDER = 4  # longest n-gram of the model that sees no image


def best_constant(captions: Sequence[Sequence[str]], score: str) -> str:
    """Return the training caption that describes all training images best, on up to 300 of them.

    The candidates are up to 100 captions, the most frequent ones and others spread over the data.

    Args:
        captions: The captions of each training image.
        score: Score that decides: exact, bleu-4 or cider-d.
    """
    counts = Counter(chain.from_iterable(captions))
    frequent = [caption for caption, _ in counts.most_common(_CANDIDATES // 3)]
    if score == "exact":
        return frequent[0]
    others = [captions[image][0] for image in _spread(len(captions), _CANDIDATES - len(frequent))]
    references = [[caption_words(caption) for caption in captions[image]] for image in _spread(len(captions), _SCORED)]
    score_of = (_constant_bleu if score == "bleu-4" else _constant_cider)(references)
    return max(dict.fromkeys([*frequent, *others]), key=lambda caption: score_of(caption_words(caption)))


def _constant_bleu(references: list[list[list[str]]]) -> Callable[[list[str]], float]:
    counted = [CountedReferences.of(each) for each in references]
    return lambda words: bleu_of_counts(repeat(words, len(counted)), counted)[3]


def _constant_cider(references: list[list[list[str]]]) -> Callable[[list[str]], float]:
    frequencies = DocumentFrequencies.of(references)
    weighted = [[WeightedCaption(words, frequencies) for words in each] for each in references]

    def score(words: list[str]) -> float:
        caption = WeightedCaption(words, frequencies)
        return sum(sum(map(caption.similarity, each)) / len(each) for each in weighted)

    return score


def nearest_captions(
    train: NDArray[np.float32], captions: Sequence[Sequence[str]], images: NDArray[np.float32]
) -> list[str]:
    """Return a caption of the nearest training image, by Euclidean distance: the one nearest to its other captions.

    Args:
        train: Features of the training images, such as thumbnails, (images, features).
        captions: Their captions.
        images: Features of the images to describe, (images, features).
    """
    frequencies = DocumentFrequencies.of([[caption_words(each) for each in row] for row in captions])
    squares = np.square(train).sum(1)
    nearest = []
    for start in range(0, len(images), 256):
        part = images[start : start + 256]
        nearest += np.argmin(squares - 2 * part @ train.T, axis=1).tolist()
    captions_of = {place: captions[place][consensus_caption(captions[place], frequencies)] for place in set(nearest)}
    return [captions_of[place] for place in nearest]


class Blind(NamedTuple):
    """A language model of captions that sees no image: n-grams with Kneser-Ney smoothing."""

    model: KneserNey
    caption: list[int]
    """Its most probable caption, by a greedy search."""

    @classmethod
    def learn(cls, captions: Sequences, vocab_size: int, longest: int) -> Blind:
        """Count the n-grams of the training captions.

        Args:
            captions: Units of the captions.
            vocab_size: Number of units.
            longest: Most units of the caption that it writes.
        """
        model = KneserNey.learn(_stream(captions), vocab_size, order=_ORDER)
        text = [END]
        while len(text) <= longest:
            following = model.distribution(text[-_ORDER + 1 :])
            text.append(int(np.argmax(following)))
            if text[-1] == END:
                break
        return cls(model, [unit for unit in text[1:] if unit != END])

    def perplexity(self, captions: Sequences) -> float:
        """Return the perplexity of captions and their ends."""
        nats = self.model.nats(_stream(captions))[1:]
        return float(np.exp(nats.mean()))


def _stream(captions: Sequences) -> NDArray[np.int64]:
    """Return captions as one stream, with an end before the first and after each."""
    return np.concatenate([[END], *chain.from_iterable((each, [END]) for each in captions)]).astype(np.int64)


def _spread(count: int, most: int) -> list[int]:
    return [int(place) for place in np.unique(np.linspace(0, count - 1, min(count, most)).astype(int))]
