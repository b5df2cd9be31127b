"""How well exercises were done: bits wrong, exact matches, squared errors, and by depth of brackets."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from unspool.data import Exercise

__all__ = ["AnswerScores"]

_DISTANCES = (10, 30, 100)  # characters since everything was closed


class AnswerScores:
    """Gathers answers batch by batch.

    Args:
        answers: `bits` or `numbers`.
    """

    def __init__(self, answers: Literal["bits", "numbers"]) -> None:
        self.answers = answers
        self._loss = self._count = 0.0
        self._wrong: list[Tensor] = []  # of each exercise: bits wrong
        self._right: list[NDArray[np.bool_]] = []  # of each step of brackets
        self._depth: list[NDArray[np.int64]] = []
        self._distance: list[NDArray[np.int64]] = []

    def add(self, batch: Exercise, said: Tensor, depth: NDArray[np.int64] | None) -> None:
        """Count a batch.

        Args:
            batch: The exercises.
            said: What was answered, logits or numbers, (time, batch, outputs).
            depth: How deep each step stands among brackets, (time, batch); None where there are none.
        """
        mask, right = batch.counted.unsqueeze(-1), batch.targets
        self._count += float(mask.sum()) * right.shape[-1]
        if self.answers == "numbers":
            self._loss += float(((said - right).square() * mask).sum())
            return
        self._loss += float((F.binary_cross_entropy_with_logits(said, right, reduction="none") * mask).sum())
        missed = ((said > 0) != (right > 0.5)) & mask
        self._wrong.append(missed.sum((0, 2)))
        if depth is not None:
            self._right.append(~missed.squeeze(-1).numpy())
            self._depth.append(depth)
            self._distance.append(_since_closed(right[..., 0].numpy() > 0.5))

    def figures(self) -> dict[str, float]:
        """Of numbers `squared_error`, the mean; of bits `nats`, the mean cross-entropy, and how many were wrong.

        `bits_wrong` is the mean of an exercise, `exact` the share of exercises without any, `accuracy` the share of
        bits that are right.
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
        """Accuracy at each depth, and by how many characters ago everything was closed; for brackets."""
        if not self._right:
            return {}
        right, depth, distance = (
            np.concatenate([part.ravel() for part in parts]) for parts in (self._right, self._depth, self._distance)
        )
        found = {}
        for level in range(int(depth.max()) + 1):
            found[f"accuracy, depth {level}"] = float(right[depth == level].mean()) if (depth == level).any() else 0.0
        low = 0
        for high in _DISTANCES:
            inside = (distance > low) & (distance <= high)
            if inside.any():
                found[f"accuracy, opened {low + 1} to {high} ago"] = float(right[inside].mean())
            low = high
        if (distance > low).any():
            found[f"accuracy, opened over {low} ago"] = float(right[distance > low].mean())
        return found


def _since_closed(closed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Steps since everything was closed, (time, batch); 0 where it is."""
    steps = np.arange(1, len(closed) + 1)[:, None]
    last = np.maximum.accumulate(np.where(closed, steps, 0), axis=0)
    return steps - last
