"""Scores of exercises: bit errors, exact matches, squared error, and accuracy by bracket depth."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from unspool.data import Exercise

__all__ = ["AnswerScores"]

_DISTANCES = (10, 30, 100)  # characters since the last depth of 0


class AnswerScores:
    """Accumulates scores batch by batch.

    Args:
        answers: `bits` or `numbers`.
    """

    def __init__(self, answers: Literal["bits", "numbers"]) -> None:
        self.answers = answers
        self._loss = self._count = 0.0
        self._wrong: list[Tensor] = []  # bit errors per exercise
        self._right: list[NDArray[np.bool_]] = []  # correct steps, for brackets
        self._depth: list[NDArray[np.int64]] = []
        self._distance: list[NDArray[np.int64]] = []

    def add(self, batch: Exercise, outputs: Tensor, depth: NDArray[np.int64] | None) -> None:
        """Add a batch.

        Args:
            batch: The exercises.
            outputs: Outputs of the network, logits or numbers, (time, batch, outputs).
            depth: Bracket depth of each step, (time, batch); None for other exercises.
        """
        mask, right = batch.counted.unsqueeze(-1), batch.targets
        self._count += float(mask.sum()) * right.shape[-1]
        if self.answers == "numbers":
            self._loss += float(((outputs - right).square() * mask).sum())
            return
        self._loss += float((F.binary_cross_entropy_with_logits(outputs, right, reduction="none") * mask).sum())
        errors = ((outputs > 0) != (right > 0.5)) & mask
        self._wrong.append(errors.sum((0, 2)))
        if depth is not None:
            self._right.append(~errors.squeeze(-1).numpy())
            self._depth.append(depth)
            self._distance.append(_since_closed(right[..., 0].numpy() > 0.5))

    def figures(self) -> dict[str, float]:
        """Return the scores over all batches.

        For numbers: `squared_error`, the mean. For bits: `nats`, the mean cross-entropy; `bits_wrong`, the mean number
        of bit errors per exercise; `exact`, the share of exercises without errors; `accuracy`, the share of correct
        bits.
        """
        loss = self._loss / self._count
        if self.answers == "numbers":
            return {"squared_error": loss}
        wrong = torch.cat(self._wrong).double()
        return {
            "nats": loss,
            "bits_wrong": float(wrong.mean()),
            "exact": float((wrong == 0).double().mean()),
            "accuracy": 1 - float(wrong.sum()) / self._count,
        }

    def by_depth(self) -> dict[str, float]:
        """Return the accuracy by bracket depth, and by distance from the last depth of 0; empty without brackets."""
        if not self._right:
            return {}
        right, depth, distance = (
            np.concatenate([part.ravel() for part in parts]) for parts in (self._right, self._depth, self._distance)
        )
        scores = {}
        for level in range(int(depth.max()) + 1):
            scores[f"accuracy, depth {level}"] = float(right[depth == level].mean()) if (depth == level).any() else 0.0
        low = 0
        for high in _DISTANCES:
            inside = (distance > low) & (distance <= high)
            if inside.any():
                scores[f"accuracy, opened {low + 1} to {high} ago"] = float(right[inside].mean())
            low = high
        if (distance > low).any():
            scores[f"accuracy, opened over {low} ago"] = float(right[distance > low].mean())
        return scores


def _since_closed(closed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the steps since the last depth of 0, (time, batch); 0 at depth 0."""
    steps = np.arange(1, len(closed) + 1)[:, None]
    last = np.maximum.accumulate(np.where(closed, steps, 0), axis=0)
    return steps - last
