"""Judge: run a sheet in plain numpy, slow and obvious. What it computes is right by definition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unspool.ship.judge_step import POINTWISE, run_step
from unspool.ship.judge_text import Encoded
from unspool.ship.sheet import (
    Activate,
    Add,
    Advance,
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

__all__ = ["best_path", "compute", "position_rows", "run_program", "values_of"]

Values = dict[str, Any]


def run_program(program: Program, inputs: Mapping[str, Any], rows: int | None = None) -> Values:
    """Run a program.

    Args:
        program: The program.
        inputs: Its inputs by name: ids, int64 (time, batch); lengths, int64 (batch,); characters, one list of arrays
            of ids for each sequence; bags, one pair of ids and weights for each sequence; sequences and rows.
        rows: Number of sequences; that of the inputs if omitted.

    Returns:
        The outputs by name.
    """
    values = values_of(program, inputs, rows)
    return {port.name: values[port.name] for port in program.outputs}


def values_of(program: Program, inputs: Mapping[str, Any], rows: int | None = None) -> Values:
    """Run a program, and return all its values by name."""
    values: Values = {port.name: inputs[port.name] for port in program.inputs}
    values["batch"] = rows if rows is not None else _batch(program, values)
    for operation in program.operations:
        values[operation.output] = compute(operation, values)
    return values


def _batch(program: Program, values: Values) -> int:
    for port in program.inputs:
        value = values[port.name]
        if port.kind in ("ids", "sequence"):
            return int(value.shape[1])
        return len(value)
    return 1


def _mask(states: NDArray[Any], values: Values) -> NDArray[np.bool_]:
    """Return True at the valid steps, (time, batch, 1)."""
    mask: NDArray[np.bool_] = np.arange(len(states))[:, None, None] < values["lengths"][:, None]
    return mask


@singledispatch
def compute(operation: Operation, values: Values) -> Any:
    """Return the value of one operation."""
    raise TypeError(f"{type(operation).__name__} has no meaning")


@compute.register
def _(op: LookUp, values: Values) -> Any:
    return op.table[values[op.ids]]


@compute.register
def _(op: SumRows, values: Values) -> Any:
    rows = np.zeros((len(values[op.bag]), op.table.shape[1]), np.float32)
    for row, (ids, weights) in zip(rows, values[op.bag], strict=True):
        row[:] = (op.table[ids] * weights[:, None]).sum(0)
    return rows if op.bias is None else rows + op.bias


@compute.register
def _(op: Spell, values: Values) -> Any:
    words = [word for text in values[op.characters] for word in text]
    encoded = Encoded.of(words)
    (port,) = op.program.outputs
    vectors = run_program(op.program, {"ids": encoded.ids, "lengths": encoded.lengths})[port.name]
    time, batch = max(map(len, values[op.characters])), len(values[op.characters])
    result, place = np.zeros((time, batch, vectors.shape[1]), np.float32), 0
    for column, text in enumerate(values[op.characters]):
        result[: len(text), column] = vectors[place : place + len(text)]
        place += len(text)
    return result


@compute.register
def _(op: Unroll, values: Values) -> Any:
    inputs, lengths = values[op.input], values["lengths"]
    time, batch = inputs.shape[:2]
    state = [values[name] for name in op.initial] or [np.repeat(part[None], batch, 0) for part in op.step.start]
    outputs = np.zeros((time, batch, op.step.output), np.float32)
    for t in range(time - 1, -1, -1) if op.reverse else range(time):
        valid = (t < lengths)[:, None]
        output, after = run_step(op.step, [np.where(valid, inputs[t], 0)], state)
        outputs[t] = np.where(valid, output, 0)
        state = [np.where(valid, new, old) for new, old in zip(after, state, strict=True)]
    values.update(zip(op.final, state, strict=bool(op.final)))
    return outputs


@compute.register
def _(op: Advance, values: Values) -> Any:
    inputs = [values[name] for name in (op.input, *op.context)]
    output, after = run_step(op.step, inputs, [values[name] for name in op.state])
    values.update(zip(op.after, after, strict=True))
    return output


@compute.register
def _(op: Product, values: Values) -> Any:
    result = values[op.input] @ op.weight.T
    return result if op.bias is None else result + op.bias


@compute.register
def _(op: Add, values: Values) -> Any:
    first, *others = (values[name] for name in op.inputs)
    for other in others:
        first = first + other
    return first


@compute.register
def _(op: Multiply, values: Values) -> Any:
    first, *others = (values[name] for name in op.inputs)
    for other in others:
        first = first * other
    return first


@compute.register
def _(op: Scale, values: Values) -> Any:
    return values[op.input] * np.float32(op.factor)


@compute.register
def _(op: Concat, values: Values) -> Any:
    parts = [values[name] for name in op.inputs]
    shape = max((part.shape[:-1] for part in parts), key=len)
    return np.concatenate([np.broadcast_to(part, (*shape, part.shape[-1])) for part in parts], -1)


@compute.register
def _(op: Activate, values: Values) -> Any:
    x = values[op.input]
    if op.function == "gelu":
        return (0.5 * x * (1 + POINTWISE["erf"](x / np.float32(np.sqrt(2))))).astype(np.float32)
    return POINTWISE[op.function](x)


@compute.register
def _(op: Pool, values: Values) -> Any:
    states = values[op.input]
    mask = _mask(states, values)
    if op.kind == "last":
        last = states[values["lengths"] - 1, np.arange(states.shape[1])]
        half = states.shape[2] // 2
        return last if op.directions == 1 else np.concatenate([last[:, :half], states[0, :, half:]], 1)
    if op.kind == "first":
        return states[0]
    if op.kind == "max":
        return np.where(mask, states, -np.inf).max(0)
    states = np.where(mask, states, 0)
    if op.weights is not None:
        states = states * np.where(mask, values[op.weights], 0)
    total = states.sum(0)
    return total if op.kind == "sum" else total / values["lengths"][:, None].astype(np.float32)


@compute.register
def _(op: Softmax, values: Values) -> Any:
    x, axis = values[op.input], -1
    if op.over == "time":
        x, axis = np.where(_mask(x, values), x, -np.inf), 0
    shifted = x - x.max(axis, keepdims=True)
    total = np.exp(shifted).sum(axis, keepdims=True)
    return shifted - np.log(total) if op.log else np.exp(shifted) / total


@compute.register
def _(op: Attend, values: Values) -> Any:
    query, keys, items = (values[name] for name in (op.query, op.keys, op.values))
    row = query.ndim == 2
    query = query[None] if row else query
    (queries, batch, _), time = query.shape, len(keys)
    split = [part.reshape(len(part), batch, op.heads, -1) for part in (query, keys, items)]
    scores = np.einsum("qbhd,kbhd->qkbh", split[0], split[1]) * np.float32(op.scale)
    scores = np.where(_mask(keys, values)[None], scores, -np.inf)
    weights = np.exp(scores - scores.max(1, keepdims=True))
    weights = weights / weights.sum(1, keepdims=True)
    items = np.where(_mask(keys, values)[:, :, :, None], split[2], 0)
    result = np.einsum("qkbh,kbhd->qbhd", weights, items).reshape(queries, batch, -1)
    if op.weights is not None:
        values[op.weights] = weights[0].reshape(time, batch, 1)
    return result[0] if row else result


@compute.register
def _(op: Normalise, values: Values) -> Any:
    x = values[op.input]
    if op.kind == "length":
        return x / np.maximum(np.sqrt((x * x).sum(-1, keepdims=True)), np.float32(op.epsilon))
    centred = x - x.mean(-1, keepdims=True)
    x = centred / np.sqrt((centred * centred).mean(-1, keepdims=True) + np.float32(op.epsilon))
    x = x if op.weight is None else x * op.weight
    return x if op.bias is None else x + op.bias


@compute.register
def _(op: Positions, values: Values) -> Any:
    x = values[op.input]
    return x + position_rows(op, len(x))[:, None]


def position_rows(op: Positions, steps: int) -> NDArray[np.float32]:
    """Return the rows of the first steps, (steps, width)."""
    if steps <= len(op.table) or not op.sinusoidal:
        return op.table[:steps]
    width = op.table.shape[1]
    rates = np.exp(np.arange(0, width, 2) * (-np.log(10000.0) / width))
    angles = np.arange(len(op.table), steps)[:, None] * rates
    more = np.zeros((steps - len(op.table), width), np.float32)
    more[:, 0::2], more[:, 1::2] = np.sin(angles), np.cos(angles[:, : width // 2])
    return np.concatenate([op.table, more])


@compute.register
def _(op: KeyValue, values: Values) -> Any:
    return values[op.query] @ op.keys.T


@compute.register
def _(op: BestPath, values: Values) -> Any:
    scores, lengths = values[op.input], values["lengths"]
    paths = np.zeros(scores.shape[:2], np.int64)
    for column, length in enumerate(lengths):
        paths[:length, column] = best_path(op, scores[:length, column])
    return paths


def best_path(op: BestPath, scores: NDArray[np.float32]) -> Sequence[int]:
    """Return the best tags of one sequence, for scores (time, tags)."""
    best, back = op.first + scores[0], []
    for score in scores[1:]:
        through = best[:, None] + op.transitions
        back.append(through.argmax(0))
        best = through.max(0) + score
    path = [int((best + op.last).argmax())]
    for before in reversed(back):
        path.append(int(before[path[-1]]))
    return path[::-1]


@compute.register
def _(op: Convolve, values: Values) -> Any:
    x = values[op.input]
    x = np.where(_mask(x, values), x, 0)
    half, width = op.weight.shape[2] // 2, op.weight.shape[2]
    padded = np.pad(x, ((half, half), (0, 0), (0, 0)))
    result = sum(padded[k : k + len(x)] @ op.weight[:, :, k].T for k in range(width))
    return result if op.bias is None else result + op.bias


@compute.register
def _(op: Slice, values: Values) -> Any:
    return values[op.input][..., op.start : op.stop]


@compute.register
def _(op: Highest, values: Values) -> Any:
    return values[op.input].argmax(-1)


@compute.register
def _(op: Retrieve, values: Values) -> Any:
    scores = np.zeros((len(values[op.bag]), len(op.key_shares)), np.float32)
    for row, (ids, weights), unknown in zip(scores, values[op.bag], values[op.unknown][:, 0], strict=True):
        x = np.zeros(len(op.importance), np.float32)
        x[ids] = op.importance[ids] * weights
        x /= np.sqrt(np.maximum((x * x).sum() + unknown, np.float32(1e-30)))
        common = np.bincount(op.rows, op.values * x[op.ids], len(row))
        part = x[: len(op.vectors)]
        norms = [np.sqrt(np.maximum((each * each).sum(), np.float32(1e-30))) for each in (part, x)]
        vector = part @ op.vectors
        vector *= norms[0] / np.maximum(np.sqrt((vector * vector).sum()), np.float32(1e-12))
        shares = op.balance * (norms[0] / norms[1]) * op.key_shares
        row[:] = (common + op.balance * (op.key_vectors @ vector)) / (1 + shares)
    return scores


@compute.register
def _(op: Constant, values: Values) -> Any:
    return np.repeat(op.row[None], values["batch"], 0)
