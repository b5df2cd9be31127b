"""C99 for one step of a cell: the scheduled kernel of the engine, phase by phase, for one sequence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from unspool.engine.compiler.ir.graph import Graph, Node
from unspool.engine.compiler.ir.interpreter import compute
from unspool.engine.compiler.loops.fusion import fuse
from unspool.engine.compiler.loops.loop_ir import Buffer, Load, Loop, LoopNest, Slice
from unspool.engine.compiler.passes.hoist import sort_sums
from unspool.engine.compiler.pipeline import SingleStep
from unspool.ship.c.fours import FOUR_EXPRESSIONS
from unspool.ship.c.maths import EXPRESSIONS, literal
from unspool.ship.c.weights import Weights

__all__ = ["Step", "write_step"]

_INDEX = {"grid": "i", "lines": "l", "columns": "c"}


@dataclass(frozen=True)
class Step:
    """One step as C."""

    text: str
    """The function, without what it calls: `void NAME(const float *input..., float *output..., struct NAME *memory)`,
    after the struct of its scratch memory."""
    name: str
    inputs: tuple[tuple[str, int], ...]
    """Sources that the function takes, in order, by kind and number: `input` and `state`."""
    outputs: tuple[int, ...]
    """Width of each result that the function writes."""
    results: tuple[int, ...]
    """Which of them is the step's output, then each part of the state."""
    operations: frozenset[str]
    """Pointwise operations that the function uses."""
    fours: frozenset[str]
    """Those that it uses on four numbers at once."""


def write_step(
    name: str,
    graph: Graph,
    shapes: Sequence[tuple[int, ...]],
    matrices: Sequence[NDArray[np.float32]],
    vectors: Sequence[NDArray[np.float32]],
    weights: Weights,
) -> Step:
    """Write a step as C, and add what it reads to the weights.

    Args:
        name: Of the C function.
        graph: The step as traced: from `input`, `vector` and `state` sources to `output` and `state` results.
        shapes: Of the parts of the state, without the batch.
        matrices: By number, (depth, width).
        vectors: By number, each (width,).
        weights: Of the whole file.
    """
    single = SingleStep.of(sort_sums(graph), shapes)
    nest = fuse(single.graph, lanes=1, backward=False, history=frozenset())
    for product in nest.products:
        matrix = matrices[product.matrix]
        weights.add_weight(f"{name}_{product.packed}", matrix if product.transposed else matrix.T)
    shared = _fold(single, matrices, vectors)
    for number, node in enumerate(single.before.vectors):
        if f"vector{number}" in nest.buffers:
            weights.add(f"{name}_vector{number}", shared[node])
    return _Writer(name, single, nest, weights).step()


def _fold(
    single: SingleStep, matrices: Sequence[NDArray[np.float32]], vectors: Sequence[NDArray[np.float32]]
) -> dict[Node, NDArray[np.float32]]:
    """Compute what depends on weights alone."""
    values: dict[Node, torch.Tensor] = {}
    dense = [torch.from_numpy(part) for part in matrices]
    for node in single.before.order[0]:
        if node.operation == "source":
            values[node] = torch.from_numpy(vectors[node.value[1]]).reshape(1, -1)
        elif node.operation == "constant":
            values[node] = torch.full((1, node.width), node.value[0], dtype=torch.float32, device="cpu")
        else:
            values[node] = compute(node, [values[argument] for argument in node.arguments], dense)
    return {node: value.contiguous().numpy().reshape(-1) for node, value in values.items()}


