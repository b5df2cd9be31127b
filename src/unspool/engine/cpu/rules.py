"""When `auto` should not compile: sizes at which another path was as fast, with one thread or two of one processor."""

from __future__ import annotations

import torch

from unspool.cells import LSTMCell
from unspool.engine.cpu.emit.target import has_bfloat16
from unspool.engine.cpu.threads import threads
from unspool.engine.native import NativePath
from unspool.engine.request import Request
from unspool.engine.scan import ScanPath

__all__ = ["faster_elsewhere", "in_half"]

_SHORT = 4
"""Steps below which the plain loop takes no longer than the call of a compiled one."""
_SMALL_TRAINING, _SMALL_INFERENCE = 50_000, 100_000
"""Multiplications for one gate, below which torch's kernels win by having less to say."""
_SMALL_SCAN_TRAINING, _SMALL_SCAN_INFERENCE = 300_000, 1_000_000
"""The same for the scan."""
_NARROW = 256
"""Up to so many units torch's LSTM kernel is faster on one thread, where no gradient is wanted."""


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
    if isinstance(cell, LSTMCell) and native and request.lengths is None:
        if half:
            return "torch's own LSTM kernel is faster in bfloat16"
        if not training and cell.hidden_size <= _NARROW and threads() == 1:
            return "torch's own LSTM kernel is faster at this size on one thread"
    work = time * batch * cell.hidden_size * (cell.hidden_size * native + width)
    small = (_SMALL_TRAINING, _SMALL_INFERENCE) if native else (_SMALL_SCAN_TRAINING, _SMALL_SCAN_INFERENCE)
    if work < small[not training]:
        return f"at this size {'torch' if native else 'a scan'} is as fast"
    return None
