import json
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from unspool import Recurrent
from unspool.cells import LSTMCell
from unspool.layers import Dropout
from unspool.models.loss import Loss
from unspool.randomness import dropout, generator_on
from unspool.training.random_state import RandomState, runs_other_code, seeded

CPU = torch.device("cpu")


def state_of(number: int, *, rank: int = 0, lends: bool = True) -> RandomState:
    state = RandomState(CPU, lends=lends)
    state.seed(number, rank=rank)
    return state


def draw(state: RandomState) -> list[float]:
    with state.used():
        python = [random.random(), random.gauss(0, 1)]
        return [*python, *np.random.randn(3), *torch.rand(3).tolist(), *torch.randn(1).tolist()]


def global_states() -> list[object]:
    name, keys, *rest = np.random.get_state()
    return [random.getstate(), name, keys.tolist(), *rest, torch.get_rng_state().tolist()]


def test_what_is_restored_draws_the_same_numbers():
    state = state_of(3)
    draw(state)  # gauss and randn keep every second number back
    tensors, record = state.capture()
    expected = draw(state)
    draw(state)
    state.restore(tensors, json.loads(json.dumps(record)))
    assert draw(state) == expected
    other = state_of(4)
    other.restore(tensors, json.loads(json.dumps(record)))
    assert draw(other) == expected


def test_seeds_and_ranks_draw_different_numbers():
    draws = [draw(state_of(number, rank=rank)) for number, rank in [(0, 0), (1, 0), (0, 1), (1, 1), (2**60, 0)]]
    for column in zip(*draws, strict=True):
        assert len(set(column)) == len(draws)
    assert draw(state_of(0)) == draws[0]


def test_unchanged_leaves_no_trace():
    expected = draw(state_of(3))
    state = state_of(3)
    with state.unchanged():
        draw(state)
    assert draw(state) == expected


def fail_while_drawing(state: RandomState) -> None:
    with state.used():
        dropout(torch.ones(5), 0.5)
        if state.lends:
            torch.rand(3), np.random.rand(3), random.random()
        raise RuntimeError("in the middle")


@pytest.mark.parametrize("lends", [True, False])
def test_global_generators_are_as_before(lends):
    before = global_states()
    state = state_of(3, lends=lends)
    with pytest.raises(RuntimeError, match="in the middle"):
        fail_while_drawing(state)
    assert global_states() == before
    assert generator_on(CPU) is None
    with seeded(7):
        inside = torch.rand(3), random.random()
    assert global_states() == before
    torch.manual_seed(7)
    random.seed(7)
    assert torch.equal(torch.rand(3), inside[0])
    assert random.random() == inside[1]


def test_layers_draw_the_same_numbers_from_a_lent_state_and_from_one_that_is_not():
    inputs = torch.randn(40, 33)
    own, lent = state_of(3, lends=False), state_of(3)
    for state in (own, lent):
        with state.used():
            state.results = [dropout(inputs, 0.3), Dropout(0.4)(inputs), dropout(inputs.bfloat16(), 0.1)]
    for one, other in zip(own.results, lent.results, strict=True):
        assert torch.equal(one, other)
    (one, _), (other, _) = own.capture(), lent.capture()
    assert all(torch.equal(one[name], other[name]) for name in one)
    with lent.used():
        after = F.dropout(inputs, 0.3)
    with own.used():
        assert torch.equal(dropout(inputs, 0.3), after)
        assert torch.equal(dropout(inputs, 0.0), inputs)


class Foreign(nn.Module):
    def loss(self, batch: object, carry: None = None) -> Loss:
        raise NotImplementedError


def test_code_that_is_not_ours_is_seen():
    assert not runs_other_code(nn.Sequential(Recurrent(LSTMCell, 3, 4), nn.Linear(4, 2), Dropout(0.3)), None)
    assert runs_other_code(nn.Sequential(nn.Linear(4, 2), nn.Dropout(0.3)))
    assert runs_other_code(nn.ModuleList([Foreign()]))
    assert runs_other_code(nn.Linear(2, 2), None, lambda model: {"score": 1.0})
    assert runs_other_code(nn.Linear(2, 2), Foreign())
