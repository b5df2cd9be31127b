r"""Trace files: JSON and npz, which read back bit by bit, CSV, HTML page and SVG picture.

The JSON form, version 1::

    {"format": "unspool trace", "version": 1, "model": "...", "notes": ["..."], "tokens": ["the", ...],
     "prediction": {...}, "arrays": {"layer 1 forward / forget": [[0.73, ...one per unit], ...one per token]}}

With maps, there is also `"maps": {"attention": {"rows": ["die", ...], "columns": ["the", ...], "values":
[[0.93, ...one per column], ...one per row]}}`. For an output text, `"written"` has its tokens, prediction, notes and
arrays in the same form. For an image, `"image"` has its height and width, its pixels as base64 of red, green and blue,
and the box of each token. A non-finite number is the text "nan", "inf" or "-inf".

An npz has the same record without values, but with the `names` of the arrays, as `trace.json`. The values of each array
and map are a float32 `.npy` under its name, so that `numpy.load(path)["layer 1 forward / forget"]` works. A CSV has the
columns `array, position, token, unit, column, value`; for a map, `unit` is the number of the column and `column` its
token. Positions and units count from 1, as on the screen.
"""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from unspool.errors import DataError, MachineError, UnspoolError, UsageError
from unspool.inspection.maps import Map
from unspool.inspection.page import page
from unspool.inspection.picture import picture
from unspool.inspection.result import new_file
from unspool.inspection.shown_image import ShownImage
from unspool.inspection.trace import Array, Trace
from unspool.reading import open_regular, read_file

__all__ = ["FORMATS", "all_numbers", "encode", "names_record", "read_trace", "write_trace"]

_FORMAT, _VERSION = "unspool trace", 1
_HEADER = "trace.json"
_LARGEST = 1 << 30  # maximum bytes of a file to read
_NOT_FINITE = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}


