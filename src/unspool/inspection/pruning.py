"""Pruning of units: zero the weights that form a unit, and check the result against a clamp of the unit at zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from unspool.cells import Cell, StepEditor
from unspool.errors import UsageError, wording
from unspool.inspection.concepts.ablation import Clamp

__all__ = ["prune_cell", "weights_of_units"]

_STEPS, _BATCH, _DRAWS = 6, 32, 4
_TOLERANCE = 1e-9  # float64; a weight that another unit reads changes the first digits


def prune_cell(cell: Cell[Any], units: Sequence[int], place: str) -> int:
    """Set the weights of some units to zero, so that these units are zero at every step.

    The result is checked: on random inputs, outputs and states equal those of the cell whose units are clamped at zero
    after every step. The check uses the cell's own weights, and random ones. If it fails, the cell is unchanged.

    Args:
        cell: The cell.
        units: Indices of the units, from 0.
        place: Name of the cell in a trace, for messages.

    Returns:
        The number of weights that are zero now.

    Raises:
        UsageError: If zero weights do not silence a unit of this cell.
    """
    try:
        masks = weights_of_units(cell, units)
        silent = all(_is_silent(each, masks, units) for each in (_with_random_weights(cell, 1), _copy(cell)))
    except RuntimeError:  # a step that float64 or gradients can't pass through
        silent = False
    if not silent:
        raise _refusal(cell, units, place)
    _zero(cell, masks)
    return sum(int(mask.sum()) for mask in masks.values())


def weights_of_units(cell: Cell[Any], units: Sequence[int]) -> dict[str, Tensor]:
    """Return which weights form some units: in one step, they change these units and nothing else.

    The gradient of everything else in the output and the next state is then exactly zero. Of an LSTM, these are the
    rows of a unit in all matrices and biases, and its peepholes.

    Args:
        cell: The cell. Its own weights do not matter: random ones take their place, since zeros would hide others.
        units: Indices of the units, from 0.

    Returns:
        Masks by the weight's name; True: the weight belongs to the units alone.
    """
    own = {name: torch.zeros_like(weight, dtype=torch.bool, device="cpu") for name, weight in cell.named_parameters()}
    shared = {name: mask.clone() for name, mask in own.items()}
    for draw in range(_DRAWS if own else 0):
        copy = _with_random_weights(cell, draw)
        to_units, to_others = _gradients(copy, units, draw)
        for name in own:
            own[name] |= to_units[name] != 0
            shared[name] |= to_others[name] != 0
    return {name: own[name] & ~shared[name] for name in own}


def _gradients(cell: Cell[Any], units: Sequence[int], draw: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return gradients, by weight, of two random functions of a step: of the units, and of everything else."""
    generator = torch.Generator().manual_seed(draw)
    inputs = _inputs(cell, 3)
    with torch.no_grad():
        *_, (_, state) = _run(cell, inputs[:-1])
        state = type(state)(*(part + 0.5 * _like(part, generator) for part in state))
    with torch.enable_grad():
        output, new = cell.step(inputs[-1], state)
        totals = _sums(cell, (output, *new), units, generator)
        names, weights = zip(*cell.named_parameters(), strict=True)
        both = (torch.autograd.grad(each, weights, retain_graph=True, allow_unused=True) for each in totals)
        to_units, to_others = (
            {name: torch.zeros_like(weight) if gradient is None else gradient for name, weight, gradient in rows}
            for rows in (zip(names, weights, each, strict=True) for each in both)
        )
    return to_units, to_others


def _sums(
    cell: Cell[Any], parts: Sequence[Tensor], units: Sequence[int], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return two random linear functions of a step's results: one of the units, one of everything else."""
    own = others = next(cell.parameters()).sum() * 0
    chosen = torch.zeros(cell.hidden_size, dtype=torch.bool)
    chosen[list(units)] = True
    for part in parts:
        real = torch.view_as_real(part) if part.is_complex() else part
        weighted = real * _like(real, generator)
        if _has_units(cell, part):
            own = own + weighted[:, chosen].sum()
            others = others + weighted[:, ~chosen].sum()
        else:
            others = others + weighted.sum()
    return own, others


def _is_silent(cell: Cell[Any], masks: Mapping[str, Tensor], units: Sequence[int]) -> bool:
    """Whether the cell without some weights does what it does with the units clamped at zero, step by step."""
    pruned, inputs = deepcopy(cell), _inputs(cell, _STEPS)
    _zero(pruned, masks)
    others = [unit for unit in range(cell.hidden_size) if unit not in units]
    with torch.no_grad():
        output, new = cell.step(inputs[0], cell.initial_state(_BATCH))
        shown = [name for name, part in new._asdict().items() if part is output]
        clamp = Clamp({name: dict.fromkeys(units, 0.0) for name in shown})
        if not shown:
            return False
        for (output, state), (expected, expected_state) in zip(
            _run(pruned, inputs), _run(cell, inputs, clamp), strict=True
        ):
            if output[:, list(units)].count_nonzero() or not _close(output, expected):
                return False
            for part, expected_part in zip(state, expected_state, strict=True):
                rows = (slice(None), others) if _has_units(cell, part) else (...,)
                if not _close(part[rows], expected_part[rows]):
                    return False
    return True


def _run(cell: Cell[Any], inputs: Tensor, editor: StepEditor | None = None) -> list[tuple[Tensor, Any]]:
    """Run a cell over inputs (time, batch, input); return output and state of each step."""
    steps, state = [], cell.initial_state(inputs.shape[1])
    with torch.random.fork_rng(devices=[]):  # cells with noise draw the same
        torch.manual_seed(0)
        for x in inputs:
            output, state = cell.step(x, state) if editor is None else editor.step(cell, x, state, ())
            steps.append((output, state))
    return steps


def _inputs(cell: Cell[Any], steps: int) -> Tensor:
    generator = torch.Generator().manual_seed(steps)
    return torch.randn(steps, _BATCH, cell.input_size, dtype=torch.float64, generator=generator)


def _copy(cell: Cell[Any]) -> Cell[Any]:
    return deepcopy(cell).cpu().double().eval()


def _with_random_weights(cell: Cell[Any], seed: int) -> Cell[Any]:
    """Return a copy with random weights, of a size that saturates no gate."""
    copy, generator = _copy(cell), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in copy.parameters():
            weight.copy_(_like(weight, generator) * (0.5 if weight.dim() < 2 else weight.shape[-1] ** -0.5))
    return copy


def _like(tensor: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(tensor.shape, dtype=tensor.dtype, generator=generator)


def _zero(cell: Cell[Any], masks: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, weight in cell.named_parameters():
            weight.masked_fill_(masks[name].to(weight.device), 0)


def _has_units(cell: Cell[Any], part: Tensor) -> bool:
    return part.dim() == 2 and part.shape[1] == cell.hidden_size


def _close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=_TOLERANCE, atol=_TOLERANCE)


def _refusal(cell: Cell[Any], units: Sequence[int], place: str) -> UsageError:
    numbers = ",".join(str(unit + 1) for unit in units)
    edit = f"{place} / {cell.initial_state(1)._fields[0]}[{numbers}] = zero"
    way = wording(
        f'unspool inspect MODEL TEXT --edit "{edit}" --save-edits clamp.json', f"trace(text, edits=[{edit!r}])"
    )
    return UsageError(
        f"units {numbers} of {place} can't be pruned: zero weights do to {type(cell).__name__} something else than "
        f"units clamped at zero; keep the clamp as an edit: {way}"
    )
