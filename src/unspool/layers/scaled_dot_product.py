"""Scaled dot-product attention: the reference formula, and a faster one for sentences of ordinary length."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from unspool.layers.attention_changes import WeightChange
from unspool.layers.masked_softmax import masked_softmax
from unspool.layers.residual import keep_mask
from unspool.randomness import dropout as dropout_values
from unspool.randomness import generator_on, lend

__all__ = ["attend_packed", "attend_step", "blocked", "inner_type", "reference_attend"]

BLOCKED = -1e30  # added to a score, its weight becomes exactly 0 beside any other score
LANES = 16  # torch's softmax is ten times slower over rows that do not fill whole vector registers
LONGEST = 256  # above it the scores outgrow the cache, and torch's blocked kernel is faster


def reference_attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, change: WeightChange | None = None
) -> tuple[Tensor, Tensor]:
    r"""Scaled dot-product attention by its formula: the reference.

    .. math:: \mathrm{Attention}(Q, K, V) = \mathrm{softmax}(Q K^\top / \sqrt{d_k}) V

    Source: Vaswani et al. 2017, arXiv:1706.03762, equation 1.

    Args:
        query: (batch, heads, query time, head size).
        key: (batch, heads, key time, head size).
        value: As `key`.
        mask: True at allowed positions, broadcast to (batch, heads, query time, key time). None: all.
        change: Change of the weights before the sum.

    Returns:
        Contexts, (batch, heads, query time, head size), and weights, (batch, heads, query time, key time). Both are
        zero for a query without an allowed position.
    """
    scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
    weights = masked_softmax(scores, mask)
    if change is not None:
        weights = change(weights)
    return weights.to(value.dtype) @ value, weights


def blocked(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the additive mask of the fast paths for a mask, (..., key time): 0 where True, -1e30 elsewhere.

    The last dimension is padded to whole vector registers, and the padding is blocked.
    """
    extra = _padded(mask.shape[-1]) - mask.shape[-1]
    return F.pad(
        torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, BLOCKED), (0, extra), value=BLOCKED
    )


def attend_packed(packed: Tensor, memory: Tensor | None, bias: Tensor | None, dropout: float = 0.0) -> Tensor:
    """Multi-head attention from packed projections; agrees with `reference_attend`.

    Args:
        packed: Queries, keys and values of one sequence, (batch, time, 3, heads, head size); or queries alone,
            (batch, time, 1, heads, head size).
        memory: Keys and values of another sequence, (batch, key time, 2, heads, head size).
        bias: From `blocked`, broadcast to (batch, heads, time, key time). None: all positions allowed. Every query
            needs an allowed position.
        dropout: Dropout rate of the weights.

    Returns:
        Contexts with concatenated heads, (batch, time, size).
    """
    keys = (packed if memory is None else memory).shape[1]
    if packed.device.type == "cpu" and keys <= LONGEST:
        if bias is None and keys != _padded(keys):
            bias = blocked(torch.ones(keys, dtype=torch.bool), inner_type(packed))
        keep = None
        if dropout:
            batch, time, _, heads, _ = packed.shape
            keep = keep_mask((batch * heads, time, _padded(keys)), dropout, inner_type(packed))
        with torch.autocast("cpu", enabled=False):
            context: Tensor = _Attend.apply(packed, memory, bias, keep)  # type: ignore[no-untyped-call]
        return context
    q, k, v = _parts(packed, memory)
    if bias is not None:
        bias = bias[..., :keys].to(q.dtype)
    return _attend_by_torch(q, k, v, bias, dropout).transpose(1, 2).flatten(2)


