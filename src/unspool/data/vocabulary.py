"""Vocabularies of words, characters or subwords: learning, encoding and decoding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self, Unpack

import msgspec
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from unspool.data.examples import Sequences
from unspool.data.units import (
    END,
    LINE,
    NOT_BLANK,
    PADDING,
    SPECIAL,
    UNITS,
    UNKNOWN,
    Flags,
    Units,
    character_table,
    clean,
    code_points,
    dress,
    normalise,
    word_pattern,
)
from unspool.errors import ModelFolderError, SettingError, UsageError
from unspool.reading import read_json, read_part
from unspool.settings import nearest
from unspool.writing import replace_file

__all__ = ["END", "PADDING", "UNKNOWN", "Encoding", "Units", "Vocabulary"]

_SUBWORDS = 8000  # default size of a subword vocabulary
_MOST_COUNTED = 4_000_000  # most distinct words while counting; beyond this, words with a count of 1 are dropped


class Encoding(NamedTuple):
    """A text in units, with their positions."""

    ids: list[int]
    units: list[str]
    """The units as written in the text."""
    offsets: list[tuple[int, int]]
    """Start and end of each unit in the text, in characters; the end is exclusive."""


class Vocabulary:
    """The units of a model and their ids.

    Ids 0, 1 and 2 are always the padding, the unknown unit and the end of a text. There are five kinds of units:

    - `word` splits at white space, and separates letters and digits from punctuation,
    - `blank` splits at white space only,
    - `character` takes each character, with white space,
    - `bpe` and `unigram` take subwords over bytes, with white space, so that no unit is unknown.

    Decoding with the last three restores the exact text. The stored file is a standard `tokenizer.json` of the Hugging
    Face `tokenizers` library, which also learns and applies the subword units.

    Attributes:
        units: The kind of units.
        lowercase: Whether texts are converted to lower case first.
        digits_to_zero: Whether the digits 1 to 9 become 0.
        counts: Occurrences of each unit in the training data; empty for subwords.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        units: Units,
        *,
        lowercase: bool = False,
        digits_to_zero: bool = False,
        counts: Sequence[int] = (),
        stored: str | None = None,
    ) -> None:
        self.units, self.lowercase, self.digits_to_zero = units, lowercase, digits_to_zero
        self.counts = list(counts)
        self._tokenizer = dress(tokenizer, units, lowercase=lowercase, digits_to_zero=digits_to_zero)
        # Reading and writing again changes unigram scores, so `save` writes the stored text itself.
        self._stored = stored
        self._ids: dict[str, int] = self._tokenizer.get_vocab()
        self._names = sorted(self._ids, key=self._ids.__getitem__)
        if tuple(self._names[:3]) != SPECIAL or any(self._ids[name] != id for id, name in enumerate(self._names)):
            raise ModelFolderError("the vocabulary's ids have gaps, or it does not begin with <pad>, <unk>, <eos>")
        self._table = character_table(self._ids) if units == "character" else np.empty(0, np.int32)

    @classmethod
    def learn(
        cls,
        texts: Iterable[str] | Iterable[Sequence[str]],
        *,
        units: Units,
        max_size: int | None = None,
        min_count: int = 1,
        lowercase: bool = False,
        digits_to_zero: bool = False,
    ) -> Self:
        """Build the vocabulary of texts: most frequent units first, ties in the order of characters.

        The same texts give the same vocabulary, except for `unigram`, whose training is not deterministic.

        Args:
            texts: Texts, or sentences as sequences of words, which are not split further. Read once, as a stream.
            units: The kind of units.
            max_size: Most units, with the three special ones; None: no limit, for subwords 8,000.
            min_count: Minimum number of occurrences; rarer units map to the unknown unit (for `bpe`: of merges).
            lowercase: Convert texts to lower case first.
            digits_to_zero: Replace the digits 1 to 9 by 0.

        Raises:
            SettingError: If the kind of units is unknown, or `max_size` is too small for it.
        """
        if units not in UNITS:
            raise SettingError(f"units {units!r} are none of {', '.join(UNITS)}{nearest(units, UNITS)}")
        least = 3 + (256 if units in ("bpe", "unigram") else 1)
        if max_size is not None and max_size < least:
            raise SettingError(f"max_size = {max_size}: a vocabulary of units {units!r} needs at least {least}")
        flags = Flags(lowercase=lowercase, digits_to_zero=digits_to_zero)
        if units in ("bpe", "unigram"):
            stored = _learn_subwords(texts, units, max_size or _SUBWORDS, min_count, **flags).to_str(pretty=True)
            return cls(Tokenizer.from_str(stored), units, **flags, stored=stored)
        counts = _merge(_count(texts, units), units, **flags)
        ends = counts.pop(SPECIAL[END], 0)
        frequent = sorted(name for name in counts if counts[name] >= min_count and name not in SPECIAL)
        frequent.sort(key=lambda name: -counts[name])
        names = [*SPECIAL, *frequent[: None if max_size is None else max_size - 3]]
        numbers = [counts[name] for name in names[3:]]
        tokenizer = Tokenizer(models.WordLevel({name: id for id, name in enumerate(names)}, unk_token="<unk>"))
        return cls(tokenizer, units, **flags, counts=[0, counts.total() - sum(numbers), ends, *numbers])

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"Vocabulary({len(self):,} units: {self.units})"

    def unit(self, id: int) -> str:
        """Return the unit of an id, as stored (subwords: in the byte alphabet of `tokenizers`)."""
        return self._names[id]

    def id(self, unit: str) -> int | None:
        """Return the id of a unit, as stored; None if it is not in the vocabulary."""
        return self._ids.get(unit)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text's units."""
        if self.units in ("word", "blank"):
            return self.encode_words(self._words(self._normal(text)), normal=True)
        if self.units == "character":
            ids: list[int] = self._encode_characters(self._normal(text)).tolist()
            return ids
        return list(self._tokenizer.encode(clean(text), add_special_tokens=False).ids)

    def encode_words(self, words: Iterable[str], *, normal: bool = False) -> list[int]:
        """Return one id for each word.

        Args:
            words: Words, which are not split further.
            normal: Whether case and digits are already normalized.

        Raises:
            UsageError: If the units are subwords, since a word may then have several ids.
        """
        if self.units in ("bpe", "unigram"):
            raise UsageError(f"words need units 'word' or 'blank', this vocabulary has {self.units!r}")
        if not normal and (self.lowercase or self.digits_to_zero):
            words = map(self._normal, words)
        get = self._ids.get
        return [get(word, UNKNOWN) for word in words]

    def encode_batch(self, texts: Iterable[str]) -> Sequences:
        """Return the ids of many texts in compact form; faster than `encode` for each."""
        if self.units == "character":
            return Sequences.of(self._encode_characters(self._normal(text)) for text in texts)
        if self.units in ("bpe", "unigram"):
            return Sequences.of(encoding for chunk in _chunks(texts) for encoding in self._encode_pieces(chunk))
        return Sequences.of(map(self.encode, texts))

    def encode_stream(self, text: str) -> NDArray[np.int32]:
        """Return the ids of a piece of running text, int32 (tokens,).

        For words, each line end becomes the end unit; otherwise a line end is an ordinary character.
        """
        if self.units == "character":
            return self._encode_characters(self._normal(text))
        if self.units in ("bpe", "unigram"):
            pieces = [piece for chunk in _chunks(LINE.findall(text)) for piece in self._encode_pieces(chunk)]
            return np.fromiter(chain.from_iterable(pieces), np.int32)
        words = self._words(self._normal(text).replace("\n", f" {SPECIAL[END]} "))
        get = self._ids.get
        return np.fromiter((get(word, UNKNOWN) for word in words), np.int32, len(words))

    def encode_with_offsets(self, text: str) -> Encoding:
        """Return the ids of a text's units, with the units and their spans in the text."""
        if self.units in ("bpe", "unigram"):
            encoding = self._tokenizer.encode(clean(text), add_special_tokens=False)
            ids, offsets = list(encoding.ids), [(int(begin), int(end)) for begin, end in encoding.offsets]
        elif self.units == "character":
            ids, offsets = [], []
            for place, character in enumerate(text):
                for id in self._encode_characters(self._normal(character)).tolist():
                    ids.append(id)
                    offsets.append((place, place + 1))
        else:
            pattern = word_pattern(text.isascii()) if self.units == "word" else NOT_BLANK
            offsets = [match.span() for match in pattern.finditer(text)]
            ids = self.encode_words(text[begin:end] for begin, end in offsets)
        return Encoding(ids, [text[begin:end] for begin, end in offsets], offsets)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids, without padding; blanks join words, other units are concatenated.

        The end unit is a line end among words. Other units have their own line ends, so the end unit adds nothing.
        """
        numbers = [int(id) for id in ids]
        if self.units in ("word", "blank"):
            lines: list[list[str]] = [[]]
            for id in numbers:
                if id == END:
                    lines.append([])
                elif id != PADDING:
                    lines[-1].append(self._names[id])
            return "\n".join(map(" ".join, lines))
        if self.units == "character":
            return "".join("\ufffd" if id == UNKNOWN else self._names[id] for id in numbers if id not in (PADDING, END))
        return str(self._tokenizer.decode([id for id in numbers if id >= 3], skip_special_tokens=False))

    def tokenizer_json(self) -> str:
        """Return the standard `tokenizer.json` of the vocabulary."""
        return self._stored or str(self._tokenizer.to_str(pretty=True))

    def save(self, folder: Path, name: str = "vocabulary") -> None:
        """Write `name.json`, a standard tokenizer file, and `name.meta.json` into a folder."""
        replace_file(folder / f"{name}.json", self.tokenizer_json().encode())
        meta = _Meta(self.units, self.lowercase, self.digits_to_zero, len(self), self.counts)
        replace_file(folder / f"{name}.meta.json", msgspec.json.encode(meta) + b"\n")

    @classmethod
    def load(cls, folder: Path, name: str = "vocabulary") -> Self:
        """Read the files of `save`.

        Raises:
            ModelFolderError: If a file is missing or damaged.
        """
        path = folder / f"{name}.json"
        meta = read_json(folder / f"{name}.meta.json", _Meta, "the vocabulary")
        flags = Flags(lowercase=meta.lowercase, digits_to_zero=meta.digits_to_zero)
        content = read_part(path)
        try:
            tokenizer = _tokenizer(content, meta.units)
            vocabulary = cls(tokenizer, meta.units, **flags, counts=meta.counts, stored=content.decode())
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # `tokenizers` raises Exception, and its panics derive from BaseException
            raise ModelFolderError(f"{path}: the vocabulary is damaged: {error}") from None
        if len(vocabulary) != meta.size or len(meta.counts) not in (0, meta.size):
            raise ModelFolderError(f"{path}: {len(vocabulary)} units, expected {meta.size}; the vocabulary is damaged")
        return vocabulary

    def _normal(self, text: str) -> str:
        return normalise(text, lowercase=self.lowercase, digits_to_zero=self.digits_to_zero)

    def _words(self, text: str) -> list[str]:
        return text.split() if self.units == "blank" else word_pattern(text.isascii()).findall(text)

    def _encode_characters(self, text: str) -> NDArray[np.int32]:
        return self._table.take(code_points(text), mode="clip")

    def _encode_pieces(self, texts: list[str]) -> list[list[int]]:
        cleaned = [clean(text) for text in texts]
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(cleaned, add_special_tokens=False)]


class _Meta(msgspec.Struct):
    units: Units
    lowercase: bool
    digits_to_zero: bool
    size: int
    counts: list[Annotated[int, msgspec.Meta(ge=0, lt=2**53)]]


class _Stored(msgspec.Struct):
    model: msgspec.Raw


_MODELS = {"bpe": models.BPE, "unigram": models.Unigram}


def _tokenizer(content: bytes, units: Units) -> Tokenizer:
    """Return the tokenizer of a stored file, with its model alone; `dress` adds the rest."""
    model = bytes(msgspec.json.decode(content, type=_Stored).model).decode()
    rest = ("truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder")
    nothing = "".join(f'"{name}": null, ' for name in rest)
    tokenizer = Tokenizer.from_str(f'{{"version": "1.0", {nothing}"added_tokens": [], "model": {model}}}')
    expected = _MODELS.get(units, models.WordLevel)
    if not isinstance(tokenizer.model, expected):
        raise ModelFolderError(f"expected a {expected.__name__} model for units {units!r}")
    return tokenizer


def _chunks(texts: Iterable[str], size: int = 4096) -> Iterator[list[str]]:
    texts = iter(texts)
    while chunk := list(islice(texts, size)):
        yield chunk


def _count(texts: Iterable[str] | Iterable[Sequence[str]], units: Units) -> Counter[str]:
    counts: Counter[str] = Counter()
    codes = np.zeros(0x110000, np.int64)
    for text in texts:
        if isinstance(text, str) and units == "character":
            frequencies = np.bincount(code_points(clean(text)))
            codes[: len(frequencies)] += frequencies
        elif isinstance(text, str):
            counts.update(text.split() if units == "blank" else word_pattern(text.isascii()).findall(text))
            counts[SPECIAL[END]] += max(1, text.count("\n") + (not text.endswith("\n")))
        else:
            counts.update(chain.from_iterable(text) if units == "character" else text)
        if len(counts) > _MOST_COUNTED:
            counts = Counter({name: count for name, count in counts.items() if count > 1})
    for code in np.flatnonzero(codes).tolist():
        counts[chr(code)] += int(codes[code])
    return counts


def _merge(counts: Counter[str], units: Units, **flags: Unpack[Flags]) -> Counter[str]:
    """Return the counts after normalization; a character that becomes several counts for each of them."""
    merged: Counter[str] = Counter()
    for name, count in counts.items():
        normal = normalise(name, **flags)
        for part in normal if units == "character" else (normal,):
            merged[part] += count
    return merged


def _learn_subwords(
    texts: Iterable[str] | Iterable[Sequence[str]], units: Units, size: int, min_count: int, **flags: Unpack[Flags]
) -> Tokenizer:
    lines = (line for text in texts for line in LINE.findall(text if isinstance(text, str) else " ".join(text)))
    common: dict[str, Any] = {
        "vocab_size": size,
        "special_tokens": list(SPECIAL),
        "initial_alphabet": sorted(pre_tokenizers.ByteLevel.alphabet()),
        "show_progress": False,
    }
    if units == "bpe":
        tokenizer = Tokenizer(models.BPE())
        trainer: trainers.Trainer = trainers.BpeTrainer(min_frequency=min_count, **common)
    else:
        tokenizer = Tokenizer(models.Unigram())
        trainer = trainers.UnigramTrainer(unk_token="<unk>", **common)
    tokenizer = dress(tokenizer, units, **flags)
    tokenizer.train_from_iterator(map(clean, lines), trainer)
    return dress(tokenizer, units, **flags)
