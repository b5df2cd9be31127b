"""Mini-batches: padded tensors, time first, as models take them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Self, TypeVar, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unspool.data.units import END

__all__ = [
    "IGNORED",
    "Batch",
    "Captioned",
    "Characters",
    "Frames",
    "Images",
    "Labelled",
    "Paired",
    "SeriesWindows",
    "Tokens",
    "Transcribed",
    "Vectors",
    "Window",
    "with_targets",
]

B = TypeVar("B")

IGNORED = -100
"""Target at places without a prediction, which losses and scores ignore."""


@dataclass(frozen=True, slots=True, eq=False)
class Characters:
    """Characters of the words of a batch; each distinct word occurs once."""

    ids: Tensor
    """Character ids of the distinct words, int64 (characters, words), padding 0."""
    lengths: Tensor
    """Characters of each word, int64 (words,), at least 1."""
    index: Tensor
    """Index of the word at each place, int64 (time, batch); 0 in the padding."""

    def to(self, device: torch.device | str) -> Self:
        """Return a copy on a device."""
        return replace(self, ids=self.ids.to(device), lengths=self.lengths.to(device), index=self.index.to(device))


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """Padded sequences of token ids."""

    ids: Tensor
    """int64 (time, batch), padding 0."""
    lengths: Tensor
    """Tokens of each sequence, int64 (batch,), at least 1."""
    characters: Characters | None = None
    """Characters of the words, for models that read them."""

    @property
    def mask(self) -> Tensor:
        """True at tokens, False in the padding, bool (time, batch)."""
        return torch.arange(self.ids.shape[0], device=self.ids.device)[:, None] < self.lengths

    @property
    def size(self) -> int:
        """Number of tokens without padding."""
        return int(self.lengths.sum())

    def to(self, device: torch.device | str) -> Self:
        """Return a copy on a device."""
        characters = self.characters.to(device) if self.characters else None
        return replace(self, ids=self.ids.to(device), lengths=self.lengths.to(device), characters=characters)

    def shard(self, rank: int, world: int) -> Self | None:
        """Return every `world`-th sequence from `rank` on; None if there is none."""
        if rank >= self.ids.shape[1]:
            return None
        characters = self.characters
        if characters:
            characters = replace(characters, index=characters.index[:, rank::world])
        return replace(self, ids=self.ids[:, rank::world], lengths=self.lengths[rank::world], characters=characters)


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """Feature vectors: sequences of one step."""

    values: Tensor
    """float32 (batch, features)."""

    @property
    def lengths(self) -> Tensor:
        """Ones, since each sequence has one step, int64 (batch,)."""
        return torch.ones(len(self.values), dtype=torch.int64, device=self.values.device)

    @property
    def size(self) -> int:
        """Number of vectors."""
        return len(self.values)

    def to(self, device: torch.device | str) -> Self:
        """Return a copy on a device."""
        return replace(self, values=self.values.to(device))

    def shard(self, rank: int, world: int) -> Self | None:
        """Return every `world`-th vector from `rank` on; None if there is none."""
        return None if rank >= len(self.values) else replace(self, values=self.values[rank::world])


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Padded sequences of feature vectors, whose encoder may shorten them."""

    values: Tensor
    """float32 (frames, batch, features), padding 0."""
    frames: Tensor
    """Frames of each sequence, int64 (batch,), at least 1."""
    lengths: Tensor
    """Steps of each sequence after the embedding, whose strides may skip frames, int64 (batch,), at least 1."""

    @property
    def size(self) -> int:
        """Number of steps without padding."""
        return int(self.lengths.sum())

    def to(self, device: torch.device | str) -> Self:
        """Return a copy on a device."""
        return replace(
            self, values=self.values.to(device), frames=self.frames.to(device), lengths=self.lengths.to(device)
        )

    def shard(self, rank: int, world: int) -> Self | None:
        """Return every `world`-th sequence from `rank` on; None if there is none."""
        if rank >= self.values.shape[1]:
            return None
        values = self.values[:, rank::world]
        return replace(self, values=values, frames=self.frames[rank::world], lengths=self.lengths[rank::world])


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """Images of one size, or grids of features."""

    values: Tensor
    """Standardised pixels or features, float32 (batch, channels, height, width)."""
    steps: int
    """Steps of each image after the embedding, such as the cells of a grid, at least 1."""

    @property
    def lengths(self) -> Tensor:
        """Steps of each image after the embedding, int64 (batch,)."""
        return torch.full((len(self.values),), self.steps, dtype=torch.int64, device=self.values.device)

    @property
    def size(self) -> int:
        """Number of images."""
        return len(self.values)

    def to(self, device: torch.device | str) -> Self:
        """Return a copy on a device."""
        return replace(self, values=self.values.to(device))

    def shard(self, rank: int, world: int) -> Self | None:
        """Return every `world`-th image from `rank` on; None if there is none."""
        return None if rank >= len(self.values) else replace(self, values=self.values[rank::world])


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Inputs with their targets."""

    tokens: Any
    """The inputs: `Tokens`, `Vectors`, `Frames` or `Images`."""
    targets: Tensor
    """One label per example: int64 (batch,). Several labels: float32 (batch, labels) of 0 and 1. A tag per token: int64
    (time, batch), `IGNORED` in the padding."""

    @property
    def size(self) -> int:
        """Number of tokens without padding."""
        size: int = self.tokens.size
        return size

    @property
    def per_token(self) -> bool:
        """Whether there is a target for each token."""
        return self.targets.ndim == 2 and not self.targets.is_floating_point()

    def to(self, device: torch.device | str) -> Self:
        """Return a copy on a device."""
        return replace(self, tokens=self.tokens.to(device), targets=self.targets.to(device))

    def shard(self, rank: int, world: int) -> Self | None:
        """Return every `world`-th sequence from `rank` on; None if there is none."""
        tokens = self.tokens.shard(rank, world)
        if tokens is None:
            return None
        targets = self.targets[:, rank::world] if self.per_token else self.targets[rank::world]
        return replace(self, tokens=tokens, targets=targets)


@overload
def with_targets(inputs: Any, targets: NDArray[Any], indices: NDArray[np.int64]) -> Labelled: ...


@overload
def with_targets(inputs: B, targets: NDArray[Any] | None, indices: NDArray[np.int64]) -> B | Labelled: ...


def with_targets(inputs: Any, targets: NDArray[Any] | None, indices: NDArray[np.int64]) -> Any:
    """Return a batch of inputs as `Labelled`; as it is if there are no targets.

    Args:
        inputs: The batch of the examples at `indices`.
        targets: Targets of all examples: label ids, integers (examples,); numbers, floats (examples,); or, for several
            labels, 0 or 1, (examples, labels).
        indices: Examples of the batch.
    """
    if targets is None:
        return inputs
    kind = np.float32 if targets.ndim == 2 or targets.dtype.kind == "f" else np.int64
    return Labelled(inputs, torch.from_numpy(targets[indices].astype(kind)))


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A window of running text in parallel columns, for a language model."""

    inputs: Tensor
    """Token ids, int64 (time, batch); 0 where the target is `IGNORED`."""
    targets: Tensor
    """The token after each input, int64 (time, batch). If the text does not divide evenly, the last step of the last
    window is `IGNORED` in the last columns."""

    @property
    def size(self) -> int:
        """Number of targets that are not `IGNORED`."""
        return int((self.targets != IGNORED).sum())

    def to(self, device: torch.device | str) -> Self:
        """Return a copy on a device."""
        return replace(self, inputs=self.inputs.to(device), targets=self.targets.to(device))

    def shard(self, rank: int, world: int) -> Self | None:
        """Return every `world`-th column from `rank` on; None if there is none."""
        if rank >= self.inputs.shape[1]:
            return None
        return replace(self, inputs=self.inputs[:, rank::world], targets=self.targets[:, rank::world])


