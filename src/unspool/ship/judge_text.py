"""Judge of text: from texts to the inputs of a program, and back, in plain Python."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from unspool.data.units import END, NOT_BLANK, PADDING, UNKNOWN, clean, normalise, word_pattern
from unspool.ship.sheet_text import Labels, Ngrams, QuestionNgrams, Replies, Spelling, TextFront, Units, Writing

__all__ = ["Encoded", "Split", "encode_texts", "join_units", "labels_of", "question_words", "reply_of", "split_units"]

Text = str | list[str]


@dataclass(frozen=True, eq=False)
class Encoded:
    """Sequences of ids, padded at the end."""

    ids: NDArray[np.int64]
    """(time, batch)"""
    lengths: NDArray[np.int64]
    """(batch,)"""

    @classmethod
    def of(cls, sequences: Sequence[Sequence[int]]) -> Encoded:
        """Pad sequences with 0."""
        ids = np.zeros((max(map(len, sequences), default=0), len(sequences)), np.int64)
        for column, sequence in enumerate(sequences):
            ids[: len(sequence), column] = sequence
        return cls(ids, np.array([len(sequence) for sequence in sequences], np.int64))


class Split(NamedTuple):
    """The units of a text."""

    ids: list[int]
    written: list[str]
    """The units as written in the text."""


def encode_texts(front: TextFront, texts: Sequence[Text]) -> dict[str, Any]:
    """Return the inputs of a program: `ids`, `lengths`, and what else the front makes."""
    if front.question is not None:
        return _questions(front.question, texts)
    splits = [split_units(front.units, text) for text in texts]
    if front.most_units:
        splits = [Split(split.ids[: front.most_units], split.written[: front.most_units]) for split in splits]
    encoded = Encoded.of([split.ids for split in splits])
    inputs: dict[str, Any] = {"ids": encoded.ids, "lengths": encoded.lengths}
    if front.spelling is not None:
        spelling = front.spelling
        inputs["characters"] = [[_spelled(spelling, unit) for unit in split.written] for split in splits]
    if front.ngrams is not None:
        inputs["bag"] = [_bag(front.ngrams, split.written) for split in splits]
    return inputs


def split_units(units: Units, text: Text) -> Split:
    """Split a text into units; a list of words is not split further."""
    ids = _places(units.names)
    if units.units in ("bpe", "unigram"):
        text = text if isinstance(text, str) else " ".join(text)
        assert units.tokenizer is not None
        encoding = _tokenizer(units.tokenizer).encode(clean(text), add_special_tokens=False)
        return Split(list(encoding.ids), [text[begin:end] for begin, end in encoding.offsets])
    if units.units == "character":
        joined = text if isinstance(text, str) else " ".join(text)
        written = text if isinstance(text, list) else [c for c in text for _ in _normal(units, c)]
        return Split([ids.get(c, UNKNOWN) for c in _normal(units, joined)], written)
    if isinstance(text, list):
        return Split([ids.get(_normal(units, word), UNKNOWN) for word in text], text)
    pattern = word_pattern(False) if units.units == "word" else NOT_BLANK
    return Split([ids.get(word, UNKNOWN) for word in pattern.findall(_normal(units, text))], pattern.findall(text))


def _normal(units: Units, text: str) -> str:
    return normalise(text, lowercase=units.lowercase, digits_to_zero=units.digits_to_zero)


@cache
def _places(names: tuple[str, ...]) -> dict[str, int]:
    return {name: id for id, name in enumerate(names)}


@cache
def _tokenizer(content: str) -> Tokenizer:
    return Tokenizer.from_str(content)


def _spelled(spelling: Spelling, unit: str) -> list[int]:
    half, ids = spelling.longest // 2, _places(spelling.names)
    unit = unit if len(unit) <= spelling.longest else unit[:half] + unit[-half:]
    return [ids.get(character, UNKNOWN) for character in clean(unit or "\ufffd")]


def _bag(ngrams: Ngrams, written: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    counts: dict[int, int] = {}
    places = _places(ngrams.entries)
    for entry in _entries(ngrams, [word.lower() for word in written[: ngrams.most_words]]):
        if entry in places:
            counts[places[entry]] = counts.get(places[entry], 0) + 1
    ids = sorted(counts)
    weights = {id: (1 + math.log(counts[id])) * float(ngrams.rarity[id]) for id in ids}
    for is_word in (True, False):
        group = [id for id in ids if ngrams.entries[id].startswith(" ") == is_word]
        norm = max(math.sqrt(sum(weights[id] ** 2 for id in group)), 1e-12)
        weights |= {id: weights[id] / norm for id in group}
    return np.array(ids, np.int64), np.array([weights[id] for id in ids], np.float32)


def _entries(ngrams: Ngrams, words: Sequence[str]) -> Iterator[str]:
    for length in range(1, ngrams.orders + 1):
        for start in range(len(words) - length + 1):
            yield " " + " ".join(words[start : start + length])
    for word in words if ngrams.longest else ():
        yield from _pieces(word, 2, ngrams.longest)


def question_words(question: QuestionNgrams, text: Text) -> list[str]:
    """Return the words and marks of a question."""
    text = text if isinstance(text, str) else " ".join(text)
    folded = unicodedata.normalize("NFKC", text[: question.most_characters]).casefold().replace("’", "'")
    return re.findall(r"\w+(?:'\w+)*|[^\w\s]", folded[: question.most_characters])


def _questions(question: QuestionNgrams, texts: Sequence[Text]) -> dict[str, Any]:
    bags, unknown, places = [], np.zeros((len(texts), 1), np.float32), _places(question.entries)
    for row, text in enumerate(texts):
        words, counts = question_words(question, text), Counter[str]()
        for word in words:
            counts.update((f" {word}", *_pieces(word, question.shortest, question.longest)))
        found = sorted((places[entry], count) for entry, count in counts.items() if entry in places)
        other = [count for entry, count in counts.items() if entry not in places]
        unknown[row] = sum((1 + math.log(count)) ** 2 * question.unknown for count in other)
        ids = np.array([id for id, _ in found], np.int64)
        times = np.array([1 + math.log(count) for _, count in found], np.float32)
        bags.append((ids, times * question.weights[ids]))
    return {"bag": bags, "unknown": unknown}


def _pieces(word: str, shortest: int, longest: int) -> Iterator[str]:
    bounded = f"<{word}>"
    for size in range(shortest, longest + 1):
        if len(bounded) <= size:
            yield bounded
            return
        yield from (bounded[start : start + size] for start in range(len(bounded) - size + 1))


def reply_of(
    back: Replies, question: QuestionNgrams, text: Text, scores: NDArray[np.float32]
) -> tuple[str, float, int]:
    """Return the answer to a question, its confidence, and the pair, for the scores of all pairs, (pairs,)."""
    words = question_words(question, text)
    end = len(words)
    while end > 1 and words[end - 1] in ".?!…,;":
        end -= 1
    forms = (back.exact, " ".join(words)), (back.exact_without_marks, " ".join(words[:end]))
    exact = next((pairs[form] for pairs, form in forms if form in pairs), ())
    if exact:
        pair, sure = max(exact, key=lambda place: (scores[place], -place)), 1.0
    else:
        pair = int(scores.argmax())
        sure = 1 / (1 + math.exp(min(700.0, back.scale * (back.nothing - float(scores[pair])))))
    return (back.answers[pair] if sure >= back.threshold else back.unknown), sure, pair


def labels_of(back: Labels, row: NDArray[np.float32]) -> tuple[str, ...]:
    """Return the labels for probabilities (labels,), the most probable first."""
    order = np.argsort(-row, kind="stable")
    if not back.several:
        return (back.names[int(order[0])],)
    thresholds = np.full(len(row), 0.5) if back.thresholds is None else back.thresholds
    return tuple(back.names[int(id)] for id in order if row[id] >= thresholds[id])


def join_units(back: Writing, ids: Iterable[int]) -> str:
    """Return the text of ids, without padding."""
    numbers, names = [int(id) for id in ids], back.units.names
    if back.units.units in ("word", "blank"):
        lines: list[list[str]] = [[]]
        for id in numbers:
            if id == END:
                lines.append([])
            elif id != PADDING:
                lines[-1].append(names[id])
        return "\n".join(map(" ".join, lines))
    if back.units.units == "character":
        return "".join("\ufffd" if id == UNKNOWN else names[id] for id in numbers if id not in (PADDING, END))
    assert back.units.tokenizer is not None
    return str(_tokenizer(back.units.tokenizer).decode([id for id in numbers if id >= 3], skip_special_tokens=False))
