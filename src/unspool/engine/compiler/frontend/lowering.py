"""Lowering: the torch calls that a step may make, and their nodes in the graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from torch import Tensor

from unspool.engine.compiler.frontend.shapes import Row, RowShapes, Value, Weight, number_of
from unspool.engine.compiler.ir.builder import Builder
from unspool.engine.compiler.ir.graph import Node
from unspool.engine.compiler.refusal import Refusal

__all__ = ["CREATIONS", "Lowering"]

CREATIONS = {
    f"aten.{name}"
    for name in ("zeros", "ones", "full", "zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full")
}
"""Calls that make constant rows."""


class Lowering(RowShapes):
    """Lowers torch calls on rows to nodes."""

    def __init__(self, builder: Builder, slice_weight: Callable[[Weight, int, int], Weight]) -> None:
        super().__init__(builder)
        self._slice_weight = slice_weight
        self.matrices: list[int] = []

    def __call__(self, name: str, arguments: Any, options: Any, results: Sequence[Tensor]) -> Sequence[Row]:
        """Return the results of a call as rows.

        Args:
            name: Of the call, as `aten.add.Tensor`.
            arguments: Rows, weights and numbers.
            options: Keyword arguments of the call.
            results: What torch returned, for its shapes.

        Raises:
            Refusal: If the compiler does not know the call.
        """
        if name in _VIEWS:
            return [self.view(arguments[0], tuple(results[0].shape[1:]))]
        if name not in _KNOWN:
            raise Refusal(f"the compiler does not know {name}")
        try:
            rows = _KNOWN[name](self, *arguments, **options)
        except TypeError:
            raise Refusal(f"the compiler does not know {name} with these arguments") from None
        return [rows] if isinstance(rows, Row) else rows

    def product(self, row: Value, matrix: Value) -> Row:
        """Multiply a row by a matrix of weights; a row of several parts gives a sum of products."""
        if not (isinstance(row, Row) and isinstance(matrix, Weight)):
            raise Refusal("a matrix product of two values that both change from step to step")
        return Row(self._product(self.plain(row), matrix), (matrix.shape[1],))

    def _product(self, node: Node, matrix: Weight) -> Node:
        if node.operation != "concat":
            return self.b.product(node, number_of(self.matrices, matrix.number), matrix.shape[1])
        begin, total = 0, None
        for part in node.arguments:
            product = self._product(part, self._slice_weight(matrix, begin, begin + part.width))
            total = product if total is None else self.b.pointwise("add", total, product)
            begin += part.width
        assert total is not None
        return total


def _scaled(t: Lowering, value: Value, factor: float) -> Value:
    return value if factor == 1 else t.apply("mul", value, factor)


def _add(t: Lowering, a: Value, b: Value, alpha: float = 1) -> Row:
    return t.apply("add", a, _scaled(t, b, alpha))


def _sub(t: Lowering, a: Value, b: Value, alpha: float = 1) -> Row:
    return t.apply("sub", a, _scaled(t, b, alpha))


def _power(t: Lowering, base: Value, exponent: float) -> Row:
    if exponent == 2:
        return t.apply("mul", base, base)
    if exponent == 0.5:
        return t.apply("sqrt", base)
    if exponent == -1:
        return t.apply("div", 1.0, base)
    if exponent == -0.5:
        return t.apply("div", 1.0, t.apply("sqrt", base))
    return t.apply("pow", base, exponent)


def _clamp(t: Lowering, row: Value, low: Value | None = None, high: Value | None = None) -> Row:
    assert isinstance(row, Row)
    for bound, operation in ((low, "at_least"), (high, "at_most")):
        if bound is not None:
            if not isinstance(bound, int | float):
                raise Refusal("clamping to a tensor: the compiler takes numbers")
            row = t.apply(operation, row, bound)
    return row


def _addmm(t: Lowering, bias: Value, row: Value, matrix: Value, beta: float = 1, alpha: float = 1) -> Row:
    return t.apply("add", _scaled(t, t.product(row, matrix), alpha), _scaled(t, bias, beta))


def _baddbmm(t: Lowering, bias: Value, a: Value, b: Value, beta: float = 1, alpha: float = 1) -> Row:
    return t.apply("add", _scaled(t, t.multiply(a, b), alpha), _scaled(t, bias, beta))


def _softplus(t: Lowering, row: Value, beta: float = 1, threshold: float = 20) -> Row:
    scaled = _scaled(t, row, beta)
    return t.apply("where", t.apply("gt", scaled, threshold), row, _scaled_div(t, t.apply("softplus", scaled), beta))


def _scaled_div(t: Lowering, value: Row, factor: float) -> Row:
    return value if factor == 1 else t.apply("div", value, factor)


def _gelu(t: Lowering, row: Value, approximate: str = "none") -> Row:
    if approximate == "tanh":
        cube = t.apply("mul", row, t.apply("mul", row, row))
        inner = t.apply("mul", 0.7978845608028654, t.apply("add", row, t.apply("mul", 0.044715, cube)))
        bent = t.apply("tanh", inner)
    else:
        bent = t.apply("erf", t.apply("mul", row, 0.7071067811865476))
    return t.apply("mul", t.apply("mul", 0.5, row), t.apply("add", 1.0, bent))


def _elu(t: Lowering, row: Value, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Row:
    scaled = _scaled(t, row, input_scale)
    # exp of the negative side alone: the other would overflow and spoil the gradient
    bent = t.apply("mul", alpha, t.apply("sub", t.apply("exp", t.apply("at_most", scaled, 0.0)), 1.0))
    return t.apply("mul", t.apply("where", t.apply("gt", row, 0.0), row, bent), scale)


def _leaky(t: Lowering, row: Value, slope: float = 0.01) -> Row:
    return t.apply("where", t.apply("gt", row, 0.0), row, t.apply("mul", row, slope))


def _hardsigmoid(t: Lowering, row: Value) -> Row:
    return t.apply("div", _open_clamp(t, t.apply("add", row, 3.0), 0.0, 6.0), 6.0)


def _open_clamp(t: Lowering, row: Value, low: float = -1.0, high: float = 1.0) -> Row:
    """Clamp, with no gradient at the bounds themselves, as torch's activations do."""
    inside = t.apply("mul", t.apply("gt", row, low), t.apply("lt", row, high))
    return t.apply("where", inside, row, t.apply("detach", _clamp(t, row, low, high)))


