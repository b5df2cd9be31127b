"""Reader of NumPy arrays (.npy): a row for each member of the first axis."""

from __future__ import annotations

from collections.abc import Iterator

from unspool.data.files import is_stream, name_of
from unspool.data.forms.form import Form, FormOptions
from unspool.data.rows import Row
from unspool.errors import DataError

__all__ = ["FORM"]


def _rows(path: str, options: FormOptions) -> Iterator[Row | DataError]:
    """Yield a row for each member of the first axis: a number, a column for each number, or a list of lists."""
    if is_stream(path):
        raise DataError("an array can't be read from standard input or a pipe; name a file", name_of(path))
    from unspool.data.arrays import open_array

    array = open_array(path)
    if not 1 <= array.ndim <= 3:
        raise DataError(f"an array of shape {array.shape} came; expected 1 to 3 axes", path)
    options.layout.files[path] = "array of " + " x ".join(map(str, array.shape))
    for number, member in enumerate(array, 1):
        where, plain = f"{path}:{number}", member.tolist()
        if array.ndim == 1:
            yield Row(where, {"1": plain})
        elif array.ndim == 2:
            yield Row(where, {str(place): cell for place, cell in enumerate(plain, 1)})
        else:
            yield Row(where, {"series": plain})


FORM = Form(
    name="npy",
    suffixes=(),  # of a sound's features by default; the task `forecast` chooses this form by the suffix
    yields="rows",
    help="an array of numbers: (steps), (steps, channels), or (series, steps, channels)",
    read=_rows,
)
