"""Texts as bags of words and pieces of words, each weighed by how much it tells."""

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

__all__ = ["LONGEST_TEXT", "Bag", "Bags", "NgramVocabulary", "split_words"]

LONGEST_TEXT = 4_000
"""Characters of a text that are looked at; what follows is cut off."""

_WORD = re.compile(r"\w+(?:'\w+)*|[^\w\s]")
_FORMAT = 1


class Bag(NamedTuple):
    """What one text holds."""

    ids: NDArray[np.int64]  # (entries,), rising
    values: NDArray[np.float32]  # (entries,), each above 0
    unknown: float
    """Sum of squares of what the vocabulary lacks, on the scale of `values` squared."""

    @property
    def length(self) -> float:
        """Euclidean length, unknown entries counted."""
        return math.sqrt(float(np.dot(self.values, self.values)) + self.unknown)


@dataclass(frozen=True, slots=True, eq=False)
class Bags:
    """Bags of several texts, one after the other."""

    ids: Tensor
    """int64 (entries,)."""
    values: Tensor
    """float32 (entries,)."""
    offsets: Tensor
    """Where each bag begins, then the number of entries, int64 (batch + 1,)."""
    unknown: Tensor
    """See `Bag.unknown`, float32 (batch,)."""

    @classmethod
    def of(cls, bags: Sequence[Bag]) -> Self:
        """Put bags together."""
        offsets = np.cumsum([0, *(len(bag.ids) for bag in bags)], dtype=np.int64)
        ids = np.concatenate([bag.ids for bag in bags]) if bags else np.zeros(0, np.int64)
        values = np.concatenate([bag.values for bag in bags]) if bags else np.zeros(0, np.float32)
        unknown = torch.tensor([bag.unknown for bag in bags], dtype=torch.float32)
        return cls(torch.from_numpy(ids), torch.from_numpy(values), torch.from_numpy(offsets), unknown)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def rows(self) -> Tensor:
        """Which bag each entry belongs to, int64 (entries,)."""
        return torch.repeat_interleave(self.offsets.diff(), output_size=len(self.ids))

    def to(self, device: torch.device | str) -> Self:
        """The same on a device."""
        moved = {name: getattr(self, name).to(device) for name in ("ids", "values", "offsets", "unknown")}
        return replace(self, **moved)

    def every(self, world: int, first: int) -> Self:
        """Every `world`-th bag from the one at `first` on."""
        chosen = torch.arange(len(self), device=self.ids.device) % world == first
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
    r"""Words, and the pieces of words that a few characters make; how rare each is says how much it tells.

    A text becomes the bag of its words and of all runs of `shortest` to `longest` characters inside a word, its
    boundaries counted as characters, so that misspelled and inflected words still share most of what they are made
    of. An entry that a text has :math:`c` times has the value

    .. math:: (1 + \ln c)\,\sqrt{\Big(1 + \ln\frac{1 + n}{1 + q}\Big)\Big(1 + \ln\frac{1 + n}{1 + d}\Big)}

    where of :math:`n` pairs :math:`q` have it in a question, and :math:`d` in a question or an answer. Upper and lower
    case are one.

    Source: tf–idf after Salton and Buckley 1988, doi:10.1016/0306-4573(88)90021-0; pieces of words as in Bojanowski et
    al. 2017, arXiv:1607.04606. Differs: the weight is the geometric mean of one over questions, where "how" tells
    nothing, and one over everything, where a word common in answers tells less.

    Args:
        entries: Words, each with a blank before it, and pieces; each once.
        asked: In how many pairs' questions each stands.
        held: In how many pairs each stands at all.
        pairs: How many pairs were counted.
        shortest: Characters of the shortest piece, at least 1.
        longest: Characters of the longest piece.

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
        """How much each entry tells, float32 (entries,)."""
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
            answered: Each pair's answers, in the same order.
            shortest: Characters of the shortest piece.
            longest: Characters of the longest piece.
            min_count: Pairs that must have an entry which no question has.
            max_size: Most entries; those in the questions of most pairs are kept, then those in most pairs.

        Raises:
            DataError: If there are no pairs, or no text holds a word.
        """
        questions, anywhere, pairs = _counted(asked, answered, shortest, longest)
        if not pairs:
            raise DataError("there are no pairs to learn from")
        kept = [entry for entry in anywhere if entry in questions or anywhere[entry] >= min_count]
        kept.sort(key=lambda entry: (-questions[entry], -anywhere[entry], entry))
        kept = sorted(kept[:max_size])
        if not kept:
            raise DataError("the pairs hold no word: there is nothing that a question could be found by")
        asked_by, held_by = [questions[entry] for entry in kept], [anywhere[entry] for entry in kept]
        return cls(kept, asked_by, held_by, pairs, shortest=shortest, longest=longest)

    def extended(self, asked: Iterable[Sequence[str]], answered: Iterable[Sequence[str]]) -> Self:
        """This vocabulary with more pairs counted; what their questions add comes at the end, so that ids stay."""
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
        """The bag of a text, or of words that `split_words` gave."""
        words = split_words(text) if isinstance(text, str) else text
        found: list[tuple[int, int]] = []
        unknown = 0.0
        for entry, count in _count(words, self.shortest, self.longest).items():
            id = self._ids.get(entry)
            if id is None:
                unknown += (1 + math.log(count)) ** 2 * self._unknown
            else:
                found.append((id, count))
        found.sort()
        table = np.array(found, dtype=np.int64).reshape(-1, 2)
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
            ModelFolderError: If it is missing, damaged, or of a newer version.
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
    """The words and marks of a text, case folded and forms of characters made one, up to `LONGEST_TEXT` characters."""
    folded = unicodedata.normalize("NFKC", text[:LONGEST_TEXT]).casefold().replace("’", "'")
    return _WORD.findall(folded[:LONGEST_TEXT])


def _counted(
    asked: Iterable[Sequence[str]], answered: Iterable[Sequence[str]], shortest: int, longest: int
) -> tuple[Counter[str], Counter[str], int]:
    """In how many pairs' questions, and in how many pairs, each entry stands; and how many pairs there are."""
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
    return {entry for word in words for entry in _pieces(word, shortest, longest)}


def _count(words: Sequence[str], shortest: int, longest: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    for word in words:
        counts.update(_pieces(word, shortest, longest))
    return counts


@lru_cache(maxsize=65_536)
def _pieces(word: str, shortest: int, longest: int) -> tuple[str, ...]:
    """The word, a blank before it, and its runs of characters; one that is not longer than a run gives itself."""
    bounded = f"<{word}>"
    pieces = [f" {word}"]
    for size in range(shortest, longest + 1):
        if len(bounded) <= size:
            pieces.append(bounded)
            break
        pieces += [bounded[start : start + size] for start in range(len(bounded) - size + 1)]
    return tuple(pieces)
