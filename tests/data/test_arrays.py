"""NumPy arrays from files: damage, archives and types that aren't numbers, through every reader of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unspool.data.arrays import open_array
from unspool.data.images import read_image
from unspool.data.rows import read_rows
from unspool.data.sounds import read_sound
from unspool.errors import DataError

READERS: dict[str, Callable[[str], Any]] = {
    "array": open_array,
    "image": read_image,
    "sound": read_sound,
    "rows": lambda name: list(read_rows(name, format="npy")),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_files_that_hold_no_array_of_numbers_are_refused_with_their_name(
    reader: Callable[[str], Any], tmp_path: Path
) -> None:
    files = {name: tmp_path / f"{name}.npy" for name in ("text", "words", "archive", "empty", "pickle")}
    files["text"].write_text("0.5\n1.5\n")
    np.save(files["words"], np.array([["one", "two"]]))
    with files["archive"].open("wb") as file:
        np.savez(file, np.ones((2, 3)))
    files["empty"].write_bytes(b"")
    np.save(files["pickle"], np.array([{"a": 1}], object), allow_pickle=True)
    expected = {
        "text": "not a readable NumPy array",
        "words": "an array of type <U3 came; expected numbers",
        "archive": "an archive of arrays came; expected one array",
        "empty": "not a readable NumPy array|the file is empty",
        "pickle": "not a readable NumPy array",
    }
    for name, message in expected.items():
        with pytest.raises(DataError, match=message) as caught:
            reader(str(files[name]))
        assert caught.value.where == str(files[name])


def test_an_array_is_mapped_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "whole.npy"
    np.save(path, np.arange(6, dtype=np.int16).reshape(2, 3))
    values = open_array(str(path))
    assert isinstance(values, np.memmap)
    assert values.tolist() == [[0, 1, 2], [3, 4, 5]]
