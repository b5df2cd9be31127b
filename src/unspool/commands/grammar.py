"""Regular grammars of spoken commands: words, sequences, alternatives, options and slots."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from unspool.commands.english.numbers import number_words
from unspool.commands.tokens import tokenize

__all__ = [
    "Alternatives",
    "Capture",
    "Grammar",
    "Node",
    "Optional",
    "Sequence",
    "Word",
    "any_of",
    "children",
    "phrase",
    "sequence",
    "spoken_words",
]


@dataclass(frozen=True)
class Word:
    """One spoken word, in lower case, without punctuation."""

    text: str


@dataclass(frozen=True)
class Sequence:
    """Parts one after another; an empty one is silence."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Alternatives:
    """One of several parts."""

    options: tuple[Node, ...]


@dataclass(frozen=True)
class Optional:
    """A part that may be left out."""

    part: Node


@dataclass(frozen=True)
class Capture:
    """A part whose words are the value of a slot."""

    slot: str
    part: Node


Node = Word | Sequence | Alternatives | Optional | Capture
"""A part of a grammar. A node never contains itself, so every grammar is finite; nodes may be shared."""


@dataclass(frozen=True)
class Grammar:
    """A finite regular grammar over words."""

    root: Node

    def accepts(self, words: str | Iterable[str]) -> bool:
        """Return whether a sentence belongs to the grammar.

        Args:
            words: The words in lower case, or a text.
        """
        spoken = spoken_words(words) if isinstance(words, str) else tuple(words)
        ends: dict[tuple[int, int], frozenset[int]] = {}
        return len(spoken) in _ends_of(self.root, spoken, 0, ends)

    def captures(self, words: str | Iterable[str]) -> dict[str, str] | None:
        """Return the words of each slot in a sentence, in the first reading that the grammar allows.

        Args:
            words: The words in lower case, or a text.

        Returns:
            Words by slot; None if the sentence does not belong to the grammar.
        """
        spoken = spoken_words(words) if isinstance(words, str) else tuple(words)
        ends: dict[tuple[int, int], frozenset[int]] = {}
        for end, values in _readings(self.root, spoken, 0, ends):
            if end == len(spoken):
                return dict(values)
        return None

    def sentences(self, limit: int) -> list[str]:
        """List the first sentences of the grammar, each once, at most `limit`."""
        unique = dict.fromkeys(itertools.islice(_expand(self.root), 50 * limit))
        return [" ".join(words) for words in itertools.islice(unique, limit)]

    def sample(self, generator: random.Random) -> str:
        """Return a random sentence."""
        return " ".join(_draw(self.root, generator))

    def vocabulary(self) -> frozenset[str]:
        """Return all words of the grammar."""
        words: set[str] = set()
        waiting, seen = [self.root], {id(self.root)}
        while waiting:
            node = waiting.pop()
            if isinstance(node, Word):
                words.add(node.text)
            for child in children(node):
                if id(child) not in seen:
                    seen.add(id(child))
                    waiting.append(child)
        return frozenset(words)


def children(node: Node) -> tuple[Node, ...]:
    """Return the direct parts of a node."""
    match node:
        case Word():
            return ()
        case Sequence(parts):
            return parts
        case Alternatives(options):
            return options
        case Optional(part) | Capture(_, part):
            return (part,)


def spoken_words(text: str) -> tuple[str, ...]:
    """Return the words of a text as a speech recogniser writes them: lower case, digits in words, no punctuation."""
    words: list[str] = []
    for token in tokenize(text):
        if token.text.isascii() and token.text.isdigit() and len(token.text) <= 15:
            words += number_words(int(token.text)).replace("-", " ").split()
        elif token.text == "%":
            words.append("percent")
        elif token.text[0].isalnum():
            words.append(token.text)
    return tuple(words)


def phrase(text: str) -> Node:
    """Return the node of a fixed text."""
    return sequence(*(Word(word) for word in spoken_words(text)))