@dataclass(frozen=True, slots=True, eq=False)
class SeriesWindows:
    """Windows of series: the steps that a forecast is made from, and the steps to forecast."""

    past: Tensor
    """Values of the look-back, float32 (lookback, batch); 0 where missing."""
    observed: Tensor
    """Whether a value of `past` is there, bool (lookback, batch)."""
    past_covariates: Tensor
    """Calendar features and known columns of the look-back, float32 (lookback, batch, features)."""
    future_covariates: Tensor
    """The same of the steps to forecast, float32 (horizon, batch, features)."""
    channel: Tensor
    """Index of each window's channel, int64 (batch,)."""
    future: Tensor
    """Values to forecast, float32 (horizon, batch); 0 where missing."""
    counted: Tensor
    """Whether a value of `future` is there, bool (horizon, batch)."""

    @property
    def size(self) -> int:
        """Number of values to forecast, without missing ones."""
        return int(self.counted.sum())

    def to(self, device: torch.device | str) -> Self:
        """Return a copy on a device."""
        return self._each(lambda tensor: tensor.to(device))

    def shard(self, rank: int, world: int) -> Self | None:
        """Return every `world`-th window from `rank` on; None if there is none."""
        if rank >= self.past.shape[1]:
            return None
        part = self._each(lambda tensor: tensor[:, rank::world] if tensor.ndim > 1 else tensor[rank::world])
        return part if part.size else None

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        return replace(self, **{each.name: change(getattr(self, each.name)) for each in fields(self)})


