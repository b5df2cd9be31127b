"""The operations of a sheet in ONNX."""

from __future__ import annotations

from functools import singledispatch

import numpy as np

from unspool.errors import UsageError
from unspool.ship.onnx.unrolling import TimeAxis, at_last_step, emit_step, emit_unroll
from unspool.ship.onnx.writer import GraphWriter
from unspool.ship.sheet import (
    Activate,
    Add,
    Advance,
    Array,
    Attend,
    BestPath,
    Concat,
    Constant,
    Convolve,
    Highest,
    KeyValue,
    LookUp,
    Multiply,
    Normalise,
    Operation,
    Pool,
    Positions,
    Product,
    Program,
    Retrieve,
    Scale,
    Slice,
    Softmax,
    Spell,
    SumRows,
    Unroll,
)

__all__ = ["ProgramEmitter", "emit"]

_INFINITY = float("inf")


class ProgramEmitter:
    """Writes the operations of a program.

    Args:
        writer: Where the nodes go.
        program: The program.
        names: Names of its inputs in the graph; `bag` is the weight of every entry, (batch, entries), and `characters`
            are the ids of the characters of every unit, padded by 0, (time, batch, characters).
    """

    def __init__(self, writer: GraphWriter, program: Program, names: dict[str, str]) -> None:
        self.writer, self.program = writer, program
        self.names = dict(names)
        self.ranks = {port.name: {"ids": 3, "sequence": 3, "places": 3}.get(port.kind, 2) for port in program.inputs}
        self._axis: TimeAxis | None = None

    def emit(self) -> list[str]:
        """Write the program; return the names of its outputs."""
        for operation in self.program.operations:
            emit(operation, self)
        return [self.names[port.name] for port in self.program.outputs]

    def __getitem__(self, name: str) -> str:
        return self.names[name]

    def put(self, operation: Operation, name: str, rank: int) -> None:
        """Store the name of a value; `rank` is 3 for sequences, and 2 for rows."""
        self.names[operation.output], self.ranks[operation.output] = name, rank

    @property
    def axis(self) -> TimeAxis:
        """Lengths and mask of the sequences."""
        if self._axis is None and "lengths" not in self.names:
            self._axis = TimeAxis("", "")
        if self._axis is None:
            write = self.writer
            like = next(p.name for p in self.program.inputs if p.kind in ("ids", "sequence") and p.name != "characters")
            time = write.op("Squeeze", write.op("Shape", self.names[like], start=0, end=1))
            zero, one = (write.constant(np.array(number, np.int64)) for number in (0, 1))
            steps = write.op("Unsqueeze", write.op("Range", zero, time, one), write.ints(1))
            mask = write.op("Less", steps, self.names["lengths"])
            self._axis = TimeAxis(self.names["lengths"], write.op("Unsqueeze", mask, write.ints(2)))
        return self._axis

    def masked(self, name: str, fill: float) -> str:
        """Write a sequence with a number past the length."""
        return self.writer.op("Where", self.axis.mask, self.names[name], self.writer.number(fill))


@singledispatch
def emit(operation: Operation, e: ProgramEmitter) -> None:
    """Write the nodes of one operation."""
    raise UsageError(f"{type(operation).__name__} has no form in ONNX yet")


@emit.register
def _(op: LookUp, e: ProgramEmitter) -> None:
    table = e.writer.constant(op.table, "table")
    e.put(op, e.writer.op("Gather", table, e[op.ids], axis=0), 3 if e.ranks.get(op.ids, 2) == 3 else 2)


@emit.register
def _(op: SumRows, e: ProgramEmitter) -> None:
    parts = [e[op.bag], e.writer.constant(op.table, "table")]
    if op.bias is not None:
        parts.append(e.writer.constant(op.bias, "bias"))
    e.put(op, e.writer.op("Gemm", *parts), 2)


