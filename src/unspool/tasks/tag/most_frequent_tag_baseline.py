"""The tag a word has most often, whatever stands around it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from unspool.errors import DataError
from unspool.tasks.parts.metrics import accuracy
from unspool.tasks.tag.spans import looks_like_spans, span_scores

__all__ = ["MostFrequentTag"]


@dataclass(frozen=True)
class MostFrequentTag:
    """Gives each word its most frequent tag, and words never seen the tag most frequent among words seen once.

    Attributes:
        by_word: The tag of each word seen.
        otherwise: The tag of all other words.
        spans: Whether the tags mark spans, so that these are scored too.
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
        seen = {tag for tags in counts.values() for tag in tags}
        return cls(by_word, _most_frequent(rare or Counter(by_word.values())), looks_like_spans(seen))

    def predict(self, words: Sequence[str]) -> list[str]:
        """One tag per word."""
        return [self.by_word.get(word, self.otherwise) for word in words]

    def evaluate(self, sentences: Iterable[tuple[Sequence[str], Sequence[str]]]) -> dict[str, float]:
        """Score it as a tagger is scored: `accuracy` over tokens and, for spans, their `precision`, `recall`, `f1`.

        Args:
            sentences: The words and the right tags of each sentence.

        Raises:
            DataError: If there are no words.
        """
        gold: list[Sequence[str]] = []
        given: list[Sequence[str]] = []
        for words, tags in sentences:
            gold.append(tags)
            given.append(self.predict(words))
        found = {"accuracy": accuracy([tag for tags in gold for tag in tags], [tag for tags in given for tag in tags])}
        return found | (span_scores(gold, given) if self.spans else {})


def _most_frequent(tags: Counter[str]) -> str:
    return min(tags, key=lambda tag: (-tags[tag], tag))
