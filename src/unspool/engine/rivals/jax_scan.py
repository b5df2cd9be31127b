"""A cell in jax: the compiler's graph of its step, in `lax.scan` over time, all jitted."""

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
from unspool.engine.compiler import lower_cell, weights
from unspool.engine.compiler.ir import OVER_BLOCKS, REDUCTIONS, Node, block, ordered

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
"""How jax spells the compiler's pointwise operations, all but `expand`."""


class JaxRival:
    """One cell on one batch. Products of inputs run for all steps at once, as in the compiled path.

    Args:
        cell: A cell that the compiler takes.
        inputs: (time, batch, input).

    Raises:
        unspool.engine.compiler.Refusal: If the compiler can't take the step.
    """

    def __init__(self, cell: Cell[Any], inputs: Tensor) -> None:
        self._cell, self._graphs = cell, lower_cell(cell)
        self._matrices, self._vectors = self._graphs.tape.replay(weights(cell))
        self._weights = ([_to_jax(part) for part in self._matrices], [_to_jax(part) for part in self._vectors])
        self._inputs = _to_jax(inputs)
        self._start = tuple(_to_jax(part.flatten(1)) for part in cell.initial_state(inputs.shape[1]))
        self._forward = jax.jit(self._unrolled)
        self._gradient = jax.jit(jax.value_and_grad(self._total, argnums=(0, 1, 2)))

    def infer(self) -> Any:
        """Return the outputs, (time, batch, hidden), when they are there."""
        return jax.block_until_ready(self._forward(*self._weights, self._inputs))

    def train(self) -> Any:
        """Return the sum of all outputs and its gradients, when they are there."""
        return jax.block_until_ready(self._gradient(*self._weights, self._inputs))

    def results(self) -> list[Tensor]:
        """Return the outputs and the gradients of their sum: of the inputs, then of the cell's parameters."""
        _, (matrices, vectors, inputs) = self.train()
        ends, gradients = [], []
        for end, gradient in zip((*self._matrices, *self._vectors), (*matrices, *vectors), strict=True):
            if end.requires_grad:
                ends.append(end)
                gradients.append(_to_torch(gradient))
        of_parameters = torch.autograd.grad(
            ends, list(self._cell.parameters()), gradients, retain_graph=True, materialize_grads=True
        )
        return [_to_torch(self.infer()), _to_torch(inputs), *of_parameters]

    def _total(self, matrices: Sequence[Any], vectors: Sequence[Any], inputs: Any) -> Any:
        return self._unrolled(matrices, vectors, inputs).sum()

    def _unrolled(self, matrices: Sequence[Any], vectors: Sequence[Any], inputs: Any) -> Any:
        before, step = self._graphs.before, self._graphs.inference
        sources = {("input", 0): inputs}
        sources |= {("vector", number): vector[None] for number, vector in enumerate(vectors)}
        loop_inputs = _evaluate(before.inputs, sources, matrices)
        shared = {("vector", n): v for n, v in enumerate(_evaluate(before.vectors, sources, matrices))}

        def advance(state: tuple[Any, ...], now: Sequence[Any]) -> tuple[tuple[Any, ...], Any]:
            sources = {**shared, **{("input", number): part for number, part in enumerate(now)}}
            sources |= {("state", number): part for number, part in enumerate(state)}
            results = _evaluate((node for _, node in step.results), sources, matrices)
            values = dict(zip((name for name, _ in step.results), results, strict=True))
            new = tuple(jnp.broadcast_to(values["state", n], part.shape) for n, part in enumerate(state))
            return new, jnp.broadcast_to(values["output", 0], (inputs.shape[1], values["output", 0].shape[-1]))

        return lax.scan(advance, self._start, loop_inputs)[1]


def _evaluate(ends: Iterable[Node], sources: Mapping[tuple[str, int], Any], matrices: Sequence[Any]) -> list[Any]:
    """Return the values of some nodes, as `compiler.ir.interpret` does, on arrays with columns last."""
    ends = list(ends)
    values: dict[Node, Any] = {}
    for node in ordered(ends):
        values[node] = _value(node, [values[argument] for argument in node.arguments], sources, matrices)
    return [values[end] for end in ends]


def _value(node: Node, arguments: list[Any], sources: Mapping[tuple[str, int], Any], matrices: Sequence[Any]) -> Any:
    if node.operation == "source":
        return sources[node.value]
    if node.operation == "constant":
        return jnp.full((1, node.width), node.value[0], matrices[0].dtype if matrices else jnp.float32)
    if node.operation == "expand":
        return jnp.broadcast_to(arguments[0], (*arguments[0].shape[:-1], node.width))
    if node.operation == "product":
        number, transposed = node.value
        return arguments[0] @ (matrices[number].T if transposed else matrices[number])
    if node.operation == "slice":
        start, stop = node.value
        return arguments[0][..., start:stop]
    if node.operation == "concat":
        shape = jnp.broadcast_shapes(*(part.shape[:-1] for part in arguments))
        return jnp.concatenate([jnp.broadcast_to(part, (*shape, part.shape[-1])) for part in arguments], axis=-1)
    if node.operation in REDUCTIONS:
        return getattr(jnp, node.operation)(arguments[0], axis=-1, keepdims=True)
    if node.operation in OVER_BLOCKS:
        operation, _, over = node.operation.partition("_")
        blocks = arguments[0].reshape(*arguments[0].shape[:-1], *block(node))
        return getattr(jnp, operation)(blocks, axis=-1 if over == "inner" else -2)
    if node.operation == "spread":
        return jnp.repeat(arguments[0], node.width // arguments[0].shape[-1], axis=-1)
    if node.operation == "tile":
        return jnp.tile(arguments[0], node.width // arguments[0].shape[-1])
    if node.operation == "roll":
        return jnp.roll(arguments[0], node.value[0], axis=-1)
    return POINTWISE[node.operation](*arguments)


def _to_jax(tensor: Tensor) -> Any:
    return jnp.asarray(tensor.detach().contiguous().numpy())


def _to_torch(value: Any) -> Tensor:
    return torch.from_numpy(np.array(value))
