"""JavaScript for one step of a cell: plain loops over an array of numbers; judge of the WebAssembly, and fallback.

Numbers are computed in double precision, and rounded to single precision where they are stored.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from unspool.engine.compiler.ir.graph import Node
from unspool.engine.compiler.loops.loop_ir import Load, Loop, Slice
from unspool.ship.page.step import LANES, PageStep

__all__ = ["write_step"]

_EXPRESSIONS = {
    "add": "{0}+{1}",
    "sub": "{0}-{1}",
    "mul": "{0}*{1}",
    "div": "{0}/{1}",
    "neg": "-{0}",
    "abs": "Math.abs({0})",
    "sign": "Math.sign({0})",
    "minimum": "Math.min({0},{1})",
    "maximum": "Math.max({0},{1})",
    "at_least": "Math.max({0},{1})",
    "at_most": "Math.min({0},{1})",
    "relu": "Math.max({0},0)",
    "sigmoid": "1/(1+Math.exp(-{0}))",
    "tanh": "1-2/(Math.exp(2*{0})+1)",
    "exp": "Math.exp({0})",
    "log": "Math.log({0})",
    "log1p": "Math.log1p({0})",
    "sin": "Math.sin({0})",
    "cos": "Math.cos({0})",
    "erf": "erf({0})",
    "sqrt": "Math.sqrt({0})",
    "softplus": "Math.max({0},0)+Math.log1p(Math.exp(-Math.abs({0})))",
    "pow": "Math.pow({0},{1})",
    "where": "{0}!==0?{1}:{2}",
    "detach": "{0}",
    "expand": "{0}",
    "eq": "+({0}==={1})",
    "ne": "+({0}!=={1})",
    "lt": "+({0}<{1})",
    "le": "+({0}<={1})",
    "gt": "+({0}>{1})",
    "ge": "+({0}>={1})",
}
"""Each operation on names and numbers; `erf` stands in `erf.js`."""


def write_step(step: PageStep) -> str:
    """Return the step as a function expression `a => {...}` of the place of its table in the array `I`.

    The function reads and writes the array `F`, and calls `product`.
    """
    return _Writer(step).text()


class _Writer:
    def __init__(self, step: PageStep) -> None:
        self._step = step
        self._names: dict[Node, str] = {}
        self._places = {name: f"m{number}" for number, name in enumerate(step.memories)}

    def text(self) -> str:
        lines = ["const f=F,g=I"]
        lines += [f",{place}=g[a+{number}]>>2" for number, place in enumerate(self._places.values())]
        head = "".join(lines) + ";"
        return "a=>{" + head + "".join(self._body()) + "}"

    def _body(self) -> Iterator[str]:
        for phase in self._step.nest.phases:
            for product in phase.products:
                operand, result = self._at(product.operand), self._at(product.result)
                vectors = -(-product.width // LANES)
                yield f"product({operand},{self._places[product.packed]},{product.depth},{vectors},{result});"
            yield "{"
            for loop in phase.loops:
                yield from self._once(loop) if loop.width == 1 else self._loop(loop)
            yield "}"

    def _once(self, loop: Loop) -> Iterator[str]:
        for wrap in loop.wraps:
            start, end = self._at(wrap.place), self._at(wrap.place, wrap.width)
            yield f"f.copyWithin({end},{start},{start}+{wrap.margin});"
            yield f"f.copyWithin({start}-{wrap.margin},{end}-{wrap.margin},{end});"
        yield from self._computes(loop, "")

    def _loop(self, loop: Loop) -> Iterator[str]:
        lines, columns = loop.grid
        inner = [(node, place) for node, place in loop.folds if node.operation.endswith("inner")]
        outer = [(node, place) for node, place in loop.folds if node.operation.endswith("outer")]
        for node in loop.reductions:
            yield f"let {self._name(node)}={_start(node)};"
        for node, place in outer:
            yield f"f.fill({_start(node)},{self._at(place)},{self._at(place, columns)});"
        index = "i"
        if lines > 1:
            index = "k"
            yield f"for(let l=0,k=0;l<{lines};l++){{"
        for node, _ in inner:
            yield f"let {self._name(node)}={_start(node)};"
        yield f"for(let i=0;i<{columns};i++{',k++' if lines > 1 else ''}){{"
        yield from self._computes(loop, index)
        for node in loop.reductions:
            yield self._more(node, self._name(node))
        for node, place in loop.folds:
            yield self._more(node, self._element(place, "i") if (node, place) in outer else self._name(node))
        yield "}"
        for node, place in inner:
            yield f"{self._element(place, 'l')}={self._name(node)};"
        if lines > 1:
            yield "}"

    def _computes(self, loop: Loop, index: str) -> Iterator[str]:
        values = [f"{self._name(load.node)}={self._load(load, index)}" for load in loop.loads]
        for node in loop.computes:
            if node.operation != "constant":
                arguments = [self._value(argument) for argument in node.arguments]
                values.append(f"{self._name(node)}={_EXPRESSIONS[node.operation].format(*arguments)}")
        if values:
            yield f"const {','.join(values)};"
        for node, place in loop.stores:
            yield f"{self._element(place, index)}={self._value(node)};"

    def _load(self, load: Load, index: str) -> str:
        return self._element(load.place, index and {"grid": index, "lines": "l", "columns": "i"}[load.along])

    def _more(self, node: Node, total: str) -> str:
        part = self._value(node.arguments[0])
        if node.operation.startswith("sum"):
            return f"{total}+={part};"
        return f"{total}=Math.max({total},{part});"

    def _name(self, node: Node) -> str:
        return self._names.setdefault(node, f"v{len(self._names)}")

    def _value(self, node: Node) -> str:
        return _literal(node.value[0]) if node.operation == "constant" else self._name(node)

    def _at(self, place: Slice, more: int = 0) -> str:
        column = place.column + more
        return self._places[place.buffer.name] + (f"+{column}" if column else "")

    def _element(self, place: Slice, index: str) -> str:
        return f"f[{self._at(place)}{f'+{index}' if index else ''}]"


def _literal(number: float) -> str:
    if not np.isfinite(number):
        return "NaN" if np.isnan(number) else "Infinity" if number > 0 else "(-Infinity)"
    text = repr(int(number)) if number == int(number) and abs(number) < 1e15 else repr(float(number))
    return f"({text})" if number < 0 else text


def _start(node: Node) -> str:
    return "0" if node.operation.startswith("sum") else "-Infinity"
