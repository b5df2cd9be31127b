"""NumPy arrays in files, opened without pickle; imports no torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unspool.errors import DataError

__all__ = ["open_array"]


def open_array(name: str) -> NDArray[Any]:
    """Open a NumPy array of numbers (.npy), mapped into memory.

    Raises:
        DataError: If the file is missing or holds something else.
    """
    try:
        values = np.load(name, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataError("no such file", name) from None
    except (PermissionError, IsADirectoryError) as error:
        raise DataError(f"can't read the file: {error.strerror}", name) from None
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"not a readable NumPy array: {' '.join(str(error).split())[:200]}", name) from None
    if not isinstance(values, np.ndarray):
        raise DataError("an archive of arrays came; expected one array (.npy)", name)
    if values.dtype.kind not in "iuf":
        raise DataError(f"an array of type {values.dtype} came; expected numbers", name)
    return values