@emit.register
def _(op: Spell, e: ProgramEmitter) -> None:
    write, ids = e.writer, e[op.characters]  # (time, batch, characters)
    shape = write.op("Shape", ids, start=0, end=2)
    flat = write.op("Reshape", ids, write.op("Concat", write.ints(-1), write.op("Shape", ids, start=2), axis=0))
    present = write.op("Cast", write.op("Greater", flat, write.constant(np.array(0, np.int64))), to=7)
    counts = write.op("ReduceSum", present, write.ints(1), keepdims=0)
    lengths = write.op("Max", counts, write.constant(np.array(1, np.int64)))
    turned = write.op("Transpose", flat, perm=[1, 0])
    (port,) = op.program.outputs
    (words,) = ProgramEmitter(write, op.program, {"ids": turned, "lengths": lengths}).emit()
    whole = write.op("Concat", shape, write.ints(port.width), axis=0)
    e.put(op, write.op("Reshape", words, whole), 3)


@emit.register
def _(op: Unroll, e: ProgramEmitter) -> None:
    outputs, final = emit_unroll(e.writer, op, e[op.input], [e[name] for name in op.initial], e.axis)
    e.put(op, outputs, 3)
    for name, value in zip(op.final, final, strict=bool(op.final)):
        e.names[name], e.ranks[name] = value, 2


@emit.register
def _(op: Advance, e: ProgramEmitter) -> None:
    output, *after = emit_step(e.writer, op.step, [e[n] for n in (op.input, *op.context)], [e[n] for n in op.state])
    e.put(op, output, 2)
    for name, value in zip(op.after, after, strict=True):
        e.names[name], e.ranks[name] = value, 2


def _linear(e: ProgramEmitter, input: str, rank: int, weight: Array, bias: Array | None) -> str:
    write = e.writer
    matrix = write.constant(np.ascontiguousarray(weight.T), "weight")
    if bias is None:
        return write.op("MatMul", input, matrix)
    if rank == 2:
        return write.op("Gemm", input, matrix, write.constant(bias, "bias"))
    return write.op("Add", write.op("MatMul", input, matrix), write.constant(bias, "bias"))


@emit.register
def _(op: Product, e: ProgramEmitter) -> None:
    rank = e.ranks[op.input]
    e.put(op, _linear(e, e[op.input], rank, op.weight, op.bias), rank)


@emit.register
def _(op: KeyValue, e: ProgramEmitter) -> None:
    e.put(op, _linear(e, e[op.query], 2, op.keys, None), 2)


def _folded(e: ProgramEmitter, kind: str, op: Add | Multiply) -> None:
    first, *others = op.inputs
    name = e[first]
    for other in others:
        name = e.writer.op(kind, name, e[other])
    e.put(op, name, max(e.ranks[part] for part in op.inputs))


@emit.register
def _(op: Add, e: ProgramEmitter) -> None:
    _folded(e, "Add", op)


@emit.register
def _(op: Multiply, e: ProgramEmitter) -> None:
    _folded(e, "Mul", op)


@emit.register
def _(op: Scale, e: ProgramEmitter) -> None:
    e.put(op, e.writer.op("Mul", e[op.input], e.writer.number(op.factor)), e.ranks[op.input])


@emit.register
def _(op: Concat, e: ProgramEmitter) -> None:
    write, rank = e.writer, max(e.ranks[name] for name in op.inputs)
    parts = [e[name] for name in op.inputs]
    if any(e.ranks[name] < rank for name in op.inputs):
        like = next(e[name] for name in op.inputs if e.ranks[name] == rank)
        shape = write.op("Concat", write.op("Shape", like, start=0, end=2), write.ints(1), axis=0)
        parts = [
            part if e.ranks[name] == rank else write.op("Expand", part, shape)
            for name, part in zip(op.inputs, parts, strict=True)
        ]
    e.put(op, write.op("Concat", *parts, axis=-1), rank)


@emit.register
def _(op: Activate, e: ProgramEmitter) -> None:
    kinds = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid", "gelu": "Gelu", "exp": "Exp"}
    e.put(op, e.writer.op(kinds[op.function], e[op.input]), e.ranks[op.input])


