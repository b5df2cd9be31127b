"""Memory goes back to the system."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
import torch

from unspool.training import heap
from unspool.training.heap import Trimmer


def resident() -> int:
    """Bytes of memory in use by this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(not sys.platform.startswith("linux") or heap._malloc_trim() is None, reason="needs glibc")
def test_what_lies_free_between_blocks_in_use_is_given_back():
    blocks = [torch.ones(8_000) for _ in range(4_000)]  # 128 MB in blocks that the heap keeps
    kept = blocks[::50]
    before = resident()
    del blocks
    assert Trimmer(seconds=0).maybe()
    assert before - resident() > 60_000_000
    assert all(block.sum() == 8_000 for block in kept)


def test_it_waits_between_two_trims(monkeypatch):
    calls: list[int] = []
    monkeypatch.setattr(heap, "_malloc_trim", lambda: calls.append)
    trimmer = Trimmer(seconds=3600)
    assert not trimmer.maybe()
    trimmer.seconds = 0
    assert trimmer.maybe()
    assert calls == [0]
    trimmer.seconds = 3600
    assert not trimmer.maybe()
    assert time.monotonic() - trimmer._last < 60


def test_without_glibc_nothing_happens(monkeypatch):
    monkeypatch.setattr(heap, "_malloc_trim", lambda: None)
    assert not Trimmer(seconds=0).maybe()
