"""What runs before the loop without autograd: which cells it takes, and gradients of weights in pieces."""

from __future__ import annotations

import pytest
import torch

from cases import ALL_CELLS, assert_agrees, make_case
from odd_cells import ODD, PIECES
from unspool.engine.compiler.pipeline import lower_cell
from unspool.engine.cpu.launch import call

CASES = {**PIECES, "gru-reset-before": ALL_CELLS["gru-reset-before"], **ODD}


@pytest.fixture
def ways(monkeypatch):
    """What came before the loops that ran."""
    taken: list[str] = []
    for name in ("record_affine", "record_bare"):
        recorder = getattr(call, name)
        monkeypatch.setattr(
            call, name, lambda *given, name=name, recorder=recorder: (taken.append(name), recorder(*given))[1]
        )
    return taken


@pytest.mark.usefixtures("multiplier")
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize("name", CASES)
def test_both_ways_agree_with_the_plain_loop(name, ragged, ways):
    size = (5, 3, 9 if name in ODD else 5, 7)  # ODD as in test_backend.py, so that kernels are compiled once
    case = make_case(CASES[name], size, dtype=torch.float64, ragged=ragged)
    truth = case.outputs_and_gradients("reference")
    assert_agrees(case.outputs_and_gradients("cpu"), truth, torch.float64)
    assert ways == ["record_affine" if lower_cell(case.cell).plain is not None else "record_bare"]


@pytest.mark.parametrize("name", ["elman", "lstm", "gru", "gru-reset-before", "lstm-peephole", "lstm-layernorm"])
def test_the_built_in_cells_are_plain(name):
    assert lower_cell(make_case(name, (2, 2, 3, 4)).cell).plain is not None


def test_made_weights_are_not_plain():
    assert lower_cell(make_case(ODD["Loose"], (2, 2, 3, 4)).cell).plain is None


@pytest.mark.usefixtures("multiplier")
@pytest.mark.parametrize("frozen", ["w", "v", "b", "inputs", "state"])
def test_what_is_frozen_gets_no_gradient_and_the_others_theirs(frozen):
    case = make_case(PIECES["Pieces"], (5, 3, 4, 6), dtype=torch.float64)
    leaves = {"inputs": case.inputs, "state": case.state.h, "w": case.cell.w, "v": case.cell.v, "b": case.cell.b}
    leaves.pop(frozen).requires_grad_(False)
    expected, actual = (
        torch.autograd.grad(case.run(backend)[0].sum(), list(leaves.values())) for backend in ("reference", "cpu")
    )
    torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-11)


def test_a_weight_written_to_before_the_way_back_is_noticed():
    case = make_case("lstm", (5, 3, 4, 6), ragged=False)
    total = case.run("cpu")[0].sum()
    with torch.no_grad():
        case.cell.weight_ih.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()
