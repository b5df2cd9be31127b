"""The cells written for jax, as its users write them: inputs projected in one product, then `lax.scan`, all jitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax  # type: ignore[import-not-found, unused-ignore]
import jax.numpy as jnp  # type: ignore[import-not-found, unused-ignore]
import numpy as np
import torch
from jax import lax, nn  # type: ignore[import-not-found, unused-ignore]
from torch import Tensor

Weights = Mapping[str, Any]
State = tuple[Any, ...]


def _project(w: Weights, x: Any) -> Any:
    return x @ w["weight_ih"].T + w["bias_ih"]


def _normalised_project(w: Weights, x: Any) -> Any:
    return _normalised(x @ w["weight_ih"].T, w["gain_ih"], w["bias_ih"])


def _normalised(x: Any, gain: Any, shift: Any) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    return centred * lax.rsqrt((centred * centred).mean(-1, keepdims=True) + 1e-5) * gain + shift


def _elman(w: Weights, x: Any, state: State) -> State:
    return (jnp.tanh(x + state[0] @ w["weight_hh"].T + w["bias_hh"]),)


def _elman_relu(w: Weights, x: Any, state: State) -> State:
    return (nn.relu(x + state[0] @ w["weight_hh"].T + w["bias_hh"]),)


def _lstm(w: Weights, x: Any, state: State) -> State:
    h, c = state
    i, f, g, o = jnp.split(x + h @ w["weight_hh"].T + w["bias_hh"], 4, axis=-1)
    c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
    return nn.sigmoid(o) * jnp.tanh(c), c


def _lstm_peephole(w: Weights, x: Any, state: State) -> State:
    h, c = state
    i, f, g, o = jnp.split(x + h @ w["weight_hh"].T + w["bias_hh"], 4, axis=-1)
    i, f = nn.sigmoid(i + w["peephole_i"] * c), nn.sigmoid(f + w["peephole_f"] * c)
    c = f * c + i * jnp.tanh(g)
    return nn.sigmoid(o + w["peephole_o"] * c) * jnp.tanh(c), c


def _lstm_layernorm(w: Weights, x: Any, state: State) -> State:
    h, c = state
    i, f, g, o = jnp.split(x + _normalised(h @ w["weight_hh"].T, w["gain_hh"], w["bias_hh"]), 4, axis=-1)
    c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
    return nn.sigmoid(o) * jnp.tanh(_normalised(c, w["gain_c"], w["shift_c"])), c


def _gru(w: Weights, x: Any, state: State) -> State:
    (h,) = state
    x_r, x_z, x_n = jnp.split(x, 3, axis=-1)
    h_r, h_z, h_n = jnp.split(h @ w["weight_hh"].T + w["bias_hh"], 3, axis=-1)
    r, z = nn.sigmoid(x_r + h_r), nn.sigmoid(x_z + h_z)
    return ((1 - z) * jnp.tanh(x_n + r * h_n) + z * h,)


def _gru_reset_before(w: Weights, x: Any, state: State) -> State:
    (h,) = state
    gates = 2 * h.shape[-1]
    x_r, x_z, x_n = jnp.split(x, 3, axis=-1)
    h_r, h_z = jnp.split(h @ w["weight_hh"][:gates].T + w["bias_hh"][:gates], 2, axis=-1)
    r, z = nn.sigmoid(x_r + h_r), nn.sigmoid(x_z + h_z)
    n = jnp.tanh(x_n + (r * h) @ w["weight_hh"][gates:].T + w["bias_hh"][gates:])
    return ((1 - z) * n + z * h,)


def _project_mingru(w: Weights, x: Any) -> Any:
    gate, candidate = jnp.split(_project(w, x), 2, axis=-1)
    z = nn.sigmoid(gate)
    return 1 - z, z * candidate


def _project_minlstm(w: Weights, x: Any) -> Any:
    f, i, candidate = jnp.split(_project(w, x), 3, axis=-1)
    forget = nn.sigmoid(nn.softplus(-i) - nn.softplus(-f))
    return forget, (1 - forget) * candidate


def _linear(w: Weights, x: Any, state: State) -> State:
    return (x[0] * state[0] + x[1],)


CELLS: dict[str, tuple[Callable[[Weights, Any], Any], Callable[[Weights, Any, State], State]]] = {
    "elman": (_project, _elman),
    "elman-relu": (_project, _elman_relu),
    "lstm": (_project, _lstm),
    "lstm-peephole": (_project, _lstm_peephole),
    "lstm-layernorm": (_normalised_project, _lstm_layernorm),
    "gru": (_project, _gru),
    "gru-reset-before": (_project, _gru_reset_before),
    "mingru": (_project_mingru, _linear),
    "minlstm": (_project_minlstm, _linear),
}
"""What is done for all steps at once, and the step; a cell without an entry has no jax rival."""


class JaxRun:
    """One cell on one problem, in jax: call it to run, ask for `results` to compare.

    Args:
        name: The cell, as in `CELLS`.
        weights: Its weights, by name.
        inputs: (time, batch, input).
        lengths: Valid steps, (batch,); all of them if None.
        cotangents: One for the outputs, (time, batch, hidden), and one for each part of the state; what makes a loss.
        training: Whether gradients are taken too.
    """

    def __init__(
        self,
        name: str,
        weights: Mapping[str, Tensor],
        inputs: Tensor,
        lengths: Tensor | None,
        cotangents: tuple[Tensor, ...],
        training: bool,
    ) -> None:
        project, step = CELLS[name]
        self._weights = {key: _to_jax(value) for key, value in weights.items()}
        self._inputs = _to_jax(inputs)
        factors = tuple(map(_to_jax, cotangents))
        start = tuple(jnp.zeros_like(factor) for factor in factors[1:])
        valid = None
        if lengths is not None:
            valid = _to_jax((torch.arange(len(inputs))[:, None] < lengths).unsqueeze(-1))

        def forward(w: Weights, x: Any) -> tuple[Any, State]:
            def advance(state: State, now: Any) -> tuple[State, Any]:
                x_t, valid_t = now
                new = step(w, x_t, state)
                if valid_t is None:
                    return new, new[0]
                kept = tuple(jnp.where(valid_t, after, before) for after, before in zip(new, state, strict=True))
                return kept, jnp.where(valid_t, new[0], 0)

            final, outputs = lax.scan(advance, start, (project(w, x), valid))
            return outputs, final

        def loss(w: Weights, x: Any) -> tuple[Any, tuple[Any, State]]:
            outputs, final = forward(w, x)
            products = [(a * b).sum() for a, b in zip((outputs, *final), factors, strict=True)]
            return sum(products), (outputs, final)

        self._run = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True) if training else forward)
        self._training = training
        self._found: Any = None

    def __call__(self) -> None:
        """Run and wait for the end."""
        self._found = jax.block_until_ready(self._run(self._weights, self._inputs))

    def results(self) -> dict[str, Tensor]:
        """What the last call found: outputs, state and, in training, all gradients."""
        gradients: dict[str, Any] = {}
        if self._training:
            (_, (outputs, final)), (by_weight, by_input) = self._found
            gradients = {f"gradient of {name}": value for name, value in by_weight.items()}
            gradients["gradient of inputs"] = by_input
        else:
            outputs, final = self._found
        state = {f"state {index}": part for index, part in enumerate(final)}
        return {name: _to_torch(value) for name, value in {"outputs": outputs, **state, **gradients}.items()}


def _to_jax(tensor: Tensor) -> Any:
    return jnp.asarray(tensor.detach().numpy())


def _to_torch(value: Any) -> Tensor:
    return torch.from_numpy(np.array(value))
