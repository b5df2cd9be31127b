"""When `auto` takes another path than the compiler, and when products run in bfloat16."""

from __future__ import annotations

import torch

from unspool.cells import LSTMCell
from unspool.engine.cpu.policy import current_policy, current_target
from unspool.engine.cpu.runtime.thread_team import threads
from unspool.engine.native import NativePath
from unspool.engine.request import Request

__all__ = ["why_full_precision", "why_slower"]


def why_full_precision(dtype: torch.dtype) -> str | None:
    """Say why products of a number type don't run in bfloat16; None if they do."""
    if not torch.is_autocast_enabled("cpu"):
        return "automatic half precision is off"
    requested = torch.get_autocast_dtype("cpu")
    if requested != torch.bfloat16 or dtype != torch.float32:
        names = " and ".join(str(kind).removeprefix("torch.") for kind in (requested, dtype))
        return f"it knows bfloat16 beside float32, not {names}"
    if not current_target().bfloat16:
        return "this processor has no instruction for products of bfloat16 (AVX512-BF16)"
    return None


def why_slower(request: Request) -> str | None:
    """Say why another path is at least as fast for this cell, size and machine; None if the compiled loop is fastest.

    Measured on an Intel Xeon with AMX and an AMD EPYC, one thread and two, by `benchmarks/engine.py`.
    """
    half = torch.is_autocast_enabled("cpu")
    if half:
        reason = why_full_precision(next(request.cell.parameters(), request.inputs).dtype)
        if reason is not None:
            return f"it computes in full precision, and automatic half precision is on: {reason}"
    steps = request.inputs.shape[0]
    if steps < current_policy().compiled_steps:
        return f"a compiled loop is not worth its call for {steps} step{'s' * (steps > 1)}"
    if _needs_gradient(request) or not isinstance(request.cell, LSTMCell) or request.lengths is not None:
        return None
    single, double = threads() == 1, request.inputs.dtype is torch.float64
    native_wins = (single or not current_target().tiled) if half else (single and double)
    if not native_wins or NativePath().why_unsupported(request) is not None:
        return None
    return f"torch's own LSTM kernel is faster in {'bfloat16' if half else 'float64'} where no gradient is wanted"


def _needs_gradient(request: Request) -> bool:
    tensors = (request.inputs, *request.state, *request.cell.parameters())
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
