"""Trace: run a cell's step once on small tensors, and record its torch calls as a graph.

Calls that depend on weights alone are recorded on a tape, whatever they are, and are replayed under autograd. Calls
that depend on inputs or state are lowered to the closed set of operations, or refused with the line of the cell.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

from unspool.cells import Cell, watch
from unspool.engine.compiler.frontend.cell_fingerprint import weights
from unspool.engine.compiler.frontend.lowering import CREATIONS, Lowering
from unspool.engine.compiler.frontend.shapes import Row, Weight
from unspool.engine.compiler.ir.builder import Builder
from unspool.engine.compiler.ir.graph import Graph, Node
from unspool.engine.compiler.ir.verify import verify
from unspool.engine.compiler.refusal import Refusal
from unspool.randomness import keep_global_state

__all__ = ["Refusal", "Tape", "Trace", "trace", "trace_names"]

_OURS = (str(Path(torch.__file__).parent), str(Path(__file__).parents[2]))
_BATCHES = (
    7,
    11,
    13,
    17,
    19,
    23,
    29,
    31,
    37,
    41,
    43,
    47,
)  # odd sizes, so that a batch is hardly ever taken for a width


@dataclass(frozen=True)
class Tape:
    """Torch calls that depend on weights alone."""

    names: tuple[str, ...]
    """The cell's own tensors, which come first."""
    calls: tuple[tuple[Any, tuple[Any, ...], dict[str, Any]], ...]
    """Function and arguments of each call; a `Weight` among them stands for an earlier value."""
    matrices: tuple[int, ...]
    """The values that are the matrices 0, 1, ... of the graph."""
    vectors: tuple[int, ...]
    """The values that are its vectors."""

    def replay(self, owned: dict[str, Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return the matrices and vectors of the graph for a cell's weights, under autograd."""
        values = [owned[name] for name in self.names]
        for function, arguments, options in self.calls:
            if any(isinstance(part, list | tuple) for part in arguments) or options:
                arguments, options = tree_map_only(Weight, lambda weight: values[weight.number], (arguments, options))
            else:  # the same, ten times as fast
                arguments = tuple(values[part.number] if isinstance(part, Weight) else part for part in arguments)
            results = function(*arguments, **options)
            if isinstance(results, Tensor):
                values.append(results)
            else:
                values.extend(results)
        return [values[number] for number in self.matrices], [values[number].reshape(-1) for number in self.vectors]


@dataclass(frozen=True)
class Trace:
    """What one step does."""

    tape: Tape
    graph: Graph
    shapes: tuple[tuple[int, ...], ...]
    """Of each part of the state, without the batch."""


def trace(cell: Cell[Any], context_widths: tuple[int, ...] = ()) -> Trace:
    """Trace a cell's step.

    Inputs are numbered from 0: the step's input, then each tensor of context.

    Args:
        cell: The cell.
        context_widths: Widths of the tensors of context.

    Raises:
        Refusal: If the step does something that the compiler can't take; the message names the line.
    """
    sizes = {size for weight in cell.parameters() for size in weight.shape} | {cell.input_size, *context_widths}
    sizes |= {size for part in cell.initial_state(1) for size in part.shape}
    first_batch, second_batch = [size for size in _BATCHES if size not in sizes][:2]
    first_trace, second_trace = (_record(cell, context_widths, batch) for batch in (first_batch, second_batch))
    if str(first_trace.graph) != str(second_trace.graph):
        raise Refusal("what the step computes depends on the size of the batch")
    return first_trace


def trace_names(cell: Cell[Any]) -> tuple[Trace, dict[str, Node]]:
    """Trace a cell's step, and return the trace with the nodes of the values that the cell records, by name.

    Names of cells inside the cell have the attribute of the inner cell before them: `hyper.forget`. The graph may lack
    a named node on which no result depends.

    Raises:
        Refusal: As `trace`.
    """
    trace(cell)
    names: dict[str, Node] = {}
    return _record(cell, (), _BATCHES[-1], names), names


class _Names:
    """Watcher that finds the node of each value that a cell records."""

    def __init__(self, recorder: _Recorder, names: dict[str, Node], prefix: str) -> None:
        self._recorder, self._names, self._prefix = recorder, names, prefix

    def add(self, name: str, value: Tensor) -> None:
        """Store the node of a value, unless the value depends on weights alone."""
        row = self._recorder.row(value)
        if row is not None:
            self._names.setdefault(self._prefix + name, row.node)


def _record(
    cell: Cell[Any], context_widths: tuple[int, ...], batch: int, names: dict[str, Node] | None = None
) -> Trace:
    like = next(iter(weights(cell).values()), torch.empty(0))
    recorder = _Recorder(cell, batch)
    with torch.no_grad(), keep_global_state(), ExitStack() as watching:
        if names is not None:
            for path, part in cell.named_modules():
                if isinstance(part, Cell):
                    watching.enter_context(watch(part, _Names(recorder, names, f"{path}." if path else "")))
        state = cell.initial_state(batch)
        rows = [like.new_empty(batch, width).uniform_(0.1, 0.9) for width in (cell.input_size, *context_widths)]
        parts = [like.new_empty(part.shape).uniform_(0.1, 0.9) for part in state]
        for part in state:
            if part.is_complex():
                raise Refusal(f"a state of {str(part.dtype).removeprefix('torch.')}: the compiler takes real numbers")
        for part in parts:
            if part.dim() == 0 or part.shape[0] != batch or part.numel() == 0:
                raise Refusal(f"a state of shape {tuple(part.shape)}: the compiler takes (batch, units, ...)")
        for kind, tensors in (("input", rows), ("state", parts)):
            for number, tensor in enumerate(tensors):
                recorder.give(tensor, kind, number)
        with recorder:
            try:
                returned = cell.step(rows[0], type(state)(*parts), *rows[1:])
            except Refusal:
                raise
            except Exception as error:  # the plain loop will raise it where it belongs
                raise Refusal(f"{type(cell).__name__}.step raises {type(error).__name__}: {error}") from error
    return recorder.finish(cell, returned, state)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records every torch call of a step."""

    def __init__(self, cell: Cell[Any], batch: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._batch = batch
        self._builder = Builder(push_slices=False)
        tensors = weights(cell)
        self._names = tuple(tensors)
        self._calls: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []
        self._values: dict[int, Row | Weight] = {}
        self._alive: list[Tensor] = []  # an id is a name only as long as its tensor lives
        self._count = 0
        for tensor in tensors.values():
            self._weigh(tensor)
        self._translator = Lowering(self._builder, self._slice_weight)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled while a step is traced, and to say so torch would import its compiler: 2 s

    def give(self, tensor: Tensor, kind: str, number: int) -> None:
        """Name an argument of the step."""
        shape = tuple(tensor.shape[1:])
        self._put(tensor, Row(self._builder.source(kind, number, prod(shape)), shape))

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: tuple[Any, ...] = (), options: dict[str, Any] | None = None
    ) -> Any:
        """Run one call and record it."""
        options = options or {}
        if torch._C._dispatch_has_kernel_for_dispatch_key(function.name(), "CompositeImplicitAutograd"):
            with self:  # autograd takes such calls apart, but it is off for tensors of inference mode
                return function.decompose(*arguments, **options)
        file, line = _where()
        self._builder.where = f"{Path(file).name}:{line}"
        results = function(*arguments, **options)
        try:
            self._record(function, arguments, options, results)
        except Refusal as refusal:
            raise Refusal(f"{file}:{line}: {refusal}") from None
        return results

    def _record(self, function: Any, arguments: tuple[Any, ...], options: dict[str, Any], outputs: Any) -> None:
        if function._schema.is_mutable:
            raise Refusal(f"{function} changes a tensor in place")
        if function.overloadpacket._qualified_op_name.startswith("aten::empty"):
            raise Refusal(f"{function} makes memory that is yet to be filled, as dropout does")
        arguments, options = tree_map_only(Tensor, self._get, (arguments, options))
        results = tree_flatten(outputs)[0]
        values = [part for part in tree_flatten((arguments, options))[0] if isinstance(part, Row | Weight)]
        name = str(function)
        of_batch = isinstance(results[0], Tensor) and results[0].shape[:1] == (self._batch,)
        is_complex = any(isinstance(part, Tensor) and part.is_complex() for part in results)
        if is_complex and (of_batch or any(isinstance(part, Row) for part in values)):
            raise Refusal(f"{function} makes complex numbers: the compiler takes real ones")
        if name.rpartition(".")[0] in CREATIONS and of_batch:
            shape = tuple(results[0].shape[1:])
            node = self._builder.constant(float(results[0].flatten()[0]), prod(shape))
            if not bool((results[0] == node.value[0]).all()):
                raise Refusal(f"{function} makes a value that changes from run to run")
            self._put(results[0], Row(node, shape))
        elif name == "aten.expand.default" and of_batch:
            self._put(results[0], self._translator.expand(values[0], tuple(results[0].shape[1:])))
        elif any(isinstance(part, Row) for part in values):
            rows = self._translator(name, arguments, options, [part for part in results if isinstance(part, Tensor)])
            for tensor, value in zip(results, rows, strict=False):
                self._check(function, tensor, value)
                self._put(tensor, value)
        else:
            if torch.Tag.nondeterministic_seeded in function.tags:
                raise Refusal(f"{function} draws random numbers")
            if not all(isinstance(part, Tensor) for part in results):
                raise Refusal(f"{function} looks at a value")
            self._calls.append((function, arguments, options))
            for tensor in results:
                self._weigh(tensor)

    def _check(self, function: Any, tensor: Tensor, value: Row) -> None:
        if tuple(tensor.shape) != (self._batch, *value.shape) or prod(value.shape) != value.node.width:
            raise Refusal(
                f"{function} makes shape {tuple('batch' if s == self._batch else s for s in tensor.shape)}, "
                f"the compiler takes (batch, units) and (batch, slots, units)"
            )

    def _get(self, tensor: Tensor) -> Row | Weight:
        value = self._values.get(id(tensor))
        if value is None:
            raise Refusal(
                f"a tensor {tuple(tensor.shape)} that is neither an argument of the step nor owned by the cell"
            )
        return value

    def row(self, tensor: Tensor) -> Row | None:
        """Return the row of a tensor; None if it is a weight, or unknown."""
        value = self._values.get(id(tensor))
        return value if isinstance(value, Row) else None

    def _put(self, tensor: Tensor, value: Row | Weight) -> None:
        self._values[id(tensor)] = value
        self._alive.append(tensor)

    def _weigh(self, tensor: Tensor) -> None:
        self._put(tensor, Weight(self._count, tuple(tensor.shape)))
        self._count += 1

    def _slice_weight(self, weight: Weight, start: int, stop: int) -> Weight:
        self._calls.append((torch.narrow, (weight, 0, start, stop - start), {}))
        self._count += 1
        return Weight(self._count - 1, (stop - start, *weight.shape[1:]))

    def finish(self, cell: Cell[Any], returned: Any, state: Any) -> Trace:
        """Return the trace, after the step has returned."""
        if not (isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[1], type(state))):
            raise Refusal(f"{type(cell).__name__}.step does not return a pair: the output and the new state")
        output, new = returned
        if not all(isinstance(part, Tensor) for part in (output, *new)):
            raise Refusal(f"{type(cell).__name__}.step returns something else than tensors")
        names = [("output", 0), *(("state", number) for number in range(len(state)))]
        shapes = [(cell.hidden_size,), *(tuple(part.shape[1:]) for part in state)]
        ends = []
        for name, tensor, shape in zip(names, (output, *new), shapes, strict=True):
            if tuple(tensor.shape) != (self._batch, *shape):
                raise Refusal(f"{type(cell).__name__}.step returns an output or a state of another shape than expected")
            ends.append((name, self._translator.plain(self._get(tensor))))
        tape = Tape(self._names, tuple(self._calls), tuple(self._translator.matrices), tuple(self._translator.vectors))
        return Trace(tape, verify(Graph(tuple(ends))), tuple(shapes[1:]))


def _where() -> tuple[str, int]:
    """Return the innermost line outside torch and the compiler: the cell's."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno
