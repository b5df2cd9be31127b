"""Delimiter and header line of a table, found by its content."""

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
_EVEN, _EVEN_ENOUGH = 0.9, 0.7  # share of rows with as many cells as the first; where the usual delimiter is absent

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
"""Words that name columns, in lower case."""

_WORD = re.compile(r"\w+")
_SENTENCE_END = (".", "!", "?", "…", "。", "؟", "?»", '."', '!"')


class Decision(NamedTuple):
    """Whether a table begins with a header line, and why."""

    header: bool
    reason: str


def delimiter_character(name: str) -> str:
    r"""Return the delimiter that a setting names: one character, `tab` or `\t`.

    Raises:
        DataError: If it is none.
    """
    if name.lower() in ("tab", "\\t"):
        return "\t"
    if len(name) != 1 or name in '"\r\n' or name.isalnum():
        raise DataError(f"delimiter = {name!r}: expected one character such as ; or |, or tab")
    return name


def delimiter_name(delimiter: str) -> str:
    """Return how messages call a delimiter."""
    return "tab" if delimiter == "\t" else f"'{delimiter}'"


def csv_rows(lines: Iterator[str], delimiter: str, *, strict: bool = True) -> Iterator[list[str]]:
    """Return the rows of lines in CSV; after a `csv.Error`, the next call goes on with the next line."""
    csv.field_size_limit(LONGEST_LINE)
    return csv.reader(lines, delimiter=delimiter, strict=strict)


def find_delimiter(lines: Sequence[str], usual: str | None, *, quotes: bool) -> str | None:
    """Find the delimiter of a table.

    The usual one stays unless it parts lines unevenly and another parts them evenly.

    Args:
        lines: The first lines, without line ends.
        usual: The delimiter that the file's name promises; None if it promises nothing.
        quotes: Whether cells with the usual delimiter may stand in quotes.

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
    """Whether a blank follows a mark nearly everywhere, as a comma in a sentence."""
    count = sum(line.count(mark) for line in lines)
    return sum(line.count(f"{mark} ") for line in lines) >= _EVEN * count > 0


def _evenness(lines: Sequence[str], delimiter: str, *, quotes: bool) -> float:
    """Share of rows that have as many cells as the first, at least two."""
    if quotes:
        try:
            widths = [len(row) for row in csv_rows(iter([f"{line}\n" for line in lines]), delimiter, strict=False)]
        except csv.Error:
            return 0.0
    else:
        widths = [line.count(delimiter) + 1 for line in lines]
    return widths.count(widths[0]) / len(widths) if widths and widths[0] >= 2 else 0.0


def has_header(rows: Sequence[Sequence[str]]) -> Decision:
    """Tell by content whether the first row of a table holds the names of its columns.

    The first row is a header if its cells look like names, none of them occurs again in its column, and columns
    differ from it in kind: numbers below a word, labels that repeat and are all different from it, longer texts.

    Args:
        rows: The first rows, at least one, each with as many cells.
    """
    first, rest = [cell.strip() for cell in rows[0]], rows[1:]
    columns = [[row[place].strip() for row in rest] for place in range(len(first))]
    named = [cell for cell in first if cell]
    if not named or len(set(map(str.casefold, named))) < len(named) or not all(map(_is_like_a_name, named)):
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
    """Whether a cell is the usual name of a column, `whole` or in `part`; empty if not."""
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
    """In which kinds the first cell differs from the others of its column."""
    filled = [cell for cell in column if cell]
    if not first or len(filled) < 2:
        return
    if all(map(_is_number, filled)):
        yield "numbers"
        return
    counts = Counter(filled)
    if 2 <= len(counts) <= len(filled) / 2 and max(map(len, counts)) <= 60:
        once = sum(count == 1 for count in counts.values())
        chance = (once + 1) / (len(filled) + 1)  # that a label is new, if the first row were data (Good-Turing)
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
