"""Call after call: what the last one left must not show in the next, and what has changed must."""

from __future__ import annotations

import itertools
import threading

import pytest
import torch
from torch import nn

from cases import assert_agrees, make_case
from unspool.engine import explain, unroll

pytestmark = pytest.mark.usefixtures("multiplier")

NAMES = ["lstm", "gru-reset-before", "lstm-layernorm", "own-pair"]
SIZE = (5, 3, 4, 9)


def agree(case) -> None:
    assert_agrees(case.outputs_and_gradients("cpu"), case.outputs_and_gradients("reference"), case.dtype)


@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize("name", NAMES)
def test_other_lengths_batches_and_directions_take_turns(name, ragged):
    sizes = [(5, 3, 4, 9), (6, 3, 4, 9), (5, 2, 4, 9), (10, 3, 4, 9)]
    cases = [
        make_case(name, size, dtype=torch.float64, ragged=ragged, reverse=reverse)
        for size, reverse in itertools.product(sizes, (False, True))
    ]
    for case in cases:
        case.cell = cases[0].cell
    for case in (*cases, *reversed(cases)):
        agree(case)


@pytest.mark.parametrize("name", NAMES)
def test_weights_that_were_written_to_exchanged_or_converted_are_seen(name):
    case = make_case(name, SIZE, dtype=torch.float64, ragged=False)
    agree(case)
    first = next(key for key, weight in case.cell.named_parameters() if weight.dim() == 2)
    weight = getattr(case.cell, first)
    with torch.no_grad():
        weight.mul_(0.5)
    agree(case)
    weight.data = weight.data.flip(0)
    agree(case)
    setattr(case.cell, first, nn.Parameter(weight.detach() * 0.7))
    agree(case)
    getattr(case.cell, first).data.numpy()[:] *= 0.5  # nobody counts this
    agree(case)
    turned = getattr(case.cell, first)
    turned.data = turned.data.t().contiguous().t()  # the same numbers, column by column
    agree(case)
    case.cell.float()
    with torch.no_grad():
        inputs, state = case.inputs.float(), type(case.state)(*(part.float() for part in case.state))
        expected, actual = (unroll(case.cell, inputs, state, backend=name)[0] for name in ("reference", "cpu"))
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("name", NAMES)
def test_what_wants_a_gradient_may_change_from_call_to_call(name):
    case = make_case(name, SIZE, dtype=torch.float64, ragged=False)
    leaves = [case.inputs, *case.state, *case.cell.parameters()]
    for frozen in (*leaves, None):
        wanted = [leaf for leaf in leaves if leaf is not frozen]
        for leaf in leaves:
            leaf.requires_grad_(leaf is not frozen)
        expected, actual = (
            torch.autograd.grad([outputs, *final], wanted, case.cotangents, allow_unused=True)
            for outputs, final in (case.run("reference"), case.run("cpu"))
        )
        torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_any_of_the_results_may_be_left_out(name):
    case = make_case(name, SIZE, dtype=torch.float64)
    for chosen in itertools.product([False, True], repeat=1 + len(case.state)):
        picked = list(itertools.compress(range(len(chosen)), chosen))
        if picked:
            found = []
            for backend in ("reference", "cpu"):
                outputs, final = case.run(backend)
                parts = (outputs, *final)
                found.append(
                    torch.autograd.grad(
                        [parts[n] for n in picked],
                        [case.inputs, *case.state, *case.cell.parameters()],
                        [case.cotangents[n] for n in picked],
                        materialize_grads=True,
                        allow_unused=True,
                    )
                )
            torch.testing.assert_close(found[1], found[0], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_calls_before_the_way_back_do_not_touch_what_it_reads(name):
    case = make_case(name, SIZE, dtype=torch.float64, ragged=False)
    other = make_case(name, SIZE, dtype=torch.float64, ragged=False, seed=1)
    other.cell = case.cell
    leaves = [case.inputs, *case.cell.parameters()]
    outputs, final = case.run("cpu")
    before = outputs.detach().clone(), [part.detach().clone() for part in final]
    later, _ = other.run("cpu")
    with torch.no_grad():
        other.run("cpu")
    torch.testing.assert_close((outputs, list(final)), before, rtol=0, atol=0)
    total = (outputs * case.cotangents[0]).sum() + (outputs * outputs).sum()  # used twice
    first = torch.autograd.grad(total, leaves, retain_graph=True)
    kept = [part.clone() for part in first]
    torch.autograd.grad(later.sum(), case.cell.parameters())
    again = torch.autograd.grad(total, leaves)
    plain, _ = case.run("reference")
    right = torch.autograd.grad((plain * case.cotangents[0]).sum() + (plain * plain).sum(), leaves)
    for found in (first, kept, again):
        torch.testing.assert_close(tuple(found), right, rtol=1e-11, atol=1e-11)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(total, leaves)


def test_gradients_add_up_over_calls():
    case = make_case("lstm", SIZE, dtype=torch.float64, ragged=False)
    for backend in ("reference", "cpu"):
        case.cell.zero_grad()
        for count in (1, 2, 3):
            (count * case.run(backend)[0]).sum().backward()
        found = [weight.grad for weight in case.cell.parameters()]
        if backend == "reference":
            expected = found
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


def test_inputs_and_gradients_with_gaps_are_taken():
    case = make_case("lstm", SIZE, dtype=torch.float64, ragged=False)
    wide = torch.randn(5, 3, 8, dtype=torch.float64)
    results = []
    for backend in ("reference", "cpu"):
        inputs = wide.clone().requires_grad_()
        outputs, _ = unroll(case.cell, inputs[:, :, ::2], case.state, backend=backend)
        results.append(torch.autograd.grad(outputs.sum(), [inputs, case.cell.weight_ih]))  # ones without memory
    torch.testing.assert_close(results[1], results[0], rtol=1e-11, atol=1e-11)


def test_what_is_kept_for_the_way_back_goes_through_hooks():
    case = make_case("gru-reset-before", SIZE, dtype=torch.float64, ragged=False)
    expected = case.outputs_and_gradients("reference")
    packed = []
    with torch.autograd.graph.saved_tensors_hooks(lambda part: (packed.append(part), part.clone())[1], torch.clone):
        assert_agrees(case.outputs_and_gradients("cpu"), expected, torch.float64)
    assert packed


def test_two_threads_may_call_the_same_cell():
    cases = [make_case("lstm", (5, 3, 4, 9), dtype=torch.float64, ragged=False) for _ in range(2)]
    cases[1] = make_case("lstm", (9, 2, 4, 9), dtype=torch.float64, ragged=False)
    cases[1].cell = cases[0].cell
    right = [case.outputs_and_gradients("reference") for case in cases]
    wrong: list[BaseException] = []

    def many(case, expected) -> None:
        try:
            for _ in range(100):
                assert_agrees(case.outputs_and_gradients("cpu"), expected, torch.float64)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=many, args=pair) for pair in zip(cases, right, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[0]


def test_the_number_of_threads_may_change_between_calls():
    case = make_case("gru-reset-before", (12, 20, 60, 64), dtype=torch.float64, ragged=False)
    expected, before = case.outputs_and_gradients("reference"), torch.get_num_threads()
    try:
        for count in (1, 3, 2, 1):
            torch.set_num_threads(count)
            assert_agrees(case.outputs_and_gradients("cpu"), expected, torch.float64)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("outer", [lambda outputs: outputs.sum(), lambda outputs: outputs.square().sum()])
def test_gradients_of_gradients_are_refused_and_not_taken_for_zero(outer):
    case = make_case("lstm", SIZE, dtype=torch.float64, ragged=False)
    (gradient,) = torch.autograd.grad(outer(case.run("cpu")[0]), case.inputs, create_graph=True)
    with pytest.raises(RuntimeError, match="backend='reference'"):
        gradient.square().sum().backward()


@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
def test_another_default_device_changes_nothing(ragged):
    case = make_case("lstm", (7, 3, 4, 11), dtype=torch.float64, ragged=ragged)
    expected = case.outputs_and_gradients("reference")
    with torch.device("meta"):
        actual = case.outputs_and_gradients("cpu")
    assert_agrees(actual, expected, torch.float64)


def test_inputs_without_numbers_are_left_to_the_plain_loop():
    cell = make_case("lstm", (2, 2, 0, 5), dtype=torch.float64).cell
    assert "no numbers" in explain(cell, time=4, batch=3).reason


def test_lengths_elsewhere_are_not_looked_at():
    cell = make_case("lstm", (2, 2, 3, 5), dtype=torch.float64).cell
    lengths = torch.ones(3, dtype=torch.long, device="meta")
    assert "these are on meta" in explain(cell, time=4, batch=3, lengths=lengths).reason
