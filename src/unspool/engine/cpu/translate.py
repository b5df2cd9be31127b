"""Which torch calls a step may make, and what each is in the graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from unspool.engine.cpu.graph import Builder, Node

__all__ = ["CREATIONS", "Refusal", "Translator", "Weight"]

CREATIONS = {
    f"aten.{name}"
    for name in ("zeros", "ones", "full", "zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full")
}
"""Calls that make constant rows."""


class Refusal(Exception):  # noqa: N818 - an answer, not a fault
    """Why the compiler can't take a step."""


@dataclass(frozen=True)
class Weight:
    """A value of the tape: it depends on weights alone."""

    number: int
    shape: tuple[int, ...]


Value = Node | Weight | float


class Translator:
    """Turns calls on rows into nodes."""

    def __init__(self, builder: Builder, slice_weight: Callable[[Weight, int, int], Weight]) -> None:
        self.b, self._slice_weight = builder, slice_weight
        self.matrices: list[int] = []
        self.vectors: list[int] = []

    def __call__(self, name: str, arguments: Any, options: Any, results: Sequence[Tensor]) -> Sequence[Node]:
        """The nodes of a call's results.

        Raises:
            Refusal: If the call is not among the known ones.
        """
        if name not in _KNOWN:
            raise Refusal(f"the compiler does not know {name}")
        try:
            found = _KNOWN[name](self, *arguments, **options)
        except TypeError:
            raise Refusal(f"the compiler does not know {name} with these arguments") from None
        return [found] if isinstance(found, Node) else found

    def row(self, value: Value) -> Node:
        """A value as a row: numbers and per-feature vectors are the same in every row."""
        if isinstance(value, Node):
            return value
        if not isinstance(value, Weight):
            return self.b.constant(value)
        sizes = [size for size in value.shape if size != 1]
        if len(sizes) > 1 or (sizes and value.shape[-1] == 1):
            raise Refusal(f"a weight of shape {value.shape} among rows: the compiler takes one number per feature")
        return self.b.source("vector", _number(self.vectors, value.number), sizes[0] if sizes else 1)

    def apply(self, operation: str, *values: Value) -> Node:
        """A pointwise operation on rows, weights and numbers."""
        return self.b.pointwise(operation, *(self.row(value) for value in values))

    def product(self, row: Value, matrix: Value) -> Node:
        """A row times a matrix of weights; of a row of several parts, the sum of their products."""
        if not (isinstance(row, Node) and isinstance(matrix, Weight)):
            raise Refusal("a matrix product of two values that both change from step to step")
        if row.operation != "concat":
            return self.b.product(row, _number(self.matrices, matrix.number), matrix.shape[1])
        begin, total = 0, None
        for part in row.arguments:
            slice_ = self._slice_weight(matrix, begin, begin + part.width)
            product = self.product(part, slice_)
            total = product if total is None else self.apply("add", total, product)
            begin += part.width
        assert total is not None
        return total


def _number(known: list[int], value: int) -> int:
    if value not in known:
        known.append(value)
    return known.index(value)


def _last(row: Value, dims: Any) -> Node:
    """A row whose columns are meant, whatever the call says it reduces over."""
    if not isinstance(row, Node) or (dims if isinstance(dims, int) else [*dims]) not in (1, -1, [1], [-1]):
        raise Refusal("a reduction over the batch: the compiler takes one over the last dimension")
    return row


def _scaled(t: Translator, value: Value, factor: float) -> Value:
    return value if factor == 1 else t.apply("mul", value, factor)


def _add(t: Translator, a: Value, b: Value, alpha: float = 1) -> Node:
    return t.apply("add", a, _scaled(t, b, alpha))


def _sub(t: Translator, a: Value, b: Value, alpha: float = 1) -> Node:
    return t.apply("sub", a, _scaled(t, b, alpha))


def _power(t: Translator, base: Value, exponent: float) -> Node:
    if exponent == 2:
        return t.apply("mul", base, base)
    if exponent == 0.5:
        return t.apply("sqrt", base)
    if exponent == -1:
        return t.apply("div", 1.0, base)
    if exponent == -0.5:
        return t.apply("div", 1.0, t.apply("sqrt", base))
    return t.apply("pow", base, exponent)


