"""Random split of a data set into training and held-out examples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unspool.errors import DataError

__all__ = ["split"]


def split(count: int, fraction: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split `count` examples at random; the same seed gives the same split.

    Args:
        count: Number of examples, at least 2.
        fraction: Held-out fraction, between 0 and 1; each side has at least one example.
        seed: Any whole number from 0.

    Returns:
        Indices of the training examples and of the held-out examples, int64, each ascending.

    Raises:
        DataError: If there are fewer than two examples.
    """
    if count < 2:
        raise DataError(
            f"{count} example{'s' * (count != 1)} can't be split into training and held-out; expected at least 2"
        )
    size = min(max(round(count * fraction), 1), count - 1)
    order = np.random.default_rng([seed, 0x5B117]).permutation(count)
    return np.sort(order[size:]), np.sort(order[:size])
