"""Encoded images: pixels or features of one size, their batches, and their augmentation in training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unspool.data import Images, Labelled
from unspool.data.batches import with_targets

__all__ = ["EncodedImages"]

_IMAGE = 32  # tokens that an image counts as in `batch_tokens`: 64 images in a batch of the default budget


@dataclass(frozen=True, eq=False)
class EncodedImages:
    """Images of one size, with their targets. They may be decoded when a batch needs them."""

    count: int
    """Number of images."""
    values: Callable[[Sequence[int], int | None], NDArray[Any]]
    """Function that returns the images at some indices as an epoch sees them, (images, height, width, channels): pixels
    or features; None in place of the epoch's number: without augmentation."""
    standardise: Callable[[NDArray[Any]], torch.Tensor]
    """Function from these to standardised values, float32 (images, channels, height, width)."""
    steps: int
    """Steps of each image after the embedding."""
    augments: bool = False
    """Whether epochs differ."""
    targets: NDArray[Any] | None = None
    """Label ids, integers (examples,); for several labels, 0 or 1, (examples, labels)."""
    epoch_number: int | None = None
    """Epoch whose changes `batch` makes; None: no changes."""

    def __len__(self) -> int:
        return self.count

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Length of each image in the batch budget, int64 (examples,): 32 tokens."""
        return np.full(self.count, _IMAGE, np.int64)

    def in_epoch(self, number: int) -> EncodedImages:
        """Return the examples as training sees them in an epoch, with augmentation."""
        return replace(self, epoch_number=number) if self.augments else self

    def batch(self, indices: NDArray[np.int64]) -> Images | Labelled:
        """Return the images at some indices as one batch; `Labelled` if there are targets."""
        images = self.standardise(self.values(indices.tolist(), self.epoch_number))
        return with_targets(Images(images, self.steps), self.targets, indices)
