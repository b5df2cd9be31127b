"""Operators of ONNX for whole recurrent layers, where a cell is exactly one: LSTM, GRU, Elman."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unspool.cells import cell_class
from unspool.engine.compiler.ir.graph import Graph
from unspool.ship.step_graph import StepGraph, step_graph

__all__ = ["Layer", "vendor_layer"]

Rows = NDArray[np.float32]


class Layer(NamedTuple):
    """A layer of one direction as an operator of ONNX."""

    operator: str
    attributes: dict[str, Any]
    weights: Rows
    """(gates * hidden, input)"""
    recurrent: Rows
    """(gates * hidden, hidden)"""
    bias: Rows
    """For inputs, then for the state, (2 * gates * hidden,)"""
    peepholes: Rows | None = None
    """(3 * hidden,)"""


def vendor_layer(step: StepGraph) -> Layer | None:
    """Return the operator for a step; None if there is none that does exactly the same."""
    input_size, hidden = step.widths[0], step.output
    if len(step.widths) > 1 or any(part.any() for part in step.start):
        return None
    signature = _signature(step.wide)
    for name, make in _MAKERS.items():
        if signature == _signature_of(name, input_size, hidden):
            return make(step.matrices, step.vectors, hidden)
    return None


@cache
def _signature_of(name: str, input_size: int, hidden: int) -> Any:
    return _signature(step_graph(cell_class(name)(input_size, hidden).eval()).wide)


def _signature(graph: Graph) -> Any:
    """Return what a graph computes, without lines of the cell."""
    nodes = graph.nodes()
    places = {node: place for place, node in enumerate(nodes)}
    return (
        tuple((node.operation, tuple(places[a] for a in node.arguments), node.width, node.value) for node in nodes),
        tuple((name, places[node]) for name, node in graph.results),
    )


def _ordered(rows: Rows, hidden: int, order: Sequence[int]) -> Rows:
    """Return the blocks of rows of each gate in another order."""
    return np.ascontiguousarray(np.concatenate([rows[gate * hidden : (gate + 1) * hidden] for gate in order]))


def _lstm(matrices: Sequence[Rows], vectors: Sequence[Rows], hidden: int) -> Layer:
    order = (0, 3, 1, 2)  # i f g o to i o f g
    weights, recurrent = (_ordered(matrix.T, hidden, order) for matrix in matrices)
    bias = _ordered(vectors[0], hidden, order)
    both = np.concatenate([bias, np.zeros_like(bias)])
    peepholes = None
    if len(vectors) > 1:
        forget, input, output = vectors[1:]  # in the order in which the step uses them
        peepholes = np.concatenate([input, output, forget])
    return Layer("LSTM", {"hidden_size": hidden}, weights, recurrent, both, peepholes)


def _gru(matrices: Sequence[Rows], vectors: Sequence[Rows], hidden: int) -> Layer:
    order = (1, 0, 2)  # r z n to z r n
    weights = _ordered(matrices[0].T, hidden, order)
    recurrent = _ordered(np.concatenate([matrix.T for matrix in matrices[1:]]), hidden, order)
    biases = [vectors[0], np.concatenate(vectors[1:])]
    both = np.concatenate([_ordered(bias, hidden, order) for bias in biases])
    return Layer(
        "GRU", {"hidden_size": hidden, "linear_before_reset": int(len(matrices) == 2)}, weights, recurrent, both
    )


def _elman(function: str) -> Callable[..., Layer]:
    def make(matrices: Sequence[Rows], vectors: Sequence[Rows], hidden: int) -> Layer:
        weights, recurrent = (np.ascontiguousarray(matrix.T) for matrix in matrices)
        bias = np.concatenate([vectors[0], np.zeros_like(vectors[0])])
        return Layer("RNN", {"hidden_size": hidden, "activations": [function]}, weights, recurrent, bias)

    return make


_MAKERS: dict[str, Callable[..., Layer]] = {
    "lstm": _lstm,
    "lstm-peephole": _lstm,
    "gru": _gru,
    "gru-reset-before": _gru,
    "elman": _elman("Tanh"),
    "elman-relu": _elman("Relu"),
}
