"""Most-frequent-tag baseline for sequence labelling, without context."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from unspool.errors import DataError
from unspool.tasks.parts.metrics import accuracy
from unspool.tasks.parts.spans import looks_like_spans, span_scores

__all__ = ["MostFrequentTag"]


@dataclass(frozen=True)
class MostFrequentTag:
    """Predicts each word's most frequent tag. Unknown words get the most frequent tag of words that occur once.

    Attributes:
        by_word: Tag of each training word.
        otherwise: Tag of all other words.
        spans: Whether the tags mark spans; if so, `evaluate` scores spans too.
    """

    by_word: dict[str, str]
    otherwise: str
    spans: bool

    note = "most frequent tag of each word"

    @classmethod
    def learn(cls, sentences: Iterable[tuple[Sequence[str], Sequence[str]]]) -> MostFrequentTag:
        """Count the tags of each word.

        Args:
            sentences: The words and the tags of each sentence.

        Raises:
            DataError: If there are no words.
        """
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for words, tags in sentences:
            for word, tag in zip(words, tags, strict=True):
                counts[word][tag] += 1
        if not counts:
            raise DataError("there are no tagged words to learn from")
        by_word = {word: _most_frequent(tags) for word, tags in counts.items()}
        rare = Counter(by_word[word] for word, tags in counts.items() if tags.total() == 1)
        every_tag = {tag for tags in counts.values() for tag in tags}
        return cls(by_word, _most_frequent(rare or Counter(by_word.values())), looks_like_spans(every_tag))

    def predict(self, words: Sequence[str]) -> list[str]:
        """Return one tag per word."""
        return [self.by_word.get(word, self.otherwise) for word in words]

    def evaluate(self, sentences: Iterable[tuple[Sequence[str], Sequence[str]]]) -> dict[str, float]:
        """Compute the scores of the tagger task: token `accuracy`, and span `precision`, `recall` and `f1`.

        Args:
            sentences: The words and the gold tags of each sentence.

        Raises:
            DataError: If there are no words.
        """
        gold: list[Sequence[str]] = []
        predicted: list[Sequence[str]] = []
        for words, tags in sentences:
            gold.append(tags)
            predicted.append(self.predict(words))
        flat_gold, flat_predicted = ([tag for tags in side for tag in tags] for side in (gold, predicted))
        scores = {"accuracy": accuracy(flat_gold, flat_predicted)}
        return scores | (span_scores(gold, predicted) if self.spans else {})


def _most_frequent(tags: Counter[str]) -> str:
    return min(tags, key=lambda tag: (-tags[tag], tag))
