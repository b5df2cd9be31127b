"""Large memory that is lent and given back: never to two at once, in whole lines, and never more than is allowed."""

from __future__ import annotations

import gc
import threading

import pytest
import torch

from unspool.cells import LSTMCell
from unspool.engine import unroll
from unspool.engine.cpu.runtime import memory_pool as module
from unspool.engine.cpu.runtime.memory_pool import pooled_empty

LARGE = 1 << 20  # numbers


@pytest.fixture(autouse=True)
def nothing_unused(monkeypatch):
    monkeypatch.setattr(module, "_free", {})


def unused() -> int:
    return sum(size * len(kept) for size, kept in module._free.items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [0, 7, LARGE, LARGE + 13])
def test_it_has_the_size_and_starts_with_a_line(size, dtype):
    found = pooled_empty(dtype, size)
    assert found.shape == (size,)
    assert found.dtype == dtype
    assert found.is_contiguous()
    assert not size or found.data_ptr() % 64 == 0


def test_it_is_lent_again_only_when_every_tensor_in_it_is_gone():
    first = pooled_empty(torch.float32, LARGE + 5000)
    part, address = first[5:], first.data_ptr()
    del first
    other = pooled_empty(torch.float32, LARGE + 5000)
    assert other.data_ptr() != address
    assert unused() == 0
    del part
    assert unused() >= 4 * LARGE
    again = pooled_empty(torch.float32, LARGE + 4000)  # a little less will do
    assert again.data_ptr() == address
    small = pooled_empty(torch.float32, 100)
    del small
    assert unused() == 0


def test_what_was_used_last_is_kept_when_there_is_too_much(monkeypatch):
    monkeypatch.setattr(module, "_MOST", 40 * LARGE)
    old = [pooled_empty(torch.float32, size * LARGE) for size in (2, 3, 4)]
    old.clear()
    wanted = pooled_empty(torch.float32, 5 * LARGE)
    address = wanted.data_ptr()
    del wanted
    assert 0 < unused() <= 40 * LARGE
    assert pooled_empty(torch.float32, 5 * LARGE).data_ptr() == address


def test_what_is_unused_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "_MOST", 20 * LARGE)
    held = [pooled_empty(torch.float32, LARGE) for _ in range(7)]
    held.clear()
    assert 0 < unused() <= 20 * LARGE


def test_what_is_kept_for_the_way_back_is_not_lent():
    """Two calls whose ways back are both to come, taken in either order, and one of them twice."""
    cell = LSTMCell(64, 128)
    inputs = torch.randn(2, 60, 24, 64)
    expected = [torch.autograd.grad(unroll(cell, x)[0].square().sum(), list(cell.parameters())) for x in inputs]
    losses = [unroll(cell, x)[0].square().sum() for x in inputs]
    for number in (1, 0, 1):
        found = torch.autograd.grad(losses[number], list(cell.parameters()), retain_graph=True)
        for one, other in zip(found, expected[number], strict=True):
            assert torch.equal(one, other)
    del losses, found
    gc.collect()
    assert unused() > 0


def test_threads_never_share_it():
    wrong: list[int] = []

    def fill(number: int) -> None:
        for _ in range(200):
            mine = pooled_empty(torch.float32, LARGE)
            mine[::4096].fill_(number)
            if not bool((mine[::4096] == number).all()):
                wrong.append(number)

    threads = [threading.Thread(target=fill, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert unused() <= module._MOST
