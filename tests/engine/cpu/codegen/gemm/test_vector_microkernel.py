"""Products in bfloat16 under autocast: the error that is stated, elementwise, and words where there are none."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from cases import ALL_CELLS, make_case
from unspool.engine import explain, unroll
from unspool.engine.cpu.codegen.gemm.vector_microkernel import packed_size
from unspool.engine.cpu.codegen.target import AVX512_BF16, has_bfloat16, host_target
from unspool.engine.cpu.jit.compile import products
from unspool.engine.cpu.policy import use_target
from unspool.engine.cpu.runtime.autograd_gemm import HALF, HALF_WITHIN, multiply

needs_bfloat16 = pytest.mark.skipif(not has_bfloat16(), reason="this processor has no AVX512-BF16")
UNIT = 2.0**-8  # half the distance from 1 to the next number of bfloat16


def half(enabled=True):
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled)


@pytest.fixture
def vectors_of_bfloat16():
    """As on a processor on which products within the loop are worth rounding."""
    with use_target(AVX512_BF16):
        yield


@needs_bfloat16
@pytest.mark.parametrize("size", [(1, 1, 1), (3, 7, 5), (33, 64, 48), (70, 129, 31), (5, 32, 200)], ids=str)
@pytest.mark.parametrize("turned", [False, True], ids=["rows", "columns"])
def test_products_keep_to_the_error_that_is_stated(size, turned):
    count, depth, width = size
    rows = torch.randn(count, depth)
    matrix = torch.randn(width, depth).t() if turned else torch.randn(depth, width)
    shared, lanes = products(torch.float32, AVX512_BF16, True), 16
    packed = torch.full((packed_size(depth, width, lanes, half=True),), torch.nan)
    shared.pack(matrix.data_ptr(), *matrix.stride(), depth, width, packed.data_ptr())
    vectors = -(-width // lanes)
    found = torch.full((count, vectors * lanes), torch.nan)
    call = _callable(shared.product)
    call(rows.data_ptr(), depth, count, packed.data_ptr(), depth, vectors, found.data_ptr(), vectors * lanes)
    right = rows.double() @ matrix.double()
    allowed = (2 * UNIT + UNIT**2 + depth * 2.0**-22) * (rows.double().abs() @ matrix.double().abs())
    assert bool(((found[:, :width] - right).abs() <= allowed).all())
    assert bool((found[:, :width] != rows @ matrix).any()), "bfloat16 was not used"


def _callable(address):
    import ctypes

    whole, pointer = ctypes.c_int64, ctypes.c_void_p
    kinds = (pointer, whole, whole, pointer, whole, whole, pointer, whole)
    return ctypes.CFUNCTYPE(None, *kinds)(address)


@needs_bfloat16
def test_products_over_all_steps_keep_to_the_error_that_is_stated():
    rows, matrix = torch.randn(40, 70, requires_grad=True), torch.randn(70, 30, requires_grad=True)
    cotangent = torch.randn(40, 30)
    found = multiply(rows, matrix, half=True)
    gradients = torch.autograd.grad(found, [rows, matrix], cotangent)
    for actual, a, b in (
        (found, rows, matrix),
        (gradients[0], cotangent, matrix.t()),
        (gradients[1], rows.t(), cotangent),
    ):
        assert actual.dtype == torch.float32
        allowed = 4 * UNIT * (a.double().abs() @ b.double().abs())
        assert bool(((actual - a.double() @ b.double()).abs() <= allowed).all())


@needs_bfloat16
@pytest.mark.usefixtures("vectors_of_bfloat16")
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize("name", ["elman", "lstm", "gru-reset-before", "lstm-peephole"])
def test_outputs_and_gradients_are_near_those_of_float64(name, ragged):
    case = make_case(ALL_CELLS[name], (12, 5, 7, 33), ragged=ragged)
    truth = case.double().outputs_and_gradients("reference")
    with half():
        found = case.outputs_and_gradients("cpu")
    for key, right in truth.items():
        distance = float((found[key].double() - right).detach().norm() / right.detach().norm())
        assert distance < 6 * UNIT, key
    exact = case.outputs_and_gradients("cpu")
    assert any(not torch.equal(found[key], exact[key]) for key in truth), "bfloat16 was not used"


@needs_bfloat16
def test_states_are_carried_in_float32():
    case = make_case("lstm", (6, 3, 4, 5), ragged=False)
    with half():
        outputs, final = case.run("cpu")
    assert {part.dtype for part in (outputs, *final)} == {torch.float32}
    assert not torch.equal(final.c, final.c.bfloat16().float())


@needs_bfloat16
@pytest.mark.usefixtures("vectors_of_bfloat16")
def test_explain_states_the_error():
    cell = ALL_CELLS["gru-reset-before"](32, 64)
    inputs = torch.randn(40, 16, 32, requires_grad=True)
    with half():
        report = explain(cell, inputs)
    assert report.backend == "cpu"
    assert HALF in report.details
    assert HALF_WITHIN in report.details
    assert HALF not in explain(cell, inputs).details


def test_without_the_instruction_the_reason_is_told():
    cell, inputs = ALL_CELLS["gru-reset-before"](32, 64), torch.randn(40, 16, 32, requires_grad=True)
    with half(), use_target(replace(host_target(), bfloat16=False)):
        report = explain(cell, inputs)
        assert report.backend != "cpu"
        assert "no instruction for products of bfloat16" in str(report)
        outputs, _ = unroll(cell, inputs, backend="cpu")  # asked for, it runs in full precision
    torch.testing.assert_close(outputs, unroll(cell, inputs, backend="cpu")[0], rtol=0, atol=0)


def test_float16_is_left_to_the_other_paths():
    cell, inputs = ALL_CELLS["gru-reset-before"](32, 64), torch.randn(40, 16, 32, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.float16):
        assert "it knows bfloat16 beside float32, not float16" in str(explain(cell, inputs))
