"""Under bfloat16 autocast: every path stays near float32, and what is carried from step to step stays float32."""

from __future__ import annotations

import pytest
import torch

from cases import ALL_CELLS, fast_pairs
from unspool.cells import LayerNormLSTMCell

PAIRS = [(name, "reference") for name in ALL_CELLS] + fast_pairs()
# bfloat16 has 8 bits: a product rounds by 0.4%, and what a state remembers adds up to a few of those. As a root of mean
# squares, because layer normalisation may enlarge single values where a row hardly varies.
NEAR = 0.015


@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize(("name", "backend"), PAIRS)
def test_bfloat16_stays_near_float32(name, backend, ragged, problem):
    case = problem(name, (9, 4, 6, 17), ragged=ragged)
    if isinstance(case.cell, LayerNormLSTMCell):  # gains of 1 enlarge rounding from step to step
        torch.nn.init.constant_(case.cell.gain_hh, 0.3)
    expected, expected_final = case.run("reference")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs, final = case.run(backend)
    assert {key: part.dtype for key, part in final._asdict().items()} == dict.fromkeys(final._fields, torch.float32)
    for actual, right in zip((outputs.float(), *final), (expected, *expected_final), strict=True):
        assert (actual - right).square().mean().sqrt() < NEAR * max(1, right.abs().max())
