"""From a sequence of vectors to one: last state, mean, maximum, or attention."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from unspool.layers.masked_softmax import masked_softmax

__all__ = ["Pooling", "Readout", "ReadoutOutput"]

Pooling = Literal["last", "mean", "max", "attention"]


class ReadoutOutput(NamedTuple):
    """What a readout returns."""

    vector: Tensor  # (batch, features)
    weights: Tensor | None  # how much each step counted, (time, batch); None where steps have no weights


class Readout(nn.Module):
    r"""Bring the states of a sequence down to one vector.

    `last` takes the state after the last step (of the backward half: after the first), `mean` and `max` pool over
    the valid steps, and `attention` weighs them:

    .. math:: u_t = v^\top \tanh(W h_t + b), \quad \alpha = \mathrm{softmax}(u), \quad s = \sum_t \alpha_t h_t

    Source of `attention`: Yang et al. 2016, "Hierarchical attention networks", equations 5 to 7.

    Args:
        pooling: One of `last`, `mean`, `max`, `attention`.
        size: Width of the states.
        directions: 2 where the second half of the states was read backwards.
    """

    def __init__(self, pooling: Pooling, size: int, directions: int = 1) -> None:
        super().__init__()
        self.pooling, self.size, self.directions = pooling, size, directions
        if pooling == "attention":
            self.project = nn.Linear(size, size)
            self.score = nn.Linear(size, 1, bias=False)

    def forward(self, states: Tensor, lengths: Tensor) -> ReadoutOutput:
        """Read out sequences of states, (time, batch, size), each of its own length, (batch,)."""
        steps = torch.arange(states.shape[0], device=states.device)[:, None]
        mask = steps < lengths  # (time, batch)
        if self.pooling == "last":
            last = states[lengths - 1, torch.arange(states.shape[1], device=states.device)]
            if self.directions == 2:
                half = self.size // 2
                last = torch.cat([last[:, :half], states[0, :, half:]], dim=-1)
            return ReadoutOutput(last, None)
        if self.pooling == "max":
            return ReadoutOutput(states.masked_fill(~mask.unsqueeze(-1), float("-inf")).amax(0), None)
        states = states.masked_fill(~mask.unsqueeze(-1), 0)  # a weight of 0 does not stop NaN
        if self.pooling == "mean":
            weights = mask / lengths
        else:
            scores = self.score(torch.tanh(self.project(states))).squeeze(-1)
            weights = masked_softmax(scores, mask, dim=0)
        return ReadoutOutput((weights.unsqueeze(-1) * states).sum(0), weights)

    def extra_repr(self) -> str:
        return f"{self.pooling}, {self.size}"
