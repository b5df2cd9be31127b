"""Large memory that is lent and given back: never to two at once, in whole lines, and never more than is allowed."""

from __future__ import annotations

import gc
import threading

import pytest
import torch
from scopes import policy

from unspool.cells import LSTMCell
from unspool.engine import unroll
from unspool.engine.cpu.policy import Policy
from unspool.engine.cpu.runtime.memory_pool import MemoryPool, pool_of, pooled_empty

LARGE = 1 << 20  # numbers


@pytest.fixture
def pool():
    return MemoryPool(least=1 << 19, most=1 << 29)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [0, 7, LARGE, LARGE + 13])
def test_it_has_the_size_and_starts_with_a_line(size, dtype, pool):
    found = pool.empty(dtype, size)
    assert found.shape == (size,)
    assert found.dtype == dtype
    assert found.is_contiguous()
    assert not size or found.data_ptr() % 64 == 0


def test_it_is_lent_again_only_when_every_tensor_in_it_is_gone(pool):
    first = pool.empty(torch.float32, LARGE + 5000)
    part, address = first[5:], first.data_ptr()
    del first
    other = pool.empty(torch.float32, LARGE + 5000)
    assert other.data_ptr() != address
    assert pool.unused == 0
    del part
    assert pool.unused >= 4 * LARGE
    again = pool.empty(torch.float32, LARGE + 4000)  # a little less will do
    assert again.data_ptr() == address
    small = pool.empty(torch.float32, 100)
    del small
    assert pool.unused == 0


def test_what_was_used_last_is_kept_when_there_is_too_much():
    pool = MemoryPool(least=1 << 19, most=40 * LARGE)
    old = [pool.empty(torch.float32, size * LARGE) for size in (2, 3, 4)]
    old.clear()
    wanted = pool.empty(torch.float32, 5 * LARGE)
    address = wanted.data_ptr()
    del wanted
    assert 0 < pool.unused <= 40 * LARGE
    assert pool.empty(torch.float32, 5 * LARGE).data_ptr() == address


def test_what_is_unused_is_bounded():
    pool = MemoryPool(least=1 << 19, most=20 * LARGE)
    held = [pool.empty(torch.float32, LARGE) for _ in range(7)]
    held.clear()
    assert 0 < pool.unused <= 20 * LARGE


def test_a_policy_says_from_which_size_on_memory_is_pooled_and_how_much_is_kept():
    for least, most, unused in ((LARGE, 1 << 28, True), (LARGE, 1, False), (1 << 40, 1 << 28, False)):
        with policy(pool_least_bytes=least, pool_most_bytes=most):
            buffer = pooled_empty(torch.float32, LARGE)
            assert pool_of(least, most).unused == 0
            del buffer
            assert (pool_of(least, most).unused > 0) == unused


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
    assert pool_of(Policy().pool_least_bytes, Policy().pool_most_bytes).unused > 0


def test_threads_never_share_it(pool):
    wrong: list[int] = []

    def fill(number: int) -> None:
        for _ in range(200):
            mine = pool.empty(torch.float32, LARGE)
            mine[::4096].fill_(number)
            if not bool((mine[::4096] == number).all()):
                wrong.append(number)

    threads = [threading.Thread(target=fill, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert pool.unused <= pool.most