def attend_step(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Attend with one query per sequence, as `reference_attend`, with a bias from `blocked` in place of the mask.

    Args:
        query: (batch, heads, head size).
        key: (batch, heads, key time, head size).
        value: As `key`.
        bias: Broadcast to (batch, heads, padded key time). None: all positions allowed.

    Returns:
        Contexts, (batch, heads, head size), and weights, (batch, heads, key time).
    """
    batch, heads, time, size = key.shape
    keys, values = key.flatten(0, 1), value.flatten(0, 1)
    scores = torch.bmm((query * size**-0.5).view(-1, 1, size), keys.transpose(1, 2)).view(batch, heads, time)
    scores = F.pad(scores.to(inner_type(scores)), (0, _padded(time) - time), value=BLOCKED)
    weights = _biased_softmax(scores, bias)[..., :time]
    context = torch.bmm(weights.reshape(-1, 1, time).to(value.dtype), values)
    return context.view(batch, heads, size), weights


def _attend_by_torch(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, dropout: float) -> Tensor:
    """Call torch's attention; since its dropout takes no generator, draw from the run's generator in other ways."""
    generator = generator_on(query.device) if dropout else None
    if generator is None:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=dropout)
    if query.device.type != "cpu":
        with lend([generator]):  # during the launch only
            return F.scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=dropout)
    scale = math.sqrt(1 / math.sqrt(query.shape[-1]))  # to both sides, as torch's formula does
    scores = (query * scale) @ (key * scale).transpose(-2, -1)
    weights = _biased_softmax(scores, bias)
    return dropout_values(weights, dropout) @ value


def _biased_softmax(scores: Tensor, bias: Tensor | None) -> Tensor:
    """Return the softmax of scores plus a bias from `blocked`."""
    return (scores if bias is None else scores + bias).softmax(-1)


def inner_type(tensor: Tensor) -> torch.dtype:
    """Return the dtype of scores and weights: float64 for float64, else float32."""
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def _parts(packed: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values as views, (batch, heads, time, head size)."""
    parts = packed.unbind(2) if memory is None else (*packed.unbind(2), *memory.unbind(2))
    q, k, v = (part.transpose(1, 2) for part in parts)
    return q, k, v


def _padded(size: int) -> int:
    return -(-size // LANES) * LANES


class _Attend(torch.autograd.Function):
    """Attention in two batched products forward and four backward, in float32 at least.

    Keys and values are zero-padded to whole vector registers; the bias blocks the padding.
    """

    @staticmethod
    def forward(ctx: Any, packed: Tensor, memory: Tensor | None, bias: Tensor | None, keep: Tensor | None) -> Tensor:
        batch, time, _, heads, size = packed.shape
        width = _padded((packed if memory is None else memory).shape[1])
        parts = _parts(packed, memory)
        q, k, v = (_side_by_side(part, length) for part, length in zip(parts, (time, width, width), strict=True))
        scores = torch.bmm(q.mul_(size**-0.5), k.transpose(1, 2))
        if bias is not None:
            scores.view(batch, heads, time, width).add_(bias)
        weights = scores.softmax(-1)
        context = torch.bmm(weights if keep is None else weights * keep, v)
        ctx.save_for_backward(packed, memory, bias, keep, q, k, v, weights)
        return context.view(batch, heads, time, size).transpose(1, 2).reshape(batch, time, -1).to(packed.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        packed, memory, bias, keep, q, k, v, weights = ctx.saved_tensors
        if torch.is_grad_enabled():  # double backward
            return _plain_gradients(packed, memory, bias, keep, gradient)
        batch, time, _, heads, size = packed.shape
        grad = _side_by_side(gradient.view(batch, time, heads, size).transpose(1, 2), time)
        grad_v = torch.bmm((weights if keep is None else weights * keep).transpose(1, 2), grad)
        grad_weights = torch.bmm(grad, v.transpose(1, 2))
        if keep is not None:
            grad_weights.mul_(keep)
        grad_scores = torch.ops.aten._softmax_backward_data(grad_weights, weights, -1, weights.dtype)
        grad_q = torch.bmm(grad_scores, k).mul_(size**-0.5)
        grad_k = torch.bmm(grad_scores.transpose(1, 2), q)  # q was scaled in the forward pass
        grad_packed = torch.empty_like(packed)
        grad_memory = None if memory is None else torch.empty_like(memory)
        for part, value in zip(_parts(grad_packed, grad_memory), (grad_q, grad_k, grad_v), strict=True):
            part.copy_(value.view(batch, heads, -1, size)[:, :, : part.shape[2]])
        return grad_packed, grad_memory, None, None


def _side_by_side(part: Tensor, length: int) -> Tensor:
    """Copy (batch, heads, time, head size) to (batch * heads, length, head size), zero past its time."""
    batch, heads, time, size = part.shape
    copy = torch.empty(batch, heads, length, size, dtype=inner_type(part))
    copy[:, :, :time].copy_(part)
    copy[:, :, time:].zero_()
    return copy.view(batch * heads, length, size)


def _plain_gradients(
    packed: Tensor, memory: Tensor | None, bias: Tensor | None, keep: Tensor | None, gradient: Tensor
) -> tuple[Tensor | None, ...]:
    """Return the gradients of `_Attend` by differentiable operations."""
    q, k, v = (part.to(inner_type(packed)) for part in _parts(packed, memory))
    scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
    weights = _biased_softmax(scores, None if bias is None else bias[..., : k.shape[2]])
    if keep is not None:
        weights = weights * keep.view(*q.shape[:3], -1)[..., : k.shape[2]]
    context = (weights @ v).transpose(1, 2).flatten(2).to(packed.dtype)
    inputs = [tensor for tensor in (packed, memory) if tensor is not None and tensor.requires_grad]
    gradients = iter(torch.autograd.grad(context, inputs, gradient, create_graph=True))
    grads = [next(gradients) if tensor is not None and tensor.requires_grad else None for tensor in (packed, memory)]
    return *grads, None, None
