"""Tagged sentences from CoNLL columns, CoNLL-U and JSON lines."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from unspool.data.files import (
    Layout,
    Paths,
    Reader,
    find_files,
    is_stream,
    name_of,
    open_bytes,
)
from unspool.data.forms import Form, FormOptions, Kind, form_by_suffix, form_named, forms_of, suffixes_of
from unspool.data.rows import Row, find_column
from unspool.errors import DataError, option

__all__ = ["CONLLU_COLUMNS", "Glued", "Sentence", "read_sentences", "sentences_of_rows", "tag_columns"]

CONLLU_COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")

_KINDS: tuple[Kind, ...] = ("sentences", "rows")
_WORD_NAMES, _TAG_NAMES = ("form", "tokens", "words", "1"), ("upos", "tags", "labels", "ner_tags", "pos_tags")


Glued = tuple[tuple[str, tuple[str, ...]], ...]
"""A stretch of text without blanks, as its pieces in order, each with the words of the treebank."""


class Sentence(NamedTuple):
    """One sentence; each column has one cell per token.

    The names of columns are `1`, `2`, ... for CoNLL, `CONLLU_COLUMNS` for CoNLL-U, and the keys for JSON.
    """

    where: str
    columns: dict[str, list[str]]
    glued: tuple[Glued, ...] = ()
    """For CoNLL-U: the stretches of several words without a blank between them."""
    comments: Mapping[str, str] = {}
    """Lines above the sentence such as `# intent: play`, by name."""


def read_sentences(
    paths: Paths, *, format: str | None = None, columns: Collection[str] = (), skip_bad: bool = False
) -> Reader[Sentence]:
    """Read tagged sentences, each file by its suffix, or else by its content.

    The first line of a CoNLL file decides whether tabs or blanks separate columns. The reader skips `-DOCSTART-` lines,
    and the comments, ranges (`8-9`) and empty nodes (`8.1`) of CoNLL-U.

    Args:
        paths: Files, folders, globs or `-`.
        format: `conll`, `conllu` or `jsonl`; None: by suffix, or else by content.
        columns: Keys of JSON objects to read; empty: every list of plain values.
        skip_bad: Skip sentences with a bad line and count them in the reader's `skipped`.

    Raises:
        DataError: If a file is missing, empty or of unknown form; while reading, if a line is bad.
    """
    chosen = None if format is None else form_named(format, *_KINDS)
    layout = Layout()
    options = FormOptions(layout=layout)

    def read(file: str) -> Iterator[Sentence | DataError]:
        form = chosen or form_by_suffix(file, *_KINDS) or _form_by_content(file)
        for item in form.read(file, options):
            yield _of_row(item, tuple(columns)) if isinstance(item, Row) else item

    return Reader(find_files(paths), read, skip_bad=skip_bad, layout=layout)


def tag_columns(columns: Sequence[str], words: str | None, tags: str | None, where: str) -> tuple[str, str]:
    """Find the columns of words and of tags: by argument, by a usual name, or else the first and the last.

    Args:
        columns: All names.
        words: Name or number, from 1, of the column of words; None: detect it.
        tags: Name or number, from 1, of the column of tags; None: detect it.
        where: `file:line`, for messages.

    Raises:
        DataError: If a column in the arguments is missing, or both are the same.
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
        lists: Columns that must be lists; other columns that are no lists are ignored.
    """

    def sentence(row: Row) -> Sentence | DataError:
        for name in lists:
            value = row.values.get(name, [])
            if not isinstance(value, list):
                came = f"{type(value).__name__} {value!r:.40}"
                return DataError(f"{name} is {came}; expected a list with one member for each word", row.where)
        return _of_row(row)

    return rows.map(sentence)


def _form_by_content(path: str) -> Form:
    """Detect the form of a file by its beginning."""
    if is_stream(path):
        raise DataError(f"the form of a stream is unknown; name it: {option('format', 'conll')}", name_of(path))
    with open_bytes(path) as stream:
        lines = stream.peek(1)[: 1 << 16].decode(errors="replace").splitlines()[:200]
    tokens = [line for line in lines if line.strip() and not line.startswith(("-DOCSTART-", "# "))]
    if tokens and tokens[0].lstrip("\ufeff").startswith("{"):
        return forms_of(*_KINDS)["jsonl"]
    if tokens and all(line.count("\t") == 9 and line[0].isdigit() for line in tokens[:-1] or tokens):
        return forms_of(*_KINDS)["conllu"]
    widths = {len(line.split("\t") if "\t" in line else line.split()) for line in tokens[:-1] or tokens}
    if len(widths) == 1 and min(widths) >= 2:
        return forms_of(*_KINDS)["conll"]
    expected = ", ".join(suffixes_of("sentences"))
    raise DataError(
        f"the form is unclear from the name (expected {expected}) and from the content; "
        f"name the form: {option('format', 'conll')}",
        name_of(path),
    )


def _of_row(row: Row, keys: tuple[str, ...] = ()) -> Sentence | DataError:
    columns = {
        key: list(map(str, value))
        for key, value in row.values.items()
        if (not keys or key in keys) and isinstance(value, list) and not any(isinstance(v, list | dict) for v in value)
    }
    lengths = {key: len(value) for key, value in columns.items()}
    if not columns:
        came = ", ".join(islice(row.values, 10))
        expected = 'expected lists, one cell per token, as {"tokens": [...], "tags": [...]}'
        return DataError(f"{expected}, got {came}", row.where)
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{key} has {length}" for key, length in lengths.items())
        return DataError(f"the lists differ in length: {counts}; expected one cell per token in each", row.where)
    return Sentence(row.where, columns)
