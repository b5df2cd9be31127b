"""Splitting of contractions into the words of a treebank: `don't` into `do n't`, `du` into `de le`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Self

import msgspec

from unspool.data.sentences import Glued
from unspool.errors import ModelFolderError
from unspool.writing import replace_file

__all__ = ["WordSplits"]

Spans = Callable[[str], Sequence[tuple[int, int]]]
"""Function from a text to the spans, start and exclusive end, of its units."""
Words = tuple[str, ...]

_FILE = "word_splits.json"
_TWICE, _OFTEN = 2, 5  # minimum occurrences of a whole form, and of an ending or beginning
_NEARLY_ALWAYS = 0.9
_APOSTROPHES = "'’"


class WordSplits:
    """Rules that split one unit of raw text into the several words of the training data.

    The rule of a whole form needs at least two equal splits, and nine splits out of ten. The rules of endings, such as
    `n't` and `'s`, and of beginnings, such as `l'`, need five occurrences; they also split words outside the training
    data.

    Attributes:
        whole: Words of each whole form.
        beginnings: Words of each beginning, which ends in an apostrophe; the rest of the form is a word.
        endings: Endings that are words of their own.
        seen: Number of splits in the training data, with and without a rule.
    """

    def __init__(
        self,
        whole: dict[str, Words] | None = None,
        beginnings: dict[str, Words] | None = None,
        endings: Iterable[str] = (),
        seen: int = 0,
    ) -> None:
        self.whole, self.beginnings = whole or {}, beginnings or {}
        self.endings, self.seen = frozenset(endings), seen

    @classmethod
    def learn(cls, sentences: Iterable[tuple[Sequence[str], Sequence[Glued]]], spans: Spans) -> Self:
        """Learn the rules from sentences and their stretches of several words without a blank.

        Args:
            sentences: The words and the glued stretches of each sentence.
            spans: Function that splits raw text into units.
        """
        plain: Counter[str] = Counter()
        parted: Counter[tuple[str, Words]] = Counter()
        for words, glued in sentences:
            plain.update(words)
            for stretch in glued:
                plain.subtract(word for _, words_of_piece in stretch for word in words_of_piece)
                for unit, words_of_unit in _units(stretch, spans):
                    if len(words_of_unit) > 1:
                        parted[unit, words_of_unit] += 1
                    else:
                        plain[unit] += 1
        return cls(*_rules(+plain, parted), parted.total())

    def __len__(self) -> int:
        return len(self.whole) + len(self.beginnings) + len(self.endings)

    def split(self, unit: str) -> Words:
        """Split a unit of raw text into words; without a rule, return the unit alone."""
        for form in (unit, unit.replace("’", "'"), unit.casefold(), unit.casefold().replace("’", "'")):
            if form in self.whole:
                return _as_written(unit, self.whole[form])
        places = [place for place, character in enumerate(unit) if character in _APOSTROPHES]
        if not places:
            return (unit,)
        for start in (places[-1] - 1, places[-1]):
            if start > 0 and _plain(unit[start:]) in self.endings:
                return (*self.split(unit[:start]), unit[start:])
        end = places[0] + 1
        beginning = self.beginnings.get(_plain(unit[:end]))
        if beginning and end < len(unit):
            return (*_as_written(unit[:end], beginning), *self.split(unit[end:]))
        return (unit,)

    def examples(self) -> str:
        """Return some of the rules as text."""
        shown = [f"{form} → {' '.join(words)}" for form, words in list(self.whole.items())[:3]]
        shown += [f"{form}… → {' '.join(words)} …" for form, words in list(self.beginnings.items())[:2]]
        return ", ".join([*shown, *(f"…{ending} → … {ending}" for ending in sorted(self.endings)[:2])])

    def save(self, folder: Path) -> None:
        """Write the rules into a folder."""
        record = _Record(
            {form: list(words) for form, words in self.whole.items()},
            {form: list(words) for form, words in self.beginnings.items()},
            sorted(self.endings),
            self.seen,
        )
        replace_file(folder / _FILE, msgspec.json.format(msgspec.json.encode(record)) + b"\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the file of `save`; a folder without that file gives no rules.

        Raises:
            ModelFolderError: If the file is damaged.
        """
        path = folder / _FILE
        try:
            record = msgspec.json.decode(path.read_bytes(), type=_Record)
        except FileNotFoundError:
            return cls()
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ModelFolderError(f"{path}: the list of words that are parted is damaged: {error}") from None
        if not all((*record.whole.values(), *record.beginnings.values(), *record.endings)) or "" in record.whole:
            raise ModelFolderError(f"{path}: the list of words that are parted is damaged: a form without words")
        whole = {form: tuple(words) for form, words in record.whole.items()}
        beginnings = {form: tuple(words) for form, words in record.beginnings.items()}
        return cls(whole, beginnings, record.endings, record.seen)


