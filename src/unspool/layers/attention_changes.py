"""Changes of attention weights between softmax and weighted sum, for calls of this thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

from torch import Tensor, nn

__all__ = ["WeightChange", "attention_change", "change_attention"]

WeightChange = Callable[[Tensor], Tensor]
"""Returns the new weights, of the same shape: (batch, queries, time), or (batch, heads, queries, time)."""

_changes: ContextVar[Mapping[nn.Module, WeightChange]] = ContextVar("changes", default=MappingProxyType({}))


@contextmanager
def change_attention(attention: nn.Module, change: WeightChange) -> Iterator[None]:
    """Change the weights of an `Attention` or a `MultiHeadAttention` inside the `with` block.

    Transformer stacks compute weights only inside `record_attention`, and in single steps.
    """
    token = _changes.set({**_changes.get(), attention: change})
    try:
        yield
    finally:
        _changes.reset(token)


def attention_change(attention: nn.Module) -> WeightChange | None:
    """Return the change of an attention in the current context; None if there is none."""
    return _changes.get().get(attention)
