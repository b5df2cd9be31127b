"""Programs of a sheet as JavaScript: one function for each, which calls the run time with the weights of the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatchmethod
from typing import Any

import numpy as np

from unspool.errors import UsageError
from unspool.ship.page.script import Kernels, layout
from unspool.ship.page.step import PageStep, Source
from unspool.ship.page.weights import Weights
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
    Kind,
    LookUp,
    Multiply,
    Normalise,
    Operation,
    Pool,
    Positions,
    Product,
    Program,
    Scale,
    Slice,
    Softmax,
    Spell,
    SumRows,
    Unroll,
)
from unspool.ship.step_graph import StepGraph

__all__ = ["ProgramWriter"]

_TABLE = 1 << 20
"""Numbers of a table of products at most: 4 MiB."""
_FUNCTIONS = {
    "relu": "Math.max({0},0)",
    "tanh": "1-2/(Math.exp(2*{0})+1)",
    "sigmoid": "1/(1+Math.exp(-{0}))",
    "exp": "Math.exp({0})",
    "gelu": "{0}*(1+erf({0}/Math.SQRT2))/2",
}


@dataclass(frozen=True)
class _Value:
    code: str
    """JavaScript of its place, or of what it is."""
    kind: Kind
    width: int

    @property
    def across(self) -> int:
        """Numbers from one row to the next; a row counts for every step."""
        return -(-self.width // 4) * 4 if self.kind == "sequence" else 0

    @property
    def count(self) -> str:
        """JavaScript of the number of rows."""
        return "n" if self.kind == "sequence" else "1"


class ProgramWriter:
    """Writes one program as a function of its inputs, which returns the list of its outputs.

    The function takes an object: `n`, the number of steps, and the inputs by name. Weights become constants that stand
    before the function, in `definitions`.

    Args:
        program: The program.
        prefix: Begins the names of the constants.
        weights: Of the page.
        kernels: Steps of the page.
        more: Names of values that the function returns after the outputs.
    """

    def __init__(
        self, program: Program, prefix: str, weights: Weights, kernels: Kernels, more: Sequence[str] = ()
    ) -> None:
        self._program, self._prefix, self._weights, self._kernels = program, prefix, weights, kernels
        self.definitions: list[str] = []
        self._lines: list[str] = []
        self._constants: dict[str, str] = {}
        self._values = {port.name: _Value(f"q.{port.name}", port.kind, port.width) for port in program.inputs}
        self._made = {operation.output: operation for operation in program.operations}
        self._tables: set[str] = set()
        for operation in program.operations:
            if isinstance(operation, Unroll | Advance):
                self._plan_table(operation)
        uses = Counter(name for operation in program.operations for name in _reads(operation))
        uses.update(port.name for port in program.outputs)
        for operation in program.operations:
            fed = sum(operation.output == _input(other) for other in program.operations if other.output in self._tables)
            if not isinstance(operation, LookUp) or uses[operation.output] > fed:
                self.write(operation)
        outputs = ", ".join(self._values[name].code for name in [*(port.name for port in program.outputs), *more])
        body = "".join(f"  {line}\n" for line in self._lines)
        self.function = f"(q) => {{\n  const n = q.n;\n{body}  return [{outputs}];\n}}"

    def width(self, name: str) -> int:
        """Return the width of a value."""
        return self._values[name].width

    # ---- names

    def _constant(self, code: str) -> str:
        if code not in self._constants or code.startswith("cell("):
            self._constants[code] = f"{self._prefix}{len(self.definitions)}"
            self.definitions.append(f"const {self._constants[code]} = {code};")
        return self._constants[code]

    def _keep(self, array: Array | None) -> str:
        return "0" if array is None else self._constant(f"keep({self._weights.add(array)})")

    def _table(self, array: Array) -> str:
        return self._constant(f"table({self._weights.add(array)}, {array.shape[1]})")

    def _pack(self, array: Array) -> str:
        """Pack a matrix that is stored as (width, depth)."""
        width, depth = array.shape
        return self._constant(f"pack({self._weights.add(array)}, {depth}, {width}, 1, {depth})")

    def _set(self, operation: Operation, code: str, kind: Kind, width: int) -> None:
        name = f"v{len(self._values)}"
        self._lines.append(f"const {name} = {code};")
        self._values[operation.output] = _Value(name, kind, width)

    def _rows(self, operation: Operation, like: Sequence[str], width: int, code: str) -> None:
        """Set a value whose numbers are an expression of row `t` and column `i`."""
        kind: Kind = "sequence" if any(self._values[name].kind == "sequence" for name in like) else "row"
        count = "n" if kind == "sequence" else "1"
        self._set(operation, f"rows({count}, {width}, (t, i) => {code})", kind, width)

    def _at(self, name: str) -> str:
        """Return the number of a value in row `t` and column `i`."""
        value = self._values[name]
        return f"F[{value.code} + t * {value.across} + i]" if value.across else f"F[{value.code} + i]"

    # ---- steps

    def _plan_table(self, operation: Unroll | Advance) -> None:
        """Decide whether a step reads products of a table of vectors, and define them."""
        source = self._made.get(operation.input)
        if not isinstance(source, LookUp) or not 0 < len(source.table) <= _TABLE:
            return
        step = PageStep.of(operation.step, table=True)
        if step is None or any(source == Source("input", 0) for source in step.sources.values()):
            return
        products = [s for s in step.sources.values() if s.kind == "product"]
        widths = [operation.step.matrices[s.number].shape[0 if s.transposed else 1] for s in products]
        if len(source.table) * sum(widths) <= _TABLE:
            self._tables.add(operation.output)

    def _cell(self, operation: Unroll | Advance) -> tuple[str, list[str], StepGraph]:
        """Define the cell of an operation; returns its name and JavaScript of each feed, of the step `t`."""
        graph, is_table = operation.step, operation.output in self._tables
        step = PageStep.of(graph, table=is_table)
        assert step is not None
        entries = {memory: number for number, memory in enumerate(step.memories)}
        packed: dict[tuple[int, bool], str] = {}

        def matrix(number: int, transposed: bool) -> str:
            if (number, transposed) not in packed:
                stored = np.ascontiguousarray(graph.matrices[number].T)
                width, depth = stored.shape if not transposed else stored.shape[::-1]
                strides = f"1, {depth}" if not transposed else f"{width}, 1"
                packed[number, transposed] = self._constant(
                    f"pack({self._weights.add(stored)}, {depth}, {width}, {strides})"
                )
            return packed[number, transposed]

        places = {product.packed: matrix(product.matrix, product.transposed) for product in step.nest.products}
        for number, vector in enumerate(step.vectors):
            if f"vector{number}" in entries:
                places[f"vector{number}"] = self._keep(graph.vectors[vector])
        places |= {name: f"room({size})" for name, size in step.scratch.items()}
        feeds, names = [], []
        for name, source in step.sources.items():
            if source.kind != "state":
                names.append(name)
                feeds.append(self._feed(operation, source, matrix))
        memories = ", ".join(f"[{entries[name]}, {place}]" for name, place in places.items())
        cell = self._constant(f"cell({self._kernels.number(step)}, {layout(step, names)}, [{memories}])")
        return cell, feeds, graph

    def _feed(self, operation: Unroll | Advance, source: Any, matrix: Any) -> str:
        context = operation.context if isinstance(operation, Advance) else ()
        name = (operation.input, *context)[source.number if source.kind == "input" else 0]
        looked_up = self._made.get(name)
        if source.kind == "product":
            assert isinstance(looked_up, LookUp)
            packed = matrix(source.number, source.transposed)
            width = operation.step.matrices[source.number].shape[0 if source.transposed else 1]
            units, depth = looked_up.table.shape
            row = self._constant(
                f"multiplied({self._table(looked_up.table)}, {-(-depth // 4) * 4}, {units}, {depth}, {packed}, {width})"
            )
            ids = self._values[looked_up.ids]
            return f"{row}({ids.code}{'' if ids.kind == 'id' else '[t]'})"
        value = self._values[name]
        return f"{value.code} + t * {value.across}" if value.across else value.code

    # ---- operations

    @singledispatchmethod
    def write(self, op: Operation) -> None:
        """Write one operation.

        Raises:
            UsageError: If pages have no such operation.
        """
        raise UsageError(f"a page can't compute {type(op).__name__} yet; export to onnx or c")

    @write.register
    def _(self, op: LookUp) -> None:
        ids, width = self._values[op.ids], op.table.shape[1]
        table = self._table(op.table)
        if ids.kind == "id":
            self._set(op, f"{table} + {ids.code} * {-(-width // 4) * 4}", "row", width)
        else:
            self._set(op, f"lookUp({ids.code}, {table}, {width})", "sequence", width)

    @write.register
    def _(self, op: SumRows) -> None:
        width, bias = op.table.shape[1], self._keep(op.bias)
        self._set(op, f"sumRows({self._values[op.bag].code}, {self._table(op.table)}, {width}, {bias})", "row", width)

    @write.register
    def _(self, op: Spell) -> None:
        inner = ProgramWriter(op.program, f"{self._prefix}{len(self.definitions)}_", self._weights, self._kernels)
        self.definitions += inner.definitions
        run = self._constant(inner.function)
        width = inner.width(op.program.outputs[0].name)
        self._set(op, f"spellAll({self._values[op.characters].code}, {run}, {width})", "sequence", width)

    @write.register
    def _(self, op: Unroll) -> None:
        cell, feeds, graph = self._cell(op)
        start = [self._values[name].code for name in op.initial] or [self._keep(part) for part in graph.start]
        width = graph.output
        across = -(-width // 4) * 4
        self._set(op, f"room(n * {across})", "sequence", width)
        output = self._values[op.output].code
        functions = ", ".join(f"(t) => {feed}" for feed in feeds)
        call = f"unroll({cell}, [{functions}], n, {output}, {across}, [{', '.join(start)}], {int(op.reverse)})"
        if op.final:
            names = [f"v{len(self._values) + number}" for number in range(len(op.final))]
            self._lines.append(f"const [{', '.join(names)}] = {call};")
            for name, code, width in zip(op.final, names, graph.state_widths, strict=True):
                self._values[name] = _Value(code, "row", width)
        else:
            self._lines.append(f"{call};")

    @write.register
    def _(self, op: Advance) -> None:
        cell, feeds, graph = self._cell(op)
        results = f"r{len(self._values)}"
        self._lines.append(f"const {results} = {cell}.w.map(room);")
        sources = ", ".join([*feeds, *(self._values[name].code for name in op.state)])
        self._lines.append(f"advance({cell}, [{sources}], {results});")
        self._set(op, f"{results}[{cell}.r[0]]", "row", graph.output)
        for number, (name, width) in enumerate(zip(op.after, graph.state_widths, strict=True)):
            self._values[name] = _Value(f"{results}[{cell}.r[{number + 1}]]", "row", width)

    @write.register
    def _(self, op: Product) -> None:
        self._multiply(op, op.weight, op.bias)

    @write.register
    def _(self, op: KeyValue) -> None:
        self._multiply(op, op.keys, None, op.query)

    def _multiply(self, op: Any, weight: Array, bias: Array | None, name: str | None = None) -> None:
        x, (width, depth) = self._values[name or op.input], weight.shape
        matrix, shift = self._pack(weight), self._keep(bias)
        call = f"multiply({x.code}, {x.across}, {x.count}, {depth}, {matrix}, {width}, {shift})"
        self._set(op, call, x.kind, width)

    @write.register
    def _(self, op: Add) -> None:
        width = self._values[op.inputs[0]].width
        self._rows(op, op.inputs, width, " + ".join(map(self._at, op.inputs)))

    @write.register
    def _(self, op: Multiply) -> None:
        width = self._values[op.inputs[0]].width
        self._rows(op, op.inputs, width, " * ".join(map(self._at, op.inputs)))

    @write.register
    def _(self, op: Scale) -> None:
        factor = float(np.float32(op.factor))
        self._rows(op, [op.input], self._values[op.input].width, f"{self._at(op.input)} * {factor!r}")

    @write.register
    def _(self, op: Concat) -> None:
        parts = [self._values[name] for name in op.inputs]
        kind: Kind = "sequence" if any(part.kind == "sequence" for part in parts) else "row"
        listed = ", ".join(f"[{part.code}, {part.width}, {part.across}]" for part in parts)
        count = "n" if kind == "sequence" else "1"
        self._set(op, f"concat({count}, [{listed}])", kind, sum(part.width for part in parts))

    @write.register
    def _(self, op: Activate) -> None:
        width = self._values[op.input].width
        self._rows(op, [op.input], width, _FUNCTIONS[op.function].format(self._at(op.input)))

    @write.register
    def _(self, op: Pool) -> None:
        x = self._values[op.input]
        weights = "0" if op.weights is None else self._values[op.weights].code
        call = f'pool({x.code}, n, {x.width}, "{op.kind}", {op.directions}, {weights})'
        self._set(op, call, "row", x.width)

    @write.register
    def _(self, op: Softmax) -> None:
        x = self._values[op.input]
        call = f"softmax({x.code}, {x.count}, {x.width}, {int(op.over == 'time')}, {int(op.log)})"
        self._set(op, call, x.kind, x.width)

    @write.register
    def _(self, op: Attend) -> None:
        query, keys, values = (self._values[name] for name in (op.query, op.keys, op.values))
        pair = f"a{len(self._values)}"
        sizes = f"n, {keys.width}, {values.width}, {op.heads}, {float(np.float32(op.scale))!r}"
        self._lines.append(f"const {pair} = attend({query.code}, {query.count}, {keys.code}, {values.code}, {sizes});")
        self._set(op, f"{pair}[0]", query.kind, values.width)
        if op.weights is not None:
            self._values[op.weights] = _Value(f"upright({pair}[1], n)", "sequence", 1)

    @write.register
    def _(self, op: Normalise) -> None:
        x, weight, bias = self._values[op.input], self._keep(op.weight), self._keep(op.bias)
        call = f'normalise({x.code}, {x.count}, {x.width}, "{op.kind}", {op.epsilon!r}, {weight}, {bias})'
        self._set(op, call, x.kind, x.width)

    @write.register
    def _(self, op: Positions) -> None:
        x, steps = self._values[op.input], len(op.table) if op.sinusoidal else 1 << 30
        table = self._table(op.table)
        self._set(op, f"positions({x.code}, {x.count}, {x.width}, {table}, {steps}, 0)", x.kind, x.width)

    @write.register
    def _(self, op: BestPath) -> None:
        x, transitions = self._values[op.input], self._table(op.transitions)
        first, last = self._keep(op.first), self._keep(op.last)
        self._set(op, f"bestPath({x.code}, n, {x.width}, {transitions}, {first}, {last})", "places", 0)

    @write.register
    def _(self, op: Convolve) -> None:
        x, (width, depth, size) = self._values[op.input], op.weight.shape
        matrix = self._pack(np.ascontiguousarray(op.weight.transpose(0, 2, 1).reshape(width, -1)))
        call = f"convolve({x.code}, n, {depth}, {matrix}, {size}, {width}, {self._keep(op.bias)})"
        self._set(op, call, "sequence", width)

    @write.register
    def _(self, op: Slice) -> None:
        part = f"[{self._values[op.input].code} + {op.start}, {op.stop - op.start}, {self._values[op.input].across}]"
        x = self._values[op.input]
        self._set(op, f"concat({x.count}, [{part}])", x.kind, op.stop - op.start)

    @write.register
    def _(self, op: Highest) -> None:
        x = self._values[op.input]
        self._set(op, f"highest({x.code}, n, {x.width})", "places", 0)

    @write.register
    def _(self, op: Constant) -> None:
        self._set(op, self._keep(op.row), "row", len(op.row))


def _reads(operation: Operation) -> list[str]:
    """Return the names of the values that an operation reads."""
    names: list[str] = []
    for field in ("ids", "bag", "characters", "input", "query", "keys", "values", "weights"):
        value = getattr(operation, field, None)
        names += [value] if isinstance(value, str) else []
    for field in ("inputs", "initial", "state", "context"):
        names += getattr(operation, field, ())
    return names


def _input(operation: Operation) -> str | None:
    return getattr(operation, "input", None)
