"""Text in, inside an ONNX graph, by operators that every build of ONNX Runtime has.

`com.microsoft.Tokenizer` splits by a regular expression or into characters, and `LabelEncoder` looks up ids. Case is
folded character by character: `StringNormalizer` would need a locale of the machine, which phones and containers lack.
"""

from __future__ import annotations

import sys
from functools import cache

import numpy as np

from unspool.data.units import UNKNOWN, normalise
from unspool.ship.onnx.writer import BOOL, INT64, GraphWriter
from unspool.ship.sheet_text import Ngrams, Spelling, TextFront, Units

__all__ = ["BLANKS", "TextEmitter", "takes_text"]

BLANKS = r"\t-\r\x1c-\x20\x{85}\pZ"
"""Python's white space in the regular expressions of RE2."""
_INSIDE = r"[\pL\pM\pN_]+"
_PATTERNS = {
    "word": rf"<(?i:pad|unk|eos)>|{_INSIDE}(?:['’]{_INSIDE})*|[^\pL\pM\pN_{BLANKS}]",
    "blank": rf"[^{BLANKS}]+",
}


def takes_text(front: TextFront) -> bool:
    """Whether an ONNX graph can split texts as a front does; otherwise it takes ids."""
    return front.question is not None or front.units.units in ("word", "blank", "character")