def _clamp(t: Translator, row: Value, low: Value | None = None, high: Value | None = None) -> Node:
    node = t.row(row)
    for bound, operation in ((low, "at_least"), (high, "at_most")):
        if bound is not None:
            if not isinstance(bound, int | float):
                raise Refusal("clamping to a tensor: the compiler takes numbers")
            node = t.apply(operation, node, bound)
    return node


def _addmm(t: Translator, bias: Value, row: Value, matrix: Value, beta: float = 1, alpha: float = 1) -> Node:
    return t.apply("add", _scaled(t, t.product(row, matrix), alpha), _scaled(t, bias, beta))


def _softplus(t: Translator, row: Value, beta: float = 1, threshold: float = 20) -> Node:
    scaled = _scaled(t, row, beta)
    return t.apply("where", t.apply("gt", scaled, threshold), row, _scaled_div(t, t.apply("softplus", scaled), beta))


def _scaled_div(t: Translator, value: Node, factor: float) -> Node:
    return value if factor == 1 else t.apply("div", value, factor)


def _gelu(t: Translator, row: Value, approximate: str = "none") -> Node:
    if approximate == "tanh":
        cube = t.apply("mul", row, t.apply("mul", row, row))
        inner = t.apply("mul", 0.7978845608028654, t.apply("add", row, t.apply("mul", 0.044715, cube)))
        bent = t.apply("tanh", inner)
    else:
        bent = t.apply("erf", t.apply("mul", row, 0.7071067811865476))
    return t.apply("mul", t.apply("mul", 0.5, row), t.apply("add", 1.0, bent))


