"""Labellings: a property of a text at every token, such as bracket depth, inside quotes, or a column of a tag file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unspool.data.brackets import code_depths, comments, depths
from unspool.errors import DataError, UsageError
from unspool.settings import nearest

__all__ = [
    "PROPERTIES",
    "Kind",
    "Labelling",
    "Passage",
    "Targets",
    "brushed",
    "column",
    "function",
    "property_named",
    "regex",
    "targets_of",
    "usable_targets",
]

Kind = Literal["numeric", "binary", "categorical"]
Values = NDArray[Any]

_QUOTED = re.compile(r"\"(?:\\.|[^\"\\\n]|\n(?!\n))*\"|“[^”]*”", re.S)
_CLOSING = "closing bracket"
_MOST_CLASSES = 20
_FEWEST = 10  # positions with and without a class, in each part of the data


@dataclass(frozen=True, eq=False)
class Passage:
    """A text with the places of its tokens, and the columns of its file.

    Args:
        text: The text.
        spans: First character of each token and the character after its last, int64 (tokens, 2).
        words: The same of the words of a tag file, int64 (words, 2).
        columns: Columns of a tag file by name, each with one cell per word.
        values: Columns of a table by name, each with one cell for the whole passage.
    """

    text: str
    spans: NDArray[np.int64]
    words: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.spans)

    def at_ends(self, characters: Sequence[Any] | Values) -> Values:
        """Return the value of the last character of each token, from one value per character."""
        array = np.asarray(characters)
        return array[np.maximum(self.spans[:, 1] - 1, 0)]


class Labelling(NamedTuple):
    """A property of a text: its value after each token."""

    name: str
    """Name in reports, such as `bracket depth`."""
    values: Callable[[Passage], Values]
    """From a passage to one value per token; None and NaN are places where the property is undefined."""
    kind: Kind | None = None
    """Kind of the values. None: by the values."""
    category: str = "all"
    """Category of next units whose loss shows whether the network uses the property."""


class Targets(NamedTuple):
    """A labelling of all data as numbers."""

    kind: Kind
    names: tuple[str, ...]
    """Name of each target: that of the property, or of each class against the rest."""
    values: NDArray[np.float64]
    """One column per target, (tokens, targets); 0 and 1 for classes; NaN where the property is undefined."""


def _per_character(label: Callable[[str], Any]) -> Callable[[Passage], Values]:
    return lambda passage: passage.at_ends(label(passage.text))


def _inside_quotes(text: str) -> NDArray[np.bool_]:
    inside = np.zeros(len(text), np.bool_)
    for match in _QUOTED.finditer(text):
        inside[match.start() : match.end() - 1] = True
    return inside


def _in_line(passage: Passage) -> Values:
    """Return the number of tokens since the last line end, from 1; a line end counts to its line."""
    ends = np.flatnonzero(passage.at_ends(list(passage.text)) == "\n") + 1 if passage.text else np.zeros(0, np.int64)
    starts = np.zeros(len(passage), np.int64)
    starts[ends[ends < len(passage)]] = ends[ends < len(passage)]
    return np.arange(len(passage)) - np.maximum.accumulate(starts) + 1


PROPERTIES: dict[str, tuple[str, Labelling]] = {
    "depth": (
        "number of open brackets",
        Labelling("bracket depth", _per_character(depths), "numeric", _CLOSING),
    ),
    "code-depth": (
        "number of open brackets of C code, without those in comments and strings",
        Labelling("bracket depth of code", _per_character(code_depths), "numeric", _CLOSING),
    ),
    "code-parentheses": (
        "the same of parentheses alone",
        Labelling("parentheses of code", _per_character(lambda text: code_depths(text, "(")), "numeric", _CLOSING),
    ),
    "code-braces": (
        "the same of braces alone",
        Labelling("braces of code", _per_character(lambda text: code_depths(text, "{")), "numeric", _CLOSING),
    ),
    "quotes": (
        "inside double quotation marks",
        Labelling("inside quotes", _per_character(_inside_quotes), "binary", "quote"),
    ),
    "comment": ("inside a comment of C code", Labelling("inside a comment", _per_character(comments), "binary")),
    "line-position": ("tokens since the line start", Labelling("position in the line", _in_line, "numeric", "newline")),
}
"""Built-in properties by name, each with a description."""


def property_named(name: str) -> Labelling:
    """Return a built-in property.

    Raises:
        UsageError: If there is none of that name; the message lists all.
    """
    if name not in PROPERTIES:
        hint = nearest(name, PROPERTIES) or f"; there are {', '.join(PROPERTIES)}"
        raise UsageError(f"there is no property {name!r}{hint}")
    return PROPERTIES[name][1]


def regex(pattern: str) -> Labelling:
    """Label the tokens whose last character lies inside a match of a regular expression.

    Raises:
        UsageError: If the expression is invalid.
    """
    try:
        compiled = re.compile(pattern, re.M)
    except re.error as error:
        raise UsageError(f"{pattern!r} is no regular expression: {error}") from None

    def values(text: str) -> NDArray[np.bool_]:
        inside = np.zeros(len(text), np.bool_)
        for match in compiled.finditer(text):
            inside[match.start() : match.end()] = True
        return inside

    return Labelling(f"inside {pattern}", _per_character(values), "binary")


def column(name: str, *, everywhere: bool = False) -> Labelling:
    """Label each token by a column of its file.

    The cell of a tag file belongs to each token of the word. The cell of a table belongs to the last token of the text,
    where the network has read the whole of it.

    Args:
        name: Name of the column; in files without names the number, from 1.
        everywhere: Whether the cell of a table belongs to every token.
    """

    def values(passage: Passage) -> Values:
        if name in passage.columns:
            return _of_words(passage, passage.columns[name])
        if name in passage.values:
            result = np.full(len(passage), None, object)
            result[slice(None) if everywhere else slice(-1, None)] = passage.values[name]
            return result
        names = [*passage.columns, *passage.values]
        hint = nearest(name, names) or f"; there are {', '.join(names) or 'none'}"
        raise DataError(f"these data have no column {name!r}{hint}")

    return Labelling(f"column {name}", values)


def brushed(ranges: Iterable[tuple[int, int]]) -> Labelling:
    """Label tokens that a person marked, against all others.

    Args:
        ranges: First token of each range and the token after its last, from 0, over all data.

    Raises:
        UsageError: If a range is empty or negative, or there is none.
    """
    listed = list(ranges)
    if not listed or any(not 0 <= begin < end for begin, end in listed):
        raise UsageError(f"ranges {listed}: expected pairs of tokens such as (10, 25), the first below the second")

    def values(passage: Passage) -> Values:
        marks = np.zeros(len(passage), np.bool_)
        for begin, end in listed:
            marks[begin:end] = True
        return marks

    return Labelling("brushed tokens", values, "binary")


def function(label: Callable[[str], Iterable[Any]], name: str | None = None) -> Labelling:
    """Label tokens by a function from a text to one value per character or token.

    Args:
        label: Returns numbers, booleans or names; None and NaN are places to leave out. From one value per character,
            a token takes that of its last one.
        name: Name in reports; that of the function if omitted.
    """
    title = name or getattr(label, "__name__", "property").replace("_", " ")

    def values(passage: Passage) -> Values:
        array = np.asarray(list(label(passage.text)))
        if len(array) == len(passage.text):
            return passage.at_ends(array)
        if len(array) == len(passage):
            return array
        raise UsageError(
            f"{title} returned {len(array)} values for a text of {len(passage.text)} characters and {len(passage)} "
            f"tokens; expected one value per character or one per token"
        )

    return Labelling(title, values)


def _of_words(passage: Passage, cells: Sequence[str]) -> Values:
    result = np.full(len(passage), None, object)
    if len(cells):
        last = np.maximum(passage.spans[:, 1] - 1, 0)
        word = np.searchsorted(passage.words[:, 0], last, side="right") - 1
        inside = (word >= 0) & (last < passage.words[word, 1])
        result[inside] = np.asarray(cells, object)[word[inside]]
    return result


def targets_of(labelling: Labelling, passages: Sequence[Passage]) -> Targets:
    """Label all passages, and return the values as numbers.

    A property with two values becomes one target, with more names one target per class against the rest, for the
    most frequent classes.

    Raises:
        DataError: If the property has fewer than two values.
        UsageError: If the labelling returns a wrong number of values.
    """
    parts = [np.asarray(labelling.values(passage), object) for passage in passages]
    values = np.concatenate(parts) if parts else np.zeros(0, object)
    defined = np.array([value is not None and value == value for value in values], np.bool_)
    kind = labelling.kind or _kind_of(values[defined])
    distinct = set(values[defined].tolist())
    if len(distinct) < 2:
        what = f"only the value {next(iter(distinct))!r}" if distinct else "no value"
        raise DataError(f"the property {labelling.name!r} has {what} in these data; expected at least two values")
    if kind == "numeric":
        numbers = np.full((len(values), 1), np.nan)
        numbers[defined, 0] = values[defined].astype(np.float64)
        return Targets(kind, (labelling.name,), numbers)
    counts = {value: int((values[defined] == value).sum()) for value in distinct}
    classes = sorted(counts, key=lambda value: (-counts[value], str(value)))
    if kind == "binary" or len(classes) == 2:
        kind, classes = "binary", [max(classes, key=lambda value: (_truth(value), -counts[value], str(value)))]
    names = [_title(labelling.name, value) for value in classes[:_MOST_CLASSES]]
    columns = np.full((len(values), len(names)), np.nan)
    for place, value in enumerate(classes[:_MOST_CLASSES]):
        columns[defined, place] = values[defined] == value
    return Targets(kind, tuple(names), columns)


def _kind_of(values: Values) -> Kind:
    distinct = set(values.tolist())
    if len(distinct) == 2 or all(isinstance(value, bool | np.bool_) for value in distinct):
        return "binary"
    try:
        values.astype(np.float64)
    except (TypeError, ValueError):
        return "categorical"
    return "numeric"


def _truth(value: Any) -> bool:
    return value in (True, 1, "1", "true", "yes") and not isinstance(value, float)


def _title(name: str, value: Any) -> str:
    return name if _truth(value) else f"{name} = {value}"


def usable_targets(targets: Targets, parts: NDArray[np.int8]) -> Targets:
    """Return the targets whose classes are frequent enough in both parts of the data.

    Args:
        targets: The targets.
        parts: 0 for tokens that select a unit, 1 for held-out tokens, -1 for others, (tokens,).

    Raises:
        DataError: If no target is left.
    """

    def fits(values: NDArray[np.float64]) -> bool:
        inside = [values[(parts == part) & np.isfinite(values)] for part in (0, 1)]
        if targets.kind == "numeric":
            return all(len(each) > _FEWEST and np.ptp(each) > 0 for each in inside)
        return all(min((each == 1).sum(), (each == 0).sum()) >= _FEWEST for each in inside)

    places = [place for place in range(len(targets.names)) if fits(targets.values[:, place])]
    if not places:
        counts = [int((targets.values[parts == part] == 1).any(axis=1).sum()) for part in (0, 1)]
        raise DataError(
            f"{targets.names[0]!r} is too rare in these data: {counts[0]} tokens in the part that selects a unit, "
            f"{counts[1]} in the held-out part; expected at least {_FEWEST} with and without it in each; use more data"
        )
    return Targets(targets.kind, tuple(targets.names[place] for place in places), targets.values[:, places])
