"""Pairs of a source and a target: the columns of a table, or two files that go line by line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from unspool.data.files import Paths, Reader, find_files, suffix_of
from unspool.data.rows import ROW_FORMATS, Header, Row, find_column, read_rows
from unspool.data.text import Line, read_lines
from unspool.errors import DataError
from unspool.settings import nearest

__all__ = ["Pair", "read_pairs"]

_SOURCE_NAMES = ("source", "src", "question", "input", "1")
_TARGET_NAMES = ("target", "tgt", "answer", "output", "2")
_BLANKS = {0x00A0: " ", 0x202F: " ", 0x2007: " "}  # no-break blanks, which writers use or not as they please


class Pair(NamedTuple):
    """A source text, and the target text that it should become."""

    where: str
    source: str
    target: str


def read_pairs(
    paths: Paths,
    *,
    format: str | None = None,
    header: Header = "auto",
    source: str | None = None,
    target: str | None = None,
    skip_bad: bool = False,
) -> Reader[Pair]:
    """Read pairs from tables, or from two parallel files, the source's first.

    Blanks at both ends are dropped, and no-break blanks read as blanks. Two files (or four, ...) whose names are not
    those of tables are parallel: line n of the one goes with line n of the other.

    Args:
        paths: Files, folders, globs or `-`.
        format: `tsv`, `csv`, `jsonl`, `parquet` or `parallel`, whatever the names say.
        header: Whether TSV and CSV begin with column names.
        source: Column of the source: a name, or a number from 1; found by itself if omitted.
        target: Column of the target.
        skip_bad: Leave bad pairs out and count them in the reader's `skipped`.

    Raises:
        DataError: If a file is missing, empty or of unknown form; while reading, if a side is empty or a column is
            missing, or parallel files have different lengths.
    """
    known = sorted({*ROW_FORMATS.values(), "parallel"})
    if format is not None and format not in known:
        raise DataError(f"format {format!r} is none of {', '.join(known)}{nearest(format, known)}")
    files = find_files(paths)
    if format == "parallel" or (format is None and all(suffix_of(file) not in ROW_FORMATS for file in files)):
        return _parallel(files, skip_bad=skip_bad)
    names = {name for name in (*_SOURCE_NAMES, *_TARGET_NAMES, source, target) if name and not name.isdecimal()}
    rows = read_rows(paths, format=format, header=header, names=names, skip_bad=skip_bad)
    return rows.map(lambda row: _pair_of(row, source, target))


def _pair_of(row: Row, source: str | None, target: str | None) -> Pair | DataError:
    columns = list(row.values)
    try:
        if len(columns) < 2:
            raise DataError(f"one column only ({columns[0]}), expected a source and a target", row.where)
        first = find_column(columns, source, row.where) if source else _named(columns, _SOURCE_NAMES, columns[0])
        others = [name for name in columns if name != first]
        second = find_column(columns, target, row.where) if target else _named(others, _TARGET_NAMES, others[0])
        if first == second:
            raise DataError(f"source and target are both read from column {first!r}", row.where)
        return _pair(row.where, _text(row, first), _text(row, second))
    except DataError as error:
        return error


def _named(columns: Sequence[str], wanted: Sequence[str], otherwise: str) -> str:
    lower = {name.casefold(): name for name in columns}
    return next((lower[name] for name in wanted if name in lower), otherwise)


def _text(row: Row, column: str) -> str:
    value: Any = row.values[column]
    if not isinstance(value, str):
        raise DataError(f"column {column!r} holds {type(value).__name__} {value!r:.40}, expected text", row.where)
    return value


def _pair(where: str, source: str, target: str) -> Pair | DataError:
    pair = Pair(where, source.translate(_BLANKS).strip(), target.translate(_BLANKS).strip())
    for side, text in (("source", pair.source), ("target", pair.target)):
        if not text:
            return DataError(f"the {side} is empty; expected a text on both sides, drop the pair or fill it", where)
    return pair


def _parallel(files: Sequence[str], *, skip_bad: bool) -> Reader[Pair]:
    if len(files) % 2:
        raise DataError(
            f"parallel files come in twos, the source's first, and {len(files)} came ({', '.join(files[:4])}); a table "
            f"of pairs is named .tsv, .csv or .jsonl, or its form said, as format=tsv"
        )
    others = dict(zip(files[::2], files[1::2], strict=True))
    return Reader(list(others), lambda file: _side_by_side(file, others[file]), skip_bad=skip_bad)


def _side_by_side(source: str, target: str) -> Iterator[Pair | DataError]:
    counts = [_count(source), _count(target)]
    if counts[0] != counts[1]:
        raise DataError(_unequal(source, target, counts), f"{source}, {target}")
    for ours, theirs in zip_longest(read_lines(source), read_lines(target)):
        yield _pair(ours.where, ours.text, theirs.text)


def _count(path: str) -> int:
    return sum(1 for _ in read_lines(path))


def _unequal(source: str, target: str, counts: Sequence[int]) -> str:
    """What is wrong with parallel files of different lengths, with the first line that looks out of step."""
    message = f"{counts[0]:,} lines go with {counts[1]:,}; parallel files have equally many"
    suspicious = _first_out_of_step(read_lines(source), read_lines(target))
    return message + (f"; the first suspicious pair is line {suspicious}" if suspicious else "")


def _first_out_of_step(ours: Reader[Line], theirs: Reader[Line]) -> int | None:
    """The first line where one side is empty or several times as long as the other, against what came before."""
    for number, (one, other) in enumerate(zip(ours, theirs, strict=False), 1):
        lengths = sorted((len(one.text.split()), len(other.text.split())))
        if (lengths[0] == 0) != (lengths[1] == 0) or lengths[1] > 4 * lengths[0] + 6:
            return number
    return None
