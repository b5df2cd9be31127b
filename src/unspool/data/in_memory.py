"""Data in memory as rows: texts with labels, pairs, dictionaries, arrays and tables."""

from __future__ import annotations

import glob
import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unspool.data.files import Paths, Reader, find_files
from unspool.data.forms import all_forms
from unspool.data.images import FeatureGrid, Picture, image_of
from unspool.data.rows import Row
from unspool.data.sounds import FeatureFrames, Recording, sound_of
from unspool.errors import DataError, UsageError, wording

__all__ = ["DataSource", "Files", "RowsInMemory", "are_files", "reusable", "rows_in_memory"]

_ONE_WORD = re.compile(r"[\w./~:\\-]+", re.ASCII)
_MISSING = ("NAType", "NaTType")  # types of missing values in pandas


class Files(tuple[str, ...]):
    """Paths of data files. A plain list of strings is ambiguous, since it may hold texts."""

    __slots__ = ()


@dataclass(frozen=True)
class RowsInMemory:
    """Examples from Python objects, one row each."""

    rows: tuple[Row | DataError, ...]
    """Rows with places such as `example 3`, and a `DataError` for each bad example, so that `skip_bad` can skip it."""
    sha256: str
    """Hash of the content; equal for equal examples in any form."""

    def reader(self, *, skip_bad: bool = False) -> Reader[Row]:
        """Return a reader of the rows, like that of a file."""
        return Reader(["data in memory"], lambda _: iter(self.rows), skip_bad=skip_bad)


DataSource = Paths | RowsInMemory
"""Source of examples: paths of files, or rows from Python objects."""


def are_files(data: object) -> bool:
    """Return whether data are paths, rather than data in memory.

    A path object is a path, and so is a string without a line break. A list holds paths if one member is a path object
    or an existing file, or if all members look like file names: one word in ASCII, or the suffix of a data file.
    Everything else is data.

    Raises:
        DataError: If a list of strings that look like file names has one that does not exist.
    """
    if isinstance(data, Files | os.PathLike):
        return True
    if isinstance(data, str):
        return "\n" not in data
    if not isinstance(data, list | tuple) or not all(isinstance(each, str | os.PathLike) for each in data):
        return False
    is_path = [isinstance(each, os.PathLike) or _exists(each) for each in data]
    if not any(is_path) and not all(_looks_like_a_file(each) for each in data):
        return False
    try:
        find_files(data)
    except DataError as error:
        if "no such file" not in error.message:
            raise
        hint = "; a list of strings without labels names files; examples in memory are pairs, or texts and labels"
        message = error.message.removeprefix(f"{error.where}: ")
        raise DataError(message + wording("", hint), error.where) from None
    return True


def rows_in_memory(data: Any, labels: Any, names: Sequence[str], *, part: str = "") -> RowsInMemory:
    """Convert examples in Python objects to rows.

    Args:
        data: With `labels`, the inputs. Without, one of: examples, each a tuple or list with a member for each name,
            or a mapping by name; a tuple of lists, one for each name; a mapping of lists; a table of pandas, polars or
            pyarrow. With a single name, texts.
        labels: The last column, as long as `data`; None if `data` holds it.
        names: Names of the columns, the label last.
        part: Prefix of the place of an example in messages: `valid` makes `valid example 3`.

    Raises:
        UsageError: If labels are missing, or either argument is no collection.
        DataError: If the numbers of labels and examples differ, or columns differ in length.
    """
    digest, rows = hashlib.sha256(), []
    for number, example in enumerate(_examples(data, labels, names), 1):
        row = _row(example, names, f"{part} example {number}".lstrip())
        content = str(row) if isinstance(row, DataError) else row.values
        digest.update(json.dumps(content, sort_keys=True, default=lambda value: value.digest).encode())
        rows.append(row)
    return RowsInMemory(tuple(rows), digest.hexdigest())


def reusable(data: Any) -> Any:
    """Convert iterators to lists, also inside a tuple, so that data can be read more than once."""
    if type(data) is tuple:
        return tuple(map(reusable, data))
    return list(data) if isinstance(data, Iterator) else data


def _exists(path: str) -> bool:
    return path == "-" or os.path.exists(path) or ("\n" not in path and glob.has_magic(path) and bool(glob.glob(path)))


def _looks_like_a_file(path: str) -> bool:
    return bool(_ONE_WORD.fullmatch(path)) or os.path.splitext(path.lower())[1] in {
        ".gz",
        *(suffix for form in all_forms() for suffix in form.suffixes),
    }


def _examples(data: Any, labels: Any, names: Sequence[str]) -> Iterator[Any]:
    """Return an iterator over the examples, each with all columns."""
    if labels is not None:
        inputs, targets = _listed(data, names), _listed(labels, names)
        if len(inputs) != len(targets):
            raise DataError(f"{len(inputs)} examples came with {len(targets)} labels; expected one label for each")
        return (_with_label(each, label, names) for each, label in zip(inputs, targets, strict=True))
    if isinstance(data, tuple) and len(data) == len(names) > 1 and all(map(_is_column, data)):
        columns = [_listed(column, names) for column in data]
        if len({len(column) for column in columns}) > 1:
            counts = ", ".join(f"{len(column)} of {name}" for name, column in zip(names, columns, strict=True))
            raise DataError(f"the columns differ in length: {counts}; expected as many of each")
        return zip(*columns, strict=True)
    return iter(_listed(data, names))


