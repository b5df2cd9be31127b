"""The pointwise operations: meaning and differentiation rule of each.

Truth is a number here: comparisons give 1 or 0, and anything but 0 counts as true.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from unspool.engine.compiler.ir.graph import Node

__all__ = ["POINTWISE", "Pointwise"]


class _Maker(Protocol):
    """Makes nodes, as `Builder` does."""

    def pointwise(self, operation: str, *arguments: Node | float, width: int | None = None) -> Node:
        """Apply an operation column by column."""


Rule = Callable[[_Maker, Node, Node, tuple[Node, ...]], tuple[Node | None, ...]]
"""From the result, its gradient and the arguments to the gradients of the arguments; None where there is none."""

CHEAP, DIVISION, SERIES = 1, 3, 8
"""Rough costs of operations, in additions."""


@dataclass(frozen=True)
class Pointwise:
    """One operation."""

    arity: int
    meaning: Callable[..., Tensor]
    rule: Rule
    cost: int = CHEAP

    def number(self, *arguments: float) -> float:
        """Return the result for plain numbers."""
        return float(self.meaning(*(torch.tensor(part, dtype=torch.float64) for part in arguments)))


def _nothing(b: _Maker, y: Node, g: Node, x: tuple[Node, ...]) -> tuple[Node | None, ...]:
    return tuple(None for _ in x)


def _truth(compare: Callable[[Tensor, Tensor], Tensor]) -> Pointwise:
    return Pointwise(2, lambda a, b: compare(a, b).to(a.dtype), _nothing)


def _one(derivative: Callable[[Any, Any, Any, Any], Any]) -> Rule:
    """Return a rule for one argument."""
    return lambda b, y, g, x: (derivative(b, y, g, x[0]),)


def _power(b: _Maker, y: Node, g: Node, x: tuple[Node, ...]) -> tuple[Node | None, ...]:
    base, exponent = x
    assert exponent.operation == "constant", "the trace hands on only constant exponents"
    n = exponent.value[0]
    return b.pointwise("mul", g, b.pointwise("mul", n, b.pointwise("pow", base, n - 1))), None


def _pick(b: _Maker, y: Node, g: Node, x: tuple[Node, ...]) -> tuple[Node | None, ...]:
    return None, b.pointwise("where", x[0], g, 0.0), b.pointwise("where", x[0], 0.0, g)


def _larger(sign: str) -> Rule:
    """Return the rule of a maximum or minimum: two equal arguments get half of the gradient each, as in torch."""

    def rule(b: _Maker, y: Node, g: Node, x: tuple[Node, ...]) -> tuple[Node | None, ...]:
        half = b.pointwise("mul", b.pointwise("eq", x[0], x[1]), b.pointwise("mul", g, 0.5))
        return tuple(
            b.pointwise("where", b.pointwise(sign, *pair), g, half) if pair[0].operation != "constant" else None
            for pair in (x, x[::-1])
        )

    return rule


def _bounded(sign: str) -> Rule:
    """Return the rule of a clamp: at the bound itself the gradient still passes, as in torch."""
    return lambda b, y, g, x: (b.pointwise("where", b.pointwise(sign, x[0], x[1]), g, 0.0), None)


POINTWISE: dict[str, Pointwise] = {
    "add": Pointwise(2, torch.add, lambda b, y, g, x: (g, g)),
    "sub": Pointwise(2, torch.sub, lambda b, y, g, x: (g, b.pointwise("neg", g))),
    "mul": Pointwise(2, torch.mul, lambda b, y, g, x: (b.pointwise("mul", g, x[1]), b.pointwise("mul", g, x[0]))),
    "div": Pointwise(
        2,
        torch.div,
        lambda b, y, g, x: (
            b.pointwise("div", g, x[1]),
            b.pointwise("neg", b.pointwise("div", b.pointwise("mul", g, y), x[1])),
        ),
        DIVISION,
    ),
    "neg": Pointwise(1, torch.neg, _one(lambda b, y, g, x: b.pointwise("neg", g))),
    "abs": Pointwise(1, torch.abs, _one(lambda b, y, g, x: b.pointwise("mul", g, b.pointwise("sign", x)))),
    "sign": Pointwise(1, torch.sign, _nothing),
    "minimum": Pointwise(2, torch.minimum, _larger("lt")),
    "maximum": Pointwise(2, torch.maximum, _larger("gt")),
    "at_least": Pointwise(2, torch.maximum, _bounded("ge")),
    "at_most": Pointwise(2, torch.minimum, _bounded("le")),
    "relu": Pointwise(1, torch.relu, _one(lambda b, y, g, x: b.pointwise("where", b.pointwise("gt", y, 0.0), g, 0.0))),
    "sigmoid": Pointwise(
        1,
        torch.sigmoid,
        _one(lambda b, y, g, x: b.pointwise("mul", g, b.pointwise("mul", y, b.pointwise("sub", 1.0, y)))),
        SERIES,
    ),
    "tanh": Pointwise(
        1,
        torch.tanh,
        _one(lambda b, y, g, x: b.pointwise("mul", g, b.pointwise("sub", 1.0, b.pointwise("mul", y, y)))),
        SERIES,
    ),
    "exp": Pointwise(1, torch.exp, _one(lambda b, y, g, x: b.pointwise("mul", g, y)), SERIES),
    "log": Pointwise(1, torch.log, _one(lambda b, y, g, x: b.pointwise("div", g, x)), SERIES),
    "log1p": Pointwise(
        1, torch.log1p, _one(lambda b, y, g, x: b.pointwise("div", g, b.pointwise("add", x, 1.0))), SERIES
    ),
    "sin": Pointwise(1, torch.sin, _one(lambda b, y, g, x: b.pointwise("mul", g, b.pointwise("cos", x))), SERIES),
    "cos": Pointwise(
        1,
        torch.cos,
        _one(lambda b, y, g, x: b.pointwise("neg", b.pointwise("mul", g, b.pointwise("sin", x)))),
        SERIES,
    ),
    "erf": Pointwise(
        1,
        torch.erf,
        _one(
            lambda b, y, g, x: b.pointwise(
                "mul",
                g,
                b.pointwise(
                    "mul", 1.1283791670955126, b.pointwise("exp", b.pointwise("neg", b.pointwise("mul", x, x)))
                ),
            )
        ),
        SERIES,
    ),
    "sqrt": Pointwise(
        1, torch.sqrt, _one(lambda b, y, g, x: b.pointwise("div", b.pointwise("mul", g, 0.5), y)), DIVISION
    ),
    "softplus": Pointwise(
        1,
        torch.nn.functional.softplus,
        _one(lambda b, y, g, x: b.pointwise("mul", g, b.pointwise("sigmoid", x))),
        SERIES,
    ),
    "pow": Pointwise(2, torch.pow, _power, 2 * SERIES),
    "where": Pointwise(3, lambda c, a, b: torch.where(c != 0, a, b), _pick),
    "detach": Pointwise(1, lambda a: a, _nothing, 0),
    "expand": Pointwise(1, lambda a: a, lambda b, y, g, x: (g,), 0),
    "eq": _truth(torch.eq),
    "ne": _truth(torch.ne),
    "lt": _truth(torch.lt),
    "le": _truth(torch.le),
    "gt": _truth(torch.gt),
    "ge": _truth(torch.ge),
}
