"""Detect tracers, modes and function transforms that native code would bypass, since it calls no torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

__all__ = ["is_intercepted", "plain_memory"]

_compiling = torch.compiler.is_compiling
_tracing = torch._C._is_tracing
_transforms = torch._C._functorch.peek_interpreter_stack
_batched = torch._C._functorch.is_legacy_batchedtensor  # of several gradients at once
_modes = torch._C._len_torch_dispatch_stack


def is_intercepted() -> bool:
    """Return whether a compiler, tracer, transform, dispatch mode or forward-mode autodiff must see torch's calls."""
    return _compiling() or _tracing() or _transforms() is not None or _modes() > 0 or forward_ad._current_level >= 0


def plain_memory(tensor: Tensor) -> bool:
    """Return whether a tensor is nothing but its numbers, at the address and strides that it reports."""
    return (
        type(tensor) in (Tensor, nn.Parameter)
        and tensor.is_cpu
        and tensor.layout is torch.strided
        and not (tensor.is_neg() or tensor._is_zerotensor() or _batched(tensor))
    )
