"""Multi-head attention over whole sequences, and step by step with a cache of keys and values."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from unspool.engine import linear
from unspool.errors import SettingError, ShapeError
from unspool.layers.attention_changes import attention_change
from unspool.layers.linear import Linear
from unspool.layers.scaled_dot_product import attend_packed, attend_step, blocked, inner_type, reference_attend
from unspool.randomness import dropout

__all__ = ["KeyValues", "MultiHeadAttention", "causal_mask"]


class KeyValues(NamedTuple):
    """Cache: keys and values of the steps so far, by head."""

    keys: Tensor  # (batch, heads, time, head size)
    values: Tensor  # (batch, heads, time, head size)


class MultiHeadAttention(nn.Module):
    r"""Multi-head scaled dot-product attention.

    .. math::
        \mathrm{head}_i &= \mathrm{Attention}(Q W^Q_i, K W^K_i, V W^V_i) \\
        \mathrm{MultiHead}(Q, K, V) &= \mathrm{Concat}(\mathrm{head}_1, \dots, \mathrm{head}_h) W^O

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2. Weights are laid out as in
    `torch.nn.MultiheadAttention` (rows q, k, v). Each of the four products starts Xavier uniform, biases at zero, as
    in the authors' tensor2tensor.

    `forward` takes whole sequences, time first. `look`, `weigh`, `keys_values` and `advance`, for the layers of a
    stack, take the batch first.

    Args:
        size: Width of queries, keys and outputs.
        heads: Number of heads; divides `size`.
        dropout: Dropout rate of the attention weights, at least 0 and less than 1.

    Raises:
        SettingError: If a value is out of range, or `heads` does not divide `size`.
    """

    def __init__(self, size: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if size < 1 or heads < 1 or size % heads:
            raise SettingError(f"heads = {heads} must divide size = {size}, as every head takes size / heads features")
        if not 0 <= dropout < 1:
            raise SettingError(f"attention dropout = {dropout}: expected at least 0 and less than 1")
        self.size, self.heads, self.dropout = size, heads, dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * size, size))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * size))
        self.out_proj = Linear(size, size)
        for weight in (*self.in_proj_weight.detach().chunk(3), self.out_proj.weight):
            nn.init.xavier_uniform_(weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(
        self,
        queries: Tensor,
        keys: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        causal: bool = False,
        need_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend from every query to the keys.

        Args:
            queries: (query time, batch, size).
            keys: Source of keys and values, (key time, batch, size); the queries themselves if omitted. Finite at
                masked positions too.
            mask: True at allowed positions, bool, broadcast to (batch, heads, query time, key time). None: all. A query
                without an allowed position gets a context of zero.
            causal: Whether a query may only attend to keys up to its own step.
            need_weights: Whether to return the weights, which takes the slower reference formula.

        Returns:
            Outputs, (query time, batch, size); and the weights, (batch, heads, query time, key time), or None.

        Raises:
            ShapeError: If a tensor does not fit.
        """
        mask = self._check(queries, keys, mask)
        if causal:
            before = causal_mask(queries.shape[0], (queries if keys is None else keys).shape[0], queries.device)
            mask = before if mask is None else mask & before
        inputs, memory = queries.transpose(0, 1), None if keys is None else keys.transpose(0, 1)
        if need_weights:
            outputs, weights = self.weigh(inputs, memory, mask)
            return outputs.transpose(0, 1), weights
        bias = empty = None
        if mask is not None:
            empty = ~mask.any(-1, keepdim=True)
            bias = blocked(mask | empty, inner_type(queries))
        return self.look(inputs, memory, bias, empty=empty).transpose(0, 1), None

    def look(
        self, inputs: Tensor, memory: Tensor | None, bias: Tensor | None, *, empty: Tensor | None = None
    ) -> Tensor:
        """Attend by the fast path, which has no weights to return.

        Args:
            inputs: Source of queries, (batch, query time, size).
            memory: Source of keys and values, (batch, key time, size); the inputs themselves if None.
            bias: The mask from `blocked`, with at least one allowed position for every query.
            empty: Queries that get a context of zero, bool, broadcast to (batch, heads, query time, 1).

        Returns:
            Outputs, (batch, query time, size).
        """
        if memory is None:
            packed, packed_memory = self._split(linear(inputs, self.in_proj_weight, self.in_proj_bias)), None
        else:
            parts = [self.size, 2 * self.size]
            weight_q, weight_kv = torch.split(self.in_proj_weight, parts)
            bias_q, bias_kv = torch.split(self.in_proj_bias, parts)
            packed = self._split(linear(inputs, weight_q, bias_q))
            packed_memory = self._split(linear(memory, weight_kv, bias_kv))
        context = attend_packed(packed, packed_memory, bias, self.dropout if self.training else 0.0)
        if empty is not None:
            by_head = empty.expand(-1, self.heads, -1, -1).transpose(1, 2)  # (batch, query time, heads, 1)
            context = self._split(context).squeeze(2).masked_fill(by_head, 0).flatten(2)
        return self.out_proj(context)  # type: ignore[no-any-return]

    def weigh(self, inputs: Tensor, memory: Tensor | None, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Attend by the reference formula: outputs as from `look`, weights (batch, heads, query time, key time)."""
        q = self._split(linear(inputs, self.in_proj_weight[: self.size], self.in_proj_bias[: self.size]))
        keys, values = self.keys_values(inputs if memory is None else memory)
        change = attention_change(self)
        context, weights = reference_attend(q.squeeze(2).transpose(1, 2), keys, values, mask, change)
        if self.training and self.dropout:
            context = dropout(weights, self.dropout) @ values
        return self.out_proj(context.transpose(1, 2).flatten(2)), weights

    def keys_values(self, memory: Tensor) -> KeyValues:
        """Return keys and values of a memory, (batch, time, size), for many steps."""
        both = self._split(linear(memory, self.in_proj_weight[self.size :], self.in_proj_bias[self.size :]))
        keys, values = both.permute(2, 0, 3, 1, 4).contiguous().unbind(0)
        return KeyValues(keys, values)

    def empty_cache(self, batch_size: int) -> KeyValues:
        """Return the cache before the first step."""
        none = self.in_proj_weight.new_zeros(batch_size, self.heads, 0, self.size // self.heads)
        return KeyValues(none, none)

    def advance(self, inputs: Tensor, cache: KeyValues) -> tuple[Tensor, KeyValues]:
        """Make one causal step, (batch, size); return its output and the extended cache."""
        packed = self._split(linear(inputs.unsqueeze(1), self.in_proj_weight, self.in_proj_bias))
        q, k, v = packed.transpose(1, 3).unbind(2)  # (batch, heads, 1, head size)
        if cache.keys.shape[2]:
            k, v = torch.cat([cache.keys, k], 2), torch.cat([cache.values, v], 2)
        change = attention_change(self)
        if change is None:
            context, _ = attend_step(q.squeeze(2), k, v)
        else:
            context = reference_attend(q, k, v, change=change)[0].squeeze(2)
        return self.out_proj(context.flatten(1)), KeyValues(k, v)

    def look_step(self, inputs: Tensor, cache: KeyValues, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """Attend from one query per sequence, (batch, size), to a memory; return output and weights."""
        q = linear(inputs, self.in_proj_weight[: self.size], self.in_proj_bias[: self.size])
        context, weights = attend_step(q.view(len(q), self.heads, -1), cache.keys, cache.values, bias)
        return self.out_proj(context.flatten(1)), weights

    @torch.no_grad()
    def load_torch(self, module: nn.MultiheadAttention) -> None:
        """Copy the weights of torch's layer.

        Raises:
            SettingError: If its sizes or its parameters differ.
        """
        theirs, mine = dict(module.named_parameters()), dict(self.named_parameters())
        fits = {name: p.shape for name, p in theirs.items()} == {name: p.shape for name, p in mine.items()}
        if not fits or module.num_heads != self.heads or module.add_zero_attn:
            raise SettingError(
                f"torch's layer of {module.embed_dim} features, {module.num_heads} heads and {sorted(theirs)} does not "
                f"fit this one of {self.size} features, {self.heads} heads and {sorted(mine)}"
            )
        for name, parameter in mine.items():
            parameter.copy_(theirs[name])

    def _check(self, queries: Tensor, keys: Tensor | None, mask: Tensor | None) -> Tensor | None:
        """Check every shape; return the mask with four dimensions."""
        for name, tensor in (("queries", queries), ("keys", keys)):
            if tensor is not None and (tensor.dim() != 3 or tensor.shape[-1] != self.size or 0 in tensor.shape):
                raise ShapeError(f"{name} have shape {tuple(tensor.shape)}, expected (time, batch, {self.size})")
        if keys is not None and keys.shape[1] != queries.shape[1]:
            raise ShapeError(f"{queries.shape[1]} sequences of queries came with {keys.shape[1]} of keys")
        if mask is None:
            return None
        whole = (queries.shape[1], self.heads, queries.shape[0], (queries if keys is None else keys).shape[0])
        fits = mask.dim() <= 4 and all(
            have in (1, full) for have, full in zip(mask.shape[::-1], whole[::-1], strict=False)
        )
        if mask.dtype != torch.bool or not fits:
            raise ShapeError(f"mask is {mask.dtype} {tuple(mask.shape)}, expected bool, to be broadcast to {whole}")
        mask = mask[(None,) * (4 - mask.dim())]
        return mask.expand(*mask.shape[:3], whole[3])

    def _split(self, projected: Tensor) -> Tensor:
        """View (batch, time, parts * size) as (batch, time, parts, heads, head size)."""
        return projected.view(*projected.shape[:2], -1, self.heads, self.size // self.heads)

    def extra_repr(self) -> str:
        return f"{self.size}, heads={self.heads}, dropout={self.dropout}"


def causal_mask(queries: int, keys: int, device: torch.device) -> Tensor:
    """Return the causal mask, (1, 1, queries, keys): True on and below the diagonal."""
    return torch.ones(1, 1, queries, keys, dtype=torch.bool, device=device).tril()
