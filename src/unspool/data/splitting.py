"""Splitting examples into those to train on and those held out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unspool.errors import DataError

__all__ = ["split"]


def split(count: int, fraction: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split `count` examples by lot, as a function of the seed.

    Args:
        count: How many there are, at least 2.
        fraction: The part to hold out, between 0 and 1; at least one example stays on each side.
        seed: Any whole number from 0.

    Returns:
        The places to train on and the places held out, each in ascending order.

    Raises:
        DataError: If there are fewer than two examples.
    """
    if count < 2:
        raise DataError(
            f"{count} example{'s' * (count != 1)} can't be split into training and held-out; expected at least 2"
        )
    held = min(max(round(count * fraction), 1), count - 1)
    order = np.random.default_rng([seed, 0x5B117]).permutation(count)
    return np.sort(order[held:]), np.sort(order[:held])