@emit.register
def _(op: Pool, e: ProgramEmitter) -> None:
    write = e.writer
    if op.kind in ("last", "first"):
        zero = write.constant(np.array(0, np.int64))
        first = write.op("Gather", e[op.input], zero, axis=0) if op.kind == "first" or op.directions == 2 else ""
        row = first if op.kind == "first" else at_last_step(write, e[op.input], e.axis)
        if op.kind == "last" and op.directions == 2:
            left, _ = write.several("Split", 2, row, axis=1, num_outputs=2)
            _, right = write.several("Split", 2, first, axis=1, num_outputs=2)
            row = write.op("Concat", left, right, axis=1)
        e.put(op, row, 2)
        return
    if op.kind == "max":
        e.put(op, write.op("ReduceMax", e.masked(op.input, -_INFINITY), write.ints(0), keepdims=0), 2)
        return
    states = e.masked(op.input, 0.0)
    if op.weights is not None:
        states = write.op("Mul", states, e[op.weights])
    total = write.op("ReduceSum", states, write.ints(0), keepdims=0)
    if op.kind == "mean":
        counts = write.op("Unsqueeze", write.op("Cast", e.axis.lengths, to=1), write.ints(1))
        total = write.op("Div", total, counts)
    e.put(op, total, 2)


@emit.register
def _(op: Softmax, e: ProgramEmitter) -> None:
    kind = "LogSoftmax" if op.log else "Softmax"
    if op.over == "time":
        e.put(op, e.writer.op(kind, e.masked(op.input, -_INFINITY), axis=0), 3)
    else:
        e.put(op, e.writer.op(kind, e[op.input], axis=-1), e.ranks[op.input])


@emit.register
def _(op: Attend, e: ProgramEmitter) -> None:
    write, row = e.writer, e.ranks[op.query] == 2
    query = write.op("Unsqueeze", e[op.query], write.ints(0)) if row else e[op.query]
    # (time, batch, columns) to (batch, heads, time, columns of a head)
    split = [
        write.op("Transpose", write.op("Reshape", part, write.ints(0, 0, op.heads, -1)), perm=perm)
        for part, perm in (
            (query, [1, 2, 0, 3]),
            (e[op.keys], [1, 2, 3, 0]),
            (e.masked(op.values, 0.0), [1, 2, 0, 3]),
        )
    ]
    scores = write.op("Mul", write.op("MatMul", split[0], split[1]), write.number(op.scale))
    mask = write.op("Unsqueeze", write.op("Transpose", e.axis.mask, perm=[1, 2, 0]), write.ints(1))
    weights = write.op("Softmax", write.op("Where", mask, scores, write.number(-_INFINITY)), axis=-1)
    heads = write.op("Transpose", write.op("MatMul", weights, split[2]), perm=[2, 0, 1, 3])
    result = write.op("Reshape", heads, write.ints(0, 0, -1))
    if op.weights is not None:
        turned = write.op("Transpose", write.op("Squeeze", weights, write.ints(1)), perm=[2, 0, 1])
        e.names[op.weights], e.ranks[op.weights] = turned, 3
    e.put(op, write.op("Squeeze", result, write.ints(0)) if row else result, 2 if row else 3)


@emit.register
def _(op: Normalise, e: ProgramEmitter) -> None:
    write, rank = e.writer, e.ranks[op.input]
    if op.kind == "length":
        norm = write.op("ReduceL2", e[op.input], write.ints(-1), keepdims=1)
        e.put(op, write.op("Div", e[op.input], write.op("Max", norm, write.number(op.epsilon))), rank)
        return
    width = len(op.weight if op.weight is not None else op.bias if op.bias is not None else ())
    assert op.weight is not None or width, "a layer normalisation without weights is not in use"
    scale = op.weight if op.weight is not None else np.ones(width, np.float32)
    parts = [e[op.input], write.constant(scale, "scale")]
    if op.bias is not None:
        parts.append(write.constant(op.bias, "bias"))
    e.put(op, write.op("LayerNormalization", *parts, axis=-1, epsilon=op.epsilon), rank)


