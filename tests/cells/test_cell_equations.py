"""Every cell against its equations, written once more from the papers, in numpy, gate by gate."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cases import make_case
from unspool.cells import CELLS, cell_class
from unspool.engine import unroll

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


def indrnn(w: Weights, x: Array, h: Array) -> tuple[Array, ...]:
    h = np.maximum(0, x @ w["weight_ih"].T + w["bias_ih"] + w["weight_hh"] * h)
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


def mrnn(w: Weights, x: Array, h: Array) -> tuple[Array, ...]:
    """In the form of the factored matrix: each input has recurrent weights of its own."""
    new = []
    for row in range(len(x)):
        recurrent = w["weight_hh"] @ np.diag(w["weight_mx"] @ x[row]) @ w["weight_mh"]
        new.append(np.tanh(w["weight_ih"] @ x[row] + w["bias_ih"] + recurrent @ h[row] + w["bias_hh"]))
    return np.stack(new), np.stack(new)


def mlstm(w: Weights, x: Array, h: Array, c: Array) -> tuple[Array, ...]:
    product = (x @ w["weight_mx"].T) * (h @ w["weight_mh"].T)
    input_gate, forget_gate = logistic(sums(w, 0, x, product)), logistic(sums(w, 1, x, product))
    c = c * forget_gate + input_gate * np.tanh(sums(w, 2, x, product))
    h = np.tanh(c) * logistic(sums(w, 3, x, product))
    return h, h, c


def hyperlstm(w: Weights, x: Array, h: Array, c: Array, hyper_h: Array, hyper_c: Array) -> tuple[Array, ...]:
    inner = {key.removeprefix("hyper."): value for key, value in w.items() if key.startswith("hyper.")}
    _, hyper_h, hyper_c = lstm(inner, np.concatenate([h, x], axis=1), hyper_h, hyper_c)
    width, wide = h.shape[1], w["scale_h"].shape[2]
    y = []
    for gate in range(4):
        rows = slice(gate * width, (gate + 1) * width)
        z = []
        for place in range(3):  # of the state, the input, the bias
            begin = (place * 4 + gate) * wide
            z.append(hyper_h @ w["embed"][begin : begin + wide].T + w["embed_shift"][begin : begin + wide])
        from_context = (z[0] @ w["scale_h"][gate].T) * (h @ w["weight_hh"][rows].T)
        from_text = (z[1] @ w["scale_x"][gate].T) * (x @ w["weight_ih"][rows].T)
        y.append(from_context + from_text + z[2] @ w["scale_b"][gate].T + w["bias"][rows])
    c = logistic(y[1]) * c + logistic(y[0]) * np.tanh(y[2])
    h = logistic(y[3]) * np.tanh(c)
    return h, h, c, hyper_h, hyper_c


def turn(w: Weights, h: Array, memory: Array, read: Array, write: Array, reach: int) -> tuple[Array, ...]:
    """Heads, memory and output after the controller, one sequence, head, slot and shift at a time."""
    width, (batch, readers, slots), writers = memory.shape[2], read.shape, write.shape[1]
    heads, span = readers + writers, 2 * reach + 1
    y, memory, read, write = np.zeros_like(h), memory.copy(), read.copy(), write.copy()
    reads = np.zeros((batch, readers, width))
    for b in range(batch):
        said = w["weight_heads"] @ h[b] + w["bias_heads"]
        focus = []
        for head in range(heads):
            part = said[head * (width + 3 + span) : (head + 1) * (width + 3 + span)]
            key, strength, gate = np.tanh(part[:width]), np.log1p(np.exp(part[width])), logistic(part[width + 1])
            s = np.exp(part[width + 2 : width + 2 + span])
            s, sharpening = s / s.sum(), 1 + np.log1p(np.exp(part[-1]))
            alike = [key @ m / np.sqrt((key @ key + 1e-8) * (m @ m + 1e-8)) for m in memory[b]]
            content = np.exp(strength * np.array(alike))
            before = read[b, head] if head < readers else write[b, head - readers]
            mixed = gate * content / content.sum() + (1 - gate) * before
            shifted = np.zeros(slots)
            for slot in range(slots):
                for k in range(-reach, reach + 1):
                    shifted[(slot + k) % slots] += mixed[slot] * s[k + reach]
            sharp = np.maximum(shifted, 1e-16) ** sharpening
            focus.append(sharp / sharp.sum())
        writing = said[heads * (width + 3 + span) :].reshape(writers, 2, width)
        kept = memory[b].copy()
        for head in range(writers):
            kept *= 1 - np.outer(focus[readers + head], logistic(writing[head, 0]))
        memory[b] = kept + sum(np.outer(focus[readers + head], np.tanh(writing[head, 1])) for head in range(writers))
        read[b], write[b] = focus[:readers], focus[readers:]
        reads[b] = read[b] @ memory[b]
        y[b] = h[b] + w["weight_reads"] @ reads[b].reshape(-1)
    return y, memory, read, write, reads


def ntm(
    w: Weights, x: Array, h: Array, c: Array, memory: Array, read_weights: Array, write_weights: Array, reads: Array
):
    inner = {key.removeprefix("controller."): value for key, value in w.items()}
    _, h, c = lstm(inner, np.concatenate([x, reads.reshape(len(x), -1)], axis=1), h, c)
    y, *state = turn(w, h, memory, read_weights, write_weights, reach=1)
    return y, h, c, *state


def ntm_feedforward(w: Weights, x: Array, memory: Array, read_weights: Array, write_weights: Array, reads: Array):
    seen = np.concatenate([x, reads.reshape(len(x), -1)], axis=1)
    h = np.tanh(seen @ w["controller.weight"].T + w["controller.bias"])
    return turn(w, h, memory, read_weights, write_weights, reach=2)


EQUATIONS: dict[str, Callable[..., tuple[Array, ...]]] = {
    name: globals()[name.replace("-", "_")] for name in CELLS if name.replace("-", "_") in globals()
}
"""The function of each cell: weights, input and each part of the state in; output and each part of the state out."""
OTHER_STARTS = {("indrnn", "weight_hh")}  # uniform between 0 and 1
SHAPES = [(5, 3, 4, 6), (3, 2, 6, 4), (1, 1, 1, 1)]  # time, batch, input, hidden


def test_every_cell_has_its_equation_here():
    assert EQUATIONS.keys() == CELLS.keys()


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
    assert final._fields == tuple(inspect.signature(EQUATIONS[name]).parameters)[2:]
    for actual, expected in zip(final, state, strict=True):
        np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in CELLS if not name.startswith("ntm")])
def test_cell_starts_from_nothing_within_the_bounds_of_torch(name):
    cell = CELLS[name](7, 16)
    state = cell.initial_state(3)
    assert state[0].shape == (3, 16)
    assert all(len(part) == 3 and torch.count_nonzero(part) == 0 for part in state)
    for key, weight in cell.named_parameters():
        if key.startswith(("weight", "bias", "peephole")) and (name, key) not in OTHER_STARTS:
            assert weight.abs().max() <= 0.25, key  # 1 / √16
            assert weight.abs().max() > 0.15, key
            assert weight.unique().numel() > 0.9 * weight.numel(), key


def test_a_hyperlstm_normalises_its_sums_and_its_cell_state():
    case = make_case(cell_class("hyperlstm(layer_norm=True, hyper_size=5)"), (1, 3, 4, 6), dtype=torch.float64)
    with torch.no_grad():
        case.cell.scale_b.zero_()
    w = {key: weight.detach().numpy() for key, weight in case.cell.named_parameters()}
    (x,), (h, c, small_h, small_c) = case.inputs.detach().numpy(), (part.detach().numpy() for part in case.state)
    inner = {key.removeprefix("hyper."): value for key, value in w.items() if key.startswith("hyper.")}
    _, small_h, small_c = lstm_layernorm(inner, np.concatenate([h, x], axis=1), small_h, small_c)
    z = (small_h @ w["embed"].T + w["embed_shift"]).reshape(3, 3, 4, 4)  # batch, place, gate, embedding
    i, f, g, o = (
        normalise(
            (z[:, 0, k] @ w["scale_h"][k].T) * (h @ w["weight_hh"][6 * k : 6 * k + 6].T)
            + (z[:, 1, k] @ w["scale_x"][k].T) * (x @ w["weight_ih"][6 * k : 6 * k + 6].T)
        )
        * w["gain"][k]
        + w["bias"][6 * k : 6 * k + 6]
        for k in range(4)
    )
    c = logistic(f) * c + logistic(i) * np.tanh(g)
    h = logistic(o) * np.tanh(normalise(c) * w["gain_c"] + w["shift_c"])
    _, final = case.run("reference")
    for actual, expected in zip(final, (h, c, small_h, small_c), strict=True):
        np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=1e-10, atol=1e-10)


def test_a_hyperlstm_begins_near_a_plain_lstm():
    torch.manual_seed(4)
    cell, plain = cell_class("hyperlstm(embedding_size=2000)")(5, 16), CELLS["lstm"](5, 16)
    with torch.no_grad():
        plain.weight_ih.copy_(cell.weight_ih)
        plain.weight_hh.copy_(cell.weight_hh)
        plain.bias_ih.copy_(cell.bias)
        plain.bias_hh.zero_()
        inputs = torch.randn(9, 3, 5)
        gap = unroll(cell, inputs)[0] - unroll(plain, inputs)[0]
    assert gap.abs().max() < 0.02  # many embeddings: scales are 1 to a hundredth


def test_minlstm_survives_two_closed_gates():
    case = make_case("minlstm", (4, 2, 3, 5), ragged=False)
    with torch.no_grad():
        case.cell.bias_ih[:10] = -200  # forget and input gates both underflow to 0
    result = case.outputs_and_gradients("reference")
    assert all(value.isfinite().all() for value in result.values())
