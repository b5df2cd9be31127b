"""Every fast path agrees with the plain loop: outputs, final state, and every gradient."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from judge import assert_agrees_with_the_plain_loop
from scopes import threads
from torch.testing import assert_close

from cases import ALL_CELLS, SIZES, TOLERANCE, fast_pairs
from unspool.cells import Cell, LinearCell
from unspool.engine import check_request, explain, record_dispatch, unroll
from unspool.engine.cpu.codegen.target import AMX, AVX512, has_bfloat16
from unspool.engine.cpu.policy import use_target
from unspool.engine.dispatch import choose

LARGE = (64, 32, 100, 200)  # time, batch, input, hidden
NATIVE = {"elman", "elman-relu", "lstm", "gru", "own-renamed-lstm"}
"""Cells that torch has a kernel for."""
STEPPED = {"own-stepped-linear"}
"""Linear cells with a step of their own."""
AUTO = {
    name: "native"
    if name in NATIVE
    else "scan"
    if issubclass(kind, LinearCell) and name not in STEPPED
    else "reference"
    for name, kind in ALL_CELLS.items()
}
"""The path of each cell where nothing is compiled."""


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("name", "backend"), fast_pairs())
def test_unroll_agrees_with_the_plain_loop(name, backend, size, dtype, ragged, reverse, problem):
    time, *sizes = size
    if backend != "scan":  # a scan cuts the steps into blocks; elsewhere only even and odd numbers of steps differ
        time = min(time, 14 + time % 2)
    case = problem(name, (time, *sizes), dtype=dtype, ragged=ragged, reverse=reverse)
    with record_dispatch() as dispatch:
        actual = case.outputs_and_gradients(backend=backend)
    assert dispatch.backend == backend, dispatch.reason
    assert_agrees_with_the_plain_loop(case, actual)  # output, state.h, grad/inputs, grad/state.h, grad/weight_hh, ...


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("name", "backend"), fast_pairs())
def test_unroll_agrees_with_the_plain_loop_on_a_gpu(name, backend, size, dtype, ragged, reverse, problem):
    case = problem(name, size, dtype=dtype, ragged=ragged, reverse=reverse, device="cuda")
    expected = case.outputs_and_gradients(backend="reference")
    exact = torch.backends.cudnn.flags(allow_tf32=False)  # 10 bits would hide behind no tolerance for 24
    with exact, record_dispatch() as dispatch:
        actual = case.outputs_and_gradients(backend=backend)
    assert dispatch.backend == backend, dispatch.reason
    for key in expected:
        assert_close(actual[key], expected[key], **TOLERANCE[dtype], msg=lambda text, key=key: f"{key}: {text}")


def auto_path(cell: Cell[Any], inputs: torch.Tensor, lengths: torch.Tensor | None = None) -> str:
    """What `auto` takes, without the report of `explain`."""
    return choose(check_request(cell, inputs, None, lengths, False, ()), "auto")[0].name


def _single(name: str) -> str:
    """The path of a single step."""
    return "scan" if AUTO[name] == "scan" else "reference"


@pytest.mark.parametrize("name", ALL_CELLS)
def test_auto_compiles_whatever_is_large_enough_to_train(name, problem):
    case = problem(name, LARGE)
    assert auto_path(case.cell, case.inputs, case.lengths) == "cpu"
    assert auto_path(case.cell, case.inputs[:1]) == _single(name), "a single step"
    with torch.autocast("cpu", dtype=torch.float16):
        assert auto_path(case.cell, case.inputs) == AUTO[name], "in a half precision that it does not know"


@pytest.mark.skipif(not has_bfloat16(), reason="this processor has no AVX512-BF16")
@pytest.mark.parametrize("name", ALL_CELLS)
@pytest.mark.parametrize("few", [1, 2])
@pytest.mark.parametrize("tiled", [False, True], ids=["vectors", "tiles"])
def test_in_bfloat16_auto_compiles_all_but_some_lstm(name, tiled, few, problem):
    target = AMX if tiled else replace(AVX512, bfloat16=True)
    case = problem(name, (8, 4, 4, 5))
    with use_target(target), threads(few), torch.autocast("cpu", dtype=torch.bfloat16):
        training = auto_path(case.cell, case.inputs)
        with torch.no_grad():
            inference = auto_path(case.cell, case.inputs)
    torchs = name in ("lstm", "own-renamed-lstm") and (few == 1 or not tiled)
    assert (training, inference) == ("cpu", AUTO[name] if torchs else "cpu")


@pytest.mark.parametrize(("dtype", "path"), [(torch.float32, "cpu"), (torch.float64, "native")], ids=str)
def test_on_one_thread_torchs_lstm_keeps_float64_without_gradients(dtype, path, problem):
    case = problem("lstm", LARGE, dtype=dtype)
    with threads(1):
        assert explain(case.cell, case.inputs).backend == "cpu"
    with torch.no_grad(), threads(1):
        assert explain(case.cell, case.inputs).backend == path
    with torch.no_grad(), threads(2):
        assert explain(case.cell, case.inputs).backend == "cpu"


@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize(
    ("name", "size", "path"),
    [
        ("lstm", LARGE, "cpu"),
        ("lstm", (64, 32, 100, 400), "cpu"),
        ("lstm", (10, 4, 20, 20), "cpu"),
        ("gru", LARGE, "cpu"),
        ("elman", (2, 4, 20, 30), "cpu"),
        ("elman", (1, 4, 20, 30), "reference"),
        ("mingru", (20, 4, 30, 30), "cpu"),
        ("mingru", (1, 4, 30, 30), "scan"),
        ("lstm", (1, 4, 20, 30), "reference"),
    ],
)
def test_auto_compiles_all_but_single_steps(name, size, path, training, problem):
    case = problem(name, size)
    with torch.set_grad_enabled(training):
        assert explain(case.cell, case.inputs, lengths=case.lengths).backend == path


@pytest.mark.parametrize("name", ALL_CELLS)
def test_auto_takes_the_expected_path(name, problem):
    case = problem(name, (1, 2, 4, 5))
    with record_dispatch() as dispatch:
        outputs, final = case.run("auto")
    assert dispatch.backend == _single(name)
    expected_outputs, expected = case.run("reference")
    assert_close(outputs, expected_outputs)
    assert_close(tuple(final), tuple(expected))


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_lengths_may_all_be_shorter_than_the_padded_batch(backend, problem):
    case = problem("lstm", (6, 3, 4, 5), ragged=False, dtype=torch.float64)
    with torch.no_grad():
        case.inputs[4:] = float("nan")
    lengths = torch.tensor([4, 2, 3])
    outputs, final = unroll(case.cell, case.inputs, case.state, lengths=lengths, backend=backend)
    expected, expected_final = unroll(case.cell, case.inputs[:4], case.state, lengths=lengths, backend="reference")
    assert_close(outputs[:4], expected, **TOLERANCE[torch.float64])
    assert torch.equal(outputs[4:], torch.zeros_like(outputs[4:]))
    assert_close(tuple(final), tuple(expected_final), **TOLERANCE[torch.float64])


@pytest.mark.parametrize(("name", "backend"), fast_pairs())
def test_fast_paths_give_no_gradient_where_none_is_wanted(name, backend, problem):
    case = problem(name, (5, 3, 4, 5))
    with torch.no_grad():
        outputs, final = case.run(backend)
    assert not outputs.requires_grad
    assert not any(part.requires_grad for part in final)
    assert_close(outputs, case.run("reference")[0].detach(), **TOLERANCE[torch.float32])
