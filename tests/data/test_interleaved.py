"""Two sources in one epoch."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.data import Interleaved


class Counting:
    """Batches that say whose they are, in which epoch, and which."""

    def __init__(self, name, count):
        self.name, self.count = name, count

    def __len__(self):
        return self.count

    def epoch(self, number, *, start=0):
        return ((self.name, number, place) for place in range(start, self.count))


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 60))
def test_every_batch_comes_once_in_its_own_order_and_resuming_goes_on(ours, theirs, start):
    source = Interleaved(Counting("a", ours), Counting("b", theirs))
    whole = list(source.epoch(3))
    assert len(whole) == len(source) == ours + theirs
    for name, count in (("a", ours), ("b", theirs)):
        assert [batch for batch in whole if batch[0] == name] == [(name, 3, place) for place in range(count)]
    assert list(source.epoch(3, start=min(start, len(whole)))) == whole[start:]


@pytest.mark.parametrize(("ours", "theirs"), [(3, 9), (9, 3), (5, 5)])
def test_they_are_spread_evenly(ours, theirs):
    names = [batch[0] for batch in Interleaved(Counting("a", ours), Counting("b", theirs)).epoch(0)]
    longest = max(
        len(run) for run in "".join(names).replace("a", " ").split() + "".join(names).replace("b", " ").split()
    )
    assert longest == -(-max(ours, theirs) // min(ours, theirs))
