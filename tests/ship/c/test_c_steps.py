"""Cells as C: compiled without a warning, each agrees with the plain loop."""

from __future__ import annotations

import ctypes
from math import prod

import numpy as np
import pytest
import torch
from compilers import compilers, library

from cases import ALL_CELLS, Case, make_case
from drawn_steps import Drawn
from odd_cells import ODD, PIECES
from unspool.ship.c.fours import FOUR_TYPES, needed_fours
from unspool.ship.c.maths import PREAMBLE, needed
from unspool.ship.c.step import write_step
from unspool.ship.c.unroll import write_unroll
from unspool.ship.c.weights import Weights
from unspool.ship.small import rounded_sheet
from unspool.ship.step_graph import step_graph

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


def write_cell(name: str, cell: torch.nn.Module, weights: Weights, dense: str | None) -> tuple[str, set[str], set[str]]:
    """The C of a cell over time, and the operations that it uses; `dense` rounds its weights before."""
    graph = step_graph(cell)
    if dense:
        graph = rounded_sheet(graph, dense)
    step = write_step(name, graph.graph, graph.shapes, graph.matrices, graph.vectors, weights)
    return (
        step.text + "\n" + write_unroll(step, cell.input_size, graph.shapes, weights),
        set(step.operations),
        set(step.fours),
    )


def c_file(cells: dict[str, torch.nn.Module], small: str | None = None, dense: str | None = None) -> str:
    """One C file with all cells, and for each a function that a library exports."""
    weights, texts, operations, fours = Weights(small=small), [], set(), set()
    for name, cell in cells.items():
        text, used, by_fours = write_cell(name, cell, weights, dense)
        texts.append(text)
        operations |= used
        fours |= by_fours
    for name in cells:
        run = f"{name}_run(inputs, count, reverse, state, outputs, &memory)"
        texts.append(
            f"void {name}_test(const float *inputs, int count, int reverse, float *state, float *outputs);\n"
            f"void {name}_test(const float *inputs, int count, int reverse, float *state, float *outputs)\n"
            f"{{\n    struct {name}_run memory;\n    memset(&memory, 255, sizeof memory);\n    {run};\n}}\n"
        )
    return "\n".join(
        [
            PREAMBLE,
            FOUR_TYPES,
            *needed(operations),
            *needed_fours(fours),
            weights.functions(),
            weights.definitions(),
            *texts,
        ]
    )


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


@pytest.mark.parametrize("small", ["int8", "int4"])
@pytest.mark.parametrize("kind", ["lstm", "ntm", "own-pair"])
def test_small_weights_are_the_numbers_that_they_stand_for(kind, small, tmp_path):
    command = next(iter(compilers().values()), None) or pytest.skip("no C compiler on this machine")
    case = make_case(kind, (6, 3, 45, 37), seed=3)
    results = []
    for name, arguments in {"plain": {}, "small": {"small": small}, "dense": {"dense": small}}.items():
        source = tmp_path / f"{name}.c"
        source.write_text(c_file({"cell": case.cell}, **arguments))
        results.append(run_c(library(command, source), "cell", case))
    for plain, rounded, dense in zip(*results, strict=True):
        np.testing.assert_allclose(rounded, dense, rtol=1e-5, atol=2e-5)
        assert np.abs(rounded - plain).max() > 1e-4
