"""What holds for every cell on every path, without another path to compare with."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from cases import ALL_CELLS, TOLERANCE, Case, fast_pairs, make_case
from cases import ContextCell as CellWithContext
from unspool.engine import PATHS, unroll

PAIRS = [(name, "reference") for name in ALL_CELLS] + fast_pairs()
EXACT = TOLERANCE[torch.float64]
# Most cases have 4 inputs and 5 units, as one size of test_unroll_agreement: so their kernels are compiled once.


@pytest.mark.parametrize(("name", "backend"), PAIRS)
def test_gradients_are_those_of_finite_differences(name, backend, problem):
    case = problem(name, (3, 2, 3, 2), dtype=torch.float64)
    with torch.no_grad():
        case.inputs.nan_to_num_(0.5)

    def run(*leaves: Tensor) -> tuple[Tensor, ...]:  # the leaves are moved in place
        outputs, final = case.run(backend)
        return outputs, *final

    leaves = (case.inputs, *case.state, *case.cell.parameters())
    # of the plain loop, which is torch's own autograd, along random directions; elsewhere number by number
    assert torch.autograd.gradcheck(run, leaves, fast_mode=backend == "reference")


@pytest.mark.parametrize(("name", "backend"), PAIRS)
def test_two_halves_in_turn_equal_the_whole(name, backend, problem):
    case = problem(name, (11, 3, 4, 5), dtype=torch.float64, ragged=False)
    whole, final = case.run(backend)
    first, middle = unroll(case.cell, case.inputs[:4], case.state, backend=backend)
    second, end = unroll(case.cell, case.inputs[4:], middle, backend=backend)
    assert_close(torch.cat([first, second]), whole, **EXACT)
    assert_close(tuple(end), tuple(final), **EXACT)


@pytest.mark.parametrize(("name", "backend"), PAIRS)
def test_step_by_step_equals_unroll(name, backend, problem):
    case = problem(name, (7, 3, 4, 5), dtype=torch.float64, ragged=False)
    outputs, final = case.run(backend)
    state = case.state
    for t in range(7):
        output, state = case.cell.step(case.inputs[t], state)
        assert_close(output, outputs[t], **EXACT)
    assert_close(tuple(state), tuple(final), **EXACT)


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize(("name", "backend"), PAIRS)
def test_padding_changes_nothing(name, backend, reverse, problem):
    case = problem(name, (9, 4, 4, 5), dtype=torch.float64, reverse=reverse)  # NaN in the padding
    result = case.outputs_and_gradients(backend)
    assert all(value.isfinite().all() for value in result.values())
    padding = torch.arange(9)[:, None] >= case.lengths
    assert torch.count_nonzero(result["output"][padding]) == 0
    assert torch.count_nonzero(result["grad/inputs"][padding]) == 0
    for column, length in enumerate(case.lengths.tolist()):
        alone, final = unroll(
            case.cell,
            case.inputs[:length, column : column + 1],
            type(case.state)(*(part[column : column + 1] for part in case.state)),
            reverse=reverse,
            backend=backend,
        )
        assert_close(result["output"][:length, column], alone[:, 0], **EXACT)
        for key, value in final._asdict().items():
            assert_close(result[f"state.{key}"][column], value[0], **EXACT)


@pytest.mark.parametrize(("name", "backend"), PAIRS)
def test_permuting_the_batch_permutes_the_result(name, backend, problem):
    case = problem(name, (8, 5, 4, 5), dtype=torch.float64)
    order = torch.tensor([3, 0, 4, 1, 2])
    outputs, final = case.run(backend)
    permuted, permuted_final = unroll(
        case.cell,
        case.inputs[:, order],
        type(case.state)(*(part[order] for part in case.state)),
        lengths=case.lengths[order],
        backend=backend,
    )
    assert_close(permuted, outputs[:, order], **EXACT)
    assert_close(tuple(permuted_final), tuple(part[order] for part in final), **EXACT)


@pytest.mark.parametrize(("name", "backend"), PAIRS)
def test_reverse_reads_each_sequence_from_its_end(name, backend, problem):
    case = problem(name, (6, 3, 4, 5), dtype=torch.float64, reverse=True)
    outputs, final = case.run(backend)
    mirrored = case.inputs.detach().clone()
    for column, length in enumerate(case.lengths.tolist()):
        mirrored[:length, column] = mirrored[:length, column].flip(0)
    expected, expected_final = unroll(case.cell, mirrored, case.state, lengths=case.lengths, backend="reference")
    for column, length in enumerate(case.lengths.tolist()):
        assert_close(outputs[:length, column], expected[:length, column].flip(0), **EXACT)
    assert_close(tuple(final), tuple(expected_final), **EXACT)


@pytest.mark.parametrize("name", ALL_CELLS)
def test_a_missing_state_is_the_initial_state(name, problem):
    case = problem(name, (4, 3, 4, 5), dtype=torch.float64)
    outputs, final = unroll(case.cell, case.inputs, lengths=case.lengths)
    expected, expected_final = unroll(
        case.cell, case.inputs, case.cell.initial_state(3), lengths=case.lengths, backend="reference"
    )
    assert_close(outputs, expected, **EXACT)
    assert_close(tuple(final), tuple(expected_final), **EXACT)


def test_context_reaches_every_step(problem):
    case = problem(CellWithContext, (5, 3, 4, 6), dtype=torch.float64, ragged=False)
    context = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    outputs, final = unroll(case.cell, case.inputs, case.state, context=[context, 2 * context])
    expected, expected_final = unroll(case.cell, case.inputs + 3 * context, case.state)
    assert_close(outputs, expected, **EXACT)
    assert_close(tuple(final), tuple(expected_final), **EXACT)
    (gradient,) = torch.autograd.grad(outputs.sum(), context)
    (expected_gradient,) = torch.autograd.grad(expected.sum(), case.inputs)
    assert_close(gradient, 3 * expected_gradient.sum(0), **EXACT)


def test_the_caller_s_tensors_are_left_alone(problem):
    for name, backend in PAIRS:
        case: Case = problem(name, (5, 3, 4, 5))
        tensors = [case.inputs, case.lengths, *case.state, *case.cell.parameters()]
        before = [tensor.detach().clone() for tensor in tensors]
        case.outputs_and_gradients(backend)
        for tensor, copy in zip(tensors, before, strict=True):
            assert_close(tensor.detach(), copy, rtol=0, atol=0, equal_nan=True)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(sorted(ALL_CELLS)),
    time=st.integers(1, 40),
    batch=st.integers(1, 6),
    input_size=st.integers(1, 9),
    hidden_size=st.integers(1, 9),
    reverse=st.booleans(),
    ragged=st.booleans(),
)
def test_all_shapes_agree(name, time, batch, input_size, hidden_size, reverse, ragged):
    size = (time, batch, input_size, hidden_size)
    case = make_case(name, size, dtype=torch.float64, reverse=reverse, ragged=ragged)
    expected = case.outputs_and_gradients("reference")
    for backend in PATHS:
        if (name, backend) in PAIRS:
            actual = case.outputs_and_gradients(backend)
            for key in expected:
                assert_close(actual[key], expected[key], **EXACT, msg=lambda text, key=key: f"{key}: {text}")


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_the_plain_loop_splits_its_inputs_once(reverse, problem):
    """The gradient of one `inputs[t]` is as long as the sequence, so that time would grow as its square."""
    case = problem("lstm", (9, 3, 4, 5), dtype=torch.float64)
    outputs, _ = unroll(case.cell, case.inputs, case.state, lengths=case.lengths, reverse=reverse, backend="reference")
    seen, new = set(), {outputs.grad_fn}
    while new:
        seen |= new
        new = {parent for node in new for parent, _ in node.next_functions if parent is not None} - seen
    names = [node.name() for node in seen]
    assert names.count("UnbindBackward0") == 1
    assert "SelectBackward0" not in names
