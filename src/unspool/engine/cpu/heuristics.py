"""When `auto` should not compile: sizes at which another path was as fast, with one thread or two of one processor."""

from __future__ import annotations

import torch

from unspool.cells import LSTMCell
from unspool.engine.cpu.codegen.target import has_bfloat16, host_target
from unspool.engine.cpu.runtime.thread_team import threads
from unspool.engine.native import NativePath
from unspool.engine.request import Request

__all__ = ["in_half", "why_slower"]


def in_half(dtype: torch.dtype) -> str | None:
    """Why products are not made in bfloat16; None if they are."""
    if not torch.is_autocast_enabled("cpu"):
        return "automatic half precision is off"
    wanted = torch.get_autocast_dtype("cpu")
    if wanted != torch.bfloat16 or dtype != torch.float32:
        said = " and ".join(str(kind).removeprefix("torch.") for kind in (wanted, dtype))
        return f"it knows bfloat16 beside float32, not {said}"
    if not has_bfloat16():
        return "this processor has no instruction for products of bfloat16 (AVX512-BF16)"
    return None


def why_slower(request: Request) -> str | None:
    """Why another path is at least as fast for this cell, size and machine; None if the compiled loop is."""
    half = torch.is_autocast_enabled("cpu")
    if half:
        refusal = in_half(next(request.cell.parameters(), request.inputs).dtype)
        if refusal is not None:
            return f"it computes in full precision, and automatic half precision is on: {refusal}"
    if request.inputs.shape[0] == 1:  # the plain loop takes no longer than the call
        return "a compiled loop is not worth its call for 1 step"
    if _wanted(request) or not isinstance(request.cell, LSTMCell) or request.lengths is not None:
        return None
    alone, double = threads() == 1, request.inputs.dtype is torch.float64
    faster = (alone or not host_target().tiled) if half else (alone and double)
    if not faster or NativePath().why_unsupported(request) is not None:
        return None
    return f"torch's own LSTM kernel is faster in {'bfloat16' if half else 'float64'} where no gradient is wanted"


def _wanted(request: Request) -> bool:
    """Whether a gradient is."""
    given = (request.inputs, *request.state, *request.cell.parameters())
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in given)
