"""Encoded rows of several inputs, and the module that reads their batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unspool.data import Labelled
from unspool.data.batches import with_targets
from unspool.inputs.contract import Encoder
from unspool.layers import Readout, SequenceDropout

__all__ = ["EncodedJoined", "JoinedBatch", "JoinedEmbedding"]


@dataclass(frozen=True, slots=True, eq=False)
class JoinedBatch:
    """Batches of several inputs for the same rows."""

    parts: tuple[Any, ...]

    @property
    def lengths(self) -> Tensor:
        """Ones, since the parts become one vector for each row, int64 (batch,)."""
        return torch.ones_like(self.parts[0].lengths)

    @property
    def size(self) -> int:
        """Steps of all parts, without padding."""
        return sum(part.size for part in self.parts)

    def to(self, device: torch.device | str) -> Self:
        """Return a copy on a device."""
        return replace(self, parts=tuple(part.to(device) for part in self.parts))

    def shard(self, rank: int, world: int) -> Self | None:
        """Return every `world`-th row from `rank` on; None if there is none."""
        parts = tuple(part.shard(rank, world) for part in self.parts)
        return None if any(part is None for part in parts) else replace(self, parts=parts)


@dataclass(frozen=True, eq=False)
class EncodedJoined:
    """Rows of several inputs, each encoded by its own, with their targets."""

    parts: tuple[Any, ...]
    targets: NDArray[Any] | None = None
    """Label ids, integers (examples,); for several labels, 0 or 1, (examples, labels)."""

    def __len__(self) -> int:
        return len(self.parts[0])

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Steps of all parts together, int64 (examples,)."""
        total: NDArray[np.int64] = np.sum([np.asarray(part.lengths) for part in self.parts], axis=0, dtype=np.int64)
        return total

    def in_epoch(self, number: int) -> EncodedJoined:
        """Return the examples as training sees them in an epoch, with the augmentation of each part."""
        changed = (part.in_epoch(number) if hasattr(part, "in_epoch") else part for part in self.parts)
        return replace(self, parts=tuple(changed))

    def batch(self, indices: NDArray[np.int64]) -> JoinedBatch | Labelled:
        """Return the examples at some indices as one batch; `Labelled` if there are targets."""
        return with_targets(JoinedBatch(tuple(part.batch(indices) for part in self.parts)), self.targets, indices)


class JoinedEmbedding(nn.Module):
    """Encoders side by side: each reads its part of a batch, and pools the states; the vectors are concatenated.

    Args:
        encoders: The encoder of each part.
        dropout: Dropout rate before each encoder that takes embeddings.
        variational: Whether that dropout uses one mask per sequence.
    """

    def __init__(self, encoders: Sequence[Encoder], *, dropout: float, variational: bool) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(encoder.embedding for encoder in encoders)
        self.stacks = nn.ModuleList(nn.Identity() if each.stack is None else each.stack for each in encoders)
        readouts = [Readout(each.pooling, each.size, each.directions) for each in encoders]
        self.readouts = nn.ModuleList(readouts)
        self.dropouts = nn.ModuleList(
            SequenceDropout(dropout if each.drops_inputs else 0.0, variational=variational) for each in encoders
        )
        self.output_size = sum(each.size for each in readouts)

    def forward(self, batch: JoinedBatch) -> Tensor:
        """Return one vector for each row, (1, batch, output_size)."""
        vectors = []
        layers = zip(batch.parts, self.embeddings, self.dropouts, self.stacks, self.readouts, strict=True)
        for part, embedding, dropout, stack, readout in layers:
            states = dropout(embedding(part))
            if not isinstance(stack, nn.Identity):
                states = stack(states, part.lengths).outputs
            vectors.append(readout(states, part.lengths)[0])
        return torch.cat(vectors, dim=-1).unsqueeze(0)
