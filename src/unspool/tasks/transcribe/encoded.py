"""Encoded sounds with their transcripts, for batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from unspool.data import END, Captioned, Frames, Sequences, Tokens, Transcribed
from unspool.errors import DataError, counted
from unspool.inputs.audio.encoded import EncodedSounds

__all__ = ["EncodedSpeech"]


@dataclass(frozen=True, eq=False)
class EncodedSpeech:
    """Features of sounds, with the units of their transcripts."""

    sounds: EncodedSounds
    transcripts: Sequences
    for_decoder: bool = False
    """Whether batches are those of an encoder–decoder."""

    def __len__(self) -> int:
        return len(self.sounds)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Steps of each sound after the embedding, int64 (sounds,)."""
        return self.sounds.lengths

    def in_epoch(self, number: int) -> EncodedSpeech:
        """Return the sounds as training sees them in an epoch, with augmentation."""
        return replace(self, sounds=self.sounds.in_epoch(number))

    def batch(self, indices: NDArray[np.int64]) -> Transcribed | Captioned:
        """Pad the sounds at some indices into one batch."""
        frames = self.sounds.batch(indices)
        assert isinstance(frames, Frames)
        transcripts = Tokens(*self.transcripts.pad(indices))
        if self.for_decoder:
            return Captioned(frames, transcripts, torch.arange(len(indices)))
        return Transcribed(frames, transcripts)

    def target_counts(self, size: int) -> NDArray[np.int64]:
        """Count each unit of a vocabulary, one end unit per transcript included, (size,)."""
        counts = np.bincount(self.transcripts.flat, minlength=size)
        counts[END] += len(self.transcripts)
        return counts

    def refuse_short_sounds(self, where: Sequence[str]) -> None:
        """Refuse sounds with fewer steps than their transcripts need: one a unit, and one between equal units.

        Raises:
            DataError: If a sound is too short; the message holds its place.
        """
        for place, (units, steps) in enumerate(zip(self.transcripts, self.lengths.tolist(), strict=True)):
            needed = len(units) + int((units[1:] == units[:-1]).sum())
            if steps < needed:
                raise DataError(
                    f"the sound has {counted(steps, 'steps')}, and its transcript needs {needed}: the transcript is "
                    f"too long for the sound, or the strides of the network are too large",
                    where[place],
                )
