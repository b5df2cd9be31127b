"""A traced cell in jax finds what the plain loop finds, outputs and gradients; without jax the reason is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cases import ALL_CELLS, make_cell
from unspool.cli import bench
from unspool.engine import rivals, unroll

CELLS = [
    "elman",
    "elman-relu",
    "lstm",
    "lstm-peephole",
    "lstm-layernorm",
    "gru",
    "gru-reset-before",
    "mingru",
    "mlstm",
    "ntm",
]


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_in_jax_agrees_with_the_plain_loop(name):
    pytest.importorskip("jax")
    cell = make_cell(ALL_CELLS[name], 5, 7).float()
    inputs = torch.randn(6, 3, 5, requires_grad=True)
    outputs = unroll(cell, inputs, backend="reference")[0]
    gradients = torch.autograd.grad(outputs.sum(), [inputs, *cell.parameters()], materialize_grads=True)
    rival = bench._jax_rival(cell, inputs)
    assert not isinstance(rival, str), rival
    for actual, right in zip(rival.results(), (outputs, *gradients), strict=True):
        torch.testing.assert_close(actual, right.detach(), rtol=1e-4, atol=1e-5)


def test_rivals_use_the_public_graph_of_the_compiler():
    folder = Path(rivals.__file__).parent
    modules = {
        line.split()[1]
        for file in folder.glob("*.py")
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.startswith("from unspool.engine")
    }
    assert modules == {"unspool.engine.compiler", "unspool.engine.compiler.ir"}


def test_jax_knows_every_operation_of_the_compiler():
    pytest.importorskip("jax")
    from unspool.engine.compiler import ir
    from unspool.engine.rivals import jax_scan

    assert jax_scan.POINTWISE.keys() | {"expand"} == ir.POINTWISE.keys()


def test_without_jax_the_reason_is_told(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    reason = bench._jax_rival(make_cell(ALL_CELLS["lstm"], 5, 7), torch.randn(6, 3, 5))
    assert reason == "it is not installed (pip install jax)"


def test_a_cell_that_the_compiler_does_not_take_has_no_rival_in_jax():
    pytest.importorskip("jax")

    class Sorting(ALL_CELLS["elman"]):
        def step(self, x, state, *context):
            output, new = super().step(x, state)
            return output.sort(-1).values, new

    reason = bench._jax_rival(Sorting(5, 7), torch.randn(6, 3, 5))
    assert isinstance(reason, str)
    assert "it runs what the compiler traced" in reason
