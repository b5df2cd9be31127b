"""Pairs as batches: what the decoder reads and should say, and every pair once within the budget of tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unspool.data import IGNORED, Bucketed, Paired, PairedExamples, Sequences, evaluation_batches
from unspool.errors import DataError

X = IGNORED


def examples() -> PairedExamples:
    return PairedExamples(Sequences.of([[3, 4, 5], [6], [7, 8]]), Sequences.of([[9], [5, 6, 7], []]))


def test_the_decoder_reads_the_end_first_and_says_it_last():
    batch = examples().batch(np.array([1, 0, 2]))
    assert batch.source.ids.tolist() == [[6, 3, 7], [0, 4, 8], [0, 5, 0]]
    assert batch.inputs.tolist() == [[2, 2, 2], [5, 9, 0], [6, 0, 0], [7, 0, 0]]
    assert batch.targets.tolist() == [[5, 9, 2], [6, 2, X], [7, X, X], [2, X, X]]
    assert batch.size == (1 + 3 + 2) + (3 + 1 + 0) + 3
    assert batch.to("cpu").targets.tolist() == batch.targets.tolist()
    nothing = examples().batch(np.array([2]))
    assert (nothing.inputs.tolist(), nothing.targets.tolist()) == ([[2]], [[2]])


def test_parts_for_processes_are_every_second_pair():
    batch = examples().batch(np.array([1, 0, 2]))
    first, second = (batch.shard(rank, 2) for rank in (0, 1))
    assert isinstance(first, Paired)
    assert first.source.ids.tolist() == [[6, 7], [0, 8], [0, 0]]
    assert second.targets[:, 0].tolist() == [9, 2, X, X]
    assert first.size + second.size == batch.size
    assert batch.shard(3, 4) is None


def test_a_pair_takes_as_much_of_the_budget_as_its_longer_side_and_its_end():
    assert examples().lengths.tolist() == [3, 4, 2]
    assert examples().take(np.array([2, 0])).batch(np.array([1])).source.ids.tolist() == [[3], [4], [5]]
    with pytest.raises(DataError, match="2 sources came with 1 targets"):
        PairedExamples(Sequences.of([[3], [4]]), Sequences.of([[5]]))


def test_every_pair_comes_once_in_an_epoch_and_in_an_evaluation():
    lot = np.random.default_rng(0)
    sources = [lot.integers(3, 9, lot.integers(1, 9)).tolist() for _ in range(50)]
    targets = [[10 + number, *[3] * int(lot.integers(0, 9))] for number in range(50)]
    data = PairedExamples(Sequences.of(sources), Sequences.of(targets))
    source = Bucketed(data, batch_tokens=30, batch_size=7, seed=3)

    def seen(batches: list[Paired]) -> list[int]:
        for batch in batches:
            count = batch.source.ids.shape[1]
            longest = max(len(batch.source.ids), len(batch.inputs))
            assert count * longest <= 30 or count == 1
            assert count <= 7
            for place in range(count):
                number = int(batch.target.ids[0, place]) - 10
                length = int(batch.source.lengths[place])
                assert batch.source.ids[:length, place].tolist() == sources[number]
        return [int(first) - 10 for batch in batches for first in batch.target.ids[0]]

    first, second = (seen(list(source.epoch(number))) for number in (0, 1))
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert seen(list(source.epoch(1, start=2))) == seen(list(source.epoch(1))[2:])
    assert len(list(source.epoch(0))) == len(source)
    for places, batch in evaluation_batches(data, batch_tokens=30):
        assert (torch.tensor(places) == batch.target.ids[0] - 10).all()
