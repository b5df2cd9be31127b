"""Reader of Parquet files, with pyarrow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from unspool.data.files import is_stream, name_of
from unspool.data.forms.form import Form, FormOptions
from unspool.data.rows import Row
from unspool.errors import DataError, MissingExtraError

__all__ = ["FORM", "read_parquet"]

_ROWS = 4096  # of a batch


def read_parquet(path: str) -> Iterator[tuple[str, dict[str, Any] | DataError]]:
    """Yield each row's place with its values by column, or with an error.

    Bytes become text in UTF-8, and times with nanoseconds become text.

    Raises:
        DataError: If the file is damaged, names a column twice or can be read only once.
        MissingExtraError: If pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtraError("reading Parquet", "pyarrow", "parquet") from None
    if is_stream(path):
        raise DataError("Parquet can't be read from standard input or a pipe; name a file", name_of(path))
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise DataError(f"the file names the column {twice[0]!r} twice", path)
            for batch in file.iter_batches(batch_size=_ROWS):
                columns = [_cells(column) for column in batch.columns]
                for row in zip(*columns, strict=True):
                    number += 1
                    where = f"{path}:{number}"
                    yield where, _values(names, row, where)
    except DataError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        message = " ".join(str(error).split())[:200]
        raise DataError(f"not a readable Parquet file, after row {number:,}: {message}", path) from None


def _cells(column: Any) -> list[Any]:
    """Return the values of a column; if that fails, convert one by one, with errors in place of bad values."""
    try:
        values: list[Any] = column.to_pylist()
        return values
    except ValueError:
        return [_cell(scalar) for scalar in column]


def _cell(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError as error:
        return error
    except ValueError:  # a time with nanoseconds, which Python's datetime lacks
        return str(scalar.cast("string")) if hasattr(scalar, "cast") else str(scalar)


def _values(names: list[str], row: tuple[Any, ...], where: str) -> dict[str, Any] | DataError:
    values = {}
    for name, value in zip(names, row, strict=True):
        try:
            plain = value.decode() if isinstance(value, bytes) else value
        except UnicodeDecodeError as error:
            plain = error
        if isinstance(plain, UnicodeDecodeError):
            byte = plain.object[plain.start]
            return DataError(f"column {name!r}: byte 0x{byte:02X} is not UTF-8; expected text in UTF-8", where)
        values[name] = plain
    return values


def _rows(path: str, options: FormOptions) -> Iterator[Row | DataError]:
    options.layout.files[path] = "Parquet"
    for where, values in read_parquet(path):
        yield Row(where, values) if isinstance(values, dict) else values


FORM = Form(
    name="parquet",
    suffixes=(".parquet", ".pq"),
    yields="rows",
    help="a Parquet file (extra `parquet`)",
    read=_rows,
)
