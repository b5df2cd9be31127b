"""Steps drawn from the closed set of operations: compiled, they agree with the plain loop."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cases import assert_agrees, make_case, memory_of_nan
from drawn_steps import INSTRUCTIONS, Drawn

instructions = st.tuples(st.sampled_from(sorted(INSTRUCTIONS)), st.integers(0, 20), st.integers(0, 20))


problems = given(
    program=st.lists(instructions, min_size=1, max_size=12),
    size=st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 6), st.integers(1, 9)),
    ragged=st.booleans(),
    reverse=st.booleans(),
)

# A zero that is the gradient of a column left out, and stands in memory, beside the zeros of a clamp at a later level.
LEFT_OUT = (("add", 0, 2), ("slice", 3, 0), ("clamp", 4, 0), ("power", 0, 0))


def agree(program, size, ragged, reverse):
    kind = type("Drawn", (Drawn,), {"program": tuple(program)})
    case = make_case(kind, size, dtype=torch.float64, ragged=ragged, reverse=reverse)
    with memory_of_nan():
        found = case.outputs_and_gradients("cpu")
    assert_agrees(found, case.outputs_and_gradients("reference"), torch.float64)


@settings(max_examples=60, deadline=None, derandomize=True)
@example(program=LEFT_OUT, size=(1, 5, 3, 1), ragged=False, reverse=False)
@problems
def test_drawn_steps_agree_with_the_plain_loop(program, size, ragged, reverse):
    agree(program, size, ragged, reverse)


@pytest.mark.slow
@settings(max_examples=1500, deadline=None)
@problems
def test_many_drawn_steps_agree_with_the_plain_loop(program, size, ragged, reverse):
    agree(program, size, ragged, reverse)