@dataclass(frozen=True, slots=True, eq=False)
class Paired:
    """Source sequences with their target sequences, for encoder-decoder models."""

    source: Tokens
    target: Tokens
    """Target tokens without the end unit; lengths may be 0."""

    @property
    def inputs(self) -> Tensor:
        """Decoder inputs, int64 (target time + 1, batch): the end unit, then the target."""
        return _decoder_inputs(self.target)

    @property
    def targets(self) -> Tensor:
        """Decoder targets, int64 (target time + 1, batch): the target, then the end unit, then `IGNORED`."""
        return _decoder_targets(self.target)

    @property
    def size(self) -> int:
        """Number of tokens of both sides without padding, with the end unit of each target."""
        return self.source.size + self.target.size + len(self.target.lengths)

    def to(self, device: torch.device | str) -> Self:
        """Return a copy on a device."""
        return replace(self, source=self.source.to(device), target=self.target.to(device))

    def shard(self, rank: int, world: int) -> Self | None:
        """Return every `world`-th pair from `rank` on; None if there is none."""
        source, target = self.source.shard(rank, world), self.target.shard(rank, world)
        return None if source is None or target is None else replace(self, source=source, target=target)


@dataclass(frozen=True, slots=True, eq=False)
class Captioned:
    """Inputs, each with one or more target sequences; an input is encoded once for all of its targets."""

    inputs_once: Any
    """The distinct inputs: `Images`, or another batch with lengths."""
    target: Tokens
    """Target tokens without the end unit, (time, rows); lengths may be 0."""
    index: Tensor
    """Index of the input of each row, ascending, int64 (rows,)."""

    @property
    def source(self) -> Self:
        """The batch itself, as the source of an encoder-decoder."""
        return self

    @property
    def lengths(self) -> Tensor:
        """Steps of each row's input after the embedding, int64 (rows,)."""
        lengths: Tensor = self.inputs_once.lengths
        return lengths[self.index]

    @property
    def mask(self) -> Tensor:
        """True at steps of each row's input, False in the padding, bool (time, rows)."""
        lengths = self.lengths
        return torch.arange(int(lengths.max()), device=lengths.device)[:, None] < lengths

    @property
    def inputs(self) -> Tensor:
        """Decoder inputs, int64 (target time + 1, rows): the end unit, then the target."""
        return _decoder_inputs(self.target)

    @property
    def targets(self) -> Tensor:
        """Decoder targets, int64 (target time + 1, rows): the target, then the end unit, then `IGNORED`."""
        return _decoder_targets(self.target)

    @property
    def size(self) -> int:
        """Number of target tokens without padding, with the end unit of each target."""
        return self.target.size + len(self.target.lengths)

    def to(self, device: torch.device | str) -> Self:
        """Return a copy on a device."""
        inputs, target = self.inputs_once.to(device), self.target.to(device)
        return replace(self, inputs_once=inputs, target=target, index=self.index.to(device))

    def shard(self, rank: int, world: int) -> Self | None:
        """Return every `world`-th input from `rank` on with its targets; None if there is none."""
        inputs = self.inputs_once.shard(rank, world)
        if inputs is None:
            return None
        rows = torch.nonzero(self.index % world == rank).squeeze(1)
        target = replace(self.target, ids=self.target.ids[:, rows], lengths=self.target.lengths[rows])
        return replace(self, inputs_once=inputs, target=target, index=self.index[rows] // world)


@dataclass(frozen=True, slots=True, eq=False)
class Transcribed:
    """Sounds with their transcripts."""

    inputs: Frames
    targets: Tokens
    """Units of each transcript; lengths may be 0."""

    @property
    def size(self) -> int:
        """Number of steps of the sounds without padding."""
        return self.inputs.size

    def to(self, device: torch.device | str) -> Self:
        """Return a copy on a device."""
        return replace(self, inputs=self.inputs.to(device), targets=self.targets.to(device))

    def shard(self, rank: int, world: int) -> Self | None:
        """Return every `world`-th sound from `rank` on; None if there is none."""
        inputs, targets = self.inputs.shard(rank, world), self.targets.shard(rank, world)
        return None if inputs is None or targets is None else replace(self, inputs=inputs, targets=targets)


Batch = Tokens | Vectors | Frames | Images | Labelled | Paired | Captioned | Transcribed | SeriesWindows | Window


def _decoder_inputs(target: Tokens) -> Tensor:
    """Return the end unit, then the target, (time + 1, batch)."""
    return torch.cat([target.ids.new_full((1, len(target.lengths)), END), target.ids])


def _decoder_targets(target: Tokens) -> Tensor:
    """Return the target, then the end unit, then `IGNORED`, (time + 1, batch)."""
    steps = torch.arange(target.ids.shape[0] + 1, device=target.ids.device)[:, None]
    shifted = torch.cat([target.ids, target.ids.new_zeros(1, len(target.lengths))])
    shifted = shifted.masked_fill(steps == target.lengths, END)
    return shifted.masked_fill(steps > target.lengths, IGNORED)
