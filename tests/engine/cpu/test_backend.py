"""Compiled cells against the plain loop in float64: odd cells, awkward sizes, other instruction sets."""

from __future__ import annotations

import pytest
import torch
from judge import assert_agrees_with_the_plain_loop

from cases import ALL_CELLS, assert_agrees, make_case
from odd_cells import ODD, HardSigmoid
from unspool.cells import Cell
from unspool.engine import explain, unroll
from unspool.engine.cpu.codegen.target import AVX2, AVX512, PORTABLE, host_target
from unspool.engine.cpu.policy import use_target

# time, batch, input, hidden; one kernel of each cell for each width: less than a vector, and one number less than whole
# vectors. One number more is a size of test_unroll_agreement.py.
AWKWARD = [(1, 1, 1, 1), (2, 3, 9, 7), (5, 33, 60, 63), (3, 2, 60, 63)]
LONG = (100, 3, 9, 7)


def agree(kind, size, dtype, **options):
    case = make_case(kind, size, dtype=dtype, **options)
    assert_agrees_with_the_plain_loop(case, case.outputs_and_gradients("cpu"))


@pytest.mark.usefixtures("nan_memory")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("size", [*AWKWARD, LONG], ids=str)
@pytest.mark.parametrize("name", ODD)
def test_odd_cells_agree_with_the_plain_loop(name, size, dtype):
    agree(ODD[name], size, dtype, ragged=size != AWKWARD[1], reverse=size == AWKWARD[2])


def test_a_hard_sigmoid_agrees_with_the_plain_loop():
    agree(HardSigmoid, (20, 3, 4, 9), torch.float32)


@pytest.mark.usefixtures("nan_memory")
@pytest.mark.parametrize("hidden", [200, 650])
@pytest.mark.parametrize("name", ["lstm", "gru-reset-before", "lstm-layernorm"])
def test_wide_cells_agree_with_the_plain_loop(name, hidden):
    agree(ALL_CELLS[name], (3, 17, 31, hidden), torch.float32)


@pytest.mark.parametrize("target", [AVX512, AVX2, PORTABLE], ids=lambda target: target.name)
@pytest.mark.parametrize("name", ["lstm-layernorm", "gru-reset-before", "own-pair"])
def test_every_instruction_set_of_the_machine_agrees(name, target):
    if target.register_bytes > host_target().register_bytes:
        pytest.skip(f"this machine has no {target.name}")
    with use_target(target):
        for dtype in (torch.float64, torch.float32):
            agree(ALL_CELLS[name], (4, 15, 6, 17), dtype)


def test_context_reaches_every_step_with_its_gradient():
    class WithContext(ALL_CELLS["lstm-peephole"]):
        def step(self, x, state, *context):
            first, second = context
            h, new = super().step(x * first + second[:, :1], state)
            return h * second[:, 1:], new

    case = make_case(WithContext, (6, 4, 3, 5), dtype=torch.float64)
    context = [torch.randn(4, 3).double().requires_grad_(), torch.randn(4, 6).double().requires_grad_()]
    results = {}
    for backend in ("reference", "cpu"):
        outputs, final = unroll(
            case.cell, case.inputs, case.state, lengths=case.lengths, context=context, backend=backend
        )
        gradients = torch.autograd.grad([outputs, *final], context, case.cotangents)
        results[backend] = {"output": outputs, "first": gradients[0], "second": gradients[1]}
    assert_agrees(results["cpu"], results["reference"], torch.float64)


def test_frozen_weights_and_inputs_get_no_gradient_and_the_others_theirs():
    case = make_case("gru", (5, 3, 4, 6), dtype=torch.float64)
    case.cell.weight_hh.requires_grad_(False)
    expected, actual = (
        torch.autograd.grad(case.run(backend)[0].sum(), [case.cell.weight_ih, case.cell.bias_hh])
        for backend in ("reference", "cpu")
    )
    torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-11)
    case.cell.requires_grad_(False)
    outputs, final = unroll(case.cell, case.inputs.detach(), lengths=case.lengths, backend="cpu")
    assert not outputs.requires_grad
    assert not final.h.requires_grad


def test_one_gradient_alone_may_be_asked_for():
    case = make_case("lstm", (5, 3, 4, 6), dtype=torch.float64)
    for pick in (lambda outputs, final: outputs[2].sum(), lambda outputs, final: final.c.sum()):
        expected, actual = (
            torch.autograd.grad(pick(*case.run(backend)), case.cell.weight_hh) for backend in ("reference", "cpu")
        )
        torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-11)


def test_finite_differences_agree_and_a_gradient_may_be_missing_altogether():
    case = make_case("own-pair", (4, 2, 3, 5), dtype=torch.float64, ragged=False)
    assert torch.autograd.gradcheck(lambda x: unroll(case.cell, x, backend="cpu")[0], (case.inputs,))


def test_the_way_back_may_be_gone_twice():
    case = make_case("gru-reset-before", (5, 3, 4, 6), dtype=torch.float64)
    outputs, _ = case.run("cpu")
    first = torch.autograd.grad(outputs.sum(), case.inputs, retain_graph=True)
    again = torch.autograd.grad(outputs.sum(), case.inputs)
    torch.testing.assert_close(first, again, rtol=0, atol=0)


def test_outputs_changed_in_place_before_the_way_back_are_noticed():
    case = make_case("elman", (5, 3, 4, 6), ragged=False)
    outputs, _ = case.run("cpu")
    total = outputs.sum()
    with torch.no_grad():
        outputs.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()


def test_a_setting_changed_on_the_cell_is_seen_by_the_next_call():
    case = make_case(ODD["Loose"], (5, 3, 4, 6), dtype=torch.float64)
    for leak in (0.25, 0.5):
        case.cell.leak = leak
        torch.testing.assert_close(case.run("cpu")[0], case.run("reference")[0], rtol=1e-11, atol=1e-11)


def test_a_number_changed_in_the_class_is_seen_by_the_next_call():
    class Scaled(ODD["Loose"]):
        scale = 0.5

        def step(self, x, state, *context):
            output, new = super().step(x, state)
            return self.scale * output, new

    case = make_case(Scaled, (5, 3, 4, 6), dtype=torch.float64)
    for scale in (0.5, 0.25):
        Scaled.scale = scale
        torch.testing.assert_close(case.run("cpu")[0], case.run("reference")[0], rtol=1e-11, atol=1e-11)


def test_what_is_not_a_number_stays_so():
    cell: Cell = make_case("lstm", (5, 2, 3, 4)).cell
    inputs = torch.zeros(5, 2, 3)
    inputs[2, 1] = float("nan")
    outputs, _ = unroll(cell.float(), inputs, backend="cpu")
    assert outputs[2:, 1].isnan().all()
    assert outputs[:, 0].isfinite().all()
    assert outputs[:2].isfinite().all()


def test_extreme_inputs_saturate_as_in_the_plain_loop():
    case = make_case("lstm", (4, 3, 3, 5), ragged=False)
    with torch.no_grad():
        case.inputs.mul_(1e4)
    for actual, expected in zip(case.run("cpu"), case.run("reference"), strict=True):
        torch.testing.assert_close(actual, expected)


def test_explain_shows_graph_phases_and_what_is_saved():
    report = explain(make_case("gru-reset-before", (4, 2, 3, 5)).cell.float())
    assert report.backend == "cpu"
    for part in ("tanh(", "gru.py:", "phase 1", "@ matrix2", "80 bytes are saved for each step of each sequence"):
        assert part in str(report)