def _lerp(t: Lowering, a: Value, b: Value, weight: Value) -> Row:
    return t.apply("add", a, t.apply("mul", weight, t.apply("sub", b, a)))


def _addcmul(t: Lowering, a: Value, b: Value, c: Value, value: float = 1) -> Row:
    return t.apply("add", a, _scaled(t, t.apply("mul", b, c), value))


def _addcdiv(t: Lowering, a: Value, b: Value, c: Value, value: float = 1) -> Row:
    return t.apply("add", a, _scaled(t, t.apply("div", b, c), value))


def _cat(t: Lowering, parts: Sequence[Value], dim: int = 0) -> Row:
    if any(not isinstance(part, Row) for part in parts):
        raise Refusal("joining rows with a weight: expand the weight to the batch first")
    return t.join(parts, *t.dims(parts[0], dim))


def _stack(t: Lowering, parts: Sequence[Value], dim: int = 0) -> Row:
    (first, *_) = [part for part in parts if isinstance(part, Row)]
    dim %= len(first.shape) + 2
    shape = (*first.shape[: dim - 1], 1, *first.shape[dim - 1 :])
    return _cat(t, [t.view(part, shape) if isinstance(part, Row) and dim else part for part in parts], dim)


def _split(t: Lowering, row: Row, size: int | Sequence[int], dim: int = 0) -> list[Row]:
    (dim,) = t.dims(row, dim)
    whole = row.shape[dim]
    sizes = [min(size, whole - begin) for begin in range(0, whole, size)] if isinstance(size, int) else list(size)
    return t.split(row, dim, sizes)


def _unbind(t: Lowering, row: Row, dim: int = 0) -> list[Row]:
    (dim,) = t.dims(row, dim)
    return [t.drop(part, [dim]) for part in t.split(row, dim, [1] * row.shape[dim])]


def _slice(t: Lowering, row: Row, dim: int = 0, start: Any = None, stop: Any = None, step: int = 1) -> Row:
    if dim in (0, -1 - len(row.shape)) and (start or 0) == 0 and (stop is None or stop > 2**60) and step == 1:
        return row
    (dim,) = t.dims(row, dim)
    first, last, _ = slice(start, stop).indices(row.shape[dim])
    if step != 1 or first >= last:
        raise Refusal("a slice with a step or of nothing: the compiler takes ranges")
    return t.slice(row, dim, first, last)


def _select(t: Lowering, row: Row, dim: int, index: int) -> Row:
    (dim,) = t.dims(row, dim)
    index %= row.shape[dim]
    return t.drop(t.slice(row, dim, index, index + 1), [dim])


def _roll(t: Lowering, row: Row, shifts: Sequence[int], dims: Sequence[int] = ()) -> Row:
    if len(shifts) != len(dims):
        raise Refusal("rolling a tensor as a whole: the compiler rolls along a dimension")
    for by, dim in zip(shifts, dims, strict=True):
        (along,) = t.dims(row, dim)
        row = t.roll(row, along, by)
    return row


