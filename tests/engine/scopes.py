"""Another policy, or another number of threads, for a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from unspool.engine.cpu.policy import Policy, current_policy, use_policy

__all__ = ["policy", "threads"]


@contextmanager
def policy(**changes: Any) -> Iterator[Policy]:
    """Run under the policy of this context with some fields changed."""
    with use_policy(replace(current_policy(), **changes)) as changed:
        yield changed


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch have so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