class TextEmitter:
    """Writes the inputs of a program from texts.

    Args:
        writer: Where the nodes go.
        front: The text front.
        text: Name of the texts, (batch,).
    """

    def __init__(self, writer: GraphWriter, front: TextFront, text: str) -> None:
        self.writer, self.front, self.text = writer, front, text
        self._folded: dict[tuple[bool, bool, bool], str] = {(False, False, False): text}
        self._units: dict[tuple[bool, bool, bool], str] = {}
        self._is_split = False

    @classmethod
    def of_words(cls, writer: GraphWriter, front: TextFront, words: str) -> TextEmitter:
        """Return the writer for texts that are split already, (batch, units), padded by empty units."""
        emitter = cls(writer, front, words)
        emitter._units[False, False, False], emitter._is_split = words, True
        return emitter

    def emit(self, names: set[str]) -> dict[str, str]:
        """Write the inputs with some names, time first, and `lengths`; return their names in the graph."""
        write, units = self.writer, self.front.units
        split = self._split(units.lowercase, units.digits_to_zero)
        if self.front.most_units:
            most = write.ints(self.front.most_units)
            split = write.op("Slice", split, write.ints(0), most, write.ints(1))
        inputs = {"ids": write.op("Transpose", self._ids(units, split), perm=[1, 0])}
        present = write.op("Cast", self.present(split), to=INT64)
        counts = write.op("ReduceSum", present, write.ints(1), keepdims=0)
        inputs["lengths"] = write.op("Max", counts, write.constant(np.array(1, np.int64)))
        if "characters" in names and self.front.spelling is not None:
            inputs["characters"] = self._characters(self.front.spelling)
        if "bag" in names and self.front.ngrams is not None:
            inputs["bag"] = self._bag(self.front.ngrams)
        return inputs

    def _ids(self, units: Units, split: str) -> str:
        keys = {name: id for id, name in enumerate(units.names)} | {"": 0}
        return self.looked_up(split, keys, UNKNOWN)

    def looked_up(self, values: str, ids: dict[str, int], default: int) -> str:
        """Write the id of each text, by a table."""
        return self.writer.op(
            "LabelEncoder",
            values,
            domain="ai.onnx.ml",
            keys_strings=list(ids),
            values_int64s=list(ids.values()),
            default_int64=default,
        )

    def present(self, values: str) -> str:
        """Write whether each text is not empty."""
        return self.writer.op("Not", self.writer.op("Equal", values, self.writer.texts("")))

    # ---- splitting -------------------------------------------------------------------------------------------------

    def _split(self, lowercase: bool, digits_to_zero: bool, *, sigma: bool = False) -> str:
        """Write the units of the folded texts, (batch, units), at least one, padded by empty texts."""
        key = lowercase, digits_to_zero, sigma
        if key not in self._units and self._is_split:
            self._units[key] = self._folded_words(*key)
        if key not in self._units:
            pattern = _PATTERNS.get(self.front.units.units)
            self._units[key] = self.at_least_one(self.tokenized(self._fold(*key), pattern))
        return self._units[key]

    def tokenized(self, texts: str, pattern: str | None) -> str:
        """Write units by a regular expression, or characters: one more axis."""
        how = {"separators": [""]} if pattern is None else {"tokenexp": pattern}
        return self.writer.op("Tokenizer", texts, domain="com.microsoft", mark=0, mincharnum=1, pad_value="", **how)

    def at_least_one(self, values: str) -> str:
        """Add an empty unit to all texts if none has a unit."""
        write = self.writer
        padded = write.op("Concat", values, self.column(values), axis=1)
        size = write.op("Max", write.op("Shape", values, start=1, end=2), write.ints(1))
        return write.op("Slice", padded, write.ints(0), size, write.ints(1))

    def column(self, values: str) -> str:
        """Write a column of empty texts, (batch, 1)."""
        write = self.writer
        shape = write.op("Concat", write.op("Shape", values, start=0, end=1), write.ints(1), axis=0)
        return write.op("Expand", write.texts(""), shape)

    # ---- folding ---------------------------------------------------------------------------------------------------

    def _fold(self, lowercase: bool, digits_to_zero: bool, sigma: bool) -> str:
        """Write texts in lower case, and with digits as 0; with `sigma`, a capital sigma at the end of a word as ς."""
        key = lowercase, digits_to_zero, sigma
        if key not in self._folded:
            characters = self.at_least_one(self.tokenized(self.text, None))
            self._folded[key] = self.joined(self._folded_characters(characters, *key))
        return self._folded[key]

    def _folded_words(self, lowercase: bool, digits_to_zero: bool, sigma: bool) -> str:
        """Write folded words, (batch, words)."""
        write, words = self.writer, self.text
        shape = write.op("Shape", words)
        flat = write.op("Reshape", words, write.ints(-1))
        characters = self.at_least_one(self.tokenized(flat, None))
        joined = self.joined(self._folded_characters(characters, lowercase, digits_to_zero, sigma))
        return write.op("Reshape", joined, shape)

    def _folded_characters(self, characters: str, lowercase: bool, digits_to_zero: bool, sigma: bool = False) -> str:
        folded = self.mapped(characters, _folds(lowercase, digits_to_zero))
        return self._with_final_sigma(characters, folded) if sigma else folded

    def mapped(self, texts: str, changes: dict[str, str]) -> str:
        """Write texts, with those that a table holds replaced."""
        write = self.writer
        changed = write.op(
            "LabelEncoder",
            texts,
            domain="ai.onnx.ml",
            keys_strings=list(changes),
            values_strings=list(changes.values()),
            default_string="",
        )
        return write.op("Where", write.op("Equal", changed, write.texts("")), texts, changed)

    def _with_final_sigma(self, characters: str, folded: str) -> str:
        """Write ς for a capital sigma after a letter that has a case, and not before one."""
        write, end = self.writer, self.writer.ints(np.iinfo(np.int64).max)
        cased = write.op("Cast", self.looked_up(characters, _cased(), 0), to=BOOL)
        no = write.constant(np.array(False))
        around = [write.op("Pad", cased, write.ints(0, *pads), no) for pads in ((1, 0, 0), (0, 0, 1))]
        before = write.op("Slice", around[0], write.ints(0), write.ints(-1), write.ints(1))
        after = write.op("Slice", around[1], write.ints(1), end, write.ints(1))
        final = write.op("And", write.op("Equal", characters, write.texts("Σ")), before)
        final = write.op("And", final, write.op("Not", after))
        return write.op("Where", final, write.texts("ς"), folded)

    def joined(self, characters: str) -> str:
        """Write the texts of characters, (batch, characters) to (batch,): neighbours join, until one is left."""
        write, body = self.writer, self.writer.subgraph()
        p, end = body._prefix, body.ints(np.iinfo(np.int64).max)
        inner = TextEmitter(body, self.front, "")
        padded = body.op("Concat", f"{p}parts", inner.column(f"{p}parts"), axis=1)
        pairs = [
            body.op("Slice", source, body.ints(start), end, body.ints(1), body.ints(2))
            for source, start in ((f"{p}parts", 0), (padded, 1))
        ]
        joined = body.op("StringConcat", *pairs)
        more = body.op("Greater", body.op("Shape", joined, start=1, end=2), body.ints(1))
        go_on = body.op("Squeeze", more, body.ints(0))
        ports = [body.port(f"{p}number", [], "INT64"), body.port(f"{p}before", [], "BOOL")]
        graph = body.body(
            [*ports, body.port(f"{p}parts", ["batch", "parts"], "STRING")],
            [body.port(go_on, [], "BOOL"), body.port(joined, ["batch", "fewer"], "STRING")],
        )
        whole = write.op("Loop", "", write.constant(np.array(True)), characters, body=graph)
        return write.op("Reshape", whole, write.ints(-1))

    # ---- characters of units ---------------------------------------------------------------------------------------

    def _characters(self, spelling: Spelling) -> str:
        """Write the ids of the characters of every unit, (units, batch, characters), padded by 0."""
        write, half = self.writer, spelling.longest // 2
        characters = self.tokenized(self._split(False, False), None)
        keys = {name: id for id, name in enumerate(spelling.names) if len(name) == 1} | {"": 0}
        ids = self.looked_up(characters, keys, UNKNOWN)
        present = write.op("Cast", self.present(characters), to=INT64)
        counts = write.op("ReduceSum", present, write.ints(2), keepdims=1)
        zero, one = (write.constant(np.array(number, np.int64)) for number in (0, 1))
        width = write.op("Min", write.op("Shape", ids, start=2), write.ints(spelling.longest))
        places = write.op("Range", zero, write.op("Squeeze", width), one)  # (characters,)
        late = write.op("GreaterOrEqual", places, write.constant(np.array(half, np.int64)))
        more = write.op("Max", write.op("Sub", counts, write.ints(spelling.longest)), zero)
        shifted = write.op("Add", places, write.op("Where", late, more, zero))
        return write.op("Transpose", write.op("GatherElements", ids, shifted, axis=2), perm=[1, 0, 2])

    # ---- n-grams ---------------------------------------------------------------------------------------------------

    def _bag(self, ngrams: Ngrams) -> str:
        """Write the weight of every entry, (batch, entries)."""
        write = self.writer
        greek = any("σ" in entry or "ς" in entry for entry in ngrams.entries)
        if self.front.units.units == "character":
            words = self._folded_characters(self._written_characters(), True, False)
        else:
            words = self._split(True, False, sigma=greek)
        words = write.op("Slice", words, write.ints(0), write.ints(ngrams.most_words), write.ints(1))
        counts = self._word_counts(ngrams, words)
        if ngrams.longest:
            counts = write.op("Add", counts, self._piece_counts(ngrams, words))
        rarity = write.constant(ngrams.rarity.astype(np.float32)[None], "rarity")
        zero, one = write.number(0.0), write.number(1.0)
        values = write.op("Mul", write.op("Add", write.op("Log", counts), one), rarity)
        values = write.op("Where", write.op("Greater", counts, zero), values, zero)
        is_word = np.array([[entry.startswith(" ") for entry in ngrams.entries]], np.float32)
        both = np.concatenate([is_word, 1 - is_word]).T  # (entries, 2)
        squares = write.op("MatMul", write.op("Mul", values, values), write.constant(both, "groups"))
        norms = write.op("Max", write.op("Sqrt", squares), write.number(1e-12))
        scales = write.op("Gather", write.op("Reciprocal", norms), write.constant(both.argmax(1), "group"), axis=1)
        return write.op("Mul", values, scales)

    def _written_characters(self) -> str:
        """Write the characters of the texts, (batch, characters); one that lowers to two comes twice, as units do."""
        characters, folds = self._split(False, False), _folds(self.front.units.lowercase, False)
        twice = {character: 2 * character for character, small in folds.items() if len(small) > 1}
        if not twice:
            return characters
        return self.at_least_one(self.tokenized(self.joined(self.mapped(characters, twice)), None))

    def _word_counts(self, ngrams: Ngrams, words: str) -> str:
        parts = [_words_of(entry, self.front.units.units) for entry in ngrams.entries]
        keys: dict[str, int] = {}
        pool = [
            (tuple(keys.setdefault(word, len(keys) + 1) for word in each), place)
            for place, each in enumerate(parts)
            if each and len(each) <= ngrams.orders
        ]
        return self._counted(self.looked_up(words, keys, 0), pool, 1, ngrams)

    def _piece_counts(self, ngrams: Ngrams, words: str) -> str:
        write = self.writer
        bounded = write.op("StringConcat", write.op("StringConcat", write.texts("<"), words), write.texts(">"))
        bounded = write.op("Where", self.present(words), bounded, write.texts(""))
        characters = self.tokenized(bounded, None)  # (batch, words, characters)
        of_words = self.front.units.units != "character"
        keys: dict[str, int] = {}
        pool = [
            (tuple(keys.setdefault(character, len(keys) + 1) for character in entry), place)
            for place, entry in enumerate(ngrams.entries)
            if 2 <= len(entry) <= ngrams.longest and not (of_words and entry.startswith(" "))
        ]
        ids = self.looked_up(characters, keys, 0)
        apart = write.op("Pad", ids, write.ints(0, 0, 0, 0, 0, 1), write.constant(np.array(0, np.int64)))
        return self._counted(write.op("Reshape", apart, write.ints(0, -1)), pool, 2, ngrams)

    def _counted(self, ids: str, pool: list[tuple[tuple[int, ...], int]], shortest: int, ngrams: Ngrams) -> str:
        """Write how often each n-gram comes in ids, (batch, entries). The id 0 is in no n-gram."""
        longest = max(shortest, ngrams.orders if shortest == 1 else ngrams.longest)
        never = ((-1,) * shortest, len(ngrams.entries) - 1)  # so that the result has all columns
        ordered = sorted([*pool, never], key=lambda item: len(item[0]))
        sizes = [sum(len(item) * (len(item) < size) for item, _ in ordered) for size in range(1, longest + 1)]
        return self.writer.op(
            "TfIdfVectorizer",
            ids,
            mode="TF",
            min_gram_length=shortest,
            max_gram_length=longest,
            max_skip_count=0,
            ngram_counts=sizes,
            ngram_indexes=[place for _, place in ordered],
            pool_int64s=[id for item, _ in ordered for id in item],
        )


def _words_of(entry: str, units: str) -> list[str]:
    """Return the words of an entry; none if it is a piece of a word."""
    if not entry.startswith(" ") or entry == " ":
        return []
    if units != "character":
        return entry[1:].split(" ")
    words, rest = [], entry[1:]
    while rest:  # a character in lower case may have two code points
        size = 2 if len(rest) == 2 or (len(rest) > 2 and rest[1] != " ") else 1
        words.append(rest[:size])
        rest = rest[size + 1 :]
    return words


@cache
def _folds(lowercase: bool, digits_to_zero: bool) -> dict[str, str]:
    """Return the characters that folding changes, with what they become."""
    folds = {}
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if (lowercase and character.lower() != character) or (digits_to_zero and character in "123456789"):
            folds[character] = normalise(character, lowercase=lowercase, digits_to_zero=digits_to_zero)
    return folds


@cache
def _cased() -> dict[str, int]:
    """Return the characters that have a case."""
    characters = map(chr, range(sys.maxunicode + 1))
    return {c: 1 for c in characters if c.lower() != c or c.upper() != c}
