"""Scaled dot-product attention: the formula, and the same in few products for sentences of ordinary length."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from unspool.layers.masked_softmax import masked_softmax
from unspool.layers.residual import keep_mask
from unspool.randomness import dropout as drop
from unspool.randomness import generator_on, lend

__all__ = ["attend_packed", "attend_step", "blocked", "inner_type", "reference_attend"]

BLOCKED = -1e30  # added to a score, leaves exactly no weight beside any score that is not blocked
LANES = 16  # torch's softmax over rows that do not fill the widest vector registers takes ten times as long
LONGEST = 256  # beyond it all scores at once outgrow the cache, and torch's kernel, which takes them in blocks, wins


def reference_attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    r"""Weigh values by how well their keys fit each query: the definition.

    .. math:: \mathrm{Attention}(Q, K, V) = \mathrm{softmax}(Q K^\top / \sqrt{d_k}) V

    Source: Vaswani et al. 2017, arXiv:1706.03762, equation 1.

    Args:
        query: (batch, heads, query time, head size).
        key: (batch, heads, key time, head size).
        value: As `key`.
        mask: What each query may look at (True), to be broadcast to (batch, heads, query time, key time).

    Returns:
        Contexts, (batch, heads, query time, head size), and weights, (batch, heads, query time, key time). A query
        that may look at nothing has weights and a context of zero.
    """
    scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
    weights = masked_softmax(scores, mask)
    return weights.to(value.dtype) @ value, weights


def blocked(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """What the fast paths add to the scores so that only True of a mask, (..., key time), is looked at.

    The last dimension is filled up to whole vector registers, and what is filled in is blocked.
    """
    extra = _filled(mask.shape[-1]) - mask.shape[-1]
    return F.pad(
        torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, BLOCKED), (0, extra), value=BLOCKED
    )


def attend_packed(packed: Tensor, memory: Tensor | None, bias: Tensor | None, dropout: float = 0.0) -> Tensor:
    """Many-headed attention from packed products; agrees with `reference_attend`.

    Args:
        packed: Queries, keys and values of one sequence, (batch, time, 3, heads, head size); or queries alone,
            (batch, time, 1, heads, head size).
        memory: Keys and values of another sequence, (batch, key time, 2, heads, head size).
        bias: From `blocked`, to be broadcast to (batch, heads, time, key time), nothing blocked if omitted. Every
            query must have a key left.
        dropout: Share of the weights dropped.

    Returns:
        Contexts, the heads side by side, (batch, time, size).
    """
    keys = (packed if memory is None else memory).shape[1]
    if packed.device.type == "cpu" and keys <= LONGEST:
        if bias is None and keys != _filled(keys):
            bias = blocked(torch.ones(keys, dtype=torch.bool), inner_type(packed))
        kept = None
        if dropout:
            batch, time, _, heads, _ = packed.shape
            kept = keep_mask((batch * heads, time, _filled(keys)), dropout, inner_type(packed))
        with torch.autocast("cpu", enabled=False):
            context: Tensor = _Attend.apply(packed, memory, bias, kept)  # type: ignore[no-untyped-call]
        return context
    q, k, v = _parts(packed, memory)
    if bias is not None:
        bias = bias[..., :keys].to(q.dtype)
    return _attend_by_torch(q, k, v, bias, dropout).transpose(1, 2).flatten(2)


def attend_step(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """`reference_attend` for one query of each sequence, with a bias from `blocked` in place of the mask.

    Args:
        query: (batch, heads, head size).
        key: (batch, heads, key time, head size).
        value: As `key`.
        bias: To be broadcast to (batch, heads, key time filled up), nothing blocked if omitted.

    Returns:
        Contexts, (batch, heads, head size), and weights, (batch, heads, key time).
    """
    batch, heads, time, size = key.shape
    keys, values = key.flatten(0, 1), value.flatten(0, 1)
    scores = torch.bmm((query * size**-0.5).view(-1, 1, size), keys.transpose(1, 2)).view(batch, heads, time)
    scores = F.pad(scores.to(inner_type(scores)), (0, _filled(time) - time), value=BLOCKED)
    weights = _biased_softmax(scores, bias)[..., :time]
    context = torch.bmm(weights.reshape(-1, 1, time).to(value.dtype), values)
    return context.view(batch, heads, size), weights


def _attend_by_torch(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, dropout: float) -> Tensor:
    """Torch's attention; its dropout takes no generator, so that the run's numbers reach it by another way."""
    generator = generator_on(query.device) if dropout else None
    if generator is None:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=dropout)
    if query.device.type != "cpu":
        with lend([generator]):  # only while the kernel is launched
            return F.scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=dropout)
    scale = math.sqrt(1 / math.sqrt(query.shape[-1]))  # to both sides, as torch's formula does
    scores = (query * scale) @ (key * scale).transpose(-2, -1)
    weights = _biased_softmax(scores, bias)
    return drop(weights, dropout) @ value


def _biased_softmax(scores: Tensor, bias: Tensor | None) -> Tensor:
    """Return the softmax of scores plus a bias from `blocked`, which stands for the mask."""
    return (scores if bias is None else scores + bias).softmax(-1)


def inner_type(tensor: Tensor) -> torch.dtype:
    """The type in which scores are added up and weighed."""
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def _parts(packed: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values as views, (batch, heads, time, head size)."""
    parts = packed.unbind(2) if memory is None else (*packed.unbind(2), *memory.unbind(2))
    q, k, v = (part.transpose(1, 2) for part in parts)
    return q, k, v


