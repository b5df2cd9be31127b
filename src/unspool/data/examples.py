"""Encoded examples in compact form: flat integer arrays with offsets."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unspool.data.batches import IGNORED, Characters, Labelled, Paired, Tokens, with_targets
from unspool.data.units import END
from unspool.errors import DataError

__all__ = ["Examples", "HasLengths", "PairedExamples", "Sequences", "refuse_empty"]


class Sequences:
    """Integer sequences of varying lengths, concatenated in one array.

    Attributes:
        flat: All integers, int32 (total,).
        offsets: Start of each sequence in `flat`, then the end of the last, int64 (sequences + 1,).
    """

    __slots__ = ("flat", "offsets")

    def __init__(self, flat: NDArray[np.int32], offsets: NDArray[np.int64]) -> None:
        self.flat, self.offsets = flat, offsets

    @classmethod
    def of(cls, sequences: Iterable[Iterable[int] | NDArray[np.int32]]) -> Self:
        """Concatenate sequences one by one, in the memory of the flat array alone."""
        flat, ends = array("i"), array("q", [0])
        for sequence in sequences:
            if isinstance(sequence, np.ndarray):
                flat.frombytes(sequence.astype(np.int32, copy=False).tobytes())
            else:
                flat.extend(sequence)
            ends.append(len(flat))
        return cls(np.frombuffer(flat, np.int32) if flat else np.empty(0, np.int32), np.frombuffer(ends, np.int64))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Length of each sequence, int64 (sequences,)."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> NDArray[np.int32]:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        return self.flat[self.offsets[index] : self.offsets[index + 1]]

    def __iter__(self) -> Iterator[NDArray[np.int32]]:
        return (self[index] for index in range(len(self)))

    def take(self, indices: NDArray[np.int64]) -> Self:
        """Return the sequences at some indices, in that order."""
        lengths = self._lengths_of(indices)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        return type(self)(self.flat[self._places(indices, lengths)], offsets.astype(np.int64))

    def pad(self, indices: NDArray[np.int64], padding: int = 0) -> tuple[Tensor, Tensor]:
        """Pad the sequences at some indices into one tensor.

        Args:
            indices: Indices of the sequences, int64 (batch,).
            padding: Value after the end of shorter sequences.

        Returns:
            Padded integers, int64 (time, batch), and lengths, int64 (batch,).
        """
        lengths = self._lengths_of(indices)
        padded = np.full((len(indices), int(lengths.max(initial=0))), padding, np.int64)
        padded[np.arange(padded.shape[1]) < lengths[:, None]] = self.flat[self._places(indices, lengths)]
        return torch.from_numpy(np.ascontiguousarray(padded.T)), torch.from_numpy(lengths)

    def _lengths_of(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        return self.offsets[1:][indices] - self.offsets[:-1][indices]

    def _places(self, indices: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the indices into `flat` of some sequences, concatenated."""
        before = np.cumsum(lengths) - lengths
        return np.repeat(self.offsets[:-1][indices] - before, lengths) + np.arange(int(lengths.sum()))


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """An encoded data set: token sequences, their targets, and the spelling of words for models that read characters.

    Raises:
        DataError: If targets or forms differ from the tokens in number or length.
    """

    tokens: Sequences
    targets: NDArray[np.integer] | NDArray[np.floating] | Sequences | None = None
    """One label per example: integers (examples,). Several labels: 0 and 1, (examples, labels). A tag per token:
    `Sequences`. None: no targets."""
    forms: Sequences | None = None
    """Index into `spellings` of each token."""
    spellings: Sequences | None = None
    """Character ids of each distinct word of the data set."""

    def __post_init__(self) -> None:
        if self.targets is not None and len(self.targets) != len(self):
            raise DataError(f"{len(self)} examples came with {len(self.targets)} targets")
        for name, other in (("tags", self.targets), ("spellings", self.forms)):
            if isinstance(other, Sequences) and not np.array_equal(other.offsets, self.tokens.offsets):
                place = int(np.flatnonzero(other.lengths != self.tokens.lengths)[0])
                counts = f"{self.tokens.lengths[place]} tokens and {other.lengths[place]} {name}"
                raise DataError(f"example {place + 1} has {counts}, expected as many of both")

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each example, int64 (examples,)."""
        return self.tokens.lengths

    def take(self, indices: NDArray[np.int64]) -> Examples:
        """Return the examples at some indices, in that order."""
        targets = self.targets
        if targets is not None:
            targets = targets.take(indices) if isinstance(targets, Sequences) else targets[indices]
        forms = self.forms.take(indices) if self.forms else None
        return Examples(self.tokens.take(indices), targets, forms, self.spellings)

    def batch(self, indices: NDArray[np.int64]) -> Tokens | Labelled:
        """Pad the examples at some indices into one batch; `Labelled` if there are targets."""
        ids, lengths = self.tokens.pad(indices)
        tokens = Tokens(ids, lengths, self._characters(indices))
        if isinstance(self.targets, Sequences):
            return Labelled(tokens, self.targets.pad(indices, IGNORED)[0])
        return with_targets(tokens, self.targets, indices)

    def _characters(self, indices: NDArray[np.int64]) -> Characters | None:
        if self.forms is None or self.spellings is None:
            return None
        forms, _ = self.forms.pad(indices, -1)
        table = forms.numpy()
        real = table >= 0
        words, places = np.unique(table[real], return_inverse=True)
        index = np.zeros_like(table)
        index[real] = places
        ids, spelled = self.spellings.pad(words)
        return Characters(ids, spelled, torch.from_numpy(index))


@dataclass(frozen=True, slots=True, eq=False)
class PairedExamples:
    """Encoded source sequences and their target sequences.

    Raises:
        DataError: If the numbers of sources and targets differ.
    """

    source: Sequences
    target: Sequences

    def __post_init__(self) -> None:
        if len(self.source) != len(self.target):
            raise DataError(f"{len(self.source)} sources came with {len(self.target)} targets")

    def __len__(self) -> int:
        return len(self.source)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of the longer side, with the target's end unit, int64 (examples,)."""
        return np.maximum(self.source.lengths, self.target.lengths + 1)

    def target_counts(self, size: int) -> NDArray[np.int64]:
        """Count each target unit of a vocabulary, one end unit per pair included, (size,)."""
        counts = np.bincount(self.target.flat, minlength=size)
        counts[END] += len(self)
        return counts

    def take(self, indices: NDArray[np.int64]) -> PairedExamples:
        """Return the pairs at some indices, in that order."""
        return PairedExamples(self.source.take(indices), self.target.take(indices))

    def batch(self, indices: NDArray[np.int64]) -> Paired:
        """Pad the pairs at some indices into one batch."""
        return Paired(Tokens(*self.source.pad(indices)), Tokens(*self.target.pad(indices)))


class HasLengths(Protocol):
    """Protocol of data sets with a length for each sequence."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Length of each sequence, int64 (sequences,)."""


def refuse_empty(sequences: HasLengths, where: Sequence[str] | None = None) -> None:
    """Refuse sequences of length zero.

    Args:
        sequences: Encoded examples.
        where: `file:line` of each example, for messages.

    Raises:
        DataError: If an example holds no token; the message names the first one.
    """
    empty = np.flatnonzero(sequences.lengths == 0)
    if len(empty):
        place = where[empty[0]] if where else f"example {empty[0] + 1}"
        more = f" (and so in {len(empty) - 1} more)" if len(empty) > 1 else ""
        raise DataError(f"there is no token in this example{more}; expected at least one, drop it or fill it", place)
