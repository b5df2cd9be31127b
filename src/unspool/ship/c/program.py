"""C99 from a program of a sheet: one function that computes its values for one sequence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import singledispatchmethod
from itertools import accumulate
from typing import Any

import numpy as np

from unspool.ship.c.helpers import HELPERS
from unspool.ship.c.maths import EXPRESSIONS, literal
from unspool.ship.c.memory import CFile, Value
from unspool.ship.c.question import write_retrieval
from unspool.ship.c.step import write_step
from unspool.ship.c.unroll import write_unroll
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
from unspool.ship.step_graph import StepGraph

__all__ = ["ProgramWriter"]


class ProgramWriter:
    """Writes one program.

    Args:
        file: The file.
        name: Of the C function, and the beginning of all names.
        program: The program.
        inputs: Values that stand for the inputs of the program.
        units: Most steps of a sequence, an expression.
        count: The expression of the number of steps.
    """

    def __init__(
        self, file: CFile, name: str, program: Program, inputs: Mapping[str, Value], units: str, count: str = "m->count"
    ) -> None:
        self.file, self.name, self.program, self.units, self.count = file, name, program, units, count
        self.values = dict(inputs)
        self._lines: list[str] = []
        self._cells: dict[int, str] = {}

    def write(self, head: str | None = None) -> dict[str, Value]:
        """Write the function, and return the values of the program by name."""
        for operation in self.program.operations:
            self._lines.append(f"    /* {operation.output}: {type(operation).__name__} */")
            self._lines += [f"    {line}" for line in self._write(operation)]
        body = [f"    const int count = {self.count};"] if any("count" in line for line in self._lines) else []
        body += ["    int t, k;", "    (void)t, (void)k;"]
        self.file.function(head or f"static void {self.name}(struct model *m)", [*body, *self._lines])
        return self.values

    # -- parts

    def _helper(self, name: str) -> str:
        return self.file.help(name, HELPERS[name])

    def _room(self, name: str, kind: str, width: int, type: str = "float") -> Value:
        size = f"{self.units} * {width}" if kind in ("sequence", "places") else str(width)
        place = self.file.room(f"{self.name}_{name}", size, type)
        self.values[name] = Value(kind, width, place)
        return self.values[name]

    def _like(self, name: str, input: Value, width: int | None = None) -> Value:
        return self._room(name, input.kind, input.width if width is None else width)

    def _steps(self, value: Value) -> str:
        return "count" if value.kind in ("sequence", "ids") else "1"

    def _at(self, value: Value, index: str = "t") -> str:
        """Return the address of a step of a sequence, or of a row."""
        if value.kind == "row":
            return value.place
        return f"{value.place} + (size_t){index} * {value.width}"

    def _element(self, value: Value, column: str = "k") -> str:
        if value.kind == "row":
            return f"{value.place}[{column}]"
        return f"{value.place}[(size_t)t * {value.width} + {column}]"

    def _array(self, name: str, array: Any) -> str:
        return self.file.weights.add(f"{self.name}_{name}", array)

    def _each(self, out: Value, expression: str) -> list[str]:
        """Return a loop over all numbers of a value."""
        return [
            f"for (t = 0; t < {self._steps(out)}; t++)",
            f"    for (k = 0; k < {out.width}; k++)",
            f"        {self._element(out)} = {expression};",
        ]

    def _product(self, name: str, out: Value, input: Value, weight: Array, bias: Array | None) -> Iterator[str]:
        """Yield `out = input weight^T + bias`, for a weight (out, in)."""
        matrix = f"{self.name}_{name}_weight"
        self.file.weights.add_weight(matrix, weight)
        call = self.file.weights.multiply(matrix, self._at(input), input.width, out.width, self._at(out))
        yield f"for (t = 0; t < {self._steps(out)}; t++)"
        yield f"    {call}"
        if bias is not None:
            row = self._array(f"{name}_bias", bias)
            yield f"{self._helper('add_row')}({out.place}, {self._steps(out)}, {out.width}, {row});"

    # -- operations

    @singledispatchmethod
    def _write(self, op: Any) -> Iterator[str]:
        raise TypeError(f"C has no {type(op).__name__}")

    @_write.register
    def _(self, op: LookUp) -> Iterator[str]:
        ids = self.values[op.ids]
        out = self._room(op.output, "sequence" if ids.kind == "ids" else "row", op.table.shape[1])
        table = f"{self.name}_{op.output}_table"
        self.file.weights.add_table(table, op.table)
        yield f"for (t = 0; t < {self._steps(ids)}; t++)"
        yield f"    {self.file.weights.read_row(table, f'{ids.place}[t]', out.width, self._at(out))}"

    @_write.register
    def _(self, op: SumRows) -> Iterator[str]:
        out = self._room(op.output, "row", op.table.shape[1])
        table = f"{self.name}_{op.output}_table"
        self.file.weights.add_table(table, op.table, by_column=True)
        row = self.file.room(f"{self.name}_{op.output}_row", out.width)
        if op.bias is None:
            yield f"memset({out.place}, 0, {out.width} * sizeof(float));"
        else:
            yield f"memcpy({out.place}, {self._array(f'{op.output}_bias', op.bias)}, {out.width} * sizeof(float));"
        yield "for (t = 0; t < m->bag_count; t++) {"
        yield f"    {self.file.weights.read_row(table, 'm->bag_ids[t]', out.width, row)}"
        yield f"    for (k = 0; k < {out.width}; k++)"
        yield f"        {out.place}[k] += {row}[k] * m->bag_weights[t];"
        yield "}"

    @_write.register
    def _(self, op: Spell) -> Iterator[str]:
        (port,) = op.program.outputs
        name = f"{self.name}_{op.output}"
        inputs = {"ids": Value("ids", 1, "m->letters"), "lengths": Value("lengths", 1, "m->letter_count")}
        values = ProgramWriter(self.file, name, op.program, inputs, "LONGEST_SPELLED", "m->letter_count").write()
        out, word = self._room(op.output, "sequence", port.width), values[port.name]
        yield "for (t = 0; t < count; t++) {"
        yield "    spell(m, t);"
        yield f"    {name}(m);"
        yield f"    memcpy({self._at(out)}, {word.place}, {word.width} * sizeof(float));"
        yield "}"

    def _step(self, name: str, step: StepGraph) -> str:
        """Write a step and its loop once, and return the name of the C functions."""
        if id(step) not in self._cells:
            cell = f"{self.name}_{name}_cell"
            written = write_step(cell, step.graph, step.shapes, step.matrices, step.vectors, self.file.weights)
            self.file.steps += [written.text, write_unroll(written, step.widths[0], step.shapes, self.file.weights)]
            self.file.operations |= written.operations
            self.file.fours |= written.fours
            self.file.fields.append(f"struct {cell}_run {cell};")
            self._cells[id(step)] = cell
        return self._cells[id(step)]

    @_write.register
    def _(self, op: Unroll) -> Iterator[str]:
        cell = self._step(op.output, op.step)
        out = self._room(op.output, "sequence", op.step.output)
        state = self.file.room(f"{self.name}_{op.output}_state", sum(op.step.state_widths))
        starts = [0, *accumulate(op.step.state_widths)]
        yield from self._begin(op.output, op.step, state, [self.values[name].place for name in op.initial])
        weights = "" if self.file.weights.embedded else "weights, "
        input = self.values[op.input]
        yield f"{cell}_run({input.place}, count, {int(op.reverse)}, {state}, {out.place}, {weights}&m->{cell});"
        for name, start, width in zip(op.final, starts, op.step.state_widths, strict=False):
            self.values[name] = Value("row", width, f"({state} + {start})")

    def _begin(self, name: str, step: StepGraph, state: str, rows: list[str]) -> Iterator[str]:
        """Yield the copies of the state before the first step."""
        starts = [0, *accumulate(step.state_widths)]
        if rows:
            for row, start, width in zip(rows, starts, step.state_widths, strict=False):
                yield f"memcpy({state} + {start}, {row}, {width} * sizeof(float));"
        elif any(part.any() for part in step.start):
            start_row = self._array(f"{name}_start", np.concatenate(step.start))
            yield f"memcpy({state}, {start_row}, {starts[-1]} * sizeof(float));"
        else:
            yield f"memset({state}, 0, {starts[-1]} * sizeof(float));"

    @_write.register
    def _(self, op: Advance) -> Iterator[str]:
        cell = self._step(op.output, op.step)
        out = self._room(op.output, "row", op.step.output)
        state = self.file.room(f"{self.name}_{op.output}_state", sum(op.step.state_widths))
        starts = [0, *accumulate(op.step.state_widths)]
        yield from self._begin(op.output, op.step, state, [self.values[name].place for name in op.state])
        weights = "" if self.file.weights.embedded else "weights, "
        context = ""
        if op.context:
            pointers = self.file.room(f"{self.name}_{op.output}_context", len(op.context), "const float *")
            for number, name in enumerate(op.context):
                yield f"{pointers}[{number}] = {self.values[name].place};"
            context = f"{pointers}, "
        yield f"{cell}_run({self.values[op.input].place}, 1, 0, {context}{state}, {out.place}, {weights}&m->{cell});"
        for name, start, width in zip(op.after, starts, op.step.state_widths, strict=False):
            self.values[name] = Value("row", width, f"({state} + {start})")

    @_write.register
    def _(self, op: Product) -> Iterator[str]:
        input = self.values[op.input]
        out = self._like(op.output, input, op.weight.shape[0])
        yield from self._product(op.output, out, input, op.weight, op.bias)

    @_write.register
    def _(self, op: KeyValue) -> Iterator[str]:
        input = self.values[op.query]
        out = self._like(op.output, input, op.keys.shape[0])
        yield from self._product(op.output, out, input, op.keys, None)

    def _joined(self, output: str, inputs: tuple[str, ...], sign: str) -> Iterator[str]:
        values = [self.values[name] for name in inputs]
        longest = next((value for value in values if value.kind == "sequence"), values[0])
        out = self._like(output, longest, max(value.width for value in values))
        terms = [self._element(value, "0" if value.width == 1 else "k") for value in values]
        yield from self._each(out, f" {sign} ".join(terms))

    @_write.register
    def _(self, op: Add) -> Iterator[str]:
        yield from self._joined(op.output, op.inputs, "+")

    @_write.register
    def _(self, op: Multiply) -> Iterator[str]:
        yield from self._joined(op.output, op.inputs, "*")

    @_write.register
    def _(self, op: Scale) -> Iterator[str]:
        input = self.values[op.input]
        out = self._like(op.output, input)
        yield from self._each(out, f"{self._element(input)} * {literal(op.factor)}")

    @_write.register
    def _(self, op: Concat) -> Iterator[str]:
        values = [self.values[name] for name in op.inputs]
        longest = next((value for value in values if value.kind == "sequence"), values[0])
        out = self._like(op.output, longest, sum(value.width for value in values))
        yield f"for (t = 0; t < {self._steps(out)}; t++) {{"
        column = 0
        for value in values:
            yield f"    memcpy({self._at(out)} + {column}, {self._at(value)}, {value.width} * sizeof(float));"
            column += value.width
        yield "}"

    @_write.register
    def _(self, op: Activate) -> Iterator[str]:
        input = self.values[op.input]
        out, x = self._like(op.output, input), self._element(input)
        self.file.need(op.function)
        if op.function == "gelu":
            yield from self._each(out, f"0.5f * {x} * (1.0f + erff({x} / {literal(2**0.5)}))")
        else:
            yield from self._each(out, EXPRESSIONS[op.function].format(x))

    @_write.register
    def _(self, op: Pool) -> Iterator[str]:
        states = self.values[op.input]
        out = self._room(op.output, "row", states.width)
        width, size = states.width, f"{states.width} * sizeof(float)"
        if op.kind == "first":
            yield f"memcpy({out.place}, {states.place}, {size});"
        elif op.kind == "last":
            yield f"memcpy({out.place}, {states.place} + (size_t)(count - 1) * {width}, {size});"
            if op.directions == 2:
                half = width // 2
                yield f"memcpy({out.place} + {half}, {states.place} + {half}, {width - half} * sizeof(float));"
        else:
            start = "-INFINITY" if op.kind == "max" else "0.0f"
            part = self._element(states)
            if op.weights is not None:
                part = f"{part} * {self._element(self.values[op.weights], '0')}"
            more = (
                f"{out.place}[k] > {part} ? {out.place}[k] : {part}" if op.kind == "max" else f"{out.place}[k] + {part}"
            )
            yield f"for (k = 0; k < {width}; k++)"
            yield f"    {out.place}[k] = {start};"
            yield "for (t = 0; t < count; t++)"
            yield f"    for (k = 0; k < {width}; k++)"
            yield f"        {out.place}[k] = {more};"
            if op.kind == "mean":
                yield f"for (k = 0; k < {width}; k++)"
                yield f"    {out.place}[k] /= (float)count;"

    @_write.register
    def _(self, op: Softmax) -> Iterator[str]:
        input = self.values[op.input]
        out = self._like(op.output, input)
        self.file.need("exp")
        helper = self._helper(f"softmax_{op.over}")
        yield f"{helper}({input.place}, {self._steps(out)}, {out.width}, {int(op.log)}, {out.place});"

    @_write.register
    def _(self, op: Attend) -> Iterator[str]:
        query, keys, items = (self.values[name] for name in (op.query, op.keys, op.values))
        out = self._like(op.output, query, items.width)
        shares = self._room(op.weights or f"{op.output}_shares", "sequence", 1)
        self.file.need("exp")
        yield f"for (t = 0; t < {self._steps(query)}; t++)"
        yield (
            f"    {self._helper('attend')}({self._at(query)}, {keys.place}, {keys.width}, {items.place}, "
            f"{items.width}, count, {op.heads}, {literal(op.scale)}, {shares.place}, {self._at(out)});"
        )

    @_write.register
    def _(self, op: Normalise) -> Iterator[str]:
        input = self.values[op.input]
        out = self._like(op.output, input)
        helper = self._helper(f"normalise_{op.kind}")
        yield f"{helper}({input.place}, {self._steps(out)}, {out.width}, {literal(op.epsilon)}, {out.place});"
        if op.weight is not None:
            yield from self._each(out, f"{self._element(out)} * {self._array(f'{op.output}_weight', op.weight)}[k]")
        if op.bias is not None:
            bias = self._array(f"{op.output}_bias", op.bias)
            yield f"{self._helper('add_row')}({out.place}, {self._steps(out)}, {out.width}, {bias});"

    @_write.register
    def _(self, op: Positions) -> Iterator[str]:
        input = self.values[op.input]
        out = self._like(op.output, input)
        table = f"{self._array(f'{op.output}_table', op.table)}[(size_t)t * {out.width} + k]"
        if op.sinusoidal:
            self._helper("position_row")
            table = f"(t < {len(op.table)} ? {table} : position(t, k, {out.width}))"
        yield from self._each(out, f"{self._element(input)} + {table}")

    @_write.register
    def _(self, op: BestPath) -> Iterator[str]:
        input, tags = self.values[op.input], len(op.first)
        out = self._room(op.output, "places", 1, "int32_t")
        name = f"{self.name}_{op.output}"
        best, next = self.file.room(f"{name}_best", tags), self.file.room(f"{name}_next", tags)
        back = self.file.room(f"{name}_back", f"{self.units} * {tags}", "uint16_t")
        first, between, last = (
            self._array(f"{op.output}_{word}", part)
            for word, part in (("first", op.first), ("between", op.transitions), ("last", op.last))
        )
        yield (
            f"{self._helper('best_path')}({input.place}, count, {tags}, {first}, {between}, {last}, "
            f"{best}, {next}, {back}, {out.place});"
        )

    @_write.register
    def _(self, op: Convolve) -> Iterator[str]:
        input = self.values[op.input]
        channels, depth, kernel = op.weight.shape
        out = self._room(op.output, "sequence", channels)
        window = Value("row", depth * kernel, self.file.room(f"{self.name}_{op.output}_window", depth * kernel))
        weight = f"{self.name}_{op.output}_weight"
        self.file.weights.add_weight(weight, np.ascontiguousarray(op.weight.transpose(0, 2, 1)).reshape(channels, -1))
        call = self.file.weights.multiply(weight, window.place, window.width, channels, self._at(out))
        yield "for (t = 0; t < count; t++) {"
        yield f"    for (k = 0; k < {kernel}; k++) {{"
        yield f"        int at = t + k - {kernel // 2};"
        yield "        if (at < 0 || at >= count)"
        yield f"            memset({window.place} + k * {depth}, 0, {depth} * sizeof(float));"
        yield "        else"
        yield f"            memcpy({window.place} + k * {depth}, {self._at(input, 'at')}, {depth} * sizeof(float));"
        yield "    }"
        yield f"    {call}"
        yield "}"
        if op.bias is not None:
            bias = self._array(f"{op.output}_bias", op.bias)
            yield f"{self._helper('add_row')}({out.place}, count, {channels}, {bias});"

    @_write.register
    def _(self, op: Slice) -> Iterator[str]:
        input, width = self.values[op.input], op.stop - op.start
        out = self._like(op.output, input, width)
        yield f"for (t = 0; t < {self._steps(out)}; t++)"
        yield f"    memcpy({self._at(out)}, {self._at(input)} + {op.start}, {width} * sizeof(float));"

    @_write.register
    def _(self, op: Highest) -> Iterator[str]:
        input = self.values[op.input]
        out = self._room(op.output, "places", 1, "int32_t")
        yield "for (t = 0; t < count; t++) {"
        yield f"    {out.place}[t] = 0;"
        yield f"    for (k = 1; k < {input.width}; k++)"
        yield f"        if ({self._element(input)} > {self._element(input, f'{out.place}[t]')})"
        yield f"            {out.place}[t] = k;"
        yield "}"

    @_write.register
    def _(self, op: Retrieve) -> Iterator[str]:
        yield write_retrieval(self.file, op, self._room(op.output, "row", len(op.key_shares)))

    @_write.register
    def _(self, op: Constant) -> Iterator[str]:
        out = self._room(op.output, "row", len(op.row))
        yield f"memcpy({out.place}, {self._array(op.output, op.row)}, {out.width} * sizeof(float));"
