"""Jacobians of a cell's step with respect to the state before, and their largest singular values."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from unspool.cells import Cell
from unspool.errors import UsageError
from unspool.inspection.gradients import StepJacobians

__all__ = ["EXACT", "largest_singular_values", "step_jacobians"]

EXACT = 128
"""Size of a state, in real numbers, up to which the whole Jacobian is computed."""
_ITERATIONS, _TOLERANCE = 200, 1e-6


def largest_singular_values(
    cell: Cell[Any],
    inputs: Tensor,
    before: Sequence[Tensor],
    state_type: Any,
    context: Sequence[Tensor] = (),
    *,
    method: str = "auto",
) -> StepJacobians:
    """Return the largest singular value of the Jacobian of each step, d s_t / d s_{t-1}.

    All steps are rows of one batch, so each product with the Jacobians is a single call of the cell's step.

    Args:
        cell: The cell, in evaluation mode.
        inputs: Input of each step, (time, features).
        before: Parts of the state before each step, (time, ...) each. Complex parts count as two real numbers.
        state_type: The cell's named tuple.
        context: Context of the step, which must not depend on the batch.
        method: `exact`: from the whole Jacobian; `power iteration`: Golub and Van Loan, Matrix Computations, section
            8.2, on its product with its transpose; `auto`: exact up to `EXACT` numbers in the state.

    Raises:
        UsageError: If there is no such method.
        RuntimeError: If the step can't be differentiated twice, which power iteration needs.
    """
    step = _Step(cell, inputs, before, state_type, context)
    if method not in ("auto", "exact", "power iteration"):
        raise UsageError(f"there is no method {method!r}; choose auto, exact or power iteration")
    if method == "exact" or (method == "auto" and step.size <= EXACT):
        return StepJacobians(_numpy(torch.linalg.svdvals(step.jacobians())[:, 0]), "exact")
    return StepJacobians(_numpy(step.iterate()), "power iteration")


def step_jacobians(cell: Cell[Any], inputs: Tensor, before: Sequence[Tensor], state_type: Any) -> Tensor:
    """Return the whole Jacobian of each step, (time, state, state): rows are the state after the step."""
    return _Step(cell, inputs, before, state_type, ()).jacobians()


class _Step:
    """A cell's step at each recorded state, as a function of flat real vectors, (time, state)."""

    def __init__(
        self, cell: Cell[Any], inputs: Tensor, before: Sequence[Tensor], state_type: Any, context: Sequence[Tensor]
    ) -> None:
        self._before, self._type = [part.detach() for part in before], state_type
        self._moving = [part.is_floating_point() or part.is_complex() for part in before]
        with torch.enable_grad():
            self._flat = _flattened([p for p, moving in zip(self._before, self._moving, strict=True) if moving])
            self._flat.requires_grad_()
            _, after = cell.step(inputs.detach(), self._state(), *context)
            self._after = _flattened([p for p, moving in zip(after, self._moving, strict=True) if moving])
        self.size = self._flat.shape[1]

    def _state(self) -> Any:
        parts, start = [], 0
        for part, moving in zip(self._before, self._moving, strict=True):
            if moving:
                width = prod(part.shape[1:]) * (2 if part.is_complex() else 1)
                values = self._flat[:, start : start + width]
                start += width
                parts.append(_as_complex(values, part) if part.is_complex() else values.reshape(part.shape))
            else:
                parts.append(part)
        return self._type(*parts)

    def jacobians(self) -> Tensor:
        """Return the Jacobians, (time, state, state), row by row."""
        rows = [
            self._transposed(torch.eye(self.size).to(self._flat)[i].expand_as(self._flat)) for i in range(self.size)
        ]
        return torch.stack(rows, dim=1)

    def _transposed(self, vectors: Tensor) -> Tensor:
        """Return the products of the transposed Jacobians with vectors, (time, state)."""
        return self._gradient(self._after, self._flat, vectors)

    def iterate(self) -> Tensor:
        """Return the largest singular values by power iteration, (time,)."""
        dummy = torch.zeros_like(self._flat, requires_grad=True)
        with torch.enable_grad():
            linear = self._gradient(self._after, self._flat, dummy, create_graph=True)
        generator = torch.Generator().manual_seed(0)
        vectors = torch.randn(self._flat.shape, generator=generator, dtype=torch.float64).to(self._flat)
        values = torch.zeros(len(vectors), dtype=vectors.dtype, device=vectors.device)
        for _ in range(_ITERATIONS):
            vectors = vectors / vectors.norm(dim=1, keepdim=True).clamp_min(torch.finfo(vectors.dtype).tiny)
            (images,) = torch.autograd.grad(linear, dummy, vectors, retain_graph=True)
            before, values = values, images.norm(dim=1)
            if bool(((values - before).abs() <= _TOLERANCE * values).all()):
                break
            vectors = self._transposed(images)
        return values

    @staticmethod
    def _gradient(result: Tensor, argument: Tensor, vectors: Tensor, *, create_graph: bool = False) -> Tensor:
        gradient = None
        if result.requires_grad:
            (gradient,) = torch.autograd.grad(
                result, argument, vectors, retain_graph=True, create_graph=create_graph, allow_unused=True
            )
        return 0 * vectors if gradient is None else gradient  # the new state does not depend on the old one


def _flattened(parts: Sequence[Tensor]) -> Tensor:
    real = [torch.view_as_real(part) if part.is_complex() else part for part in parts]
    return torch.cat([part.flatten(1) for part in real], dim=1)


def _as_complex(values: Tensor, like: Tensor) -> Tensor:
    return torch.view_as_complex(values.reshape(*like.shape, 2).contiguous())


def _numpy(values: Tensor) -> Any:
    return values.detach().double().cpu().numpy()
