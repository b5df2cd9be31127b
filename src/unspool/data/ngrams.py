"""Bags of words and character n-grams with tf-idf weights."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, NamedTuple, Self

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unspool.errors import DataError, ModelFolderError
from unspool.reading import read_json
from unspool.writing import replace_file

__all__ = ["LONGEST_TEXT", "Bag", "Bags", "NgramVocabulary", "split_pieces", "split_words"]

LONGEST_TEXT = 4_000
"""Most characters of a text; the rest is cut off."""

_WORD = re.compile(r"\w+(?:'\w+)*|[^\w\s]")
_FORMAT = 1


class Bag(NamedTuple):
    """Bag of one text: ids and weights of its words and n-grams."""

    ids: NDArray[np.int64]  # (entries,), ascending
    values: NDArray[np.float32]  # (entries,), each above 0
    unknown: float
    """Sum of squared weights of the entries outside the vocabulary, at least 0."""

    @property
    def length(self) -> float:
        """Euclidean norm, with unknown entries."""
        return math.sqrt(float(np.dot(self.values, self.values)) + self.unknown)


@dataclass(frozen=True, slots=True, eq=False)
class Bags:
    """Bags of several texts, concatenated."""

    ids: Tensor
    """int64 (entries,)."""
    values: Tensor
    """float32 (entries,)."""
    offsets: Tensor
    """Start of each bag, then the number of entries, int64 (batch + 1,)."""
    unknown: Tensor
    """See `Bag.unknown`, float32 (batch,)."""

    @classmethod
    def of(cls, bags: Sequence[Bag]) -> Self:
        """Concatenate bags."""
        offsets = np.cumsum([0, *(len(bag.ids) for bag in bags)], dtype=np.int64)
        ids = np.concatenate([bag.ids for bag in bags]) if bags else np.zeros(0, np.int64)
        values = np.concatenate([bag.values for bag in bags]) if bags else np.zeros(0, np.float32)
        unknown = torch.tensor([bag.unknown for bag in bags], dtype=torch.float32)
        return cls(torch.from_numpy(ids), torch.from_numpy(values), torch.from_numpy(offsets), unknown)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def rows(self) -> Tensor:
        """Index of the bag of each entry, int64 (entries,)."""
        return torch.repeat_interleave(self.offsets.diff(), output_size=len(self.ids))

    def to(self, device: torch.device | str) -> Self:
        """Return a copy on a device."""
        moved = {name: getattr(self, name).to(device) for name in ("ids", "values", "offsets", "unknown")}
        return replace(self, **moved)

    def every(self, world: int, first: int) -> Self:
        """Return every `world`-th bag from index `first` on."""
        return self.take(torch.arange(len(self), device=self.ids.device) % world == first)

    def take(self, chosen: Tensor) -> Self:
        """Return the bags where a mask is true, bool (batch,)."""
        entries = chosen[self.rows]
        offsets = torch.cat([self.offsets[:1], self.offsets.diff()[chosen].cumsum(0)])
        return replace(
            self, ids=self.ids[entries], values=self.values[entries], offsets=offsets, unknown=self.unknown[chosen]
        )


_Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
_Length = Annotated[int, msgspec.Meta(ge=1, le=LONGEST_TEXT)]


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    shortest: _Length
    longest: _Length
    pairs: _Count
    entries: list[str]
    asked: list[_Count]
    held: list[_Count]


class NgramVocabulary:
    r"""Vocabulary of words and character n-grams with tf-idf weights.

    The bag of a text holds its words and all n-grams of `shortest` to `longest` characters within a word. The
    boundaries of a word count as characters. Misspelled and inflected words therefore share most of their entries. An
    entry that a text has :math:`c` times has the value

    .. math:: (1 + \ln c)\,\sqrt{\Big(1 + \ln\frac{1 + n}{1 + q}\Big)\Big(1 + \ln\frac{1 + n}{1 + d}\Big)}

    where of :math:`n` pairs :math:`q` have it in a question, and :math:`d` in a question or an answer. The case of
    letters is ignored.

    Source: tf–idf after Salton and Buckley 1988, doi:10.1016/0306-4573(88)90021-0; n-grams as in Bojanowski et al.
    2017, arXiv:1607.04606. Differs: the weight is the geometric mean of an idf over questions, which discounts words
    such as "how", and an idf over questions and answers, which discounts words that are common in answers.

    Args:
        entries: Words, each with a blank before it, and n-grams; each once.
        asked: Number of pairs whose questions have each entry.
        held: Number of pairs that have each entry in a question or an answer.
        pairs: Number of pairs.
        shortest: Characters of the shortest n-gram, at least 1.
        longest: Characters of the longest n-gram.

    Raises:
        DataError: If the lists differ in length, or an entry comes twice.
    """

    def __init__(
        self,
        entries: Sequence[str],
        asked: Sequence[int],
        held: Sequence[int],
        pairs: int,
        *,
        shortest: int = 3,
        longest: int = 4,
    ) -> None:
        if not len(entries) == len(asked) == len(held):
            raise DataError(f"{len(entries)} entries with {len(asked)} and {len(held)} counts: expected equally many")
        self.entries, self.pairs, self.shortest, self.longest = list(entries), pairs, shortest, longest
        self.asked, self.held = np.array(asked, dtype=np.int64), np.array(held, dtype=np.int64)
        self._ids = {entry: id for id, entry in enumerate(self.entries)}
        if len(self._ids) != len(self.entries):
            raise DataError("an entry comes twice")
        rarity = (1 + np.log((1 + pairs) / (1 + self.asked))) * (1 + np.log((1 + pairs) / (1 + self.held)))
        self.weights: NDArray[np.float32] = np.sqrt(rarity).astype(np.float32)
        """Inverse document frequency of each entry, float32 (entries,)."""
        self._unknown = (1 + math.log(1 + pairs)) ** 2

    @classmethod
    def learn(
        cls,
        asked: Iterable[Sequence[str]],
        answered: Iterable[Sequence[str]],
        *,
        shortest: int = 3,
        longest: int = 4,
        min_count: int = 2,
        max_size: int = 200_000,
    ) -> Self:
        """Count the entries of pairs.

        Args:
            asked: The wordings of each pair's question.
            answered: The answers of each pair, in the same order.
            shortest: Characters of the shortest n-gram, at least 1.
            longest: Characters of the longest n-gram.
            min_count: Minimum number of pairs of an entry that occurs only in answers.
            max_size: Most entries; entries in the questions of the most pairs come first, then those in most pairs.

        Raises:
            DataError: If there are no pairs, or no text holds a word.
        """
        questions, anywhere, pairs = _counted(asked, answered, shortest, longest)
        if not pairs:
            raise DataError("there are no pairs to learn from")
        entries = [entry for entry in anywhere if entry in questions or anywhere[entry] >= min_count]
        entries.sort(key=lambda entry: (-questions[entry], -anywhere[entry], entry))
        entries = sorted(entries[:max_size])
        if not entries:
            raise DataError("the pairs hold no word; expected at least one, since questions are looked up by words")
        asked_by, held_by = [questions[entry] for entry in entries], [anywhere[entry] for entry in entries]
        return cls(entries, asked_by, held_by, pairs, shortest=shortest, longest=longest)

    def extended(self, asked: Iterable[Sequence[str]], answered: Iterable[Sequence[str]]) -> Self:
        """Return a copy that also counts more pairs; their new entries come at the end, so that ids stay."""
        questions, anywhere, pairs = _counted(asked, answered, self.shortest, self.longest)
        entries = self.entries + sorted(entry for entry in questions if entry not in self._ids)
        more = len(entries) - len(self)
        before = np.pad(self.asked, (0, more)), np.pad(self.held, (0, more))
        new = [questions[entry] for entry in entries], [anywhere[entry] for entry in entries]
        asked_by, held_by = ((old + np.array(added)).tolist() for old, added in zip(before, new, strict=True))
        sizes = {"shortest": self.shortest, "longest": self.longest}
        return type(self)(entries, asked_by, held_by, self.pairs + pairs, **sizes)

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        return f"NgramVocabulary({len(self)} entries of {self.pairs} pairs)"

    def bag(self, text: str | Sequence[str]) -> Bag:
        """Return the bag of a text, or of the words from `split_words`."""
        words = split_words(text) if isinstance(text, str) else text
        counts: list[tuple[int, int]] = []
        unknown = 0.0
        for entry, count in _count(words, self.shortest, self.longest).items():
            id = self._ids.get(entry)
            if id is None:
                unknown += (1 + math.log(count)) ** 2 * self._unknown
            else:
                counts.append((id, count))
        counts.sort()
        table = np.array(counts, dtype=np.int64).reshape(-1, 2)
        values = (1 + np.log(table[:, 1])).astype(np.float32) * self.weights[table[:, 0]]
        return Bag(table[:, 0].copy(), values, unknown)

    def save(self, folder: Path, name: str = "ngrams") -> None:
        """Write `name.json` into a folder."""
        asked, held = self.asked.tolist(), self.held.tolist()
        record = _Record(_FORMAT, self.shortest, self.longest, self.pairs, self.entries, asked, held)
        replace_file(folder / f"{name}.json", msgspec.json.encode(record) + b"\n")

    @classmethod
    def load(cls, folder: Path, name: str = "ngrams") -> Self:
        """Read `name.json` from a folder.

        Raises:
            ModelFolderError: If the file is missing, damaged, or of a newer version.
        """
        path = folder / f"{name}.json"
        record = read_json(path, _Record, "the vocabulary")
        if record.format > _FORMAT:
            raise ModelFolderError(f"{path} was saved by a newer Unspool: pip install --upgrade unspool")
        if not all(a <= h <= record.pairs for a, h in zip(record.asked, record.held, strict=False)):
            raise ModelFolderError(f"{path}: the vocabulary is damaged: an entry stands in more pairs than there are")
        try:
            return cls(
                record.entries,
                record.asked,
                record.held,
                record.pairs,
                shortest=record.shortest,
                longest=record.longest,
            )
        except DataError as error:
            raise ModelFolderError(f"{path}: the vocabulary is damaged: {error}") from None


def split_words(text: str) -> list[str]:
    """Return the words and punctuation marks of a text, case-folded, in NFKC, up to `LONGEST_TEXT` characters."""
    folded = unicodedata.normalize("NFKC", text[:LONGEST_TEXT]).casefold().replace("’", "'")
    return _WORD.findall(folded[:LONGEST_TEXT])


def _counted(
    asked: Iterable[Sequence[str]], answered: Iterable[Sequence[str]], shortest: int, longest: int
) -> tuple[Counter[str], Counter[str], int]:
    """Return the number of pairs with each entry in a question, with each entry at all, and of all pairs."""
    questions: Counter[str] = Counter()
    anywhere: Counter[str] = Counter()
    pairs = 0
    for wordings, answers in zip(asked, answered, strict=True):
        in_questions = _entries(wordings, shortest, longest)
        questions.update(in_questions)
        anywhere.update(in_questions | _entries(answers, shortest, longest))
        pairs += 1
    return questions, anywhere, pairs


def _entries(texts: Sequence[str], shortest: int, longest: int) -> set[str]:
    words = {word for text in texts for word in split_words(text)}
    return {entry for word in words for entry in (f" {word}", *split_pieces(word, shortest, longest))}


def _count(words: Sequence[str], shortest: int, longest: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    for word in words:
        counts.update((f" {word}", *split_pieces(word, shortest, longest)))
    return counts


@lru_cache(maxsize=65_536)
def split_pieces(word: str, shortest: int, longest: int) -> tuple[str, ...]:
    """Return the character n-grams of a word with its boundaries, `<word>`; a short word is an n-gram of its own."""
    bounded = f"<{word}>"
    pieces = []
    for size in range(shortest, longest + 1):
        if len(bounded) <= size:
            pieces.append(bounded)
            break
        pieces += [bounded[start : start + size] for start in range(len(bounded) - size + 1)]
    return tuple(pieces)
