"""Fitted state of a captioner: images, vocabulary and the longest caption."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Self

import msgspec
import numpy as np

from unspool.data import Vocabulary
from unspool.inputs.images.fitted import FittedImages
from unspool.inputs.text.fitted import learned_vocabulary
from unspool.reading import read_json
from unspool.tasks.caption.data import CaptionedExamples
from unspool.tasks.caption.encoded import EncodedCaptions
from unspool.tasks.caption.settings import CaptionerSettings
from unspool.tasks.contracts import Fitted
from unspool.writing import replace_file

__all__ = ["AS_GRID", "CaptionLengths", "FittedCaptioner"]

AS_GRID: Any = SimpleNamespace(network="convolutional")
"""Settings of the image encoder's network: convolutions, whose states are the cells of a grid."""

_LONGEST = 1000  # units of a caption; limits what a model folder from others can ask for


class CaptionLengths(msgspec.Struct):
    """Length statistics of the training captions."""

    longest: Annotated[int, msgspec.Meta(ge=1, le=_LONGEST)]
    """Most units of a caption, without the end."""


@dataclass(frozen=True)
class FittedCaptioner(Fitted):
    """Fitted images and the vocabulary of captions."""

    input: FittedImages
    vocabulary: Vocabulary
    lengths: CaptionLengths
    settings: CaptionerSettings

    @classmethod
    def learn(cls, examples: CaptionedExamples, settings: CaptionerSettings) -> Self:
        """Learn the scale of the images and the words; see `Fitted.learn`."""
        vocabulary = learned_vocabulary(chain.from_iterable(examples.captions), settings.vocabulary)
        images = FittedImages.learn(examples.images, ("image",), _as_grid(settings))
        encoded = vocabulary.encode_batch(list(chain.from_iterable(examples.captions)))
        return cls(images, vocabulary, CaptionLengths(int(min(_LONGEST, encoded.lengths.max()))), settings)

    def encode(self, examples: CaptionedExamples, *, every: bool = False) -> EncodedCaptions:
        """Encode images and captions.

        Args:
            examples: The images and captions.
            every: Whether a batch holds every caption of its images, not `data.most_captions` at most.

        Raises:
            DataError: If an image can't be read by this model.
        """
        images = self.input.encode(examples.images, examples.where)
        captions = self.vocabulary.encode_batch(list(chain.from_iterable(examples.captions)))
        begins = np.concatenate([[0], np.cumsum(list(map(len, examples.captions)))]).astype(np.int64)
        most = max(map(len, examples.captions), default=1) if every else self.settings.data.most_captions
        return EncodedCaptions(images, captions, begins, most, self.settings.training.seed)

    def refuse_files(self) -> None:
        """Take no paths as images from now on; see `Fitted.refuse_files`."""
        self.input.refuse_files()

    def save(self, folder: Path) -> None:
        """See `Fitted.save`."""
        self.input.save(folder)
        self.vocabulary.save(folder, "caption")
        replace_file(folder / "lengths.json", msgspec.json.encode(self.lengths) + b"\n")

    @classmethod
    def load(cls, folder: Path, settings: CaptionerSettings) -> Self:
        """See `Fitted.load`."""
        lengths = read_json(folder / "lengths.json", CaptionLengths, "the record of lengths")
        return cls(FittedImages.load(folder, _as_grid(settings)), Vocabulary.load(folder, "caption"), lengths, settings)


def _as_grid(settings: CaptionerSettings) -> Any:
    """Return settings for images that convolutions turn into a grid."""
    return SimpleNamespace(image=settings.image, network=AS_GRID, training=settings.training)