class _Record(msgspec.Struct):
    whole: dict[str, list[str]]
    beginnings: dict[str, list[str]]
    endings: list[str]
    seen: int


def _units(stretch: Glued, spans: Spans) -> Iterator[tuple[str, Words]]:
    """Yield the units of raw text with the words of the treebank, without units that cross the boundary of a piece."""
    text = "".join(surface for surface, _ in stretch)
    ends = list(accumulate(len(surface) for surface, _ in stretch))
    starts = [0, *ends[:-1]]
    for begin, end in spans(text):
        if begin in starts and end in ends:
            pieces = stretch[starts.index(begin) : ends.index(end) + 1]
            words = tuple(word for _, words_of_piece in pieces for word in words_of_piece)
            if words:
                yield text[begin:end], words


def _rules(
    plain: Counter[str], parted: Counter[tuple[str, Words]]
) -> tuple[dict[str, Words], dict[str, Words], frozenset[str]]:
    times: Counter[str] = Counter()
    for (unit, _), count in parted.items():
        times[unit] += count
    whole = {
        unit: words
        for (unit, words), count in sorted(parted.items(), key=lambda item: (-item[1], item[0]))
        if count >= _TWICE and count >= _NEARLY_ALWAYS * (times[unit] + plain[unit])
    }
    everywhere: Counter[str] = Counter()
    for unit, count in (*plain.items(), *times.items()):
        for affix in {*_endings(unit), *_beginnings(unit)}:
            everywhere[affix] += count
    ends: Counter[str] = Counter()
    begins: Counter[tuple[str, Words]] = Counter()
    for (unit, words), count in parted.items():
        ends.update({ending: count for ending in _endings(unit) if _plain("…" + words[-1]) == ending})
        for beginning in _beginnings(unit):
            if words[-1] == unit[len(beginning) - 1 :]:
                begins[beginning, tuple(word.casefold() for word in words[:-1])] += count
    endings = {form[1:] for form, count in ends.items() if count >= max(_OFTEN, _NEARLY_ALWAYS * everywhere[form])}
    beginnings = {
        form[:-1]: words
        for (form, words), count in begins.items()
        if count >= max(_OFTEN, _NEARLY_ALWAYS * everywhere[form])
    }
    return whole, beginnings, frozenset(endings)


def _endings(unit: str) -> list[str]:
    """Return candidate endings of a unit, after an ellipsis: from its last apostrophe, and from the letter before."""
    place = max(map(unit.rfind, _APOSTROPHES))
    return [_plain("…" + unit[start:]) for start in (place, place - 1) if start > 0 and unit[place + 1 :].isalpha()]


def _beginnings(unit: str) -> list[str]:
    """Return the candidate beginning of a unit, before an ellipsis: up to its first apostrophe."""
    places = [place for place, character in enumerate(unit) if character in _APOSTROPHES]
    if not places or not unit[: places[0]].isalpha() or not unit[places[0] + 1 : places[0] + 2].isalpha():
        return []
    return [_plain(unit[: places[0] + 1] + "…")]


def _plain(text: str) -> str:
    return text.casefold().replace("’", "'")


def _as_written(unit: str, words: Words) -> Words:
    """Return the words in the case of the unit; words that do not spell it take only its first capital."""
    if sum(map(len, words)) == len(unit) and _plain("".join(words)) == _plain(unit):
        ends = list(accumulate(map(len, words)))
        return tuple(unit[end - len(word) : end] for end, word in zip(ends, words, strict=True))
    if unit[:1].isupper():
        return (words[0][:1].upper() + words[0][1:], *words[1:])
    return words