def write_trace(trace: Trace, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a trace atomically, in the form of the file's suffix.

    Args:
        trace: The trace.
        path: A file .json, .npz, .csv, .html or .svg, in an existing folder.
        overwrite: Whether to replace an existing file.

    Returns:
        The path.

    Raises:
        UsageError: If the suffix is unknown, the folder is missing, or the file exists and `overwrite` is False.
        MachineError: If the file can't be written.
    """
    path = new_file(path, tuple(FORMATS), "a trace", overwrite=overwrite)
    _replace(path, FORMATS[path.suffix.lower()](trace))
    return path


def read_trace(path: str | os.PathLike[str]) -> Trace:
    """Read a trace from a file .json or .npz, bit by bit equal to the original.

    Raises:
        UsageError: If the suffix is another.
        DataError: If the file is missing, damaged, another format, or of a newer version.
    """
    path = Path(path)
    readers = {".json": _from_json, ".npz": _from_npz}
    if path.suffix.lower() not in readers:
        raise UsageError(f"{path} can't be read back as a trace; only .json and .npz can")
    try:
        return readers[path.suffix.lower()](read_file(path, most=_LARGEST, open_it=open_regular))
    except FileNotFoundError:
        raise DataError("there is no such file", where=str(path)) from None
    except OSError as error:
        raise DataError(f"can't be read: {error.strerror or error}", where=str(path)) from error
    except UnspoolError as error:
        raise DataError(f"not a trace that can be used: {error.message}", where=str(path)) from error
    except Exception as error:  # json, zipfile, zlib, and numpy, which reads a header as Python source
        raise DataError(f"damaged, or not a trace: {error}", where=str(path)) from error


def _to_json(trace: Trace) -> bytes:
    return encode(_record(trace))


def _record(trace: Trace) -> dict[str, Any]:
    record = _header(trace) | {"arrays": {name: _numbers(array) for name, array in trace.arrays.items()}}
    for name, matrix in trace.maps.items():
        record["maps"][name]["values"] = _numbers(matrix.values)
    if trace.written is not None:
        record["written"] = _record(trace.written)
    return record


def _from_json(content: bytes) -> Trace:
    return _trace(_check_version(json.loads(content)), _json_array)


def _to_npz(trace: Trace) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(zipfile.ZipInfo(_HEADER), encode(names_record(trace)))
        for name, array in all_numbers(trace):
            with file.open(zipfile.ZipInfo(f"{name}.npy"), "w") as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)
    return buffer.getvalue()


def names_record(trace: Trace) -> dict[str, Any]:
    """Return the record of a trace without values, but with the names of the arrays."""
    record = _header(trace) | {"names": list(trace.arrays)}
    if trace.written is not None:
        record["written"] = names_record(trace.written)
    return record


def all_numbers(trace: Trace) -> Iterator[tuple[str, Array]]:
    """Yield the names and values of all arrays and maps, those of the written text included."""
    yield from trace.arrays.items()
    yield from ((name, matrix.values) for name, matrix in trace.maps.items())
    if trace.written is not None:
        yield from all_numbers(trace.written)


def _from_npz(content: bytes) -> Trace:
    with zipfile.ZipFile(io.BytesIO(content)) as file:

        def numbers(record: dict[str, Any], name: str) -> Array:
            with file.open(f"{name}.npy") as entry:
                array: Array = np.lib.format.read_array(entry, allow_pickle=False)
                entry.read()  # to the end, which verifies the checksum
            return array

        return _trace(_check_version(json.loads(file.read(_HEADER))), numbers)


def _to_csv(trace: Trace) -> bytes:
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["array", "position", "token", "unit", "column", "value"])
    for part in (trace, trace.written):
        if part is not None:
            for name, array in part.arrays.items():
                rows.writerows(_cells(name, array, part.tokens, ("",) * array.shape[1]))
            for name, matrix in part.maps.items():
                rows.writerows(_cells(name, matrix.values, matrix.rows, matrix.columns))
    return text.getvalue().encode("utf-8", "backslashreplace")


def _cells(name: str, array: Array, tokens: tuple[str, ...], columns: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    for position, (token, row) in enumerate(zip(tokens, array.astype(str), strict=True), start=1):
        for unit, (column, value) in enumerate(zip(columns, row, strict=True), start=1):
            yield name, position, token, unit, column, value


FORMATS: Mapping[str, Callable[[Trace], bytes]] = {
    ".json": _to_json,
    ".npz": _to_npz,
    ".csv": _to_csv,
    ".html": lambda trace: page(trace).encode("utf-8", "backslashreplace"),
    ".svg": lambda trace: picture(trace).encode("utf-8", "backslashreplace"),
}
"""Writers of the forms, by suffix."""


def _header(trace: Trace) -> dict[str, Any]:
    record: dict[str, Any] = {
        "format": _FORMAT,
        "version": _VERSION,
        "model": trace.model,
        "notes": list(trace.notes),
        "tokens": list(trace.tokens),
        "prediction": dict(trace.prediction),
    }
    if trace.maps:
        sides = {name: {"rows": list(m.rows), "columns": list(m.columns)} for name, m in trace.maps.items()}
        record["maps"] = sides
    if trace.image is not None:
        record["image"] = trace.image.record()
    return record


def encode(record: dict[str, Any]) -> bytes:
    """Return a record as JSON."""
    try:
        return json.dumps(record, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which only an escape can hold
        return json.dumps(record, allow_nan=False).encode()


def _check_version(record: Any) -> dict[str, Any]:
    if not isinstance(record, dict) or record.get("format") != _FORMAT:
        raise ValueError(f'it does not say "format": "{_FORMAT}"')
    if not isinstance(record.get("version"), int) or record["version"] > _VERSION:
        raise ValueError(f"it is version {record.get('version')!r} and this Unspool reads up to {_VERSION}; update it")
    return record


def _trace(record: dict[str, Any], numbers: Callable[[dict[str, Any], str], Array]) -> Trace:
    """Make a trace from a file's record and a function that returns the values of a name."""
    tokens, notes = record["tokens"], record["notes"]
    if not isinstance(tokens, list) or not isinstance(notes, list) or not isinstance(record["prediction"], dict):
        raise ValueError("tokens and notes are lists and the prediction is an object")
    names = record["names"] if "names" in record else list(record["arrays"])
    maps = {name: Map(numbers(record, name), m["rows"], m["columns"]) for name, m in record.get("maps", {}).items()}
    written = record.get("written")
    return Trace(
        tuple(tokens),
        {name: numbers(record, name) for name in names},
        record["prediction"],
        str(record["model"]),
        tuple(map(str, notes)),
        maps,
        None if written is None else _trace(_check_version(written), numbers),
        ShownImage.of_record(record["image"]) if "image" in record else None,
    )


def _numbers(array: Array) -> list[list[Any]]:
    """Return rows of numbers with the fewest digits that read back as the same float32."""
    short = array.astype(str).astype(np.float64)
    numbers: list[list[Any]] = np.where(short.astype(np.float32) == array, short, array.astype(np.float64)).tolist()
    if np.isfinite(array).all():
        return numbers
    return [[value if np.isfinite(value) else str(value) for value in row] for row in numbers]


def _json_array(record: dict[str, Any], name: str) -> Array:
    rows = record["arrays"][name] if name in record["arrays"] else record["maps"][name]["values"]
    return np.array(
        [[_NOT_FINITE[x] if isinstance(x, str) else float(x) for x in row] for row in rows], dtype=np.float32
    )


def _replace(path: Path, content: bytes) -> None:
    """Write a file atomically: into a temporary file beside it, then rename."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:50]}.")
    except OSError as error:
        raise MachineError(f"can't write {path}: {error.strerror or error}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise MachineError(f"can't write {path}: {error.strerror or error}") from error
        raise
