"""Rows of nested states, and what need not be copied."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from unspool.decoding import select
from unspool.decoding.states import CarriedState


class Inner(NamedTuple):
    c: Tensor
    nothing: None


class Outer(NamedTuple):
    layers: tuple[tuple[Inner, ...], ...]
    cache: Tensor
    attention: Tensor | None


def test_rows_are_taken_of_every_tensor_and_the_tuples_stay_what_they_are():
    state = Outer(
        ((Inner(torch.randn(3, 2), None),), (Inner(torch.randn(3, 5), None), Inner(torch.randn(3), None))),
        torch.randn(3, 2, 4, 6),
        None,
    )
    index = torch.tensor([2, 0, 0, 2])
    taken = select(state, index)
    assert isinstance(taken, Outer)
    assert isinstance(taken.layers[1][1], Inner)
    assert type(taken.layers) is tuple
    assert taken.attention is None
    assert taken.layers[0][0].nothing is None
    assert torch.equal(taken.cache, state.cache[index])
    for layer, layer_taken in zip(state.layers, taken.layers, strict=True):
        for cell, cell_taken in zip(layer, layer_taken, strict=True):
            assert torch.equal(cell_taken.c, cell.c[index])
    assert select(None, index) is None
    assert torch.equal(select(state.cache, index), state.cache[index])


class Reads:
    """Reads a memory, changes a hidden state, and writes into a cache that it made in the second step."""

    def __init__(self, *, writes: bool = False) -> None:
        self.writes = writes

    def advance(self, ids: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        memory, hidden, cache = state
        if self.writes:
            cache[:, 0] += ids
        return torch.zeros(len(ids), 3), (memory, hidden + ids[:, None], cache)


def carried() -> CarriedState:
    state = (torch.randn(2, 4), torch.randn(2, 4), torch.randn(2, 4))
    return CarriedState(state)


def test_what_is_only_read_is_left_in_place_while_places_keep_their_sequences():
    kept = carried()
    memory, _, cache = kept.state
    kept.advance(Reads(), torch.tensor([0, 1]), alone=True)
    kept.select(torch.tensor([0, 0, 1, 1]))
    kept.advance(Reads(), torch.tensor([5, 6, 7, 8]), alone=False)
    before = kept.state
    index = torch.tensor([1, 0, 3, 3])
    kept.select(index, same_sequences=True)
    assert kept.state[0] is before[0]
    assert kept.state[2] is before[2]
    assert torch.equal(kept.state[1], before[1][index])
    kept.select(torch.tensor([2, 0]))
    assert torch.equal(kept.state[0], memory[[1, 0]])
    assert torch.equal(kept.state[2], cache[[1, 0]])


def test_what_is_written_to_in_place_is_followed():
    kept = carried()
    kept.select(torch.tensor([0, 0, 1, 1]))
    kept.advance(Reads(writes=True), torch.tensor([5, 6, 7, 8]), alone=False)
    kept.advance(Reads(), torch.tensor([0, 0, 0, 0]), alone=False)  # not written to now, yet no longer shared
    before = kept.state
    index = torch.tensor([1, 1, 3, 2])
    kept.select(index, same_sequences=True)
    assert kept.state[0] is before[0]
    assert torch.equal(kept.state[2], before[2][index])


def test_rows_alone_in_their_sequence_share_whatever_they_hold():
    kept = carried()
    kept.select(torch.tensor([0, 0, 1, 1]))
    kept.advance(Reads(writes=True), torch.tensor([5, 6, 7, 8]), alone=False)
    kept.select(torch.tensor([1, 2]))
    kept.advance(Reads(writes=True), torch.tensor([1, 2]), alone=True)
    cache = kept.state[2]
    kept.select(torch.tensor([0, 1]), same_sequences=True)
    assert kept.state[2] is cache


def test_tensors_made_for_inference_are_never_taken_for_unchanged():
    with torch.inference_mode():
        state = (torch.randn(2, 4), torch.randn(2, 4), torch.randn(2, 4))
        kept = CarriedState(state)
        kept.select(torch.tensor([0, 0, 1, 1]))
        kept.advance(Reads(writes=True), torch.tensor([5, 6, 7, 8]), alone=False)
        before = kept.state
        index = torch.tensor([1, 0, 3, 2])
        kept.select(index, same_sequences=True)
        assert torch.equal(kept.state[2], before[2][index])
