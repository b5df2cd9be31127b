"""The graph, its interpreter and its passes: one step forward and back against autograd, without compiling anything."""

from __future__ import annotations

import pytest
import torch

from cases import ALL_CELLS, make_cell
from odd_cells import ODD
from unspool.engine.compiler.frontend.cell_fingerprint import weights
from unspool.engine.compiler.ir.builder import Builder
from unspool.engine.compiler.ir.interpreter import interpret
from unspool.engine.compiler.loops.fusion import fuse
from unspool.engine.compiler.pipeline import lower_cell
from unspool.engine.cpu.runtime.prologue import run_inputs, run_weights

EVERY = {**ALL_CELLS, **ODD}


@pytest.mark.parametrize("name", EVERY)
def test_interpreted_steps_equal_autograd(name):
    """One step by the graphs: outputs, states, and gradients of inputs, states and every weight."""
    cell, rows = make_cell(EVERY[name], 4, 6), 5
    chance = torch.Generator().manual_seed(3)
    draw = lambda like: torch.randn(like.shape, generator=chance, dtype=torch.float64)  # noqa: E731
    x = torch.randn(rows, 4, generator=chance, dtype=torch.float64, requires_grad=True)
    state = [draw(part).requires_grad_() for part in cell.initial_state(rows)]
    output, new = cell.step(x, type(cell.initial_state(1))(*state))
    cotangents = [draw(part) for part in (output, *new)]
    leaves = [x, *state, *cell.parameters()]
    expected = torch.autograd.grad([output, *new], leaves, cotangents, allow_unused=True)

    found = lower_cell(cell)
    matrices, vectors = found.tape.replay(weights(cell))
    shared = run_weights(found.before, vectors, matrices, torch.float64)
    inputs, shifts = run_inputs(found.before, [x], shared, matrices), [shared[node] for node in found.before.vectors]
    sources = {("input", number): part for number, part in enumerate(inputs)}
    sources |= {("vector", number): part for number, part in enumerate(shifts)}
    sources |= {("state", number): part.flatten(1) for number, part in enumerate(state)}
    plain = {key: value.detach() for key, value in sources.items()}
    forward = interpret(found.forward, plain, [part.detach() for part in matrices])
    torch.testing.assert_close(forward["output", 0], output.detach(), rtol=1e-12, atol=1e-12)
    for number, part in enumerate(new):
        torch.testing.assert_close(forward["state", number], part.detach().flatten(1), rtol=1e-12, atol=1e-12)

    plain |= {("after", number): forward["state", number] for number in range(len(state))}
    plain |= {key: value for key, value in forward.items() if key[0] == "saved"}
    plain |= {("output_gradient", 0): cotangents[0]}
    plain |= {("carry", number): part.flatten(1) for number, part in enumerate(cotangents[1:])}
    backward = interpret(found.backward, plain, [part.detach() for part in matrices])
    ends, gradients = [], []
    values = {"input": inputs, "vector": shifts, "matrix": matrices, "carry": state}
    for (kind, number), gradient in backward.items():
        value = values[kind][number]
        if value.requires_grad:
            ends.append(value)
            gradients.append(gradient.reshape(value.shape))
    actual = torch.autograd.grad(ends, leaves, gradients, allow_unused=True)
    for leaf, mine, right in zip(leaves, actual, expected, strict=True):
        right = torch.zeros_like(leaf) if right is None else right
        torch.testing.assert_close(torch.zeros_like(leaf) if mine is None else mine, right, rtol=1e-11, atol=1e-11)


def test_an_lstm_saves_its_four_gates_and_nothing_else():
    found = lower_cell(make_cell("lstm", 4, 6))
    saved = sorted(node.operation for node in found.forward.find("saved").values())
    assert saved == ["sigmoid", "sigmoid", "sigmoid", "tanh"]


def test_a_layer_norm_saves_what_follows_from_a_product_and_means_of_what_is_there():
    found = lower_cell(make_cell("lstm-layernorm", 4, 6))
    saved = list(found.forward.find("saved").values())
    centred = [node for node in saved if node.operation == "sub"]
    assert sum(node.width for node in centred) == 24, "of the recurrent product, which is made once"
    assert sum(node.width == 1 for node in saved) == 3 + 3, "three means, three roots of mean squares"
    assert sum(node.width for node in saved) == 24 + 6, "and no gates, which follow from these"
    operations = [node.operation for graph in (found.forward, found.backward) for node in graph.nodes()]
    assert "detach" not in operations, "the mean of the squares is detached, and centred twice if that is not forgotten"


def test_the_gradients_of_a_layer_norm_take_two_sums_over_a_row_each():
    found = lower_cell(make_cell("lstm-layernorm", 4, 6))
    assert [node.operation for node in found.backward.nodes()].count("sum") == 6


def test_the_phases_of_a_gru_before():
    found = lower_cell(make_cell("gru-reset-before", 4, 6))
    forward = fuse(found.forward, lanes=8, backward=False, history=frozenset({0}))
    backward = fuse(found.backward, lanes=8, backward=True, history=frozenset({0}))
    assert [len(phase.products) for phase in forward.phases] == [1, 1]
    assert [len(phase.products) for phase in backward.phases] == [0, 1, 1]
    operands = {product.operand.buffer.name for product in backward.products}
    assert operands == {"input_gradient0"}, "the products read what is stored as the inputs' gradient anyway"


def test_what_two_threads_write_all_the_time_lies_more_than_a_kilobyte_apart():
    """A processor fetches up to twenty lines ahead: a layer-normalised LSTM took twice as long on two threads."""
    kernel = fuse(lower_cell(make_cell("lstm-layernorm", 7, 5)).backward, lanes=16, backward=True, history={0, 1})
    parts = [buffer for buffer in kernel.buffers.values() if buffer.rate == "part"]
    assert {buffer.name[:7] for buffer in parts} == {"vector_", "scratch"}
    for buffer in parts:
        places = [place for phase in kernel.phases for loop in phase.loops for place in loop.places]
        end = max(place.column + 5 for place in places if place.buffer == buffer)
        assert 4 * (buffer.stride - end) > 20 * 64, buffer


def test_detach_is_forgotten_where_it_says_nothing():
    b = Builder(push_slices=True, detached=False)
    x = b.source("input", 0, 6)
    assert b.pointwise("detach", x) is x
