"""Sentences with a tag for each token: CoNLL columns, CoNLL-U, and JSON lines of lists."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

from unspool.data.files import (
    Layout,
    Paths,
    Reader,
    decode_line,
    find_files,
    is_stream,
    name_of,
    numbered_lines,
    open_bytes,
    suffix_of,
)
from unspool.data.rows import Row, find_column, read_json_lines
from unspool.errors import DataError, option
from unspool.settings import nearest

__all__ = ["CONLLU_COLUMNS", "Glued", "Sentence", "read_sentences", "sentences_of_rows", "tag_columns"]

CONLLU_COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")

_FORMATS = {
    ".conllu": "conllu",
    ".conll": "conll",
    ".bio": "conll",
    ".iob": "conll",
    ".iob2": "conll",
    ".tsv": "conll",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_WORD_NAMES, _TAG_NAMES = ("form", "tokens", "words", "1"), ("upos", "tags", "labels", "ner_tags", "pos_tags")
_NAMES = {"conll": "columns", "conllu": "CoNLL-U", "jsonl": "JSON lines"}


Glued = tuple[tuple[str, tuple[str, ...]], ...]
"""A stretch of text without blanks: its pieces one after the other, each with the words that it stands for."""


class Sentence(NamedTuple):
    """One sentence; each column has one cell per token.

    CoNLL columns are named `1`, `2`, ...; those of CoNLL-U as in `CONLLU_COLUMNS`; those of JSON by their keys.
    """

    where: str
    columns: dict[str, list[str]]
    glued: tuple[Glued, ...] = ()
    """Of CoNLL-U: where several words stand in the text without a blank between them."""


def read_sentences(
    paths: Paths, *, format: str | None = None, columns: Collection[str] = (), skip_bad: bool = False
) -> Reader[Sentence]:
    """Read tagged sentences; a file whose suffix tells nothing is looked into.

    CoNLL columns are separated by tabs or by blanks, as the first line of the file is; `-DOCSTART-` lines are left
    out, and so are the comments, ranges (`8-9`) and empty nodes (`8.1`) of CoNLL-U.

    Args:
        paths: Files, folders, globs or `-`.
        format: `conll`, `conllu` or `jsonl`, whatever the suffix says.
        columns: The keys wanted from JSON objects; every list of plain values if empty.
        skip_bad: Leave sentences with a bad line out and count them in the reader's `skipped`.

    Raises:
        DataError: If a file is missing, empty or of unknown form; while reading, if a line is bad.
    """
    if format is not None and format not in _FORMATS.values():
        known = sorted(set(_FORMATS.values()))
        raise DataError(f"format {format!r} is none of {', '.join(known)}{nearest(format, known)}")
    readers: dict[str, Callable[[str], Iterator[Sentence | DataError]]] = {
        "conll": _conll,
        "conllu": _conllu,
        "jsonl": partial(_json_lines, wanted=tuple(columns)),
    }

    layout = Layout()

    def read(file: str) -> Iterator[Sentence | DataError]:
        form = format or _FORMATS.get(suffix_of(file)) or _look_into(file)
        layout.files[name_of(file)] = _NAMES[form]
        return readers[form](file)

    return Reader(find_files(paths), read, skip_bad=skip_bad, layout=layout)


def tag_columns(columns: Sequence[str], words: str | None, tags: str | None, where: str) -> tuple[str, str]:
    """Find the columns of words and of tags: those asked for, or else those with a usual name, or the first and last.

    Raises:
        DataError: If one that was asked for is missing, or both are the same.
    """
    first = _usual(columns, _WORD_NAMES, columns[0]) if words is None else find_column(columns, words, where)
    second = _usual(columns, _TAG_NAMES, columns[-1]) if tags is None else find_column(columns, tags, where)
    if first == second:
        raise DataError(
            f"words and tags are both read from column {first!r}; the columns are {', '.join(columns)}", where
        )
    return first, second


def _usual(columns: Sequence[str], usual: Sequence[str], otherwise: str) -> str:
    return next((name for name in usual if name in columns), otherwise)


def sentences_of_rows(rows: Reader[Row], *, lists: Sequence[str] = ()) -> Reader[Sentence]:
    """Read tagged sentences from rows, whose columns are lists with one cell per token.

    Args:
        rows: The rows.
        lists: Columns that must be lists; others that are none are left out.
    """

    def sentence(row: Row) -> Sentence | DataError:
        for name in lists:
            value = row.values.get(name, [])
            if not isinstance(value, list):
                came = f"{type(value).__name__} {value!r:.40}"
                return DataError(f"{name} is {came}; expected a list with one member for each word", row.where)
        return _of_row(row)

    return rows.map(sentence)


def _look_into(path: str) -> str:
    """Tell the form of a file from its beginning."""
    if is_stream(path):
        raise DataError(f"say which form it has: {option('format', 'conll')}", name_of(path))
    with open_bytes(path) as stream:
        lines = stream.peek(1)[: 1 << 16].decode(errors="replace").splitlines()[:200]
    tokens = [line for line in lines if line.strip() and not line.startswith(("-DOCSTART-", "# "))]
    if tokens and tokens[0].lstrip("\ufeff").startswith("{"):
        return "jsonl"
    if tokens and all(line.count("\t") == 9 and line[0].isdigit() for line in tokens[:-1] or tokens):
        return "conllu"
    widths = {len(line.split("\t") if "\t" in line else line.split()) for line in tokens[:-1] or tokens}
    if len(widths) == 1 and min(widths) >= 2:
        return "conll"
    known = ", ".join(_FORMATS)
    raise DataError(
        f"neither the name (expected {known}) nor the content tells the form; say which: {option('format', 'conll')}",
        name_of(path),
    )


Cells = Callable[[str, str], Sequence[str] | None]
"""From a line and where it stands to its cells, or None for a line that holds no token."""
Make = Callable[[str, list[Sequence[str]]], Sentence]
"""From where a sentence begins and the cells of its lines to the sentence."""


def _blocks(path: str, cells_of: Cells, make: Make) -> Iterator[Sentence | DataError]:
    """Gather lines up to a blank one; a bad line makes its whole sentence bad."""
    name = name_of(path)
    rows: list[Sequence[str]] = []
    start, bad = "", None
    for number, raw in numbered_lines(path):
        if raw.isspace() or raw.startswith(b"-DOCSTART-"):
            if rows or bad:
                yield bad or make(start, rows)
            rows, bad = [], None
            continue
        where = f"{name}:{number}"
        try:
            cells = cells_of(decode_line(raw, where), where)
        except DataError as error:
            bad = bad or error
            continue
        if cells is not None:
            start = start if rows else where
            rows.append(cells)
    if rows or bad:
        yield bad or make(start, rows)


def _numbered(where: str, rows: list[Sequence[str]]) -> Sentence:
    names = [str(number) for number in range(1, len(rows[0]) + 1)]
    return Sentence(where, dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


def _conll(path: str) -> Iterator[Sentence | DataError]:
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


def _conllu(path: str) -> Iterator[Sentence | DataError]:
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
    """The stretches of a sentence without blanks that hold several words."""
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


def _json_lines(path: str, wanted: tuple[str, ...]) -> Iterator[Sentence | DataError]:
    for row in read_json_lines(path):
        yield row if isinstance(row, DataError) else _of_row(row, wanted)


def _of_row(row: Row, wanted: tuple[str, ...] = ()) -> Sentence | DataError:
    columns = {
        key: list(map(str, value))
        for key, value in row.values.items()
        if (not wanted or key in wanted)
        and isinstance(value, list)
        and not any(isinstance(v, list | dict) for v in value)
    }
    lengths = {key: len(value) for key, value in columns.items()}
    if not columns:
        keys = ", ".join(islice(row.values, 10))
        expected = 'expected lists, one cell per token, as {"tokens": [...], "tags": [...]}'
        return DataError(f"{expected}, got {keys}", row.where)
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{key} has {length}" for key, length in lengths.items())
        return DataError(f"the lists differ in length: {told}; expected one cell per token in each", row.where)
    return Sentence(row.where, columns)
