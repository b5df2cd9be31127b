"""Cells as C: compiled without a warning, each agrees with the plain loop."""

from __future__ import annotations

import ctypes
from math import prod

import numpy as np
import pytest
import torch
from compilers import compilers, library
from drawn_steps import Drawn
from odd_cells import ODD, PIECES

from cases import ALL_CELLS, Case, make_case
from unspool.engine.compiler.frontend.cell_fingerprint import weights as weights_of
from unspool.engine.compiler.pipeline import lower_cell
from unspool.ship.c.maths import PREAMBLE, needed
from unspool.ship.c.step import write_step
from unspool.ship.c.unroll import write_unroll
from unspool.ship.c.weights import Weights
from unspool.ship.small import round_to_int8

PROGRAMS = [
    [("linear", 0, 2), ("gate", 3, 1), ("norm", 4, 0), ("cat", 5, 2), ("softmax", 6, 0)],
    [("block", 1, 2), ("roll", 3, 0), ("columns", 4, 2), ("largest", 5, 0), ("where", 4, 1)],
    [("focus", 0, 1), ("power", 3, 0), ("log", 4, 0), ("soft", 5, 0), ("quotient", 6, 2), ("mean", 7, 0)],
    [("folded", 1, 0), ("slice", 3, 0), ("halves", 4, 0), ("vector", 5, 0), ("clamp", 6, 0), ("smaller", 7, 1)],
]
DRAWN = {f"drawn{n}": type(f"Drawn{n}", (Drawn,), {"program": tuple(p)}) for n, p in enumerate(PROGRAMS)}
KINDS = {**{name: name for name in ALL_CELLS}, **ODD, **PIECES, **DRAWN}
SIZE = (9, 5, 7)  # time, input, hidden
TALL = (9, 6, 67)  # columns in panels of 32 and 4


def write_cell(name: str, cell: torch.nn.Module, weights: Weights, rounded: str) -> tuple[str, set[str]]:
    """The C of a cell over time, and the operations that it uses; `rounded` may be `int8`, or `dense` for the same."""
    graphs = lower_cell(cell)
    with torch.no_grad():
        matrices, vectors = graphs.tape.replay(weights_of(cell))
    arrays = [part.detach().contiguous().numpy() for part in matrices]
    if rounded:
        small = [round_to_int8(np.ascontiguousarray(part.T)) for part in arrays]
        arrays = small if rounded == "int8" else [np.ascontiguousarray(part.dense().T) for part in small]
    step = write_step(
        name, graphs.whole, graphs.shapes, arrays, [part.detach().contiguous().numpy() for part in vectors], weights
    )
    return step.text + "\n" + write_unroll(step, cell.input_size, graphs.shapes, weights), set(step.operations)


def c_file(cells: dict[str, torch.nn.Module], rounded: str = "") -> str:
    """One C file with all cells, and for each a function that a library exports."""
    weights, texts, operations = Weights(), [], set()
    for name, cell in cells.items():
        text, used = write_cell(name, cell, weights, rounded)
        texts.append(text)
        operations |= used
    for name in cells:
        run = f"{name}_run(inputs, count, reverse, state, outputs, &memory)"
        texts.append(
            f"void {name}_test(const float *inputs, int count, int reverse, float *state, float *outputs);\n"
            f"void {name}_test(const float *inputs, int count, int reverse, float *state, float *outputs)\n"
            f"{{\n    struct {name}_run memory;\n    memset(&memory, 255, sizeof memory);\n    {run};\n}}\n"
        )
    return "\n".join([PREAMBLE, *needed(operations), weights.functions(), weights.definitions(), *texts])


def run_c(lib: ctypes.CDLL, name: str, case: Case) -> list[np.ndarray]:
    """Outputs and final states of a batch of ragged sequences, one after the other; NaN would show unwritten memory."""
    time, batch, _ = case.inputs.shape
    lengths = [time] * batch if case.lengths is None else case.lengths.tolist()
    outputs = np.zeros((time, batch, case.cell.hidden_size), np.float32)
    finals = [np.zeros((batch, *part.shape[1:]), np.float32) for part in case.state]
    for row, length in enumerate(lengths):
        inputs = np.ascontiguousarray(case.inputs.detach().numpy()[:length, row])
        state = np.concatenate([part.detach().numpy()[row].ravel() for part in case.state])
        result = np.full((length, case.cell.hidden_size), np.nan, np.float32)
        places = [ctypes.c_void_p(array.ctypes.data) for array in (inputs, state, result)]
        getattr(lib, f"{name}_test")(places[0], length, int(case.reverse), places[1], places[2])
        outputs[:length, row] = result
        start = 0
        for final in finals:
            width = prod(final.shape[1:])
            final[row] = state[start : start + width].reshape(final.shape[1:])
            start += width
    return [outputs, *finals]


def expected(case: Case) -> list[np.ndarray]:
    with torch.no_grad():
        outputs, final = case.double().run("reference")
    return [part.detach().numpy() for part in (outputs, *final)]


def cases(batch: int, *, reverse: bool) -> dict[str, Case]:
    found = {}
    for number, (name, kind) in enumerate(KINDS.items()):
        time, inputs, hidden = TALL if number % 3 == 0 else SIZE
        case = make_case(kind, (time, batch, inputs, hidden), reverse=reverse, seed=7)
        found["".join(letter if letter.isalnum() else "_" for letter in name)] = case
    return found


@pytest.fixture(scope="module", params=["gcc", "clang"])
def lib(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """All cells in one file, compiled once."""
    command = compilers().get(request.param)
    if command is None:
        pytest.skip(f"no {request.param} on this machine")
    source = tmp_path_factory.mktemp("cells") / "cells.c"
    source.write_text(c_file({name: case.cell for name, case in cases(1, reverse=False).items()}))
    return library(command, source, "-O1")


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("batch", [1, 7])
def test_cells_in_c_agree_with_the_plain_loop(lib, batch, reverse):
    for name, case in cases(batch, reverse=reverse).items():
        for actual, truth in zip(run_c(lib, name, case), expected(case), strict=True):
            np.testing.assert_allclose(actual, truth, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("kind", ["lstm", "ntm", "own-pair"])
def test_weights_of_8_bits_are_those_that_they_stand_for(kind, tmp_path):
    command = next(iter(compilers().values()), None) or pytest.skip("no C compiler on this machine")
    case = make_case(kind, (6, 3, 5, 37), seed=3)
    results = []
    for rounded in ("", "int8", "dense"):
        source = tmp_path / f"cell{rounded}.c"
        source.write_text(c_file({"cell": case.cell}, rounded))
        results.append(run_c(library(command, source), "cell", case))
    for plain, small, dense in zip(*results, strict=True):
        np.testing.assert_allclose(small, dense, rtol=1e-5, atol=1e-5)
        assert np.abs(small - plain).max() > 1e-4
