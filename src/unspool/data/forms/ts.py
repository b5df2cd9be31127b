"""Reader of the series of the UEA and UCR archives (.ts): a labelled series a line, of equal or unequal length."""

from __future__ import annotations

from collections.abc import Iterator

from unspool.data.files import decode_line, numbered_lines
from unspool.data.forms.form import Form, FormOptions
from unspool.data.rows import Row
from unspool.errors import DataError

__all__ = ["FORM"]


def _rows(path: str, options: FormOptions) -> Iterator[Row | DataError]:
    """Yield a row for each series: `series`, a list of steps, each a list of channels, and `label`."""
    labelled, in_data = True, False
    options.layout.files[path] = "series of the UEA archive"
    for number, raw in numbered_lines(path):
        where = f"{path}:{number}"
        try:
            line = decode_line(raw, where).strip()
            if not line or line.startswith("#"):
                continue
            if in_data:
                yield _row(line, labelled, where)
            elif line.lower().startswith("@data"):
                in_data = True
            elif line.lower().startswith("@classlabel"):
                labelled = line.split()[1:2] != ["false"]
            elif line.lower().startswith("@timestamps") and line.split()[1:2] == ["true"]:
                raise DataError("series with time stamps came; expected @timeStamps false", where)
            elif not line.startswith("@"):
                raise DataError(f"{line!r:.40} stands before @data; expected a line that begins with @", where)
        except DataError as error:
            yield error
            if not in_data:
                return


def _row(line: str, labelled: bool, where: str) -> Row:
    *channels, label = line.split(":") if labelled else (*line.split(":"), "")
    if not channels:
        raise DataError("one part came; expected channels and a label with : between", where)
    columns = [
        [None if cell.strip() in ("", "?", "NaN") else cell.strip() for cell in part.split(",")] for part in channels
    ]
    longest = max(map(len, columns))
    padded = [column + [None] * (longest - len(column)) for column in columns]
    return Row(where, {"series": [list(step) for step in zip(*padded, strict=True)], "label": label.strip()})


FORM = Form(
    name="ts",
    suffixes=(".ts",),
    yields="rows",
    help="labelled series, as the UEA and UCR archives have them",
    read=_rows,
)
