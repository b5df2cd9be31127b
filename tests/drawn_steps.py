"""Cells whose step is drawn: a list of instructions over earlier values, for tests of compilers and exporters."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from odd_cells import HM
from unspool.cells import Cell

# Every instruction takes two earlier values of any width; results are kept near 1, so that no example overflows.
INSTRUCTIONS = {
    "linear": lambda cell, a, b: cell.map(a, 1 + (a.shape[1] + b.shape[1]) % 9),
    "add": lambda cell, a, b: a + cell.map(b, a.shape[1]),
    "gate": lambda cell, a, b: torch.sigmoid(a) * cell.fit(b, a.shape[1]),
    "tanh": lambda cell, a, b: torch.tanh(a - cell.fit(b, a.shape[1])),
    "relu": lambda cell, a, b: F.relu(a) - 0.1,
    "soft": lambda cell, a, b: F.softplus(a) * 0.5,
    "softmax": lambda cell, a, b: F.softmax(a, dim=-1),
    "norm": lambda cell, a, b: a / (1 + a.norm(dim=-1, keepdim=True)),
    "mean": lambda cell, a, b: a.mean(-1, keepdim=True),
    "largest": lambda cell, a, b: a.amax(-1, keepdim=True) * 0.5,
    "root": lambda cell, a, b: torch.sqrt(1 + a * a) - 1,
    "quotient": lambda cell, a, b: a / (1 + cell.fit(b, a.shape[1]) ** 2),
    "power": lambda cell, a, b: torch.exp(-a * a),
    "log": lambda cell, a, b: torch.log(2 + torch.sin(a)),
    "where": lambda cell, a, b: torch.where(a > cell.fit(b, a.shape[1]), a, 0.5 * cell.fit(b, a.shape[1])),
    "smaller": lambda cell, a, b: torch.minimum(a, cell.fit(b, a.shape[1])),
    "clamp": lambda cell, a, b: a.clamp(-0.4, 0.6),
    "cat": lambda cell, a, b: torch.cat([a, b], dim=-1)[:, :12],
    "slice": lambda cell, a, b: a[:, a.shape[1] // 3 :],
    "halves": lambda cell, a, b: torch.add(*torch.cat([a, a.cos()], dim=1).chunk(2, dim=1)),
    "block": lambda cell, a, b: (a[:, :, None] * b.sigmoid()[:, None]).mean(2),
    "columns": lambda cell, a, b: torch.tanh(a[:, :, None] - b[:, None]).sum(1) * 0.3,
    "folded": lambda cell, a, b: (a[:, :, None] * b[:, None]).view(len(a), b.shape[1], -1).amax(2) * 0.5,
    "focus": lambda cell, a, b: ((a[:, :, None] * b[:, None]).softmax(1) * a[..., None]).sum(1),
    "roll": lambda cell, a, b: a - 0.5 * a.roll(b.shape[1], dims=1),
    "vector": lambda cell, a, b: a * cell.weight((a.shape[1],)),
}


class Drawn(Cell[HM]):
    """A step made of instructions; its weights are made when they are first asked for."""

    program: tuple[tuple[str, int, int], ...] = ()

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.step(torch.zeros(2, input_size), self.initial_state(2))  # makes the weights
        self.made = True

    def initial_state(self, batch_size: int) -> HM:
        like = next(self.parameters(), torch.empty(0))
        return HM(like.new_zeros(batch_size, self.hidden_size), like.new_zeros(batch_size, 2 * self.hidden_size + 1))

    def weight(self, shape: tuple[int, ...]) -> Tensor:
        self.count += 1
        if not hasattr(self, "made"):
            self.register_parameter(f"weight{self.count}", self.parameter(*shape))
        return getattr(self, f"weight{self.count}")

    def map(self, a: Tensor, width: int) -> Tensor:
        return F.linear(a, self.weight((width, a.shape[1])))

    def fit(self, a: Tensor, width: int) -> Tensor:
        return a if a.shape[1] in (1, width) else self.map(a, width)

    def step(self, x: Tensor, state: HM, *context: Tensor) -> tuple[Tensor, HM]:
        self.count = 0
        values = [x, state.h, state.m]
        for name, first, second in self.program:
            values.append(INSTRUCTIONS[name](self, values[first % len(values)], values[second % len(values)]))
        h = torch.tanh(self.map(values[-1], self.hidden_size) + self.fit(values[-2], self.hidden_size))
        m = 0.5 * state.m + torch.sigmoid(self.map(values[-3], 2 * self.hidden_size + 1))
        return h + 0.1, HM(h, m)