def _permute(t: Lowering, row: Row, order: Sequence[int]) -> Row:
    rank = len(row.shape) + 1
    if order[0] % rank != 0:
        raise Refusal("the batch at another place: the compiler takes it first")
    return t.permute(row, [dim % rank - 1 for dim in order[1:]])


def _transpose(t: Lowering, row: Row, one: int, other: int) -> Row:
    order = list(range(len(row.shape) + 1))
    order[one], order[other] = order[other], order[one]
    return _permute(t, row, order)


def _sum(t: Lowering, row: Row, dim: Any, keepdim: bool = False, dtype: Any = None) -> Row:
    return t.reduce("sum", row, dim, keepdim)


def _mean(t: Lowering, row: Row, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Row:
    total = t.reduce("sum", row, dim, keepdim)
    return t.apply("mul", total, total.node.width / row.node.width)


def _scatter(t: Lowering, row: Row, mean: Row, dim: Any, keepdim: bool = True) -> Row:
    """Return the sum of squares around the mean. The sum is smallest there, so no gradient flows through the mean."""
    centred = t.apply("sub", row, t.apply("detach", mean))
    return t.reduce("sum", t.apply("mul", centred, centred), dim, keepdim)


def _variance(t: Lowering, row: Row, dim: Any = None, correction: float = 1, keepdim: bool = False) -> Row:
    scatter = _scatter(t, row, _mean(t, row, dim, True), dim, keepdim)
    return t.apply("div", scatter, row.node.width / scatter.node.width - correction)


def _norm(t: Lowering, row: Row, order: float = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Row:
    if order != 2:
        raise Refusal(f"a norm of order {order}: the compiler takes order 2")
    return t.apply("sqrt", t.reduce("sum", t.apply("mul", row, row), dim, keepdim))


def _max(t: Lowering, row: Row, dim: Any, keepdim: bool = False) -> Row:
    return t.reduce("max", row, dim, keepdim)


def _softmax(t: Lowering, row: Row, dim: int, half: bool) -> Row:
    powers = t.apply("exp", t.apply("sub", row, t.apply("detach", t.reduce("max", row, dim))))
    return t.apply("div", powers, t.reduce("sum", powers, dim))


def _log_softmax(t: Lowering, row: Row, dim: int, half: bool) -> Row:
    return t.apply("sub", row, _logsumexp(t, row, dim, True))


def _logsumexp(t: Lowering, row: Row, dim: Any, keepdim: bool = False) -> Row:
    largest = t.apply("detach", t.reduce("max", row, dim))
    powers = t.apply("exp", t.apply("sub", row, largest))
    result = t.apply("add", largest, t.apply("log", t.reduce("sum", powers, dim)))
    return result if keepdim else t.drop(result, t.dims(row, dim))


def _layer_norm(
    t: Lowering, row: Row, shape: Sequence[int], weight: Value | None, bias: Value | None, epsilon: float
) -> list[Row]:
    dims = range(-len(shape), 0)
    mean = _mean(t, row, dims, True)
    variance = t.apply("mul", _scatter(t, row, mean, dims), 1.0 / prod(shape))
    scale = t.apply("div", 1.0, t.apply("sqrt", t.apply("add", variance, epsilon)))
    normal = t.apply("mul", t.apply("sub", row, mean), scale)
    if weight is not None:
        normal = t.apply("mul", normal, weight)
    if bias is not None:
        normal = t.apply("add", normal, bias)
    return [normal, mean, scale]


def _plain(operation: str) -> Callable[..., Row]:
    return lambda t, *values: t.apply(operation, *values)


_VIEWS = {
    f"aten.{name}"
    for name in (
        "unsqueeze.default", "squeeze.dim", "squeeze.dims", "view.default", "_unsafe_view.default",
        "reshape.default", "alias.default", "clone.default", "_to_copy.default", "contiguous.default",
    )
}  # fmt: skip
"""Calls that change only a shape."""

_KNOWN: dict[str, Callable[..., Row | list[Row]]] = {
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
    "aten.bmm.default": lambda t, a, b: t.multiply(a, b),
    "aten.baddbmm.default": _baddbmm,
    "aten.cat.default": _cat,
    "aten.stack.default": _stack,
    "aten.unbind.int": _unbind,
    "aten.roll.default": _roll,
    "aten.transpose.int": _transpose,
    "aten.permute.default": _permute,
    "aten.split.Tensor": _split,
    "aten.split_with_sizes.default": _split,
    "aten.slice.Tensor": _slice,
    "aten.select.int": _select,
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