def sequence(*parts: Node | str) -> Node:
    """Return parts one after another; texts become words, a single part stands for itself."""
    nodes = tuple(phrase(part) if isinstance(part, str) else part for part in parts)
    return nodes[0] if len(nodes) == 1 else Sequence(nodes)


def any_of(*options: Node | str) -> Node:
    """Return one of several parts; texts become words."""
    nodes = tuple(dict.fromkeys(phrase(option) if isinstance(option, str) else option for option in options))
    return nodes[0] if len(nodes) == 1 else Alternatives(nodes)


def _ends_of(
    node: Node, words: tuple[str, ...], start: int, ends: dict[tuple[int, int], frozenset[int]]
) -> frozenset[int]:
    """Return where a node may end in a sentence that it begins at a place of."""
    key = (id(node), start)
    if key in ends:
        return ends[key]
    match node:
        case Word(text):
            result = frozenset((start + 1,) if start < len(words) and words[start] == text else ())
        case Sequence(parts):
            result = frozenset((start,))
            for part in parts:
                result = frozenset(end for place in result for end in _ends_of(part, words, place, ends))
        case Alternatives(options):
            result = frozenset(end for option in options for end in _ends_of(option, words, start, ends))
        case Optional(part):
            result = _ends_of(part, words, start, ends) | {start}
        case Capture(_, part):
            result = _ends_of(part, words, start, ends)
    ends[key] = result
    return result


def _readings(
    node: Node, words: tuple[str, ...], start: int, ends: dict[tuple[int, int], frozenset[int]]
) -> Iterator[tuple[int, tuple[tuple[str, str], ...]]]:
    """Yield the ends of a node in a sentence, each with the words of its slots."""
    match node:
        case Sequence(parts):
            yield from _in_turn(parts, words, start, ends)
        case Alternatives(options):
            for option in options:
                if _ends_of(option, words, start, ends):
                    yield from _readings(option, words, start, ends)
        case Optional(part):
            yield from _readings(part, words, start, ends)
            yield start, ()
        case Capture(slot, part):
            for end, values in _readings(part, words, start, ends):
                yield end, ((slot, " ".join(words[start:end])), *values)
        case Word():
            for end in _ends_of(node, words, start, ends):
                yield end, ()


def _in_turn(
    parts: tuple[Node, ...], words: tuple[str, ...], start: int, ends: dict[tuple[int, int], frozenset[int]]
) -> Iterator[tuple[int, tuple[tuple[str, str], ...]]]:
    if not parts:
        yield start, ()
        return
    for place, first in _readings(parts[0], words, start, ends):
        if len(parts) == 1 or _ends_of(parts[1], words, place, ends):
            for end, rest in _in_turn(parts[1:], words, place, ends):
                yield end, (*first, *rest)


def _expand(node: Node) -> Iterator[tuple[str, ...]]:
    match node:
        case Word(text):
            yield (text,)
        case Sequence(parts):
            yield from _product(parts)
        case Alternatives(options):
            for option in options:
                yield from _expand(option)
        case Optional(part):
            yield ()
            yield from _expand(part)
        case Capture(_, part):
            yield from _expand(part)


def _product(parts: tuple[Node, ...]) -> Iterator[tuple[str, ...]]:
    if not parts:
        yield ()
        return
    for first in _expand(parts[0]):
        for rest in _product(parts[1:]):
            yield first + rest


def _draw(node: Node, generator: random.Random) -> tuple[str, ...]:
    match node:
        case Word(text):
            return (text,)
        case Sequence(parts):
            return tuple(word for part in parts for word in _draw(part, generator))
        case Alternatives(options):
            return _draw(generator.choice(options), generator)
        case Optional(part):
            return _draw(part, generator) if generator.random() < 0.5 else ()
        case Capture(_, part):
            return _draw(part, generator)
