"""Run the prologue of a loop by torch's own operations, under autograd."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from unspool.engine.compiler.ir.graph import Node
from unspool.engine.compiler.ir.interpreter import compute
from unspool.engine.compiler.passes.hoist import Prologue
from unspool.engine.cpu.runtime.autograd_gemm import multiply

__all__ = ["run_inputs", "run_weights"]


def run_weights(
    before: Prologue, vectors: Sequence[Tensor], matrices: Sequence[Tensor], dtype: torch.dtype
) -> dict[Node, Tensor]:
    """Compute all that depends on weights alone; the loop's vectors are among it.

    Args:
        before: The prologue.
        vectors: The weights that are the same for all rows, each (width,).
        matrices: The matrices by number.
        dtype: Of the step's constants.

    Returns:
        Values by node, each (1, width).
    """
    values: dict[Node, Tensor] = {}
    for node in before.order[0]:
        if node.operation == "source":
            values[node] = vectors[node.value[1]].unsqueeze(0)
        elif node.operation == "constant":
            values[node] = torch.full((1, node.width), node.value[0], dtype=dtype, device="cpu")
        else:
            values[node] = compute(node, [values[argument] for argument in node.arguments], matrices)
    return values


def run_inputs(
    before: Prologue,
    inputs: Sequence[Tensor],
    shared: Mapping[Node, Tensor],
    matrices: Sequence[Tensor],
    *,
    half: bool = False,
) -> list[Tensor]:
    """Return the loop's inputs, each (rows, width).

    Args:
        before: The prologue.
        inputs: The step's input and context of all steps, each (rows, width).
        shared: What `run_weights` returned.
        matrices: The matrices by number.
        half: Whether to multiply in bfloat16.
    """
    values = dict(shared)
    for node in before.order[1]:
        if node.operation == "source":
            values[node] = inputs[node.value[1]]
        elif node.operation == "product":
            values[node] = multiply(values[node.arguments[0]], matrices[node.value[0]], half=half)
        else:
            values[node] = compute(node, [values[argument] for argument in node.arguments], matrices)
    return [values[node] for node in before.inputs]
