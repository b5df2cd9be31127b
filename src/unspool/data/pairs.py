"""Source-target pairs for translation, from tables or from two parallel files."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from unspool.data.files import (
    Layout,
    Paths,
    Reader,
    decode_line,
    find_files,
    is_stream,
    name_of,
    numbered_lines,
)
from unspool.data.forms import form_by_suffix, form_named
from unspool.data.rows import JSON_LINES, Header, Row, Side, find_sides, form_by_content, read_rows
from unspool.errors import DataError, option

__all__ = ["Pair", "pairs_of_rows", "read_pairs"]

_SOURCE_NAMES = ("source", "src", "question", "input", "1")
_TARGET_NAMES = ("target", "tgt", "answer", "output", "2")
_BLANKS = {0x00A0: " ", 0x202F: " ", 0x2007: " "}  # no-break blanks, whose use varies between writers


class Pair(NamedTuple):
    """A source text and its target text."""

    where: str
    source: str
    target: str


def read_pairs(
    paths: Paths,
    *,
    format: str | None = None,
    header: Header = "auto",
    delimiter: str | None = None,
    source: str | None = None,
    target: str | None = None,
    columns: Collection[str] = (),
    skip_bad: bool = False,
) -> Reader[Pair]:
    """Read pairs from tables, or from two parallel files, the source's first.

    The reader strips blanks at both ends, and reads no-break blanks as blanks. Two files (or four, ...) without the
    suffix of a table are parallel: line n of the first goes with line n of the second.

    Args:
        paths: Files, folders, globs or `-`.
        format: `tsv`, `csv`, `jsonl`, `parquet` or `parallel`; None: by the file names.
        header: Whether tables of text begin with column names: `auto`, `yes` or `no`.
        delimiter: Delimiter of the cells of tables; None: detect it by content.
        source: Column of the source: a name, or a number from 1; None: detect it.
        target: Column of the target, likewise.
        columns: Columns of other data of the task; a first line with one of these names is a header.
        skip_bad: Skip bad pairs and count them in the reader's `skipped`.

    Raises:
        DataError: If a file is missing, empty or of unknown form; while reading, if a side is empty or a column is
            missing, or parallel files have different lengths.
    """
    if format is not None:
        form_named(format, "rows", more=("parallel",))
    files = find_files(paths)
    in_tables = any(form_by_suffix(file, "rows") for file in files) or (len(files) == 1 and form_by_content(files[0]))
    if format == "parallel" or (format is None and not in_tables):
        return _parallel(files, skip_bad=skip_bad)
    usual = (*_SOURCE_NAMES, *_TARGET_NAMES, source, target, *columns)
    names = {name for name in usual if name and not name.isdecimal()}
    rows = read_rows(paths, format=format, header=header, delimiter=delimiter, names=names, skip_bad=skip_bad)
    return pairs_of_rows(rows, source=source, target=target)


def pairs_of_rows(rows: Reader[Row], *, source: str | None = None, target: str | None = None) -> Reader[Pair]:
    """Read pairs from rows; see `read_pairs`."""
    return rows.map(_Columns(source, target, rows.layout).pair)


class _Columns:
    """The columns of source and target, detected in the first pair of each file."""

    def __init__(self, source: str | None, target: str | None, layout: Layout) -> None:
        self._sides = Side("source", _SOURCE_NAMES, source), Side("target", _TARGET_NAMES, target)
        self._by_file: dict[str, tuple[str, str]] = {}
        self._layout = layout

    def pair(self, row: Row) -> Pair | DataError:
        """Return the pair of a row, or the error of a bad row."""
        file = row.where.rpartition(":")[0]
        if self._layout.files.get(file, JSON_LINES) != JSON_LINES:
            self._choose(file, row)  # all rows of a table have the same columns
        try:
            self._choose(file, row)
            source, target = self._by_file[file]
            return _pair((row.where, row.where), _text(row, source), _text(row, target))
        except DataError as error:
            return error

    def _choose(self, file: str, row: Row) -> None:
        if file not in self._by_file:
            source, target = find_sides(list(row.values), *self._sides, row.where, layout=self._layout.files.get(file))
            self._by_file[file] = source, target
            self._layout.columns |= {"source": source, "target": target}


def _text(row: Row, column: str) -> str:
    if column not in row.values:
        raise DataError(f"there is no column {column!r} here; the columns are {', '.join(row.values)}", row.where)
    value: Any = row.values[column]
    if not isinstance(value, str):
        raise DataError(f"column {column!r} holds {type(value).__name__} {value!r:.40}, expected text", row.where)
    return value


def _pair(where: tuple[str, str], source: str, target: str) -> Pair | DataError:
    pair = Pair(where[0], source.translate(_BLANKS).strip(), target.translate(_BLANKS).strip())
    for side, text, place in (("source", pair.source, where[0]), ("target", pair.target, where[1])):
        if not text:
            return DataError(f"the {side} is empty; expected a text on both sides, drop the pair or fill it", place)
    return pair


def _parallel(files: Sequence[str], *, skip_bad: bool) -> Reader[Pair]:
    if len(files) % 2:
        raise DataError(
            f"expected parallel files in twos, the source's first; {len(files)} came ({', '.join(files[:4])}). A table "
            f"of pairs needs the suffix .tsv, .csv or .jsonl, or {option('format', 'tsv')}"
        )
    if streams := [file for file in files if is_stream(file)]:
        raise DataError(
            "parallel files are read twice, which pipes and standard input do not allow; save it to a file",
            name_of(streams[0]),
        )
    layout = Layout(dict.fromkeys(files, "parallel files"))
    couples = {f"{source}, {target}": (source, target) for source, target in zip(files[::2], files[1::2], strict=True)}
    return Reader(list(couples), lambda couple: _side_by_side(*couples[couple]), skip_bad=skip_bad, layout=layout)


def _side_by_side(source: str, target: str) -> Iterator[Pair | DataError]:
    counts = [sum(1 for _ in numbered_lines(file)) for file in (source, target)]
    if counts[0] != counts[1]:
        raise DataError(_unequal(source, target, counts), f"{source}, {target}")
    for (number, ours), (_, theirs) in zip(numbered_lines(source), numbered_lines(target), strict=True):
        where = f"{source}:{number}", f"{target}:{number}"
        try:
            yield _pair(where, decode_line(ours, where[0]), decode_line(theirs, where[1]))
        except DataError as error:
            yield error


def _unequal(source: str, target: str, counts: Sequence[int]) -> str:
    """Return the message on parallel files of different lengths, with the first line that looks misaligned."""
    message = f"{counts[0]:,} lines go with {counts[1]:,}; parallel files have equally many"
    suspicious = _first_out_of_step(source, target)
    return message + (f"; the first suspicious pair is line {suspicious}" if suspicious else "")


def _first_out_of_step(source: str, target: str) -> int | None:
    """Return the first line at which one side is empty, or many times as long as the other."""
    for (number, ours), (_, theirs) in zip(numbered_lines(source), numbered_lines(target), strict=False):
        lengths = sorted((len(ours.split()), len(theirs.split())))
        if (lengths[0] == 0) != (lengths[1] == 0) or lengths[1] > 4 * lengths[0] + 6:
            return number
    return None
