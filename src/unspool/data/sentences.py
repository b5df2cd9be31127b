"""Sentences with a tag for each token: CoNLL columns, CoNLL-U, and JSON lines of lists."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

from unspool.data.files import Paths, Reader, decode_line, find_files, name_of, numbered_lines, open_bytes, suffix_of
from unspool.data.rows import Row, read_json_lines
from unspool.errors import DataError
from unspool.settings import nearest

__all__ = ["CONLLU_COLUMNS", "Sentence", "read_sentences", "sentences_of_rows"]

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


class Sentence(NamedTuple):
    """One sentence; each column has one cell per token.

    CoNLL columns are named `1`, `2`, ...; those of CoNLL-U as in `CONLLU_COLUMNS`; those of JSON by their keys.
    """

    where: str
    columns: dict[str, list[str]]


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

    def read(file: str) -> Iterator[Sentence | DataError]:
        return readers[format or _FORMATS.get(suffix_of(file)) or _look_into(file)](file)

    return Reader(find_files(paths), read, skip_bad=skip_bad)


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
        f"neither the name (expected {known}) nor the content tells the form; say which, as format=conll", name_of(path)
    )


Cells = Callable[[str, str], Sequence[str] | None]
"""From a line and where it stands to its cells, or None for a line that holds no token."""


def _blocks(path: str, cells_of: Cells, names: Callable[[int], Sequence[str]]) -> Iterator[Sentence | DataError]:
    """Gather lines up to a blank one; a bad line makes its whole sentence bad."""
    name = name_of(path)
    rows: list[Sequence[str]] = []
    start, bad = "", None
    for number, raw in numbered_lines(path):
        if raw.isspace() or raw.startswith(b"-DOCSTART-"):
            if rows or bad:
                yield bad or _sentence(start, rows, names)
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
        yield bad or _sentence(start, rows, names)


def _sentence(where: str, rows: list[Sequence[str]], names: Callable[[int], Sequence[str]]) -> Sentence:
    return Sentence(where, dict(zip(names(len(rows[0])), map(list, zip(*rows, strict=True)), strict=True)))


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

    return _blocks(path, cells_of, lambda count: [str(number) for number in range(1, count + 1)])


def _conllu(path: str) -> Iterator[Sentence | DataError]:
    def cells_of(line: str, where: str) -> Sequence[str] | None:
        if line.startswith("#"):
            return None
        cells = line.split("\t")
        if len(cells) != 10:
            count = f"{len(cells)} column{'s' * (len(cells) != 1)}"
            raise DataError(f"{count}, expected the 10 of CoNLL-U, separated by tabs: {line[:60]!r}", where)
        if cells[0].isdecimal():
            return cells
        if cells[0].replace("-", "", 1).isdecimal() or cells[0].replace(".", "", 1).isdecimal():
            return None
        raise DataError(f"expected a token's number (8, 8-9 or 8.1) in the first column, got {cells[0][:20]!r}", where)

    return _blocks(path, cells_of, lambda count: CONLLU_COLUMNS)


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