def _elu(t: Translator, row: Value, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Node:
    scaled = _scaled(t, row, input_scale)
    # exp of the negative side alone: the other would overflow and spoil the gradient
    bent = t.apply("mul", alpha, t.apply("sub", t.apply("exp", t.apply("at_most", scaled, 0.0)), 1.0))
    return t.row(_scaled(t, t.apply("where", t.apply("gt", row, 0.0), row, bent), scale))


def _leaky(t: Translator, row: Value, slope: float = 0.01) -> Node:
    return t.apply("where", t.apply("gt", row, 0.0), row, t.apply("mul", row, slope))


def _hardsigmoid(t: Translator, row: Value) -> Node:
    return t.apply("div", _open_clamp(t, t.apply("add", row, 3.0), 0.0, 6.0), 6.0)


def _open_clamp(t: Translator, row: Value, low: float = -1.0, high: float = 1.0) -> Node:
    """Clamp with no gradient at the bounds themselves, as torch's activations do."""
    inside = t.apply("mul", t.apply("gt", row, low), t.apply("lt", row, high))
    return t.apply("where", inside, row, t.apply("detach", _clamp(t, row, low, high)))


def _lerp(t: Translator, a: Value, b: Value, weight: Value) -> Node:
    return t.apply("add", a, t.apply("mul", weight, t.apply("sub", b, a)))


def _addcmul(t: Translator, a: Value, b: Value, c: Value, value: float = 1) -> Node:
    return t.apply("add", a, _scaled(t, t.apply("mul", b, c), value))


def _addcdiv(t: Translator, a: Value, b: Value, c: Value, value: float = 1) -> Node:
    return t.apply("add", a, _scaled(t, t.apply("div", b, c), value))


def _cat(t: Translator, parts: Sequence[Value], dim: int = 0) -> Node:
    if dim not in (1, -1):
        raise Refusal("joining batches: the compiler joins along the last dimension")
    if any(not isinstance(part, Node) for part in parts):
        raise Refusal("joining rows with a weight: expand it to the batch is not known to the compiler")
    return t.b.concat(t.row(part) for part in parts)


def _split(t: Translator, row: Value, size: int | Sequence[int], dim: int = 0) -> list[Node]:
    node = _last(row, dim)
    sizes = [size] * -(-node.width // size) if isinstance(size, int) else list(size)
    begins = [sum(sizes[:number]) for number in range(len(sizes))]
    return [t.b.slice(node, begin, min(begin + size, node.width)) for begin, size in zip(begins, sizes, strict=True)]


def _slice(t: Translator, row: Value, dim: int = 0, start: Any = None, stop: Any = None, step: int = 1) -> Node:
    node = t.row(row)
    first, last, _ = slice(start, stop).indices(node.width)
    if dim in (0, -2) and (start or 0) == 0 and (stop is None or stop > 2**60):
        return node
    if dim not in (1, -1) or step != 1 or first >= last:
        raise Refusal("a slice of the batch, with a step or of nothing: the compiler slices the last dimension")
    return t.b.slice(node, first, last)


def _select(t: Translator, row: Value, dim: int, index: int) -> Node:
    node = _last(row, dim)
    index %= node.width
    return t.b.slice(node, index, index + 1)


def _same(t: Translator, row: Value, *_: Any, **__: Any) -> Node:
    return t.row(row)  # the recorder compares the shapes


def _sum(t: Translator, row: Value, dim: Any, keepdim: bool = False, dtype: Any = None) -> Node:
    return t.b.reduce("sum", _last(row, dim))


def _mean(t: Translator, row: Value, dim: Any = -1, keepdim: bool = False, dtype: Any = None) -> Node:
    node = _last(row, dim)
    return t.apply("mul", t.b.reduce("sum", node), 1.0 / node.width)


def _scatter(t: Translator, node: Node, mean: Node) -> Node:
    """The sum of squares around the mean. It is smallest there, so nothing flows through the mean."""
    centred = t.apply("sub", node, t.apply("detach", mean))
    return t.b.reduce("sum", t.apply("mul", centred, centred))


def _variance(t: Translator, row: Value, dim: Any = None, correction: float = 1, keepdim: bool = False) -> Node:
    node = _last(row, dim)
    return t.apply("div", _scatter(t, node, _mean(t, node)), float(node.width) - correction)


def _norm(
    t: Translator, row: Value, order: float = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Node:
    if order != 2:
        raise Refusal(f"a norm of order {order}: the compiler takes order 2")
    node = _last(row, dim)
    return t.apply("sqrt", t.b.reduce("sum", t.apply("mul", node, node)))


def _max(t: Translator, row: Value, dim: Any, keepdim: bool = False) -> Node:
    return t.b.reduce("max", _last(row, dim))


def _softmax(t: Translator, row: Value, dim: int, half: bool) -> Node:
    node = _last(row, dim)
    powers = t.apply("exp", t.apply("sub", node, t.apply("detach", t.b.reduce("max", node))))
    return t.apply("div", powers, t.b.reduce("sum", powers))


def _log_softmax(t: Translator, row: Value, dim: int, half: bool) -> Node:
    return t.apply("sub", row, _logsumexp(t, row, dim))


def _logsumexp(t: Translator, row: Value, dim: Any, keepdim: bool = False) -> Node:
    node = _last(row, dim)
    largest = t.apply("detach", t.b.reduce("max", node))
    return t.apply("add", largest, t.apply("log", t.b.reduce("sum", t.apply("exp", t.apply("sub", node, largest)))))


def _layer_norm(
    t: Translator, row: Value, shape: Sequence[int], weight: Value | None, bias: Value | None, epsilon: float
) -> list[Node]:
    node = t.row(row)
    if list(shape) != [node.width]:
        raise Refusal(f"layer normalisation over {list(shape)}: the compiler takes one over the last dimension")
    mean = _mean(t, node)
    variance = t.apply("mul", _scatter(t, node, mean), 1.0 / node.width)
    scale = t.apply("div", 1.0, t.apply("sqrt", t.apply("add", variance, epsilon)))
    normal = t.apply("mul", t.apply("sub", node, mean), scale)
    if weight is not None:
        normal = t.apply("mul", normal, weight)
    if bias is not None:
        normal = t.apply("add", normal, bias)
    return [normal, mean, scale]


def _plain(operation: str) -> Callable[..., Node]:
    return lambda t, *values: t.apply(operation, *values)


_KNOWN: dict[str, Callable[..., Node | list[Node]]] = {
    **{
        f"aten.{name}.{kind}": _plain(operation)
        for name, operation in {
            "mul": "mul", "div": "div", "maximum": "maximum", "minimum": "minimum", "neg": "neg", "abs": "abs",
            "sign": "sign", "sgn": "sign", "relu": "relu", "sigmoid": "sigmoid", "tanh": "tanh", "exp": "exp",
            "log": "log", "log1p": "log1p", "sin": "sin", "cos": "cos", "erf": "erf", "sqrt": "sqrt", "where": "where",
            "eq": "eq", "ne": "ne", "lt": "lt", "le": "le", "gt": "gt", "ge": "ge", "detach": "detach",
            "logical_and": "mul", "bitwise_and": "mul",
        }.items()
        for kind in ("Tensor", "Scalar", "default", "self", "ScalarOther", "ScalarSelf")
    },
    **{f"aten.add.{kind}": _add for kind in ("Tensor", "Scalar")},
    **{f"aten.sub.{kind}": _sub for kind in ("Tensor", "Scalar")},
    **{f"aten.rsub.{kind}": lambda t, a, b, alpha=1: _sub(t, b, a, alpha) for kind in ("Tensor", "Scalar")},
    "aten.rsqrt.default": lambda t, a: t.apply("div", 1.0, t.apply("sqrt", a)),
    "aten.reciprocal.default": lambda t, a: t.apply("div", 1.0, a),
    "aten.expm1.default": lambda t, a: t.apply("sub", t.apply("exp", a), 1.0),
    "aten.pow.Tensor_Scalar": _power,
    "aten.logical_not.default": lambda t, a: t.apply("eq", a, 0.0),
    "aten.bitwise_not.default": lambda t, a: t.apply("eq", a, 0.0),
    "aten.clamp.default": _clamp,
    "aten.clamp_min.default": lambda t, a, low: _clamp(t, a, low),
    "aten.clamp_max.default": lambda t, a, high: _clamp(t, a, None, high),
    "aten.hardtanh.default": _open_clamp,
    "aten.hardsigmoid.default": _hardsigmoid,
    "aten.silu.default": lambda t, a: t.apply("mul", a, t.apply("sigmoid", a)),
    "aten.softplus.default": _softplus,
    "aten.log_sigmoid_forward.default": lambda t, a: [t.apply("neg", t.apply("softplus", t.apply("neg", a)))],
    "aten.gelu.default": _gelu,
    "aten.elu.default": _elu,
    "aten.leaky_relu.default": _leaky,
    "aten.lerp.Tensor": _lerp,
    "aten.lerp.Scalar": _lerp,
    "aten.addcmul.default": _addcmul,
    "aten.addcdiv.default": _addcdiv,
    "aten.mm.default": lambda t, a, b: t.product(a, b),
    "aten.addmm.default": _addmm,
    "aten.cat.default": _cat,
    "aten.split.Tensor": _split,
    "aten.split_with_sizes.default": _split,
    "aten.slice.Tensor": _slice,
    "aten.select.int": _select,
    **{
        f"aten.{name}": _same
        for name in (
            "unsqueeze.default", "squeeze.dim", "squeeze.dims", "view.default", "_unsafe_view.default",
            "reshape.default", "alias.default", "clone.default", "_to_copy.default", "contiguous.default",
        )
    },
    "aten.expand.default": lambda t, a, sizes, implicit=False: t.b.expand(t.row(a), sizes[-1]),
    "aten.sum.dim_IntList": _sum,
    "aten.mean.dim": _mean,
    "aten.var.correction": _variance,
    "aten.std.correction": lambda t, *a, **k: t.apply("sqrt", _variance(t, *a, **k)),
    "aten.linalg_vector_norm.default": _norm,
    "aten.amax.default": _max,
    "aten.logsumexp.default": _logsumexp,
    "aten._softmax.default": _softmax,
    "aten._log_softmax.default": _log_softmax,
    "aten.native_layer_norm.default": _layer_norm,
}  # fmt: skip
