"""Under bfloat16 autocast: every path stays near float32, and what is carried from step to step stays float32."""

from __future__ import annotations

import pytest
import torch
from cases import ALL_CELLS, TOLERANCE, fast_pairs
from torch.testing import assert_close

PAIRS = [(name, "reference") for name in ALL_CELLS] + fast_pairs()


@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize(("name", "backend"), PAIRS)
def test_bfloat16_stays_near_float32(name, backend, ragged, problem):
    case = problem(name, (20, 4, 6, 9), ragged=ragged)
    expected, expected_final = case.run("reference")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs, final = case.run(backend)
    assert {key: part.dtype for key, part in final._asdict().items()} == dict.fromkeys(final._fields, torch.float32)
    assert_close(outputs.float(), expected, **TOLERANCE[torch.bfloat16])
    assert_close(tuple(final), tuple(expected_final), **TOLERANCE[torch.bfloat16])
