"""A traced cell in jax: the same graph, each operation as jax spells it, `lax.scan` over time, all jitted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax  # type: ignore[import-not-found, unused-ignore]
import jax.numpy as jnp  # type: ignore[import-not-found, unused-ignore]
import numpy as np
import torch
from jax import lax, nn  # type: ignore[import-not-found, unused-ignore]
from torch import Tensor

from unspool.cells import Cell
from unspool.engine.compiler.frontend.cell_fingerprint import weights
from unspool.engine.compiler.ir.graph import OVER_BLOCKS, REDUCTIONS, Node, block, ordered
from unspool.engine.cpu.backend import graphs_of

__all__ = ["JaxRival"]


def _truth(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda a, b: compare(a, b).astype(a.dtype)


POINTWISE: dict[str, Callable[..., Any]] = {
    "add": jnp.add,
    "sub": jnp.subtract,
    "mul": jnp.multiply,
    "div": jnp.divide,
    "neg": jnp.negative,
    "abs": jnp.abs,
    "sign": jnp.sign,
    "minimum": jnp.minimum,
    "maximum": jnp.maximum,
    "at_least": jnp.maximum,
    "at_most": jnp.minimum,
    "relu": nn.relu,
    "sigmoid": nn.sigmoid,
    "tanh": jnp.tanh,
    "exp": jnp.exp,
    "log": jnp.log,
    "log1p": jnp.log1p,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "erf": jax.scipy.special.erf,
    "sqrt": jnp.sqrt,
    "softplus": nn.softplus,
    "pow": jnp.power,
    "where": lambda condition, a, b: jnp.where(condition != 0, a, b),
    "detach": lax.stop_gradient,
    "eq": _truth(jnp.equal),
    "ne": _truth(jnp.not_equal),
    "lt": _truth(jnp.less),
    "le": _truth(jnp.less_equal),
    "gt": _truth(jnp.greater),
    "ge": _truth(jnp.greater_equal),
}
"""The closed set of the compiler's pointwise operations, but `expand`."""


class JaxRival:
    """One cell on one batch; the products of inputs run for all steps at once, as they do in the compiled path.

    Args:
        cell: A cell that the compiler can trace.
        inputs: (time, batch, input).

    Raises:
        unspool.engine.compiler.frontend.trace.Refusal: If the compiler can't trace the step.
    """

    def __init__(self, cell: Cell[Any], inputs: Tensor) -> None:
        self._cell, self._plan = cell, graphs_of(cell)
        self._matrices, self._vectors = self._plan.tape.replay(weights(cell))
        self._given = ([_to_jax(part) for part in self._matrices], [_to_jax(part) for part in self._vectors])
        self._inputs = _to_jax(inputs)
        self._start = tuple(_to_jax(part.flatten(1)) for part in cell.initial_state(inputs.shape[1]))
        self._forward = jax.jit(self._unrolled)
        self._gradient = jax.jit(jax.value_and_grad(lambda *given: self._unrolled(*given).sum(), argnums=(0, 1, 2)))

    def infer(self) -> Any:
        """The outputs, ready."""
        return jax.block_until_ready(self._forward(*self._given, self._inputs))

    def train(self) -> Any:
        """The sum of all outputs, and its gradients, ready."""
        return jax.block_until_ready(self._gradient(*self._given, self._inputs))

    def results(self) -> list[Tensor]:
        """Outputs, and the gradients of their sum: of the inputs, then of the cell's parameters."""
        _, (matrices, vectors, inputs) = self.train()
        ends, gradients = [], []
        for end, gradient in zip((*self._matrices, *self._vectors), (*matrices, *vectors), strict=True):
            if end.requires_grad:
                ends.append(end)
                gradients.append(_to_torch(gradient))
        found = torch.autograd.grad(
            ends, list(self._cell.parameters()), gradients, retain_graph=True, materialize_grads=True
        )
        return [_to_torch(self.infer()), _to_torch(inputs), *found]

    def _unrolled(self, matrices: Sequence[Any], vectors: Sequence[Any], inputs: Any) -> Any:
        before, step = self._plan.before, self._plan.inference
        given = {("input", 0): inputs}
        given |= {("vector", number): vector[None] for number, vector in enumerate(vectors)}
        loop_inputs = _evaluate(before.inputs, given, matrices)
        shared = {("vector", n): v for n, v in enumerate(_evaluate(before.vectors, given, matrices))}

        def advance(state: tuple[Any, ...], now: Sequence[Any]) -> tuple[tuple[Any, ...], Any]:
            sources = {**shared, **{("input", number): part for number, part in enumerate(now)}}
            sources |= {("state", number): part for number, part in enumerate(state)}
            found = _evaluate((node for _, node in step.results), sources, matrices)
            values = dict(zip((name for name, _ in step.results), found, strict=True))
            new = tuple(jnp.broadcast_to(values["state", n], part.shape) for n, part in enumerate(state))
            return new, jnp.broadcast_to(values["output", 0], (inputs.shape[1], values["output", 0].shape[-1]))

        return lax.scan(advance, self._start, loop_inputs)[1]


def _evaluate(ends: Iterable[Node], sources: Mapping[tuple[str, int], Any], matrices: Sequence[Any]) -> list[Any]:
    """The values of some nodes; as `engine/compiler/ir/interpreter.py`, on arrays with columns last."""
    ends = list(ends)
    values: dict[Node, Any] = {}
    for node in ordered(ends):
        values[node] = _value(node, [values[argument] for argument in node.arguments], sources, matrices)
    return [values[end] for end in ends]


def _value(node: Node, given: list[Any], sources: Mapping[tuple[str, int], Any], matrices: Sequence[Any]) -> Any:
    if node.operation == "source":
        return sources[node.value]
    if node.operation == "constant":
        return jnp.full((1, node.width), node.value[0], matrices[0].dtype if matrices else jnp.float32)
    if node.operation == "expand":
        return jnp.broadcast_to(given[0], (*given[0].shape[:-1], node.width))
    if node.operation == "product":
        number, transposed = node.value
        return given[0] @ (matrices[number].T if transposed else matrices[number])
    if node.operation == "slice":
        start, stop = node.value
        return given[0][..., start:stop]
    if node.operation == "concat":
        shape = jnp.broadcast_shapes(*(part.shape[:-1] for part in given))
        return jnp.concatenate([jnp.broadcast_to(part, (*shape, part.shape[-1])) for part in given], axis=-1)
    if node.operation in REDUCTIONS:
        return getattr(jnp, node.operation)(given[0], axis=-1, keepdims=True)
    if node.operation in OVER_BLOCKS:
        operation, _, over = node.operation.partition("_")
        blocks = given[0].reshape(*given[0].shape[:-1], *block(node))
        return getattr(jnp, operation)(blocks, axis=-1 if over == "inner" else -2)
    if node.operation == "spread":
        return jnp.repeat(given[0], node.width // given[0].shape[-1], axis=-1)
    if node.operation == "tile":
        return jnp.tile(given[0], node.width // given[0].shape[-1])
    if node.operation == "roll":
        return jnp.roll(given[0], node.value[0], axis=-1)
    return POINTWISE[node.operation](*given)


def _to_jax(tensor: Tensor) -> Any:
    return jnp.asarray(tensor.detach().contiguous().numpy())


def _to_torch(value: Any) -> Tensor:
    return torch.from_numpy(np.array(value))
