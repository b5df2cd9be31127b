"""Single-head attention over encoder states: dot-product, bilinear and additive."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unspool.engine import linear
from unspool.errors import SettingError, ShapeError
from unspool.layers.attention_changes import WeightChange, attention_change
from unspool.layers.masked_softmax import masked_softmax
from unspool.layers.scaled_dot_product import LANES

__all__ = [
    "ATTENTION",
    "AdditiveAttention",
    "Attended",
    "Attention",
    "BilinearAttention",
    "DotAttention",
    "attend",
    "make_attention",
]


class Attended(NamedTuple):
    """Context vectors and attention weights."""

    context: Tensor  # (batch, queries, values)
    weights: Tensor  # (batch, queries, time), each row sums to 1, in float32 at least


def attend(scores: Tensor, values: Tensor, mask: Tensor | None = None, change: WeightChange | None = None) -> Attended:
    """Return the weighted sums of values, with the masked softmax of scores as weights.

    Args:
        scores: (batch, queries, time).
        values: (batch, time, width); finite at masked positions too.
        mask: True at allowed positions, bool (batch, time). None: all. A row without an allowed position gives zeros.
        change: Change of the weights before the sum.

    Returns:
        The weighted sums and the weights, exactly zero at masked positions.
    """
    time = scores.shape[-1]
    # softmax is much faster over whole vector registers; see `scaled_dot_product.LANES`
    scores = F.pad(scores, (0, -time % LANES), value=torch.finfo(scores.dtype).min)
    if mask is not None:
        mask = F.pad(mask, (0, -time % LANES)).unsqueeze(1)
    weights = masked_softmax(scores, mask)[..., :time]
    if change is not None:
        weights = change(weights)
    return Attended(torch.bmm(weights.to(values.dtype), values), weights)


class Attention(nn.Module, ABC):
    """Base of attentions, which score queries against states; `keys` computes the part of the states once.

    Args:
        query_size: Width of a query.
        memory_size: Width of the states.
    """

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.query_size, self.memory_size = query_size, memory_size

    @abstractmethod
    def keys(self, memory: Tensor) -> Tensor:
        """Return the keys, (batch, time, key), of states (batch, time, memory)."""

    @abstractmethod
    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Return scores, (batch, queries, time), of queries (batch, queries, query)."""

    def forward(
        self, queries: Tensor, memory: Tensor, mask: Tensor | None = None, *, keys: Tensor | None = None
    ) -> Attended:
        """Attend to states.

        Args:
            queries: (batch, queries, query).
            memory: States, padded at the end, (batch, time, memory).
            mask: True at valid states, bool (batch, time). None: all.
            keys: Result of `keys(memory)`, to compute it once for many steps. The memory must then have zeros in its
                padding, as encoders leave it. None: computed here.

        Raises:
            ShapeError: If a width does not fit.
        """
        if queries.shape[-1] != self.query_size or memory.shape[-1] != self.memory_size:
            raise ShapeError(
                f"queries {tuple(queries.shape)} over memory {tuple(memory.shape)}: "
                f"expected widths {self.query_size} and {self.memory_size}"
            )
        if keys is None:
            if mask is not None:
                memory = memory.masked_fill(~mask.unsqueeze(-1), 0)
            keys = self.keys(memory)
        return attend(self.scores(queries, keys), memory, mask, attention_change(self))

    def extra_repr(self) -> str:
        return f"{self.query_size}, {self.memory_size}"


class DotAttention(Attention):
    r"""Dot product of query and state (Jurafsky and Martin, Speech and Language Processing 3rd ed., ch. 9).

    .. math:: e_{ti} = q_t \cdot k_i

    Args:
        query_size: Width of a query.
        memory_size: Width of the states; a linear projection maps them to the queries' width if the two differ.
        scaled: Whether scores are divided by the square root of the width (Vaswani et al. 2017, section 3.2.1).
    """

    def __init__(self, query_size: int, memory_size: int, *, scaled: bool = False) -> None:
        super().__init__(query_size, memory_size)
        self.project = nn.Linear(memory_size, query_size, bias=False) if memory_size != query_size else None
        self.scale = 1 / math.sqrt(query_size) if scaled else 1.0

    def keys(self, memory: Tensor) -> Tensor:
        return memory if self.project is None else self.project(memory)

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        return torch.bmm(queries, keys.transpose(1, 2).to(queries.dtype)) * self.scale


class BilinearAttention(Attention):
    r"""Bilinear form of query and state (Luong et al. 2015, arXiv:1508.04025, `general`).

    .. math:: e_{ti} = q_t^\top W k_i
    """

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__(query_size, memory_size)
        self.weight = nn.Parameter(torch.empty(query_size, memory_size))
        nn.init.xavier_uniform_(self.weight)

    def keys(self, memory: Tensor) -> Tensor:
        return linear(memory, self.weight)

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        return torch.bmm(queries, keys.transpose(1, 2).to(queries.dtype))


class AdditiveAttention(Attention):
    r"""Feed-forward network over query and state (Bahdanau et al. 2015, arXiv:1409.0473, appendix A.1.2).

    .. math:: e_{ti} = v^\top \tanh(W q_t + U k_i)

    Args:
        query_size: Width of a query.
        memory_size: Width of the states.
        hidden_size: Width of the hidden layer; that of the queries if omitted.
    """

    def __init__(self, query_size: int, memory_size: int, hidden_size: int | None = None) -> None:
        super().__init__(query_size, memory_size)
        width = hidden_size or query_size
        self.query = nn.Linear(query_size, width, bias=False)
        self.memory = nn.Linear(memory_size, width)
        self.energy = nn.Parameter(torch.empty(width).uniform_(-(width**-0.5), width**-0.5))

    def keys(self, memory: Tensor) -> Tensor:
        projected: Tensor = self.memory(memory)
        return projected

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        hidden = torch.tanh(self.query(queries).unsqueeze(2) + keys.unsqueeze(1))  # (batch, queries, time, width)
        return hidden @ self.energy.to(hidden.dtype)


ATTENTION: dict[str, type[Attention]] = {
    "dot": DotAttention,
    "bilinear": BilinearAttention,
    "additive": AdditiveAttention,
}
"""The kinds of attention by name."""


def make_attention(kind: str, query_size: int, memory_size: int) -> Attention:
    """Make an attention by the name of its kind.

    Raises:
        SettingError: If there is no such kind.
    """
    if kind not in ATTENTION:
        raise SettingError(f"there is no attention {kind!r}; choose one of {', '.join(ATTENTION)}")
    return ATTENTION[kind](query_size, memory_size)