def _with_label(example: Any, label: Any, names: Sequence[str]) -> Any:
    if isinstance(example, Mapping):
        return {**example, names[-1]: label}
    return (*example, label) if len(names) > 2 and isinstance(example, list | tuple) else (example, label)


def _is_column(value: Any) -> bool:
    """Return whether a member of a tuple is a column; a tuple is an example."""
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | tuple | Mapping)


def _listed(data: Any, names: Sequence[str]) -> list[Any]:
    """Return a collection as a list; a table gives its rows."""
    if isinstance(data, Mapping):
        return _rows_of_columns({str(name): column for name, column in data.items()})
    if hasattr(data, "columns") and hasattr(data, "iloc"):
        return list(data.to_dict("records"))
    for method in ("to_dicts", "to_pylist"):
        if hasattr(data, method):
            return list(getattr(data, method)())
    if isinstance(data, str | bytes) or not isinstance(data, Iterable):
        what = f"one text ({data[:40]!r})" if isinstance(data, str) else type(data).__name__
        raise UsageError(f"{what} came, expected a collection of examples: {_expected(names)}")
    return list(data)


def _rows_of_columns(columns: Mapping[str, Any]) -> list[Any]:
    if not columns or not all(_is_column(column) or isinstance(column, tuple) for column in columns.values()):
        raise UsageError("a mapping came with values that are no lists; expected a column of values under each name")
    listed = {name: list(column) for name, column in columns.items()}
    if len({len(column) for column in listed.values()}) > 1:
        counts = ", ".join(f"{len(column)} of {name}" for name, column in listed.items())
        raise DataError(f"the columns differ in length: {counts}; expected as many of each")
    return [dict(zip(listed, values, strict=True)) for values in zip(*listed.values(), strict=True)]


def _expected(names: Sequence[str]) -> str:
    """Return advice on the arguments to pass."""
    if len(names) == 1:
        return f"pass a list of texts, or of dictionaries with {names[0]!r}"
    whole = f"pass a list of ({', '.join(names)}) tuples"
    if len(names) > 2:
        return f"{whole}, or of dictionaries with those names"
    columns = ", ".join(name if name.endswith("s") else f"{name}s" for name in names)
    return f"{whole}, or two lists: fit({columns})"


def _row(example: Any, names: Sequence[str], where: str) -> Row | DataError:
    if isinstance(example, str) and len(names) > 1:
        raise UsageError(f"{where} is a text without {names[-1]} ({example[:40]!r}): {_expected(names)}")
    try:
        plain = _plain(example, where)
        if isinstance(plain, dict):
            return Row(where, plain)
        values = [plain] if len(names) == 1 else plain
        if not isinstance(values, list) or len(values) != len(names):
            came = f"has {len(values)} members" if isinstance(values, list) else f"is {type(example).__name__}"
            raise DataError(f"the example {came}; expected {len(names)}: {', '.join(names)}", where)
    except DataError as error:
        return error
    return Row(where, dict(zip(names, values, strict=True)))


def _plain(value: Any, where: str) -> Any:
    """Convert a value to the types of JSON: texts, numbers, lists and objects; None for a missing value."""
    if isinstance(value, str):
        return _text(value, where)
    if value is None or isinstance(value, bool | int | Recording | FeatureFrames | Picture | FeatureGrid):
        return value
    if _is_image(value):
        return image_of(value, where)
    if _is_samples_with_rate(value):
        return sound_of(value, where, longest=math.inf)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, float):
        return None if value != value else float(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(inner, where) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, where) for inner in value]
    if hasattr(value, "tolist"):  # a number or an array of numpy, a tensor
        return _plain(value.tolist(), where)
    if isinstance(value, bytes):
        raise DataError(f"bytes came ({value[:20]!r}); expected text: decode them first", where)
    return None if type(value).__name__ in _MISSING else str(value)


def _is_samples_with_rate(value: Any) -> bool:
    """Return whether a value is a pair of an array of samples and a sample rate."""
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and getattr(value[0], "ndim", 0) in (1, 2)
        and hasattr(value[0], "__array__")
        and isinstance(value[1], int)
    )


def _is_image(value: Any) -> bool:
    """Return whether a value is an array of pixels, or an image of Pillow."""
    if hasattr(value, "getbands"):
        return True
    return getattr(value, "ndim", 0) in (2, 3) and str(value.dtype).rpartition(".")[2] == "uint8"


def _text(value: str, where: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"character {error.start + 1} of {value[:40]!a} is half of a surrogate pair", where) from None
    return str(value)
