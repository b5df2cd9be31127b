"""Simple captioners to compare a network with: a constant caption, the nearest image's, a model that sees no image."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unspool.data import END, Sequences
from unspool.models.kneser_ney import KneserNey
from unspool.tasks.caption.scores import DocumentFrequencies, bleu, consensus_caption
from unspool.tasks.caption.words import caption_words

__all__ = ["Blind", "best_constant", "nearest_captions"]

_CANDIDATES, _SCORED = 60, 300  # captions that are tried as the constant one, and images that they are scored on
_ORDER = 4  # longest n-gram of the model that sees no image


def best_constant(captions: Sequence[Sequence[str]]) -> str:
    """Return the training caption that describes all training images best: by BLEU-4, on up to 300 of them.

    The candidates are the most frequent captions, and others spread over the data.

    Args:
        captions: The captions of each training image.
    """
    images = _spread(len(captions), _SCORED)
    references = [[caption_words(caption) for caption in captions[image]] for image in images]
    counts: dict[str, int] = {}
    for caption in chain.from_iterable(captions):
        counts[caption] = counts.get(caption, 0) + 1
    frequent = sorted(counts, key=lambda caption: -counts[caption])[: _CANDIDATES // 3]
    others = [captions[image][0] for image in _spread(len(captions), _CANDIDATES - len(frequent))]
    candidates = list(dict.fromkeys([*frequent, *others]))

    def score(caption: str) -> float:
        words = caption_words(caption)
        return bleu([words] * len(references), references)[3]

    return max(candidates, key=score)


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
    chosen = {place: captions[place][consensus_caption(captions[place], frequencies)] for place in set(nearest)}
    return [chosen[place] for place in nearest]


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
