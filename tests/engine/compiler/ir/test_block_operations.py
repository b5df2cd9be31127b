"""Blocks, operation by operation: what each means, its gradient, and the code that is emitted for it."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from judge import assert_agrees_with_the_plain_loop
from torch import Tensor

from cases import assert_agrees, make_case, make_cell
from odd_cells import BLOCKS
from unspool.cells import Cell, cell_class
from unspool.engine import Stepper, explain
from unspool.engine.compiler.ir.builder import Builder
from unspool.engine.compiler.ir.graph import Graph, Node
from unspool.engine.compiler.ir.interpreter import interpret
from unspool.engine.compiler.ir.verify import verify
from unspool.engine.compiler.loops.fusion import fuse
from unspool.engine.compiler.passes.autodiff import differentiate
from unspool.engine.compiler.pipeline import lower_cell
from unspool.engine.cpu.codegen.target import AVX2, AVX512, PORTABLE, host_target
from unspool.engine.cpu.policy import use_target

SIZES = [(1, 1), (1, 7), (3, 1), (3, 7), (7, 3), (17, 20), (20, 17)]  # lines, columns
OPERATIONS = {  # in the graph, and in torch on (rows, lines, columns)
    "spread": (
        lambda b, x, n, m: b.spread(b.slice(x, 0, n), m),
        lambda x, n, m: x.flatten(1)[:, :n, None].expand(-1, n, m),
    ),
    "tile": (
        lambda b, x, n, m: b.tile(b.slice(x, 0, m), n),
        lambda x, n, m: x.flatten(1)[:, None, :m].expand(-1, n, m),
    ),
    "sum_inner": (lambda b, x, n, m: b.over_lines("sum", x, n), lambda x, n, m: x.sum(2)),
    "max_inner": (lambda b, x, n, m: b.over_lines("max", x, n), lambda x, n, m: x.amax(2)),
    "sum_outer": (lambda b, x, n, m: b.over_columns("sum", x, m), lambda x, n, m: x.sum(1)),
    "max_outer": (lambda b, x, n, m: b.over_columns("max", x, m), lambda x, n, m: x.amax(1)),
    "roll": (lambda b, x, n, m: b.roll(x, n + 1), lambda x, n, m: x.flatten(1).roll(n + 1, 1)),
}


@pytest.mark.parametrize(("lines", "columns"), SIZES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_mean_what_torch_does_and_so_do_their_gradients(name, lines, columns):
    in_graph, in_torch = OPERATIONS[name]
    builder, rows = Builder(push_slices=True), 4
    node = in_graph(builder, builder.source("state", 0, lines * columns), lines, columns)
    graph = verify(Graph(((("state", 0), builder.pointwise("tanh", node)),)))
    x = torch.randn(rows, lines, columns, dtype=torch.float64)
    if name.startswith("max"):
        x = x.round()  # equals share the gradient
    x.requires_grad_()
    right = in_torch(x, lines, columns).tanh().flatten(1)
    given = {("state", 0): x.detach().flatten(1)}
    torch.testing.assert_close(interpret(graph, given, [])["state", 0], right.detach())
    carry = torch.randn_like(right)
    (expected,) = torch.autograd.grad(right, x, carry)
    backward = differentiate(graph, builder)
    found = interpret(backward, given | {("carry", 0): carry}, [])["carry", 0]
    torch.testing.assert_close(found, expected.flatten(1))


class Parts(NamedTuple):
    h: Tensor  # (batch, hidden)
    block: Tensor  # (batch, lines, columns)


class OneOperation(Cell[Parts]):
    """Shows what an operation makes of a block, which moves a little at every step."""

    lines, columns, operation = 0, 0, ""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.w = self.parameter(1, input_size)

    def initial_state(self, batch_size: int) -> Parts:
        zeros = self.w.new_zeros
        return Parts(zeros(batch_size, self.hidden_size), zeros(batch_size, self.lines, self.columns))

    def step(self, x: Tensor, state: Parts, *context: Tensor) -> tuple[Tensor, Parts]:
        block = torch.sin(state.block + (x @ self.w.T)[:, :, None])
        if self.operation == "roll":
            made = block.roll((self.lines // 2, -1), (1, 2))
        else:
            made = OPERATIONS[self.operation][1](block, self.lines, self.columns)
        return made.flatten(1) * 0.5, Parts(made.flatten(1).cos(), block)


def one_operation(name: str, lines: int, columns: int) -> type[OneOperation]:
    return type(name, (OneOperation,), {"lines": lines, "columns": columns, "operation": name})


@pytest.mark.usefixtures("nan_memory")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize(("lines", "columns"), SIZES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_emitted_operations_agree_with_the_plain_loop(name, lines, columns, dtype):
    width = OPERATIONS[name][1](torch.zeros(1, lines, columns), lines, columns).numel()
    case = make_case(one_operation(name, lines, columns), (3, 5, 2, width), dtype=dtype)
    assert_agrees_with_the_plain_loop(case, case.outputs_and_gradients("cpu"))


@pytest.mark.parametrize("target", [AVX512, AVX2, PORTABLE], ids=lambda target: target.name)
@pytest.mark.parametrize("kind", [BLOCKS["Attending"], cell_class("ntm(slots=19, width=5, write_heads=2, reach=3)")])
def test_every_instruction_set_of_the_machine_agrees(kind, target):
    if target.register_bytes > host_target().register_bytes:
        pytest.skip(f"this machine has no {target.name}")
    case = make_case(kind, (4, 3, 60, 63), dtype=torch.float64)
    with use_target(target):
        found = case.outputs_and_gradients("cpu")
    assert_agrees(found, case.outputs_and_gradients("reference"), torch.float64)


def test_slices_of_what_was_repeated_are_repeated_slices():
    b = Builder(push_slices=True)
    x = b.source("state", 0, 6)
    assert b.slice(b.spread(x, 4), 8, 16) is b.spread(b.slice(x, 2, 4), 4)
    assert b.slice(b.tile(x, 4), 6, 18) is b.tile(x, 2)
    assert b.slice(b.tile(x, 4), 7, 9) is b.slice(x, 1, 3)
    assert b.slice(b.spread(x, 4), 5, 7) is b.expand(b.slice(x, 1, 2), 2)
    cut = b.slice(b.spread(x, 4), 2, 21)
    assert [part.width for part in cut.arguments] == [2, 16, 1]


def test_what_is_repeated_is_worked_out_before():
    b = Builder(push_slices=True)
    x, y = b.source("state", 0, 6), b.source("state", 1, 6)
    assert b.pointwise("mul", b.spread(x, 4), b.spread(y, 4)) is b.spread(b.pointwise("mul", x, y), 4)
    assert b.pointwise("neg", b.tile(x, 4)) is b.tile(b.pointwise("neg", x), 4)
    assert b.pointwise("mul", b.tile(x, 6), b.spread(y, 6)).operation == "mul"
    assert b.roll(x, 7) is b.roll(x, 1)
    assert b.roll(x, 6) is x


def ntm_kernels():
    found = lower_cell(make_cell(cell_class("ntm"), 4, 6))
    every = frozenset(range(len(found.shapes)))
    forward = fuse(found.forward, lanes=16, backward=False, history=every)
    return found, forward, fuse(found.backward, lanes=16, backward=True, history=every)


def test_a_turing_machine_passes_over_its_memory_five_times_and_saves_nothing_as_large():
    found, forward, backward = ntm_kernels()
    passes = [
        [loop for phase in kernel.phases for loop in phase.loops if loop.width == 2560]
        for kernel in (forward, backward)
    ]
    assert [len(loops) for loops in passes] == [3, 2]
    assert all(tuple(loop.grid) == (128, 20) for loops in passes for loop in loops)
    assert max(found.saved_widths) == 128
    scratch = [buffer for kernel in (forward, backward) for name, buffer in kernel.buffers.items() if "scratch" in name]
    assert max(buffer.stride for buffer in scratch) < 2560


def test_steps_give_the_same_numbers_in_the_shape_of_each_part():
    class Twofold(one_operation("tile", 3, 5)):
        def step(self, x, state, *context):
            block = torch.sin(state.block + (x @ self.w.T)[:, :, None])
            return block.flatten(1), Parts(block.flatten(1), block)

    cell, x = make_cell(Twofold, 2, 15), torch.randn(4, 2, dtype=torch.float64)
    state = Parts(torch.randn(4, 15).double(), torch.randn(4, 3, 5).double())
    stepper = Stepper(cell)
    with torch.no_grad():
        output, found = stepper(x, state)
        expected, right = cell.step(x, state)
        assert stepper.report.backend == "cpu"
        torch.testing.assert_close((output, *found), (expected, *right))
        assert "(4, 3, 5)" in stepper._step.hindrance(x, Parts(state.h, state.block[:, :2]), ())


def test_explain_shows_lines_and_columns():
    report = str(explain(make_cell(cell_class("ntm"), 4, 6).float()))
    for part in (
        "for 128 lines of 20 columns",
        "by line",
        "by column",
        "wrap 1 of",
        "store sum_outer state5.after[0:]",
    ):
        assert part in report


def test_a_step_that_falls_into_too_many_pieces_is_refused():
    class Shattered(BLOCKS["Remembering"]):
        def step(self, x, state, *context):
            block = state.block.view(len(x), -1, 1, 7).expand(-1, -1, 2, -1)
            return state.h, state._replace(block=block[:, :, 0].reshape(state.block.shape))

    report = explain(make_cell(Shattered, 4, 100).float())
    assert "test_block_operations.py" in report.refusals["cpu"]
    assert "cut into 100 lines: the compiler cuts into 64 at most" in report.refusals["cpu"]


@pytest.mark.parametrize(
    "node",
    [
        Node("spread", (Node("constant", (), 3, (1.0,)),), 7),
        Node("tile", (Node("constant", (), 1, (1.0,)),), 7),
        Node("sum_inner", (Node("constant", (), 6, (1.0,)),), 4),
        Node("max_outer", (Node("constant", (), 6, (1.0,)),), 6),
        Node("roll", (Node("constant", (), 6, (1.0,)),), 6, (6,)),
    ],
    ids=lambda node: node.operation,
)
def test_what_breaks_the_spec_is_caught(node):
    with pytest.raises(AssertionError):
        verify(Graph(((("output", 0), node),)))
