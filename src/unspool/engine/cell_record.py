"""Records of cells: the traced step of a cell as plain data, and the check of a record of a stranger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Annotated, Any, Literal

import msgspec
import torch
from torch import Tensor

from unspool.cells import Cell
from unspool.engine.compiler.frontend.cell_fingerprint import weights
from unspool.engine.compiler.frontend.trace import trace_names
from unspool.engine.compiler.ir.graph import Node
from unspool.engine.compiler.ir.record import NodeRecord, nodes_of, record_nodes

__all__ = [
    "CellRecord",
    "OperandRecord",
    "StepRecord",
    "WeightRecord",
    "checked_graph",
    "stored_shapes",
    "trace_to_record",
]

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Size = Annotated[int, msgspec.Meta(ge=1, le=1 << 24)]
Shape = Annotated[list[Size], msgspec.Meta(max_length=8)]
Place = Annotated[int, msgspec.Meta(ge=0, le=1 << 24)]


class WeightRecord(msgspec.Struct, array_like=True, frozen=True):
    """A tensor that the cell owns."""

    name: Name
    shape: Annotated[list[Annotated[int, msgspec.Meta(ge=0, le=1 << 24)]], msgspec.Meta(max_length=8)]
    kind: Literal["parameter", "buffer"]


class OperandRecord(msgspec.Struct, array_like=True, frozen=True):
    """A matrix or a vector of the step: some rows of a weight, possibly transposed, or a tensor stored by itself."""

    shape: Annotated[list[Size], msgspec.Meta(min_length=2, max_length=2)]
    """Rows and columns; a vector has one row."""
    weight: Name | None = None
    """Name of the weight; None: computed from weights when the model was saved, and stored by itself."""
    start: Place = 0
    stop: Place = 0
    transposed: bool = False


class StepRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One traced step, for one input size and one hidden size."""

    input_size: Size
    hidden_size: Size
    weights: Annotated[list[WeightRecord], msgspec.Meta(max_length=1000)]
    state: Annotated[list[Shape], msgspec.Meta(min_length=1, max_length=100)]
    """Shape of each part of the state, without the batch."""
    starts: Annotated[list[bool], msgspec.Meta(max_length=100)]
    """Whether each part starts with stored numbers; otherwise with zeros."""
    matrices: Annotated[list[OperandRecord], msgspec.Meta(max_length=1000)]
    vectors: Annotated[list[OperandRecord], msgspec.Meta(max_length=1000)]
    nodes: list[NodeRecord]
    results: Annotated[list[Place], msgspec.Meta(max_length=101)]
    """Place of the output in `nodes`, then of each part of the new state."""
    names: dict[Name, Place] = {}
    """Place of each value that the step records, by name; `hyper.forget` is recorded by the inner cell `hyper`."""


class CellRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A cell without its class."""

    name: Name
    """Name of the class."""
    state: Name
    """Name of the named tuple of its state."""
    fields: Annotated[list[Name], msgspec.Meta(min_length=1, max_length=100)]
    """Names of the parts of the state."""
    steps: Annotated[list[StepRecord], msgspec.Meta(min_length=1, max_length=1000)]
    """One for each pair of sizes."""


def trace_to_record(cell: Cell[Any]) -> tuple[StepRecord, dict[str, Tensor]]:
    """Record the step of a cell.

    Args:
        cell: The cell, in evaluation mode.

    Returns:
        The record, and the tensors that it stores by itself, by name.

    Raises:
        Refusal: If the compiler can't take the step; the message names the line.
    """
    traced, names = trace_names(cell)
    owned = {name: (tensor, "parameter") for name, tensor in cell.named_parameters()}
    owned |= {name: (tensor, "buffer") for name, tensor in cell.state_dict(keep_vars=True).items() if name not in owned}
    with torch.no_grad():
        matrices, vectors = traced.tape.replay(weights(cell))
    stored: dict[str, Tensor] = {}

    def operand(name: str, value: Tensor) -> OperandRecord:
        rows = value if value.dim() == 2 else value.reshape(1, -1)
        for weight, (tensor, _) in owned.items():
            place = _place_in(value, tensor)
            if place is not None:
                return OperandRecord(list(rows.shape), weight, *place)
        stored[name] = rows.detach().contiguous()
        return OperandRecord(list(rows.shape))

    ends = [node for _, node in traced.graph.results]
    nodes, places = record_nodes([*ends, *names.values()])
    start = cell.initial_state(1)
    stored |= {f"start{n}": part.detach().clone() for n, part in enumerate(start) if bool(part.count_nonzero())}
    record = StepRecord(
        input_size=cell.input_size,
        hidden_size=cell.hidden_size,
        weights=[WeightRecord(name, list(tensor.shape), kind) for name, (tensor, kind) in owned.items()],  # type: ignore[arg-type]
        state=[list(shape) for shape in traced.shapes],
        starts=[f"start{number}" in stored for number in range(len(traced.shapes))],
        matrices=[operand(f"matrix{number}", value) for number, value in enumerate(matrices)],
        vectors=[operand(f"vector{number}", value) for number, value in enumerate(vectors)],
        nodes=nodes,
        results=[places[node] for node in ends],
        names={name: places[node] for name, node in names.items()},
    )
    return record, stored


def _place_in(value: Tensor, weight: Tensor) -> tuple[int, int, bool] | None:
    """Return first and last row, exclusive, and whether transposed, of a view of some rows of a weight; else None."""
    if value.untyped_storage().data_ptr() != weight.untyped_storage().data_ptr() or not weight.is_contiguous():
        return None
    columns = prod(weight.shape[1:])
    if value.numel() == 0 or value.numel() % columns or value.dtype != weight.dtype:
        return None
    start, rest = divmod(int(value.storage_offset()) - int(weight.storage_offset()), columns)
    stop = start + value.numel() // columns
    if rest or start < 0 or stop > len(weight):
        return None
    rows = weight[start:stop]
    for transposed in (False, True) if rows.dim() == 2 else (False,):
        seen = rows.t() if transposed else rows
        if (value.shape, value.stride()) == (seen.shape, seen.stride()):
            return start, stop, transposed
    return None


def stored_shapes(record: StepRecord) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of the tensors that a record stores by itself."""
    shapes: dict[str, tuple[int, ...]] = {}
    for kind, operands in (("matrix", record.matrices), ("vector", record.vectors)):
        shapes |= {f"{kind}{n}": tuple(each.shape) for n, each in enumerate(operands) if each.weight is None}
    for number, (shape, starts) in enumerate(zip(record.state, record.starts, strict=True)):
        if starts:
            shapes[f"start{number}"] = (1, *shape)
    return shapes


def checked_graph(cell: CellRecord, step: StepRecord) -> tuple[Node, ...]:
    """Return the checked nodes of a step.

    Raises:
        ValueError: If something does not fit.
    """
    if not len(step.state) == len(step.starts) == len(cell.fields) == len(step.results) - 1:
        raise ValueError("its parts of the state differ in number")
    shapes = {weight.name: weight.shape for weight in step.weights}
    if len(shapes) < len(step.weights):
        raise ValueError("two weights have the same name")
    if sum(prod(shape) for shape in (*shapes.values(), *step.state)) > _MOST:
        raise ValueError(f"its weights and state hold more than {_MOST:,} numbers")
    for operand in (*step.matrices, *step.vectors):
        _check_operand(operand, shapes)
    if any(operand.shape[0] != 1 for operand in step.vectors):
        raise ValueError("a vector has several rows")
    sources = {
        "input": [step.input_size],
        "state": [prod(shape) for shape in step.state],
        "vector": [operand.shape[1] for operand in step.vectors],
    }
    nodes = nodes_of(step.nodes, sources, [(rows, columns) for rows, columns in (each.shape for each in step.matrices)])
    if any(place >= len(nodes) for place in (*step.results, *step.names.values())):
        raise ValueError("a result is no operation of the step")
    widths = [nodes[place].width for place in step.results]
    if widths != [step.hidden_size, *sources["state"]]:
        raise ValueError(f"its results have widths {widths}")
    return tuple(nodes)


_MOST = 1 << 30  # numbers of all weights of one step


def _check_operand(operand: OperandRecord, shapes: Mapping[str, Sequence[int]]) -> None:
    if operand.weight is None:
        return
    if operand.weight not in shapes:
        raise ValueError(f"it has no weight {operand.weight!r}")
    shape = shapes[operand.weight]
    if len(shape) not in (1, 2) or not operand.start < operand.stop <= shape[0]:
        raise ValueError(f"{operand.weight!r} has no rows {operand.start} to {operand.stop}")
    rows = operand.stop - operand.start
    here = [1, rows] if len(shape) == 1 else [rows, shape[1]]
    if operand.transposed:
        here = [shape[1], rows] if len(shape) == 2 else []
    flattened = not operand.transposed and operand.shape == [1, prod(here)]
    if operand.shape != here and not flattened:
        raise ValueError(f"rows of {operand.weight!r} have another shape than {operand.shape}")
