"""Readers of tagged sentences in CoNLL, with any number of columns, and CoNLL-U."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from unspool.data.files import decode_line, name_of, numbered_lines
from unspool.data.forms.form import Form, FormOptions
from unspool.data.sentences import CONLLU_COLUMNS, Glued, Sentence
from unspool.errors import DataError

__all__ = ["FORMS"]

Cells = Callable[[str, str], Sequence[str] | None]
"""Function from a line and its `file:line` to its cells, or None for a line without a token."""
Make = Callable[[str, list[Sequence[str]]], Sentence]
"""Function from the `file:line` of a sentence and the cells of its lines to the sentence."""

_COMMENT = re.compile(r"# ?(intent)\s*[:=]\s*(.*)")  # the comments that a task reads


def _blocks(path: str, cells_of: Cells, make: Make) -> Iterator[Sentence | DataError]:
    """Yield the sentences between blank lines; a bad line makes its whole sentence bad."""
    name = name_of(path)
    rows: list[Sequence[str]] = []
    comments: dict[str, str] = {}
    start, bad = "", None
    for number, raw in numbered_lines(path):
        if raw.isspace() or raw.startswith(b"-DOCSTART-"):
            if rows or bad:
                yield bad or make(start, rows)._replace(comments=comments)
            rows, bad, comments = [], None, {}
            continue
        where = f"{name}:{number}"
        try:
            if raw.startswith(b"#") and (comment := _COMMENT.match(decode_line(raw, where))):
                comments[comment[1]] = comment[2].strip()
                continue
            cells = cells_of(decode_line(raw, where), where)
        except DataError as error:
            bad = bad or error
            continue
        if cells is not None:
            start = start if rows else where
            rows.append(cells)
    if rows or bad:
        yield bad or make(start, rows)._replace(comments=comments)


def _numbered(where: str, rows: list[Sequence[str]]) -> Sentence:
    names = [str(number) for number in range(1, len(rows[0]) + 1)]
    return Sentence(where, dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


def _conll(path: str, options: FormOptions) -> Iterator[Sentence | DataError]:
    options.layout.files[name_of(path)] = "columns"
    first = ""
    width = 0
    tabs = False

    def cells_of(line: str, where: str) -> Sequence[str]:
        nonlocal first, width, tabs
        tabs = tabs if first else "\t" in line
        cells = line.rstrip(" ").split("\t") if tabs else [cell for cell in line.split(" ") if cell]
        if not first:
            first, width = where, len(cells)
        if len(cells) != width:
            by = "tabs" if tabs else "blanks"
            expected = f"expected {width}, separated by {by}, as in {first}"
            raise DataError(f"{len(cells)} column{'s' * (len(cells) != 1)}, {expected}: {line[:60]!r}", where)
        if "" in cells:
            raise DataError(f"column {cells.index('') + 1} is empty: {line[:60]!r}", where)
        return cells

    return _blocks(path, cells_of, _numbered)


def _conllu(path: str, options: FormOptions) -> Iterator[Sentence | DataError]:
    options.layout.files[name_of(path)] = "CoNLL-U"
    ranges: list[Sequence[str]] = []

    def cells_of(line: str, where: str) -> Sequence[str] | None:
        if line.startswith("#"):
            return None
        cells = line.split("\t")
        if len(cells) != 10:
            count = f"{len(cells)} column{'s' * (len(cells) != 1)}"
            raise DataError(f"{count}, expected the 10 of CoNLL-U, separated by tabs: {line[:60]!r}", where)
        if cells[0].isdecimal():
            return cells
        if cells[0].replace("-", "", 1).isdecimal():
            ranges.append(cells)
            return None
        if cells[0].replace(".", "", 1).isdecimal():
            return None
        raise DataError(f"expected a token's number (8, 8-9 or 8.1) in the first column, got {cells[0][:20]!r}", where)

    def make(where: str, rows: list[Sequence[str]]) -> Sentence:
        columns = dict(zip(CONLLU_COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
        glued = tuple(_glued(rows, ranges))
        ranges.clear()
        return Sentence(where, columns, glued)

    return _blocks(path, cells_of, make)


def _glued(rows: list[Sequence[str]], ranges: Sequence[Sequence[str]]) -> Iterator[Glued]:
    """Yield the stretches of a sentence that have several words and no blank."""
    places = {cells[0]: place for place, cells in enumerate(rows)}
    ends = {}
    for cells in ranges:
        first, _, last = cells[0].partition("-")
        if first in places and last in places:
            ends[places[first]] = places[last] + 1, cells
    pieces: list[tuple[str, tuple[str, ...]]] = []
    place = 0
    while place < len(rows):
        end, surface = ends.get(place, (place + 1, rows[place]))
        end = max(end, place + 1)
        pieces.append((surface[1], tuple(cells[1] for cells in rows[place:end])))
        place = end
        if "SpaceAfter=No" not in surface[9] or place == len(rows):
            if len(pieces) > 1 or len(pieces[0][1]) > 1:
                yield tuple(pieces)
            pieces = []


FORMS = (
    Form(
        name="conll",
        suffixes=(".conll", ".bio", ".iob", ".iob2", ".tsv"),
        yields="sentences",
        help="a word on each line, columns separated by tabs or blanks, a blank line between sentences",
        read=_conll,
    ),
    Form(
        name="conllu",
        suffixes=(".conllu",),
        yields="sentences",
        help="CoNLL-U, the ten columns of Universal Dependencies",
        read=_conllu,
    ),
)
