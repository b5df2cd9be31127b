"""Detection of the delimiter and the header line of a table by content."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median
from typing import NamedTuple

from unspool.data.files import LONGEST_LINE
from unspool.errors import DataError

__all__ = ["Decision", "csv_rows", "delimiter_character", "delimiter_name", "find_delimiter", "has_header"]

_DELIMITERS = ("\t", ";", "|", ",")
_EVEN, _EVEN_ENOUGH = (
    0.9,
    0.7,
)  # least share of rows with as many cells as the first; the same if the usual delimiter is absent

_LANGUAGES = "english french german spanish italian dutch portuguese russian chinese japanese deutsch français español"
_COLUMN_NAMES = frozenset(
    f"""
    answer antwort author body category categorie categoría class classe comment commentaire comentario content
    date document emotion etiqueta etichetta fecha feedback frage genre genres headline id index intent key kategorie
    klasse kommentar label labels lang language line message name note number opinion polarity pregunta question
    rating reply response respuesta review réponse score sentence sentiment source speaker split stars stimmung subject
    summary tag tags target text texte texto tweet title titre topic type url user utterance value words {_LANGUAGES}
    """.split()
)
"""Usual names of columns, in lower case."""

_WORD = re.compile(r"\w+")
_SENTENCE_END = (".", "!", "?", "…", "。", "؟", "?»", '."', '!"')


class Decision(NamedTuple):
    """Whether a table begins with a header line, and the reason."""

    header: bool
    reason: str


def delimiter_character(name: str) -> str:
    r"""Return the delimiter of a setting's value: one character, `tab` or `\t`.

    Raises:
        DataError: If the value is no delimiter.
    """
    if name.lower() in ("tab", "\\t"):
        return "\t"
    if len(name) != 1 or name in '"\r\n' or name.isalnum():
        raise DataError(f"delimiter = {name!r}: expected one character such as ; or |, or tab")
    return name


def delimiter_name(delimiter: str) -> str:
    """Return the name of a delimiter for messages."""
    return "tab" if delimiter == "\t" else f"'{delimiter}'"


def csv_rows(lines: Iterator[str], delimiter: str, *, strict: bool = True) -> Iterator[list[str]]:
    """Return an iterator over the rows of lines in CSV; after a `csv.Error`, iteration continues with the next line."""
    csv.field_size_limit(LONGEST_LINE)
    return csv.reader(lines, delimiter=delimiter, strict=strict)


def find_delimiter(lines: Sequence[str], usual: str | None, *, quotes: bool) -> str | None:
    """Find the delimiter of a table.

    The usual delimiter wins unless it gives rows of unequal length and another one gives rows of equal length.

    Args:
        lines: The first lines, without line ends.
        usual: The delimiter of the file's suffix; None if the suffix has none.
        quotes: Whether cells may be in quotes; with a delimiter other than a tab, they always may.

    Returns:
        The delimiter; `usual` where no other fits.
    """
    absent = usual is not None and not any(usual in line for line in lines)
    least = _EVEN_ENOUGH if absent else _EVEN
    marks = [mark for mark in (usual, *_DELIMITERS) if mark is not None]
    shares = {mark: _evenness(lines, mark, quotes=quotes or mark != "\t") for mark in dict.fromkeys(marks)}
    even = [mark for mark, share in shares.items() if share >= (_EVEN if mark == usual else least)]
    if usual in even and (len(even) == 1 or not _is_in_prose(lines, usual)):
        return usual
    return max(even, key=lambda mark: (not _is_in_prose(lines, mark), shares[mark]), default=usual)


def _is_in_prose(lines: Sequence[str], mark: str) -> bool:
    """Return whether a blank follows nearly every mark, like the commas of a sentence."""
    count = sum(line.count(mark) for line in lines)
    return sum(line.count(f"{mark} ") for line in lines) >= _EVEN * count > 0


def _evenness(lines: Sequence[str], delimiter: str, *, quotes: bool) -> float:
    """Return the share of rows with as many cells as the first, from 0 to 1; 0 if the first has fewer than two."""
    if quotes:
        try:
            widths = [len(row) for row in csv_rows(iter([f"{line}\n" for line in lines]), delimiter, strict=False)]
        except csv.Error:
            return 0.0
    else:
        widths = [line.count(delimiter) + 1 for line in lines]
    return widths.count(widths[0]) / len(widths) if widths and widths[0] >= 2 else 0.0


def has_header(rows: Sequence[Sequence[str]]) -> Decision:
    """Detect by content whether the first row of a table is a header.

    The first row is a header if its cells look like names, none of them occurs again in its column, and the columns
    differ from them in kind: numbers, labels that repeat, or longer texts.

    Args:
        rows: The first rows, at least one, all with the same number of cells.
    """
    first, rest = [cell.strip() for cell in rows[0]], rows[1:]
    columns = [[row[place].strip() for row in rest] for place in range(len(first))]
    filled = [cell for cell in first if cell]
    if not filled or len(set(map(str.casefold, filled))) < len(filled) or not all(map(_is_like_a_name, filled)):
        return Decision(False, "the first line is no line of names")
    if any(cell and cell in column for cell, column in zip(first, columns, strict=True)):
        return Decision(False, "a value of the first line occurs again")
    names = [_names_a_column(cell) for cell in first]
    if sum(name == "whole" for name in names) >= 2 and any(_words(column) >= 3 for column in columns):
        return Decision(True, "its words name columns")
    evidence = [_difference(cell, column) for cell, column in zip(first, columns, strict=True)]
    kinds = Counter(kind for kinds in evidence for kind in kinds)
    points = 2 * kinds["numbers"] + 2 * kinds["labels"] + kinds["perhaps labels"]
    points += min(kinds["lengths"], 1 + (len(rest) >= 50)) + min(kinds["ends"], 1)
    if points and points + sum(map(bool, names)) >= 2:
        return Decision(True, "the first line differs in kind")
    return Decision(False, "the first line is like the others" if rest else "there is one line only")


def _is_like_a_name(cell: str) -> bool:
    short = len(cell) <= 40 and len(_WORD.findall(cell)) <= 6
    return short and any(map(str.isalpha, cell)) and not _is_number(cell) and not cell.endswith((".", "!", ","))


def _names_a_column(cell: str) -> str:
    """Return `whole` if a cell is a usual name of a column, `part` if one of its words is, else an empty text."""
    words = [word.casefold() for word in _WORD.findall(cell.replace("_", " "))]
    if len(words) == 1 and words[0] in _COLUMN_NAMES:
        return "whole"
    return "part" if len(words) <= 3 and _COLUMN_NAMES.intersection(words) else ""


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _words(column: Sequence[str]) -> float:
    return median(len(cell.split()) for cell in column) if column else 0


def _difference(first: str, column: Sequence[str]) -> Iterator[str]:
    """Yield the kinds of difference between the first cell and the rest of its column."""
    filled = [cell for cell in column if cell]
    if not first or len(filled) < 2:
        return
    if all(map(_is_number, filled)):
        yield "numbers"
        return
    counts = Counter(filled)
    if 2 <= len(counts) <= len(filled) / 2 and max(map(len, counts)) <= 60:
        once = sum(count == 1 for count in counts.values())
        chance = (once + 1) / (len(filled) + 1)  # probability of a new label if the first row were data (Good-Turing)
        if chance <= 0.25:
            yield "labels" if chance <= 0.1 else "perhaps labels"
        return
    usual = _words(filled)
    if len(filled) >= 5 and usual >= 4 and len(first.split()) <= usual / 3 and len(first) < min(map(len, filled)):
        yield "lengths"
    if len(filled) >= 10 and not first.endswith(_SENTENCE_END):
        ended = sum(cell.endswith(_SENTENCE_END) for cell in filled)
        if ended >= _EVEN * len(filled):
            yield "ends"
