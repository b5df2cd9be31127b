"""Random numbers of an augmentation: they follow from the seed, the epoch and the index of the example.

A resumed training therefore draws the same numbers.
"""

from __future__ import annotations

import numpy as np

__all__ = ["generator_for"]


def generator_for(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Return the generator of one example in one epoch, from a counter-based algorithm.

    Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox).
    """
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, epoch, index]))
