"""Recipe files of edits: JSON that the command line replays over other texts.

Version 1 of the form::

    {"format": "unspool edits", "version": 1, "edits": ["layer 1 / forget[3,7] = 0 @ 2", {"quantity": "token", ...}]}

An edit is a line of text, or an object as `Edit.record` returns it. Units and tokens count from 1.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from unspool.errors import DataError, UsageError
from unspool.inspection.edits import Edit
from unspool.inspection.result import new_file
from unspool.reading import open_regular, read_file
from unspool.writing import replace_file

__all__ = ["read_recipe", "write_recipe"]

_FORMAT, _VERSION = "unspool edits", 1
_LARGEST = 1 << 24  # maximum bytes of a file to read


def write_recipe(edits: Sequence[Edit], path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write edits to a file of JSON, atomically.

    Args:
        edits: The edits.
        path: The file, in an existing folder.
        overwrite: Whether to replace an existing file.

    Returns:
        The path.

    Raises:
        UsageError: If the folder is missing, or the file exists and `overwrite` is False.
        MachineError: If the file can't be written.
    """
    path = new_file(path, (), "a recipe", overwrite=overwrite)
    record = {"format": _FORMAT, "version": _VERSION, "edits": [edit.record() for edit in edits]}
    replace_file(path, (json.dumps(record, ensure_ascii=True, indent=1, allow_nan=False) + "\n").encode())
    return path


def read_recipe(path: str | os.PathLike[str]) -> tuple[Edit, ...]:
    """Read the edits of a recipe file.

    Raises:
        DataError: If the file is missing, damaged, another format, or of a newer version.
    """
    where = str(path)
    try:
        record = json.loads(read_file(Path(path), most=_LARGEST, open_it=open_regular))
    except FileNotFoundError:
        raise DataError("there is no such file", where=where) from None
    except OSError as error:
        raise DataError(f"can't be read: {error.strerror or error}", where=where) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"is not JSON: {error}", where=where) from error
    if not isinstance(record, dict) or record.get("format") != _FORMAT or not isinstance(record.get("edits"), list):
        raise DataError(f'is no recipe of edits; expected "format": "{_FORMAT}" and a list of "edits"', where=where)
    if record.get("version") != _VERSION:
        raise DataError(
            f"is version {record.get('version')!r}, and this Unspool reads {_VERSION}; update it", where=where
        )
    try:
        return tuple(map(Edit.of, record["edits"]))
    except UsageError as error:
        raise DataError(error.message, where=where) from None
