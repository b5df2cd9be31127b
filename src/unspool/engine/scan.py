r"""Linear cells as a scan: products and gates of all steps at once, then the recurrence in blocks.

The recurrence :math:`h_t = a_t \odot h_{t-1} + b_t` is cut into about √T blocks. One pass runs all blocks side by
side from zero, a short loop carries the state from block to block, and one last product adds what each block
inherited: about 2√T dependent steps in place of T. Blelloch 1990, "Prefix sums and their applications", in two levels.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from unspool.cells import LinearCell
from unspool.engine.request import Path, Request, State, check_keeps
from unspool.errors import ShapeError

__all__ = ["ScanPath", "linear_scan"]


class ScanPath(Path):
    """Run a linear cell over all steps at once."""

    name = "scan"

    def why_unsupported(self, request: Request) -> str | None:
        cell = request.cell
        if not isinstance(cell, LinearCell):
            return f"{type(cell).__name__} is not a LinearCell, its gates may look at the state"
        if type(cell).step is not LinearCell.step:
            return f"{type(cell).__name__} has a step of its own beside its coefficients"
        if request.context:
            return "a scan takes no context"
        if cell.watched:
            return "the state is only formed step by step when someone is watching"
        return None

    def run(self, request: Request) -> tuple[Tensor, State]:
        inputs, lengths = request.inputs, request.lengths
        padding = None
        if lengths is not None:
            steps = torch.arange(inputs.shape[0], device=inputs.device)[:, None]
            padding = (steps >= lengths.to(inputs.device)).unsqueeze(-1)
            inputs = inputs.masked_fill(padding, 0)
        cell, start = request.cell, request.state[0]
        assert isinstance(cell, LinearCell)
        units = start.shape[1:]
        coefficients = cell.coefficients(inputs)
        _check_coefficients(cell, coefficients, start)
        shape = (*inputs.shape[:2], *units)  # a decay that is the same at all steps may come without them
        a, b = (part.to(start.dtype).expand(shape) for part in coefficients)  # never scanned in half precision
        if padding is not None:  # the padding hands the state on
            gap = padding.view(*padding.shape[:2], *[1] * len(units))
            a, b = a.masked_fill(gap, 1), b.masked_fill(gap, 0)
        if request.reverse:
            a, b = a.flip(0), b.flip(0)
        states = linear_scan(a, b, start)
        final = type(request.state)(states[-1])
        if request.reverse:
            states = states.flip(0)
        outputs = cell.readout(inputs, states)
        _check_outputs(cell, outputs, inputs)
        return outputs if padding is None else outputs.masked_fill(padding, 0), final


def _check_coefficients(cell: LinearCell[Any], coefficients: tuple[Tensor, Tensor], start: Tensor) -> None:
    name, units = type(cell).__name__, start.shape[1:]
    for part in coefficients:
        if part.shape[-len(units) :] != units:
            expected = ", ".join(["...", *map(str, units)])
            raise ShapeError(f"{name}.coefficients returned shape {tuple(part.shape)}, expected ({expected})")
        check_keeps(cell, part, start)


def _check_outputs(cell: LinearCell[Any], outputs: Tensor, inputs: Tensor) -> None:
    expected = (*inputs.shape[:2], cell.hidden_size)
    if outputs.shape != expected:
        raise ShapeError(
            f"{type(cell).__name__}.readout returned shape {tuple(outputs.shape)}, expected {expected}; without a "
            f"readout the state is the output, and has hidden_size units"
        )


def linear_scan(a: Tensor, b: Tensor, start: Tensor) -> Tensor:
    """All states of `h_t = a_t * h_{t-1} + b_t`, element by element.

    Args:
        a: Decays, (time, ...).
        b: Inputs, (time, ...).
        start: The state before the first step, (...).

    Returns:
        States after each step, (time, ...).
    """
    result: Tensor = _LinearScan.apply(a, b, start)  # type: ignore[no-untyped-call]
    return result


class _LinearScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, start: Tensor) -> Tensor:
        states = _scan(a, b, start)
        ctx.save_for_backward(a, states, start)
        return states

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, states, start = ctx.saved_tensors
        # d b_t = d h_t + conj(a_{t+1}) d b_{t+1}: the same recurrence, from the end to the beginning
        after = torch.cat([a[1:], torch.zeros_like(a[:1])]).flip(0).conj()
        d_b = _scan(after, gradient.flip(0), torch.zeros_like(start)).flip(0)
        before = torch.cat([start.unsqueeze(0), states[:-1]])
        return d_b * before.conj(), d_b, d_b[0] * a[0].conj()


def _scan(a: Tensor, b: Tensor, start: Tensor) -> Tensor:
    time = a.shape[0]
    block = math.isqrt(time)
    if block < 4:
        return _loop(a, b, start)
    blocks = time // block
    whole = blocks * block
    shape = (blocks, block, *a.shape[1:])
    # one tensor (step in block, block, ...): every block starts from zero
    a_blocks, b_blocks = (part[:whole].reshape(shape).transpose(0, 1) for part in (a, b))
    local = _loop(a_blocks, b_blocks, torch.zeros_like(b_blocks[0]))
    decay = a_blocks.cumprod(0)
    inherited = torch.empty_like(local[0])  # (block, ...): the state before each block
    carry = start
    for k in range(blocks):
        inherited[k] = carry
        carry = torch.addcmul(local[-1, k], decay[-1, k], carry)
    states = torch.addcmul(local, decay, inherited).transpose(0, 1).reshape(whole, *a.shape[1:])
    return states if whole == time else torch.cat([states, _loop(a[whole:], b[whole:], states[-1])])


def _loop(a: Tensor, b: Tensor, start: Tensor) -> Tensor:
    states = torch.empty_like(b)
    previous = start
    for t in range(a.shape[0]):
        torch.addcmul(b[t], a[t], previous, out=states[t])
        previous = states[t]
    return states