def _filled(size: int) -> int:
    return -(-size // LANES) * LANES


class _Attend(torch.autograd.Function):
    """Two batched products around a softmax, and four around its derivative, whatever the inputs' type in float32.

    Keys and values are filled up with zeros to whole vector registers; the bias blocks what was filled in.
    """

    @staticmethod
    def forward(ctx: Any, packed: Tensor, memory: Tensor | None, bias: Tensor | None, kept: Tensor | None) -> Tensor:
        batch, time, _, heads, size = packed.shape
        width = _filled((packed if memory is None else memory).shape[1])
        parts = _parts(packed, memory)
        q, k, v = (_side_by_side(part, length) for part, length in zip(parts, (time, width, width), strict=True))
        scores = torch.bmm(q.mul_(size**-0.5), k.transpose(1, 2))
        if bias is not None:
            scores.view(batch, heads, time, width).add_(bias)
        weights = scores.softmax(-1)
        context = torch.bmm(weights if kept is None else weights * kept, v)
        ctx.save_for_backward(packed, memory, bias, kept, q, k, v, weights)
        return context.view(batch, heads, time, size).transpose(1, 2).reshape(batch, time, -1).to(packed.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        packed, memory, bias, kept, q, k, v, weights = ctx.saved_tensors
        if torch.is_grad_enabled():  # someone wants gradients of these gradients
            return _plain_gradients(packed, memory, bias, kept, gradient)
        batch, time, _, heads, size = packed.shape
        grad = _side_by_side(gradient.view(batch, time, heads, size).transpose(1, 2), time)
        grad_v = torch.bmm((weights if kept is None else weights * kept).transpose(1, 2), grad)
        grad_weights = torch.bmm(grad, v.transpose(1, 2))
        if kept is not None:
            grad_weights.mul_(kept)
        grad_scores = torch.ops.aten._softmax_backward_data(grad_weights, weights, -1, weights.dtype)
        grad_q = torch.bmm(grad_scores, k).mul_(size**-0.5)
        grad_k = torch.bmm(grad_scores.transpose(1, 2), q)  # q was scaled in the forward pass
        grad_packed = torch.empty_like(packed)
        grad_memory = None if memory is None else torch.empty_like(memory)
        for part, value in zip(_parts(grad_packed, grad_memory), (grad_q, grad_k, grad_v), strict=True):
            part.copy_(value.view(batch, heads, -1, size)[:, :, : part.shape[2]])
        return grad_packed, grad_memory, None, None


def _side_by_side(part: Tensor, filled: int) -> Tensor:
    """A copy of (batch, heads, time, head size) as (batch * heads, filled, head size), zero past its time."""
    batch, heads, time, size = part.shape
    copy = torch.empty(batch, heads, filled, size, dtype=inner_type(part))
    copy[:, :, :time].copy_(part)
    copy[:, :, time:].zero_()
    return copy.view(batch * heads, filled, size)


def _plain_gradients(
    packed: Tensor, memory: Tensor | None, bias: Tensor | None, kept: Tensor | None, gradient: Tensor
) -> tuple[Tensor | None, ...]:
    """What `_Attend` passes back, by operations that can be differentiated again."""
    q, k, v = (part.to(inner_type(packed)) for part in _parts(packed, memory))
    scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
    weights = _biased_softmax(scores, None if bias is None else bias[..., : k.shape[2]])
    if kept is not None:
        weights = weights * kept.view(*q.shape[:3], -1)[..., : k.shape[2]]
    context = (weights @ v).transpose(1, 2).flatten(2).to(packed.dtype)
    wanted = [tensor for tensor in (packed, memory) if tensor is not None and tensor.requires_grad]
    found = iter(torch.autograd.grad(context, wanted, gradient, create_graph=True))
    grads = [next(found) if tensor is not None and tensor.requires_grad else None for tensor in (packed, memory)]
    return *grads, None, None