@emit.register
def _(op: Positions, e: ProgramEmitter) -> None:
    write = e.writer
    steps = write.op("Shape", e[op.input], start=0, end=1)
    rows = write.op("Slice", write.constant(op.table, "positions"), write.ints(0), steps, write.ints(0))
    e.put(op, write.op("Add", e[op.input], write.op("Unsqueeze", rows, write.ints(1))), 3)


@emit.register
def _(op: Convolve, e: ProgramEmitter) -> None:
    write, half = e.writer, op.weight.shape[2] // 2
    turned = write.op("Transpose", e.masked(op.input, 0.0), perm=[1, 2, 0])
    parts = [turned, write.constant(op.weight, "filters")]
    if op.bias is not None:
        parts.append(write.constant(op.bias, "bias"))
    features = write.op("Conv", *parts, pads=[half, half])
    e.put(op, write.op("Transpose", features, perm=[2, 0, 1]), 3)


@emit.register
def _(op: Slice, e: ProgramEmitter) -> None:
    write = e.writer
    ends = write.ints(op.start), write.ints(op.stop), write.ints(-1)
    e.put(op, write.op("Slice", e[op.input], *ends), e.ranks[op.input])


@emit.register
def _(op: Highest, e: ProgramEmitter) -> None:
    e.put(op, e.writer.op("ArgMax", e[op.input], axis=-1, keepdims=0), 3)


@emit.register
def _(op: Retrieve, e: ProgramEmitter) -> None:
    write, least = e.writer, e.writer.number(1e-30)
    x = write.op("Mul", e[op.bag], write.constant(op.importance[None], "importance"))

    def length(value: str, more: str | None = None) -> str:
        squares = write.op("ReduceSumSquare", value, write.ints(1), keepdims=1)
        total = squares if more is None else write.op("Add", squares, more)
        return write.op("Sqrt", write.op("Max", total, least))

    x = write.op("Div", x, length(x, e[op.unknown]))
    products = write.op("Mul", write.op("Gather", x, write.constant(op.ids, "ids"), axis=1), write.constant(op.values))
    shape = write.op("Shape", x, start=0, end=1)
    zeros = write.op("Expand", write.number(0.0), write.op("Concat", shape, write.ints(len(op.key_shares)), axis=0))
    rows = write.op("Expand", write.constant(op.rows[None], "rows"), write.op("Shape", products))
    common = write.op("ScatterElements", zeros, rows, products, axis=1, reduction="add")
    part = write.op("Slice", x, write.ints(0), write.ints(len(op.vectors)), write.ints(1))
    vector = write.op("MatMul", part, write.constant(op.vectors, "vectors"))
    norm = write.op("Max", write.op("ReduceL2", vector, write.ints(1), keepdims=1), write.number(1e-12))
    inside = length(part)
    vector = write.op("Mul", vector, write.op("Div", inside, norm))
    alike = write.op("MatMul", vector, write.constant(np.ascontiguousarray(op.key_vectors.T) * np.float32(op.balance)))
    share = write.op("Div", inside, length(x))
    shares = write.op("Mul", share, write.constant(op.key_shares[None] * np.float32(op.balance), "shares"))
    below = write.op("Add", shares, write.number(1.0))
    e.put(op, write.op("Div", write.op("Add", common, alike), below), 2)


@emit.register
def _(op: Constant, e: ProgramEmitter) -> None:
    write = e.writer
    batch = e.names.get("batch") or write.op("Shape", e[e.program.inputs[0].name], start=-1)
    shape = write.op("Concat", batch, write.ints(len(op.row)), axis=0)
    e.put(op, write.op("Expand", write.constant(op.row[None], "row"), shape), 2)


@emit.register
def _(op: BestPath, e: ProgramEmitter) -> None:
    from unspool.ship.onnx.best_path import emit_best_path

    e.put(op, emit_best_path(e.writer, op, e[op.input], e.axis), 3)
