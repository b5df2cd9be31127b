"""Encoded images with their captions, for batches: each image is encoded once for all of its captions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unspool.data import END, Captioned, Sequences, Tokens

__all__ = ["EncodedCaptions"]


@dataclass(frozen=True, eq=False)
class EncodedCaptions:
    """Encoded images with the units of their captions."""

    images: Any
    """The images, as their input encodes them."""
    captions: Sequences
    """Units of all captions, those of an image side by side."""
    begins: NDArray[np.int64]
    """Index of the first caption of each image, and the number of captions, int64 (images + 1,)."""
    most: int
    """Most captions of an image in a batch."""
    seed: int = 0
    """Seed of the captions of an epoch."""
    epoch: int = 0

    def __len__(self) -> int:
        return len(self.images)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Steps of each image after the embedding, int64 (images,)."""
        lengths: NDArray[np.int64] = self.images.lengths
        return lengths

    def in_epoch(self, number: int) -> EncodedCaptions:
        """Return the images as training sees them in an epoch: with augmentation, and other captions of many."""
        images = self.images.in_epoch(number) if hasattr(self.images, "in_epoch") else self.images
        return replace(self, images=images, epoch=number)

    def batch(self, indices: NDArray[np.int64]) -> Captioned:
        """Put the images at some indices into one batch, with their captions."""
        rows = [self._captions_of(int(index)) for index in indices]
        index = np.repeat(np.arange(len(indices)), list(map(len, rows)))
        target = Tokens(*self.captions.pad(np.concatenate(rows)))
        return Captioned(self.images.batch(indices), target, torch.from_numpy(index))

    def _captions_of(self, index: int) -> NDArray[np.int64]:
        """Return the indices of an image's captions in this epoch."""
        captions = np.arange(self.begins[index], self.begins[index + 1])
        if len(captions) <= self.most:
            return captions
        generator = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 1, self.epoch, index]))
        return np.sort(generator.choice(captions, self.most, replace=False))

    def target_counts(self, size: int) -> NDArray[np.int64]:
        """Count each unit of a vocabulary, one end unit per caption included, (size,)."""
        counts = np.bincount(self.captions.flat, minlength=size)
        counts[END] += len(self.captions)
        return counts
