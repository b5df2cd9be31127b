"""Reader of JSON lines: one object per line."""

from __future__ import annotations

from collections.abc import Iterator

from unspool.data.files import decode_json, decode_line, name_of, numbered_lines
from unspool.data.forms.form import Form, FormOptions
from unspool.data.rows import JSON_LINES, Row
from unspool.errors import DataError

__all__ = ["FORM", "read_json_lines"]


def read_json_lines(path: str, options: FormOptions | None = None) -> Iterator[Row | DataError]:
    """Yield one row, or an error, for each JSON object, without blank lines."""
    if options is not None:
        options.layout.files[name_of(path)] = JSON_LINES
    for number, raw in numbered_lines(path):
        if not raw.strip():
            continue
        where = f"{name_of(path)}:{number}"
        try:
            values = decode_json(decode_line(raw, where), where)
        except DataError as error:
            yield error
        else:
            if isinstance(values, dict):
                yield Row(where, values)
            else:
                yield DataError(f'expected a JSON object like {{"text": ...}}, got {type(values).__name__}', where)


FORM = Form(
    name="jsonl",
    suffixes=(".jsonl", ".ndjson", ".json"),
    yields="rows",
    help="a JSON object on each line",
    read=read_json_lines,
)
