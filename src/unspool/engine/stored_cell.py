"""Cells stored as data: run the recorded step of a cell without the class that defined it.

Outputs, gradients and recorded values are those of the recorded cell. The compiler takes a stored cell as it takes any
other, so that it runs as fast.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from unspool.cells import Cell
from unspool.engine.cell_record import (
    CellRecord,
    OperandRecord,
    StepRecord,
    checked_graph,
    stored_shapes,
    trace_to_record,
)
from unspool.engine.compiler.ir.graph import Node
from unspool.engine.compiler.ir.interpreter import compute
from unspool.errors import CellError

__all__ = ["StoredCell", "record_cell", "stored_cell_class"]


def record_cell(cell: Cell[Any]) -> tuple[StepRecord, dict[str, Tensor]]:
    """Record the step of a cell; of a stored cell, return its record.

    Args:
        cell: The cell, in evaluation mode.

    Returns:
        The record, and the tensors that it stores by itself, by name.

    Raises:
        Refusal: If the compiler can't take the step; the message names the line.
    """
    return cell.stored() if isinstance(cell, StoredCell) else trace_to_record(cell)


class StoredCell(Cell[Any]):
    """A cell that runs a recorded step; see `stored_cell_class`.

    Args:
        input_size: Width of one input vector.
        hidden_size: Width of one output vector.

    Raises:
        CellError: If there is no record for these sizes.
    """

    records: ClassVar[Mapping[tuple[int, int], StepRecord]] = {}
    graphs: ClassVar[Mapping[tuple[int, int], tuple[Node, ...]]] = {}
    state_type: ClassVar[type[Any]] = tuple

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        sizes = input_size, hidden_size
        if sizes not in self.records:
            raise CellError(
                f"{type(self).__name__} was stored without its class, for input and hidden sizes "
                f"{' and '.join(map(str, self.records))}; {sizes} came"
            )
        self._record, self._nodes = self.records[sizes], self.graphs[sizes]
        inner = {name.rpartition(".")[0] for name in self._record.names}
        for weight in self._record.weights:
            owner, name = self._owner(weight.name, inner), weight.name.rpartition(".")[2]
            if weight.kind == "parameter":
                owner.register_parameter(name, self.parameter(*weight.shape))
            else:
                owner.register_buffer(name, torch.zeros(weight.shape))
        for path in sorted(inner - {""}):
            self._owner(f"{path}.", inner)
        for name, shape in stored_shapes(self._record).items():
            self.register_buffer(f"stored_{name}", torch.zeros(shape), persistent=False)

    def _owner(self, path: str, inner: set[str]) -> nn.Module:
        """Return the module that owns a path such as `controller.weight_ih`, and create it where it is missing."""
        owner: nn.Module = self
        *parts, _ = path.split(".")
        for number, part in enumerate(parts):
            if not hasattr(owner, part):
                is_cell = ".".join(parts[: number + 1]) in inner
                owner.add_module(part, Cell(self.input_size, self.hidden_size) if is_cell else nn.Module())
            owner = owner.get_submodule(part)
        return owner

    def stored(self) -> tuple[StepRecord, dict[str, Tensor]]:
        """Return the record, and the tensors that it stores by itself, by name."""
        names = stored_shapes(self._record)
        return self._record, {name: getattr(self, f"stored_{name}").clone() for name in names}

    @property
    def stores_tensors(self) -> bool:
        """Whether the record stores tensors beside the weights, which `fill` sets."""
        return bool(stored_shapes(self._record))

    def fill(self, tensors: Mapping[str, Tensor]) -> None:
        """Set the tensors that the record stores by itself.

        Raises:
            CellError: If one is missing, or has another shape.
        """
        for name, shape in stored_shapes(self._record).items():
            tensor = tensors.get(name)
            if tensor is None or tuple(tensor.shape) != shape or not tensor.is_floating_point():
                raise CellError(f"the stored tensor {name!r} is missing or has another shape than {shape}")
            getattr(self, f"stored_{name}").copy_(tensor)

    def initial_state(self, batch_size: int) -> Any:
        like = next(self.parameters(), torch.zeros(()))
        parts = []
        for number, shape in enumerate(self._record.state):
            if self._record.starts[number]:
                parts.append(getattr(self, f"stored_start{number}").expand(batch_size, *shape))
            else:
                parts.append(like.new_zeros(batch_size, *shape))
        return self.state_type(*parts)

    def step(self, x: Tensor, state: Any, *context: Tensor) -> tuple[Tensor, Any]:
        batch = len(x)
        matrices = [self._operand(f"matrix{n}", record) for n, record in enumerate(self._record.matrices)]
        vectors = [self._operand(f"vector{n}", record).reshape(1, -1) for n, record in enumerate(self._record.vectors)]
        sources = {"input": [x], "vector": vectors, "state": [part.reshape(batch, -1) for part in state]}
        values: dict[Node, Tensor] = {}
        for node in self._nodes:
            if node.operation == "source":
                kind, number = node.value
                values[node] = sources[kind][number]
            elif node.operation == "constant":
                values[node] = x.new_full((batch, node.width), node.value[0])
            else:
                values[node] = _value(node, [values[argument] for argument in node.arguments], matrices)
        for name, place in self._record.names.items():
            owner, _, quantity = name.rpartition(".")
            part = self.get_submodule(owner)
            part.record(**{quantity: values[self._nodes[place]].expand(batch, -1)})  # type: ignore[operator]
        output, *after = (values[self._nodes[place]].expand(batch, -1) for place in self._record.results)
        shaped = (part.reshape(batch, *shape) for part, shape in zip(after, self._record.state, strict=True))
        return output, self.state_type(*shaped)

    def _operand(self, name: str, record: OperandRecord) -> Tensor:
        if record.weight is None:
            stored: Tensor = getattr(self, f"stored_{name}")
            return stored
        owner, _, last = record.weight.rpartition(".")
        weight: Tensor = getattr(self.get_submodule(owner), last)
        rows = weight if (record.start, record.stop) == (0, len(weight)) else weight[record.start : record.stop]
        return rows.t() if record.transposed else rows


def _value(node: Node, arguments: list[Tensor], matrices: Sequence[Tensor]) -> Tensor:
    """Return the value of a node, by torch calls that the compiler takes and autograd follows."""
    if node.operation == "detach":
        return arguments[0].detach()
    if node.operation == "pow" and node.arguments[1].operation == "constant":
        power: Tensor = arguments[0] ** node.arguments[1].value[0]
        return power
    return compute(node, arguments, matrices)


def stored_cell_class(record: CellRecord) -> type[StoredCell]:
    """Return a class of cells that run the steps of a record.

    Args:
        record: The record, which may come from a stranger.

    Raises:
        CellError: If a step of the record is no step of a cell; the message says what does not fit.
    """
    try:
        state_type = namedtuple(record.state, record.fields)  # type: ignore[misc]
        graphs = {(step.input_size, step.hidden_size): checked_graph(record, step) for step in record.steps}
        steps = {(step.input_size, step.hidden_size): step for step in record.steps}
        body = {"records": steps, "graphs": graphs, "state_type": state_type, "__doc__": StoredCell.__doc__}
        kind: type[StoredCell] = type(record.name, (StoredCell,), body)
    except ValueError as error:
        raise CellError(f"the stored cell {record.name!r} is damaged: {error}") from None
    try:
        with torch.device("meta"):
            for sizes in graphs:
                kind(*sizes)
    except (CellError, KeyError, AttributeError, TypeError, RuntimeError) as error:
        raise CellError(f"the stored cell {record.name!r} is damaged: {error}") from None
    return kind
