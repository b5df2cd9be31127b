"""Recurrent layers in ONNX: the operator of the vendor where there is one, else `Scan`.

Ragged sequences cost nothing within the loop. A forward loop runs past the end of a sequence, and what it computes
there is dropped; the state after the last valid step is taken from the states of all steps. A backward loop runs
forwards over a sequence that `ReverseSequence` has turned around.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unspool.engine.compiler.ir.graph import Node
from unspool.ship.onnx.steps import StepEmitter, results_of
from unspool.ship.onnx.vendor import Layer, vendor_layer
from unspool.ship.onnx.writer import GraphWriter
from unspool.ship.sheet import Unroll
from unspool.ship.step_graph import StepGraph

__all__ = ["TimeAxis", "at_last_step", "emit_step", "emit_unroll"]


@dataclass
class TimeAxis:
    """Names of what all sequences of a program share; empty if all sequences are as long as the tensors."""

    lengths: str
    """int64 (batch,)"""
    mask: str
    """True at valid steps, bool (time, batch, 1)."""


def emit_unroll(
    write: GraphWriter, op: Unroll, inputs: str, initial: Sequence[str], axis: TimeAxis
) -> tuple[str, list[str]]:
    """Write an unrolled cell.

    Args:
        write: Where the nodes go.
        op: The operation.
        inputs: Name of the sequences, (time, batch, width).
        initial: Names of the rows before the first step; empty: the start of the cell.
        axis: Lengths and mask.

    Returns:
        The outputs, zero past the length, and the state after the last step if `op.final` asks for it.
    """
    layer = vendor_layer(op.step)
    if layer is not None:
        return _operator(write, op, layer, inputs, initial, axis)
    assert axis.lengths or not op.reverse, "a sequence is turned around by its length"
    if op.reverse:
        inputs = write.op("ReverseSequence", inputs, axis.lengths, batch_axis=1, time_axis=0)
    outputs, final = _scan(write, op, inputs, initial, axis)
    if op.reverse:
        outputs = write.op("ReverseSequence", outputs, axis.lengths, batch_axis=1, time_axis=0)
    if not axis.lengths:
        return outputs, final
    return write.op("Where", axis.mask, outputs, write.number(0.0)), final


def _operator(
    write: GraphWriter, op: Unroll, layer: Layer, inputs: str, initial: Sequence[str], axis: TimeAxis
) -> tuple[str, list[str]]:
    lengths = write.op("Cast", axis.lengths, to=6) if axis.lengths else ""  # int32
    weights = [write.constant(part[None], "weight") for part in (layer.weights, layer.recurrent, layer.bias)]
    states = [write.op("Unsqueeze", name, write.ints(0)) for name in initial]
    parts = [inputs, *weights, lengths, *states]
    if layer.peepholes is not None:
        parts += [""] * (7 - len(parts)) + [write.constant(layer.peepholes[None], "peepholes")]
    count = 1 + len(op.step.shapes)
    direction = "reverse" if op.reverse else "forward"
    outputs, *final = write.several(layer.operator, count, *parts, direction=direction, **layer.attributes)
    names = [write.op("Squeeze", name, write.ints(0)) for name in final] if op.final else []
    return write.op("Squeeze", outputs, write.ints(1)), names


def _scan(write: GraphWriter, op: Unroll, inputs: str, initial: Sequence[str], axis: TimeAxis) -> tuple[str, list[str]]:
    step = op.step
    batch = write.op("Shape", inputs, start=1, end=2)
    states = list(initial) or [
        write.op(
            "Expand",
            write.constant(part[None], "start"),
            write.op("Concat", batch, write.ints(len(part)), axis=0),
        )
        for part in step.start
    ]
    frontier, sequences = _before_loop(write, step, inputs)
    body = write.subgraph()
    prefix = body._prefix
    names: dict[Node, str] = {node: f"{prefix}input{number}" for number, node in enumerate(frontier)}
    before = {n: f"{prefix}state{n}" for n in range(len(step.shapes))}
    for node in step.wide.nodes():
        if node.operation == "source" and node.value[0] == "state":
            names[node] = before[node.value[1]]
    emitter = StepEmitter(body, step, names, before[0])
    ends = results_of(step)
    output, *after = emitter.emit(ends)
    taken: set[str] = set(names.values()) | set(before.values())
    results: list[str] = []
    scanned = [*after, output, *(name for name, node in zip(after, ends[1:], strict=True) if _kept(op, node, ends))]
    for name in scanned:  # every result needs a name of its own
        results.append(body.rename(name, f"{prefix}result{len(results)}") if name in taken else name)
        taken.add(results[-1])
    widths = [node.width for node in ends[1:]]
    state_ports = [body.port(before[n], ["batch", width]) for n, width in enumerate(widths)]
    input_ports = [body.port(names[node], ["batch", node.width]) for node in frontier]
    if not frontier:  # a cell that takes no input
        input_ports, sequences = [body.port(f"{prefix}unread", ["batch", step.widths[0]])], [inputs]
    wide = [*widths, ends[0].width, *(node.width for node in ends[1:] if _kept(op, node, ends))]
    outs = [body.port(name, ["batch", width]) for name, width in zip(results, wide, strict=True)]
    graph = body.body([*state_ports, *input_ports], outs)
    values = write.several("Scan", len(results), *states, *sequences, body=graph, num_scan_inputs=len(sequences))
    stacked = values[len(states)]
    if not op.final or not axis.lengths:
        return stacked, list(values[: len(states)]) if op.final else []
    more = iter(values[len(states) + 1 :])
    every = [next(more) if _kept(op, node, ends) else stacked for node in ends[1:]]
    return stacked, [at_last_step(write, sequence, axis) for sequence in every]


def _kept(op: Unroll, node: Node, ends: Sequence[Node]) -> bool:
    """Whether the loop returns all values of a part of the state; a part that is the output is among the outputs."""
    return bool(op.final) and node is not ends[0]


def at_last_step(write: GraphWriter, sequence: str, axis: TimeAxis) -> str:
    """Write the row of each sequence at its last valid step."""
    last = write.op("Unsqueeze", write.op("Sub", axis.lengths, write.ints(1)), write.ints(1))
    by_batch = write.op("Transpose", sequence, perm=[1, 0, 2])
    return write.op("GatherND", by_batch, last, batch_dims=1)


def _before_loop(write: GraphWriter, step: StepGraph, inputs: str) -> tuple[list[Node], list[str]]:
    """Write what depends on inputs alone, for all steps at once; return these nodes, and the names of the sequences."""
    nodes = step.wide.nodes()
    rate: dict[Node, str] = {}
    for node in nodes:
        if node.operation == "source":
            rate[node] = {"input": "inputs", "state": "state", "vector": "weights"}[node.value[0]]
        else:
            rates = {rate[argument] for argument in node.arguments}
            rate[node] = "state" if "state" in rates else "inputs" if "inputs" in rates else "weights"
    ends = results_of(step)
    read = {argument for node in nodes if rate[node] == "state" for argument in node.arguments} | set(ends)
    frontier = [node for node in nodes if node in read and rate[node] == "inputs"]
    if not frontier:
        return [], []
    flat = write.op("Reshape", inputs, write.ints(-1, step.widths[0]))
    sources = {node: flat for node in nodes if node.operation == "source" and node.value[0] == "input"}
    rows = StepEmitter(write, step, sources, flat).emit(frontier)
    shape = write.op("Shape", inputs, start=0, end=2)
    whole = [write.op("Concat", shape, write.ints(node.width), axis=0) for node in frontier]
    names = [write.op("Reshape", row, to) for row, to in zip(rows, whole, strict=True)]
    return frontier, names


def emit_step(write: GraphWriter, step: StepGraph, inputs: Sequence[str], state: Sequence[str]) -> list[str]:
    """Write one step; return the names of the output and of each part of the new state."""
    names = {"input": inputs, "state": state}
    sources = {
        node: names[node.value[0]][node.value[1]]
        for node in step.wide.nodes()
        if node.operation == "source" and node.value[0] != "vector"
    }
    emitter = StepEmitter(write, step, sources, state[0])
    return emitter.emit(results_of(step))
