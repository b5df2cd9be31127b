"""Pooling of a sequence into one vector: last state, mean, maximum, or attention."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from unspool.layers.masked_softmax import masked_softmax

__all__ = ["Pooling", "Readout", "ReadoutOutput"]

Pooling = Literal["last", "mean", "max", "attention"]


class ReadoutOutput(NamedTuple):
    """The pooled vector and the weights of the steps."""

    vector: Tensor  # (batch, features)
    weights: Tensor | None  # weight of each step, (time, batch); None for `last` and `max`


class Readout(nn.Module):
    r"""Pool the states of a sequence into one vector.

    `last` takes the state after the last step (of the backward half: after the first). `mean` and `max` pool over
    the valid steps. `attention` is a weighted sum:

    .. math:: u_t = v^\top \tanh(W h_t + b), \quad \alpha = \mathrm{softmax}(u), \quad s = \sum_t \alpha_t h_t

    Source of `attention`: Yang et al. 2016, "Hierarchical attention networks", equations 5 to 7.

    Args:
        pooling: One of `last`, `mean`, `max`, `attention`.
        size: Width of the states.
        directions: 2 if the second half of the states runs backwards, else 1.
    """

    def __init__(self, pooling: Pooling, size: int, directions: int = 1) -> None:
        super().__init__()
        self.pooling, self.size, self.directions = pooling, size, directions
        if pooling == "attention":
            self.project = nn.Linear(size, size)
            self.score = nn.Linear(size, 1, bias=False)

    def forward(self, states: Tensor, lengths: Tensor) -> ReadoutOutput:
        """Pool states, (time, batch, size), of sequences with lengths (batch,)."""
        if self.pooling == "last" and len(states) == 1:
            return ReadoutOutput(states[0], None)
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
