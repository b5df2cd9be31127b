"""When `auto` should not compile: sizes at which another path was as fast, with one thread of one processor."""

from __future__ import annotations

import torch

from unspool.cells import LSTMCell
from unspool.engine.cpu.emit.target import has_bfloat16
from unspool.engine.native import NativePath
from unspool.engine.request import Request
from unspool.engine.scan import ScanPath

__all__ = ["faster_elsewhere", "in_half"]

_SHORT = 4
"""Steps below which the plain loop takes no longer than the call of a compiled one."""
_SMALL_TRAINING, _SMALL_INFERENCE = 300_000, 1_000_000
"""Multiplications for one gate, below which torch's kernels and the scan win by having less to say."""
_NARROW, _WIDE, _FEW = 128, 256, 8
"""Up to so many units, and above so many, torch's LSTM kernel trains as fast as the compiled loop; up to the second
not where there are no more than so few sequences."""


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


def faster_elsewhere(request: Request) -> str | None:
    """Why another path is at least as fast for this cell, size and machine; None if the compiled loop is."""
    time, batch, width = request.inputs.shape
    cell = request.cell
    half = torch.is_autocast_enabled("cpu")
    if half:
        refusal = in_half(next(cell.parameters(), request.inputs).dtype)
        if refusal is not None:
            return f"it computes in full precision, and automatic half precision is on: {refusal}"
    if time < _SHORT:
        return f"a compiled loop is not worth its call for {time} step{'s' * (time > 1)}"
    native = NativePath().refuses(request) is None
    if not native and ScanPath().refuses(request) is not None:
        return None
    wanted = any(tensor.requires_grad for tensor in (request.inputs, *request.state, *cell.parameters()))
    training = torch.is_grad_enabled() and wanted
    work = time * batch * cell.hidden_size * (cell.hidden_size * native + width)
    if work < (_SMALL_TRAINING if training else _SMALL_INFERENCE):
        return f"at this size {'torch' if native else 'a scan'} is as fast"
    if isinstance(cell, LSTMCell) and native and request.lengths is None:
        middling = _NARROW < cell.hidden_size <= _WIDE or (batch <= _FEW and cell.hidden_size <= _WIDE)
        if half:
            return "torch's own LSTM kernel is faster in bfloat16"
        return None if training and middling else "torch's own LSTM kernel is as fast at this size"
    return None
