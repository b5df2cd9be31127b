"""Fused linear layer and cross-entropy, without storing the logits of all tokens.

With a vocabulary of 10,000 units, the logits of a batch are the largest tensor of a language model. This module
processes the tokens in blocks that fit into the processor's cache. It computes logits, probabilities and gradients of
one block before the next. The result equals `F.cross_entropy(F.linear(...))` up to rounding.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from unspool.engine import linear, product

__all__ = ["linear_cross_entropy"]

_BLOCK_SCORES = 4_000_000  # logits per block


def linear_cross_entropy(
    inputs: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, *, label_smoothing: float = 0.0
) -> Tensor:
    r"""Return the sum of -log softmax(W h + b) at the targets, in nats.

    With label smoothing ε, return the sum of the Kullback-Leibler divergences KL(q ‖ p) instead, where
    p = softmax(W h + b) and q = (1 - ε) onehot + ε / C over all C classes (Szegedy et al. 2016, arXiv:1512.00567,
    section 7). It is 0 where p = q.

    Under autocast, matrix products run in its lower precision, everything else in float32.

    Args:
        inputs: Vectors h, (items, features).
        weight: W, (classes, features).
        bias: b, (classes,).
        targets: Target classes, int64 (items,).
        label_smoothing: ε, at least 0 and less than 1.
    """
    needs_gradients = torch.is_grad_enabled()  # always False inside an autograd function
    total: Tensor = _LinearCrossEntropy.apply(inputs, weight, bias, targets, label_smoothing, needs_gradients)  # type: ignore[no-untyped-call]
    return total


def _negative_entropy(smoothing: float, classes: int) -> float:
    """Return the sum of q log q over the classes of a smoothed target."""
    if not smoothing:
        return 0.0
    other = smoothing / classes
    top = 1 - smoothing + other
    return top * math.log(top) + (classes - 1) * other * math.log(other)


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: Tensor,
        label_smoothing: float,
        needs_gradients: bool,
    ) -> Tensor:
        kind = inputs.device.type
        low = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        wide = torch.promote_types(weight.dtype, torch.float32)
        needs_gradients = needs_gradients and any(ctx.needs_input_grad)
        gradients = [torch.zeros_like(part, dtype=wide) for part in (inputs, weight, bias)] if needs_gradients else []
        total = torch.zeros((), dtype=wide, device=inputs.device)
        rows = max(1, _BLOCK_SCORES // weight.shape[0])
        with torch.autocast(kind, enabled=False):
            weight_low, bias_low, inputs_low = weight.to(low), bias.to(low), inputs.to(low)
            for begin in range(0, len(inputs), rows):
                block = slice(begin, begin + rows)
                places = targets[block].unsqueeze(1)
                scores = linear(inputs_low[block], weight_low, bias_low).to(wide).log_softmax(1)
                total -= (1 - label_smoothing) * scores.gather(1, places).sum()
                if label_smoothing:
                    total -= label_smoothing / len(weight) * scores.sum()
                if needs_gradients:
                    error = scores.exp_()  # p - q: d total / d scores
                    if label_smoothing:
                        error -= label_smoothing / len(weight)
                    error.scatter_add_(1, places, error.new_full((1, 1), label_smoothing - 1).expand_as(places))
                    error_low = error.to(low)
                    gradients[0][block] = product(error_low, weight_low)
                    gradients[1] += product(error_low.t(), inputs_low[block])
                    gradients[2] += error.sum(0)
        total += len(inputs) * _negative_entropy(label_smoothing, len(weight))
        ctx.save_for_backward(*gradients)
        ctx.kinds = [part.dtype for part in (inputs, weight, bias)]
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight, bias = (
            (gradient * upstream).to(kind) for gradient, kind in zip(ctx.saved_tensors, ctx.kinds, strict=True)
        )
        return inputs, weight, bias, None, None, None
