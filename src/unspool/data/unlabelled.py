"""Reader of inputs without labels, for predictions, from files of any form."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from unspool.data.files import Paths, Reader, find_files
from unspool.data.forms import FormOptions, Kind, form_by_suffix, form_named, forms_of
from unspool.data.rows import Row, find_column
from unspool.data.sentences import Sentence, tag_columns
from unspool.data.text import Line
from unspool.errors import DataError

__all__ = ["Unlabelled", "read_unlabelled"]


class Unlabelled(NamedTuple):
    """One input without labels."""

    where: str
    value: Any
    """A text, the list of its words, or the values of a row by column."""

    @property
    def is_blank(self) -> bool:
        """Whether the value is a text without a character other than blanks."""
        return isinstance(self.value, str) and not self.value.strip()


def read_unlabelled(
    paths: Paths,
    *,
    format: str | None = None,
    columns: Sequence[str] = (),
    usual: Collection[str] = (),
    whole_rows: bool = False,
    kinds: Sequence[Kind] = ("lines", "rows", "sentences"),
) -> Reader[Unlabelled]:
    """Read inputs from files of any form, each by its suffix, or as lines of text.

    Args:
        paths: Files, folders, globs or `-`.
        format: Name of the form; None: by suffix, or else plain text.
        columns: The columns of a table that hold the input, joined with blanks.
        usual: Usual names of that column, for tables without `columns`; a table of one column needs neither.
        whole_rows: Yield rows of tables as dictionaries.
        kinds: Kinds of items that the forms may yield, the likeliest first.

    Raises:
        DataError: If a file is missing, empty or of another form; while reading, if a column is missing.
    """
    fixed = None if format is None else form_named(format, *kinds)
    names = frozenset(name.casefold() for name in (*columns, *usual))

    def read(file: str) -> Iterator[Unlabelled | DataError]:
        form = fixed or form_by_suffix(file, *kinds) or forms_of("lines")["text"]
        options = FormOptions(names=names)
        chosen: tuple[str, ...] = ()
        for item in form.read(file, options):
            if isinstance(item, DataError):
                yield item
            elif isinstance(item, Line):
                yield Unlabelled(item.where, item.text)
            elif isinstance(item, Sentence):
                words = tag_columns(list(item.columns), None, None, item.where)[0] if len(item.columns) > 1 else "1"
                yield Unlabelled(item.where, item.columns[words])
            elif whole_rows:
                yield Unlabelled(item.where, item.values)
            else:
                if not chosen or not set(chosen) <= set(item.values):
                    chosen = _columns(item, columns, usual)
                yield Unlabelled(item.where, _text(item, chosen))

    return Reader(find_files(paths), read, skip_bad=None)


def _columns(row: Row, columns: Sequence[str], usual: Collection[str]) -> tuple[str, ...]:
    """Return the columns of the input in a table."""
    if columns and all(name in row.values for name in columns):
        return tuple(columns)
    lower = {name.casefold(): name for name in row.values}
    if name := next((lower[name] for name in usual if name in lower), None):
        return (name,)
    if len(row.values) == 1:
        return tuple(row.values)
    return (find_column(row.values, columns[0] if columns else next(iter(usual), "text"), row.where),)


def _text(row: Row, columns: tuple[str, ...]) -> Any:
    values = [row.values[name] for name in columns]
    if len(values) == 1 and isinstance(values[0], list):
        return [str(word) for word in values[0]]
    texts = [" ".join(map(str, value)) if isinstance(value, list) else str(value or "") for value in values]
    return " ".join(texts)
