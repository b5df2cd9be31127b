"""Tokens of a text with their offsets, and the search for values among them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

__all__ = ["Match", "Matcher", "Token", "find_matches", "match_whole", "text_of", "tokenize", "word_at"]

V = TypeVar("V")

_TOKEN = re.compile(r"\d+|[^\W\d_]+(?:['’][^\W\d_]+)*|[^\s]")
_FILLERS = frozenset((
    "about", "around", "approximately", "exactly", "at", "on", "for", "by", "until", "till", "the", "of", "from",
    "please", "just", "like",
))  # fmt: skip
_ENDS = frozenset((".", ",", "!", "?", ";", ":", '"', "'", "’", "please", "now", "then"))


class Token(NamedTuple):
    """A word, a run of digits, or one other character."""

    text: str
    """The token in lower case, with a straight apostrophe."""
    start: int
    """Offset of the first character."""
    end: int
    """Offset after the last character."""
    glued: bool
    """Whether no space stands before the token."""


Match = tuple[int, V]
"""Index after the last token of a value, and the value."""

Matcher = Callable[[list[Token], int], Match[V] | None]
"""Matches a value that begins at a token: the longest one, or None."""


def tokenize(text: str) -> list[Token]:
    """Cut a text into words, runs of digits and single characters."""
    tokens: list[Token] = []
    for place in _TOKEN.finditer(text):
        glued = bool(tokens) and tokens[-1].end == place.start()
        tokens.append(Token(place[0].lower().replace("’", "'"), place.start(), place.end(), glued))
    return tokens


def word_at(tokens: list[Token], index: int) -> str:
    """Return the text of a token, or an empty text outside the list."""
    return tokens[index].text if 0 <= index < len(tokens) else ""


def text_of(tokens: list[Token], text: str, start: int, end: int) -> str:
    """Return the part of a text that some tokens cover."""
    return text[tokens[start].start : tokens[end - 1].end]


def find_matches(text: str, matcher: Matcher[V]) -> Iterator[tuple[int, int, V]]:
    """Find all values in a text, from left to right, without overlap: offsets of start and end, and the value."""
    tokens = tokenize(text)
    index = 0
    while index < len(tokens):
        match = matcher(tokens, index)
        if match is None:
            index += 1
            continue
        end, value = match
        yield tokens[index].start, tokens[end - 1].end, value
        index = end


def match_whole(text: str, matcher: Matcher[V]) -> V | None:
    """Return the value that covers a whole text; None if there is none.

    Fillers before the value and punctuation after it are skipped: `at`, `for`, `about`, `please`.
    """
    tokens = tokenize(text)
    first = 0
    while True:
        match = matcher(tokens, first) if first < len(tokens) else None
        if match is not None and all(token.text in _ENDS for token in tokens[match[0] :]):
            return match[1]
        if word_at(tokens, first) not in _FILLERS:
            return None
        first += 1
