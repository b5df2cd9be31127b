"""Heads of a Neural Turing Machine against values worked out by hand, and where a naive formula would divide 0 by 0."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torch.testing import assert_close

from cases import make_case
from unspool.cells import CELLS, FeedForwardNTMCell, NTMCell
from unspool.cells.addressing import add, address_by_content, erase, interpolate, read, sharpen, shift
from unspool.errors import SettingError

MEMORY = torch.tensor([[[3.0, 4.0], [0.0, 2.0], [-1.0, 0.0]]], dtype=torch.float64)  # (batch 1, slots 3, width 2)
WEIGHTS = torch.tensor([[[0.5, 0.3, 0.2], [0.0, 0.0, 1.0]]], dtype=torch.float64)  # (1, heads 2, 3)
NEAR = {"rtol": 1e-7, "atol": 1e-7}


def column(*values: float) -> torch.Tensor:
    """One number for each head, (1, heads, 1)."""
    return torch.tensor(values, dtype=torch.float64).view(1, -1, 1)


def test_content_weighs_slots_by_the_cosine():
    key = torch.tensor([[[10.0, 0.0], [0.0, -0.5]]]).double()  # their lengths must not matter
    weights = address_by_content(MEMORY, key, column(2, math.log(3)))
    first = [math.exp(2 * 0.6), 1, math.exp(-2)]  # cosines 3/5, 0, -1
    second = [3**-0.8, 1 / 3, 1]  # cosines -4/5, -1, 0
    expected = torch.tensor([[[value / sum(row) for value in row] for row in (first, second)]]).double()
    assert_close(weights, expected, **NEAR)


def test_a_strong_key_finds_its_slot_alone_and_reads_its_value():
    weights = address_by_content(MEMORY, torch.tensor([[[0.03, 0.04]]]).double(), column(1000))
    assert_close(weights, torch.tensor([[[1.0, 0.0, 0.0]]]).double(), **NEAR)
    assert_close(read(MEMORY, weights), torch.tensor([[[3.0, 4.0]]]).double(), rtol=0, atol=1e-5)


def test_the_gate_mixes_content_and_past():
    before = torch.tensor([[[0.0, 1.0, 0.0], [0.5, 0.0, 0.5]]]).double()
    mixed = interpolate(WEIGHTS, before, column(0.25, 1))
    assert_close(mixed, torch.tensor([[[0.125, 0.825, 0.05], [0.0, 0.0, 1.0]]]).double(), **NEAR)


def test_shifting_goes_round():
    shifts = torch.tensor([[[0.1, 0.2, 0.7], [1.0, 0.0, 0.0]]]).double()  # back, stay, on
    # slot 0 takes 0.2 of itself, 0.7 of the last slot and 0.1 of slot 1
    first = [0.2 * 0.5 + 0.7 * 0.2 + 0.1 * 0.3, 0.2 * 0.3 + 0.7 * 0.5 + 0.1 * 0.2, 0.2 * 0.2 + 0.7 * 0.3 + 0.1 * 0.5]
    assert_close(shift(WEIGHTS, shifts), torch.tensor([[first, [0.0, 1.0, 0.0]]]).double(), **NEAR)


def test_shifting_reaches_further_and_nowhere():
    far = torch.tensor([[[0.0, 0.0, 0.0, 0.0, 1.0]]]).double()
    five = torch.tensor([[[0.1, 0.2, 0.3, 0.4, 0.0]]]).double()
    assert_close(shift(five, far), five.roll(2, -1), **NEAR)
    assert_close(shift(five, torch.ones(1, 1, 1).double()), five, **NEAR)
    assert_close(shift(WEIGHTS, far.expand(1, 2, 5)), WEIGHTS.roll(2, -1), **NEAR)


def test_sharpening_raises_to_a_power_and_normalises():
    sharp = sharpen(WEIGHTS, column(2, 7))
    assert_close(sharp, torch.tensor([[[25 / 38, 9 / 38, 4 / 38], [0.0, 0.0, 1.0]]]).double(), **NEAR)


def test_writing_erases_then_adds():
    erased = torch.tensor([[[1.0, 0.5], [0.0, 0.25]]]).double()
    kept = erase(MEMORY, WEIGHTS, erased)
    expected = torch.tensor([[[1.5, 4 * 0.75], [0.0, 2 * 0.85], [-0.8, 0.0]]]).double()
    expected[0, 2, 1] = 0 * 0.9 * 0.75
    assert_close(kept, expected, **NEAR)
    both = torch.tensor([[[0.0, 2.0, 0.0], [0.0, 1.0, 0.0]]]).double() / torch.tensor([2.0, 1.0]).view(1, 2, 1)
    twice = erase(MEMORY, both, erased)  # both heads at slot 1: the rests multiply
    assert_close(twice[0, 1], torch.tensor([0.0, 2 * 0.5 * 0.75]).double(), **NEAR)
    added = add(MEMORY, WEIGHTS, torch.tensor([[[10.0, 0.0], [0.0, 1.0]]]).double())
    assert_close(added, MEMORY + torch.tensor([[[5.0, 0.0], [3.0, 0.0], [2.0, 1.0]]]).double(), **NEAR)


def test_reading_is_a_weighted_mean():
    expected = torch.tensor([[[1.5 - 0.2, 2 + 0.6], [-1.0, 0.0]]]).double()
    assert_close(read(MEMORY, WEIGHTS), expected, **NEAR)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_key_of_zeros_and_a_blank_memory_give_no_nan(dtype):
    memory, key = torch.zeros(1, 4, 3, dtype=dtype), torch.zeros(1, 1, 3, dtype=dtype)
    leaves = [memory.requires_grad_(), key.requires_grad_()]
    weights = address_by_content(memory, key, torch.full((1, 1, 1), 1e4, dtype=dtype))
    assert_close(weights, torch.full((1, 1, 4), 0.25, dtype=dtype))
    for gradient in torch.autograd.grad(weights[..., 0].sum(), leaves):
        assert gradient.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("exponent", [1.0, 50.0, 1e4])
def test_sharpening_survives_saturation(exponent, dtype):
    """As `w ** γ / sum(w ** γ)`, all of these rows but the first would underflow to 0 / 0."""
    rows = [[0.0, 1.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25], [1e-3, 1e-3, 1e-3, 1e-3], [0.0, 0.0, 0.0, 0.0]]
    weights = torch.tensor([rows], dtype=dtype, requires_grad=True)
    power = torch.full((1, 4, 1), exponent, dtype=dtype, requires_grad=True)
    sharp = sharpen(weights, power)
    assert_close(sharp.sum(-1), torch.ones(1, 4, dtype=dtype))
    assert_close(sharp[0, 0], weights[0, 0])
    gradients = torch.autograd.grad(sharp[..., 1].sum(), [weights, power])
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("name", ["ntm", "ntm-feedforward"])
def test_weightings_stay_weightings_through_many_steps(name):
    case = make_case(name, (200, 2, 3, 4), ragged=False)
    with torch.no_grad():
        for key, weight in case.cell.named_parameters():
            if "heads" in key:
                weight.mul_(20)  # gates, shifts and exponents far in saturation
    from_start = case.cell.initial_state(2)
    case.state = from_start
    outputs, final = case.run("reference")
    for weights in (final.read_weights, final.write_weights):
        assert bool((weights >= 0).all())
        assert_close(weights.sum(-1), torch.ones(weights.shape[:2]))
    gradients = torch.autograd.grad(outputs.square().sum(), [case.inputs, *case.cell.parameters()])
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("kind", [NTMCell, FeedForwardNTMCell])
def test_a_machine_begins_at_the_first_slot_of_a_blank_memory(kind):
    cell = kind(3, 16, slots=6, width=4, read_heads=2, write_heads=3)
    state = cell.initial_state(5)
    assert state.memory.shape == (5, 6, 4)
    assert state.memory.unique().tolist() == [pytest.approx(1e-6)]
    for weights, heads in ((state.read_weights, 2), (state.write_weights, 3)):
        assert torch.equal(weights, torch.tensor([1.0, 0, 0, 0, 0, 0]).expand(5, heads, 6))
    assert torch.equal(state.reads, torch.zeros(5, 2, 4))
    for key, weight in cell.named_parameters():
        if not key.startswith("controller"):
            assert 0.2 < weight.abs().max() <= 0.25, key  # 1 / √16


def test_the_sizes_are_those_of_the_paper_unless_said_otherwise():
    cell = CELLS["ntm"](8, 100)
    assert (cell.slots, cell.width, cell.read_heads, cell.write_heads) == (128, 20, 1, 1)
    assert "slots=128, width=20, read_heads=1, write_heads=1" in repr(cell)
    with pytest.raises(
        SettingError, match=re.escape("slots = 3, width = 20, read_heads = 1, write_heads = 1, reach = ")
    ):
        NTMCell(2, 3, slots=3, reach=4)
    with pytest.raises(SettingError, match="expected at least 1 of each"):
        NTMCell(2, 3, write_heads=0)
