"""Judge of a step: the meaning of the operations of a cell's graph in plain numpy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unspool.engine.compiler.ir.graph import OVER_BLOCKS, Node, block
from unspool.ship.step_graph import StepGraph

__all__ = ["POINTWISE", "run_step"]

Rows = NDArray[np.float32]


def _sigmoid(x: Rows) -> Rows:
    small = np.exp(-np.abs(x))
    shares: Rows = np.where(x >= 0, 1 / (1 + small), small / (1 + small))
    return shares


def _truth(compare: Callable[[Rows, Rows], NDArray[np.bool_]]) -> Callable[..., Rows]:
    return lambda a, b: compare(a, b).astype(np.float32)


POINTWISE: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "neg": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "minimum": np.minimum,
    "maximum": np.maximum,
    "at_least": np.maximum,
    "at_most": np.minimum,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "sin": np.sin,
    "cos": np.cos,
    "erf": np.vectorize(math.erf, otypes=[np.float32]),
    "sqrt": np.sqrt,
    "softplus": lambda x: np.where(x > 20, x, np.log1p(np.exp(np.minimum(x, 20)))),
    "pow": np.power,
    "where": lambda condition, a, b: np.where(condition != 0, a, b),
    "detach": lambda x: x,
    "eq": _truth(np.equal),
    "ne": _truth(np.not_equal),
    "lt": _truth(np.less),
    "le": _truth(np.less_equal),
    "gt": _truth(np.greater),
    "ge": _truth(np.greater_equal),
}
"""Operations that take every column by itself."""


def run_step(step: StepGraph, inputs: Sequence[Rows], state: Sequence[Rows]) -> tuple[Rows, list[Rows]]:
    """Make one step.

    Args:
        step: The step.
        inputs: The input of the step, then each row of context, (batch, width).
        state: Each part of the state, flat, (batch, width).

    Returns:
        The output, (batch, width), and each part of the new state.
    """
    sources = {"input": inputs, "state": state, "vector": [vector[None] for vector in step.vectors]}
    values: dict[Node, Rows] = {}
    with np.errstate(all="ignore"):
        for node in step.graph.nodes():
            if node.operation == "source":
                kind, number = node.value
                values[node] = sources[kind][number]
            elif node.operation == "constant":
                values[node] = np.full((1, node.width), node.value[0], np.float32)
            else:
                values[node] = _value(node, [values[argument] for argument in node.arguments], step.matrices)
    rows = len(inputs[0])
    states = step.graph.find("state")
    ends = [step.graph.find("output")[0], *(states[n] for n in range(len(state)))]
    output, *after = (np.broadcast_to(values[node], (rows, node.width)) for node in ends)
    return output, after


def _value(node: Node, arguments: list[Rows], matrices: Sequence[Rows]) -> Any:
    x = arguments[0]
    if node.operation in POINTWISE:
        return POINTWISE[node.operation](*arguments)
    if node.operation == "expand":
        return np.broadcast_to(x, (len(x), node.width))
    if node.operation == "product":
        number, transposed = node.value
        return x @ (matrices[number].T if transposed else matrices[number])
    if node.operation == "slice":
        return x[:, slice(*node.value)]
    if node.operation == "concat":
        rows = max(map(len, arguments))
        return np.concatenate([np.broadcast_to(part, (rows, part.shape[1])) for part in arguments], 1)
    if node.operation in ("sum", "max"):
        return x.sum(1, keepdims=True) if node.operation == "sum" else x.max(1, keepdims=True)
    if node.operation in OVER_BLOCKS:
        operation, _, over = node.operation.partition("_")
        blocks, axis = np.ascontiguousarray(x).reshape(-1, *block(node)), 2 if over == "inner" else 1
        return blocks.sum(axis) if operation == "sum" else blocks.max(axis)
    if node.operation == "spread":
        return np.repeat(x, node.width // x.shape[1], 1)
    if node.operation == "tile":
        return np.tile(x, (1, node.width // x.shape[1]))
    if node.operation == "roll":
        return np.roll(x, node.value[0], 1)
    raise AssertionError(f"{node!r} has no meaning")
