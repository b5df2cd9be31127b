"""Every cell against its equations, written once more from the papers, in numpy, gate by gate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cases import make_case
from unspool.cells import CELLS

Array = NDArray[np.float64]
Weights = dict[str, Array]


def logistic(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def normalise(x: Array) -> Array:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def sums(w: Weights, gate: int, x: Array, h: Array) -> Array:
    """`W x + b + U h + d` of the gate whose rows stand at the given place."""
    width = h.shape[-1]
    rows = slice(gate * width, (gate + 1) * width)
    return x @ w["weight_ih"][rows].T + w["bias_ih"][rows] + h @ w["weight_hh"][rows].T + w["bias_hh"][rows]


def elman(w: Weights, x: Array, h: Array) -> tuple[Array, ...]:
    h = np.tanh(x @ w["weight_ih"].T + h @ w["weight_hh"].T + w["bias_ih"] + w["bias_hh"])
    return h, h


def elman_relu(w: Weights, x: Array, h: Array) -> tuple[Array, ...]:
    h = np.maximum(0, x @ w["weight_ih"].T + h @ w["weight_hh"].T + w["bias_ih"] + w["bias_hh"])
    return h, h


def lstm(w: Weights, x: Array, h: Array, c: Array) -> tuple[Array, ...]:
    input_gate, forget_gate = logistic(sums(w, 0, x, h)), logistic(sums(w, 1, x, h))
    candidate, output_gate = np.tanh(sums(w, 2, x, h)), logistic(sums(w, 3, x, h))
    c = c * forget_gate + input_gate * candidate
    h = np.tanh(c) * output_gate
    return h, h, c


def lstm_peephole(w: Weights, x: Array, h: Array, c: Array) -> tuple[Array, ...]:
    input_gate = logistic(sums(w, 0, x, h) + c * w["peephole_i"])
    forget_gate = logistic(sums(w, 1, x, h) + c * w["peephole_f"])
    new = c * forget_gate + input_gate * np.tanh(sums(w, 2, x, h))
    output_gate = logistic(sums(w, 3, x, h) + new * w["peephole_o"])  # looks at the new cell state
    h = np.tanh(new) * output_gate
    return h, h, new


def lstm_layernorm(w: Weights, x: Array, h: Array, c: Array) -> tuple[Array, ...]:
    from_text = normalise(x @ w["weight_ih"].T) * w["gain_ih"] + w["bias_ih"]
    from_context = normalise(h @ w["weight_hh"].T) * w["gain_hh"] + w["bias_hh"]
    width = h.shape[-1]
    i, f, g, o = ((from_text + from_context)[:, k * width : (k + 1) * width] for k in range(4))
    c = logistic(f) * c + logistic(i) * np.tanh(g)
    h = logistic(o) * np.tanh(normalise(c) * w["gain_c"] + w["shift_c"])
    return h, h, c


def gru(w: Weights, x: Array, h: Array) -> tuple[Array, ...]:
    width = h.shape[-1]
    last = slice(2 * width, 3 * width)
    reset, update = logistic(sums(w, 0, x, h)), logistic(sums(w, 1, x, h))
    product = h @ w["weight_hh"][last].T + w["bias_hh"][last]
    candidate = np.tanh(x @ w["weight_ih"][last].T + w["bias_ih"][last] + reset * product)
    h = update * h + (1 - update) * candidate
    return h, h


def gru_reset_before(w: Weights, x: Array, h: Array) -> tuple[Array, ...]:
    reset, update = logistic(sums(w, 0, x, h)), logistic(sums(w, 1, x, h))
    candidate = np.tanh(sums(w, 2, x, reset * h))
    h = update * h + (1 - update) * candidate
    return h, h


def mingru(w: Weights, x: Array, h: Array) -> tuple[Array, ...]:
    width = h.shape[-1]
    update = logistic(x @ w["weight_ih"][:width].T + w["bias_ih"][:width])
    h = (1 - update) * h + update * (x @ w["weight_ih"][width:].T + w["bias_ih"][width:])
    return h, h


def minlstm(w: Weights, x: Array, h: Array) -> tuple[Array, ...]:
    width = h.shape[-1]
    rows = [
        x @ w["weight_ih"][k * width : (k + 1) * width].T + w["bias_ih"][k * width : (k + 1) * width] for k in (0, 1, 2)
    ]
    forget, write = logistic(rows[0]), logistic(rows[1])
    h = forget / (forget + write) * h + write / (forget + write) * rows[2]
    return h, h


EQUATIONS: dict[str, Callable[..., tuple[Array, ...]]] = {
    "elman": elman,
    "elman-relu": elman_relu,
    "lstm": lstm,
    "lstm-peephole": lstm_peephole,
    "lstm-layernorm": lstm_layernorm,
    "gru": gru,
    "gru-reset-before": gru_reset_before,
    "mingru": mingru,
    "minlstm": minlstm,
}
STATES = {
    "elman": ("h",),
    "elman-relu": ("h",),
    "lstm": ("h", "c"),
    "lstm-peephole": ("h", "c"),
    "lstm-layernorm": ("h", "c"),
    "gru": ("h",),
    "gru-reset-before": ("h",),
    "mingru": ("h",),
    "minlstm": ("h",),
}
SHAPES = [(5, 3, 4, 6), (3, 2, 6, 4), (1, 1, 1, 1)]  # time, batch, input, hidden


def test_every_cell_has_its_equations_here():
    assert CELLS.keys() == EQUATIONS.keys() == STATES.keys()


@pytest.mark.parametrize("size", SHAPES, ids=str)
@pytest.mark.parametrize("name", CELLS)
def test_cell_computes_its_equations(name, size):
    case = make_case(name, size, dtype=torch.float64, ragged=False)
    weights = {key: weight.detach().numpy() for key, weight in case.cell.named_parameters()}
    outputs, final = case.run("reference")
    state = [part.detach().numpy() for part in case.state]
    for t in range(size[0]):
        output, *state = EQUATIONS[name](weights, case.inputs[t].detach().numpy(), *state)
        np.testing.assert_allclose(outputs[t].detach().numpy(), output, rtol=1e-12, atol=1e-12)
    assert final._fields == STATES[name]
    for actual, expected in zip(final, state, strict=True):
        np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CELLS)
def test_cell_starts_from_nothing_within_the_bounds_of_torch(name):
    cell = CELLS[name](7, 16)
    state = cell.initial_state(3)
    assert all(part.shape == (3, 16) and torch.count_nonzero(part) == 0 for part in state)
    for key, weight in cell.named_parameters():
        if key.startswith(("weight", "bias", "peephole")):
            assert weight.abs().max() <= 0.25, key  # 1 / √16
            assert weight.abs().max() > 0.15, key
            assert weight.unique().numel() > 0.9 * weight.numel(), key


def test_minlstm_survives_two_closed_gates():
    case = make_case("minlstm", (4, 2, 3, 5), ragged=False)
    with torch.no_grad():
        case.cell.bias_ih[:10] = -200  # forget and input gates both underflow to 0
    result = case.outputs_and_gradients("reference")
    assert all(value.isfinite().all() for value in result.values())
