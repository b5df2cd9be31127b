"""Encoded sounds: standardised feature sequences, their batches, and their augmentation in training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unspool.data import Frames, Labelled
from unspool.data.batches import with_targets

__all__ = ["EncodedSounds", "frames_of"]

Features = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class EncodedSounds:
    """Standardised features of sounds, with their targets."""

    features: Sequence[Features]
    """Features of each sound, (frames, features)."""
    reduction: int
    """Frames for each step after the embedding: n frames give ⌈n / reduction⌉ steps."""
    targets: NDArray[Any] | None = None
    """Label ids, integers (examples,); for several labels, 0 or 1, (examples, labels)."""
    augment: Callable[[Sequence[int], int], list[Features]] | None = None
    """Function that returns the features of examples, by index, with the changes of an epoch, by its number.
    None: training sees the same features in every epoch."""
    epoch_number: int | None = None
    """Epoch whose changes `batch` makes; None: no changes."""

    def __len__(self) -> int:
        return len(self.features)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Steps of each example after the embedding, int64 (examples,)."""
        return np.array([-(-len(each) // self.reduction) for each in self.features], np.int64)

    def in_epoch(self, number: int) -> EncodedSounds:
        """Return the examples as training sees them in an epoch, with augmentation."""
        return self if self.augment is None else replace(self, epoch_number=number)

    def batch(self, indices: NDArray[np.int64]) -> Frames | Labelled:
        """Pad the examples at some indices into one batch; `Labelled` if there are targets."""
        return with_targets(frames_of(self._features(indices.tolist()), self.reduction), self.targets, indices)

    def _features(self, indices: Sequence[int]) -> list[Features]:
        if self.augment is None or self.epoch_number is None:
            return [self.features[index] for index in indices]
        return self.augment(indices, self.epoch_number)


def frames_of(features: Sequence[Features], reduction: int) -> Frames:
    """Pad feature sequences, (frames, features) each, into one batch."""
    counts = np.array([len(each) for each in features], np.int64)
    values = np.zeros((int(counts.max(initial=0)), len(features), features[0].shape[1]), np.float32)
    for place, each in enumerate(features):
        values[: len(each), place] = each
    counted = torch.from_numpy(counts)
    return Frames(torch.from_numpy(values), counted, (counted + reduction - 1) // reduction)
