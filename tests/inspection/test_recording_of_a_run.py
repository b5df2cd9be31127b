"""A recording of a real run of the engine, ragged and backwards too, stands in token order."""

from __future__ import annotations

import numpy as np
import pytest

from cases import make_case
from unspool.cells import watch
from unspool.inspection import Recording


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_arrays_of_one_sequence_are_those_of_its_tokens(reverse):
    case = make_case("gru", (6, 4, 3, 5), reverse=reverse)
    recording = Recording()
    with watch(case.cell, recording):
        outputs, _ = case.run("auto")
    for column, length in enumerate(case.lengths.tolist()):
        arrays = recording.arrays("layer 1", column=column, length=length, reverse=reverse)
        assert list(arrays) == [f"layer 1 / {name}" for name in ("reset", "update", "candidate", "h")]
        np.testing.assert_array_equal(arrays["layer 1 / h"], outputs[:length, column].detach().numpy())