class _Writer:
    def __init__(self, name: str, single: SingleStep, nest: LoopNest, weights: Weights) -> None:
        self._name, self._single, self._nest, self._weights = name, single, nest, weights
        self._names: dict[Node, str] = {}
        self._operations: set[str] = set()
        self._fours: set[str] = set()
        sources = [("input", node.value[1]) for node in single.before.inputs]
        first = len(sources)
        widths = [node for node in single.graph.nodes() if node.operation == "source" and node.value[0] == "input"]
        numbers = sorted(node.value[1] for node in widths)
        self._inputs = [
            (f"input{number}", sources[number] if number < first else ("state", number - first)) for number in numbers
        ]
        self._outputs = [node for _, node in sorted(single.graph.find("output").items())]

    def step(self) -> Step:
        body = list(self._body())
        scratch = self._scratch()
        parameters = [f"const float *restrict {name}" for name, _ in self._inputs]
        parameters += [f"float *restrict output{number}" for number in range(len(self._outputs))]
        parameters += [f"{self._weights.parameter}", f"struct {self._name} *restrict memory"]
        fields = "\n".join(f"    float {name}[{size}];" for name, size in scratch.items()) or "    float nothing[1];"
        locals_ = [f"    float *restrict {name} = memory->{name};" for name in scratch] or ["    (void)memory;"]
        lines = [
            f"struct {self._name} {{",
            fields,
            "};",
            "",
            f"static void {self._name}({', '.join(part for part in parameters if part)})",
            "{",
            *locals_,
            *(["    int i;"] if any(re.search(r"\bi\b", line) for line in body) else []),
            *(["    int l;"] if any(re.search(r"\bl\b", line) for line in body) else []),
            *(["    int c;"] if any(re.search(r"\bc\b", line) for line in body) else []),
            *body,
            "}",
        ]
        return Step(
            "\n".join(lines) + "\n",
            self._name,
            tuple(source for _, source in self._inputs),
            tuple(node.width for node in self._outputs),
            self._single.results,
            frozenset(self._operations),
            frozenset(self._fours),
        )

    def _scratch(self) -> dict[str, int]:
        """Return numbers that each scratch memory holds."""
        ends: dict[str, int] = {}

        def reach(place: Slice, width: int) -> None:
            if place.buffer.rate in ("row", "part"):
                ends[place.buffer.name] = max(ends.get(place.buffer.name, 0), place.column + width)

        for phase in self._nest.phases:
            for product in phase.products:
                reach(product.operand, product.depth)
                reach(product.result, product.width)
            for loop in phase.loops:
                for load in loop.loads:
                    reach(
                        load.place,
                        {"grid": loop.width, "lines": loop.grid.lines, "columns": loop.grid.columns}[load.along],
                    )
                for _, place in loop.stores:
                    reach(place, loop.width)
                for node, place in loop.folds:
                    reach(place, node.width)
                for wrap in loop.wraps:
                    reach(wrap.place, wrap.width + wrap.margin)
        return dict(sorted(ends.items()))

    def _body(self) -> Iterator[str]:
        for phase in self._nest.phases:
            for product in phase.products:
                operand, result = self._at(product.operand), self._at(product.result)
                call = self._weights.multiply(
                    f"{self._name}_{product.packed}", operand, product.depth, product.width, result
                )
                yield f"    {call}"
            if phase.loops:
                yield "    {"
                for loop in phase.loops:
                    yield from self._once(loop) if loop.width == 1 else self._loop(loop)
                yield "    }"

    def _once(self, loop: Loop) -> Iterator[str]:
        for wrap in loop.wraps:
            place, size = wrap.place, f"{wrap.margin} * sizeof(float)"
            before = place._replace(column=place.column - wrap.margin)
            yield f"        memcpy({self._at(place, wrap.width)}, {self._at(place)}, {size});"
            yield f"        memcpy({self._at(before)}, {self._at(place, wrap.width - wrap.margin)}, {size});"
        yield from (f"        {line}" for line in self._computes(loop, ""))

    def _loop(self, loop: Loop) -> Iterator[str]:
        lines, columns = loop.grid
        for node in loop.reductions:
            yield f"        float {self._value(node)} = {_start(node)};"
        for node, place in loop.folds:
            if node.operation.endswith("outer"):
                yield f"        for (c = 0; c < {columns}; c++) {self._element(place, 'c')} = {_start(node)};"
        inner = [(node, place) for node, place in loop.folds if node.operation.endswith("inner")]
        if lines > 1:
            yield f"        for (l = 0; l < {lines}; l++) {{"
        for node, _ in inner:
            yield f"            float {self._value(node)} = {_start(node)};"
        index = "c" if lines == 1 else "i"
        number = [f"                i = l * {columns} + c;"] if lines > 1 else []
        yield "            c = 0;"
        if self._goes_by_fours(loop):
            yield "#if defined(FOURS)"
            yield f"            for (; c < {columns // 4 * 4}; c += 4) {{"
            yield from self._inside(self._by_fours(loop, index), number)
            yield "            }"
            yield "#endif"
        yield f"            for (; c < {columns}; c++) {{"
        yield from self._inside([*self._computes(loop, index), *self._accumulates(loop)], number)
        yield "            }"
        for node, place in inner:
            yield f"            {self._element(place, 'l')} = {self._value(node)};"
        if lines > 1:
            yield "        }"

    def _inside(self, lines: Iterable[str], number: list[str]) -> Iterator[str]:
        """Yield the lines of a loop, with the place in a block if one reads it."""
        lines = list(lines)
        yield from number if any(re.search(r"\bi\b", line) for line in lines) else []
        yield from (f"                {line}" for line in lines)

    def _goes_by_fours(self, loop: Loop) -> bool:
        known = all(node.operation in FOUR_EXPRESSIONS or node.operation == "constant" for node in loop.computes)
        return known and not loop.reductions and not loop.folds and loop.grid.columns >= 4

    def _by_fours(self, loop: Loop, index: str) -> Iterator[str]:
        """Yield what a loop computes, four numbers at once."""
        here = {load.node for load in loop.loads}
        for load in loop.loads:
            element = self._load(load, index)
            value = f"all_four({element})" if load.along == "lines" else f"LOAD(&{element})"
            yield f"const four {self._value(load.node)} = {value};"

        def four(node: Node) -> str:
            return self._value(node) if node in here else f"all_four({self._value(node)})"

        for node in loop.computes:
            if node.operation != "constant":
                self._fours.add(node.operation)
                expression = FOUR_EXPRESSIONS[node.operation].format(*map(four, node.arguments))
                here.add(node)
                yield f"const four {self._value(node)} = {expression};"
        for node, place in loop.stores:
            yield f"STORE(&{self._element(place, index)}, {four(node)});"

    def _accumulates(self, loop: Loop) -> Iterator[str]:
        for node in loop.reductions:
            yield self._more(node, self._value(node))
        for node, place in loop.folds:
            outer = node.operation.endswith("outer")
            yield self._more(node, self._element(place, "c") if outer else self._value(node))

    def _computes(self, loop: Loop, index: str) -> Iterator[str]:
        for load in loop.loads:
            yield f"const float {self._value(load.node)} = {self._load(load, index)};"
        for node in loop.computes:
            if node.operation != "constant":
                self._operations.add(node.operation)
                arguments = [self._value(argument) for argument in node.arguments]
                yield f"const float {self._value(node)} = {EXPRESSIONS[node.operation].format(*arguments)};"
        for node, place in loop.stores:
            yield f"{self._element(place, index or '0')} = {self._value(node)};"

    def _load(self, load: Load, index: str) -> str:
        if not index:
            return self._element(load.place, "0")
        return self._element(load.place, {"grid": index, "lines": "l", "columns": "c"}[load.along])

    def _more(self, node: Node, total: str) -> str:
        part = self._value(node.arguments[0])
        if node.operation.startswith("sum"):
            return f"{total} += {part};"
        return f"{total} = {EXPRESSIONS['maximum'].format(total, part)};"

    def _value(self, node: Node) -> str:
        if node.operation == "constant":
            return literal(node.value[0])
        return self._names.setdefault(node, f"v{len(self._names)}")

    def _buffer(self, buffer: Buffer) -> str:
        return self._weights.place(f"{self._name}_{buffer.name}") if buffer.rate == "vector" else buffer.name

    def _at(self, place: Slice, more: int = 0) -> str:
        column = place.column + more
        return f"{self._buffer(place.buffer)} + {column}" if column else self._buffer(place.buffer)

    def _element(self, place: Slice, index: str) -> str:
        if index == "0":
            return f"{self._buffer(place.buffer)}[{place.column}]"
        return f"{self._buffer(place.buffer)}[{index + (f' + {place.column}' if place.column else '')}]"


def _start(node: Node) -> str:
    return "0.0f" if node.operation.startswith("sum") else "-INFINITY"
