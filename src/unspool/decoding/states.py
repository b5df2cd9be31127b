"""Decoding states: nested tuples of tensors, whose rows are chosen anew at every step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

__all__ = ["CarriedState", "StepModel", "leaves", "select"]

S = TypeVar("S")


class StepModel(Protocol):
    """Anything that predicts one step at a time, from a state that it made itself.

    A state is a tensor, `None`, or a (named) tuple of states; every tensor has the batch as its first dimension. A
    state that looked at a source has an attribute `attention`: the last step's weights, (batch, source), or None.
    """

    def advance(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Read one unit of each sequence, (batch,): log-probabilities, (batch, vocabulary), and the new state."""


def leaves(state: Any) -> Iterator[Tensor | None]:
    """Every tensor of a state, and every None, in order."""
    if state is None or isinstance(state, Tensor):
        yield state
    else:
        for part in state:
            yield from leaves(part)


def select(state: S, index: Tensor) -> S:
    """Take rows of every tensor of a state; a row may be taken several times.

    Args:
        state: Nested tuples of tensors, (batch, ...), and None.
        index: Rows, int64 (rows,), on the state's device.

    Returns:
        The same tuples, named as they were, with tensors (rows, ...).
    """
    chosen = [None if leaf is None else leaf.index_select(0, index) for leaf in leaves(state)]
    return _rebuilt(state, iter(chosen))  # type: ignore[no-any-return]


class CarriedState:
    """The state of all hypotheses of a batch, kept with as little copying as can be.

    Hypotheses of one sequence change places at every step of a beam, but what a model only reads, as the encoder's
    states, is the same for all of them. A tensor that `advance` hands back untouched is found by its identity and its
    version, and is left in place as long as each row belongs to the sequence that it belonged to before.

    Args:
        state: One row for each sequence.
    """

    def __init__(self, state: Any) -> None:
        self.state = state
        self._shared = [True for _ in leaves(state)]

    def advance(self, model: StepModel, ids: Tensor, *, alone: bool) -> Tensor:
        """Read one unit of each row, (rows,): log-probabilities, (rows, vocabulary).

        Args:
            model: What predicts.
            ids: The units.
            alone: Whether no two rows belong to one sequence.
        """
        before = list(leaves(self.state))
        versions = [_version(leaf) for leaf in before]
        log_probabilities, self.state = model.advance(ids, self.state)
        after = list(leaves(self.state))
        if alone or len(after) != len(before):
            self._shared = [alone] * len(after)
        else:
            self._shared = [
                shared and new is old and version is not None and _version(new) == version
                for shared, new, old, version in zip(self._shared, after, before, versions, strict=True)
            ]
        return log_probabilities

    def select(self, index: Tensor, *, same_sequences: bool = False) -> None:
        """Take rows; `same_sequences` says that each place still belongs to the sequence that it belonged to."""
        chosen = [
            leaf if leaf is None or (shared and same_sequences) else leaf.index_select(0, index)
            for leaf, shared in zip(leaves(self.state), self._shared, strict=True)
        ]
        self.state = _rebuilt(self.state, iter(chosen))

    @property
    def attention(self) -> Tensor | None:
        """Weights over the source in the last step, (rows, source), where the model looks at one."""
        return getattr(self.state, "attention", None)

    @property
    def device(self) -> torch.device:
        """Where the state lies."""
        return next((leaf.device for leaf in leaves(self.state) if leaf is not None), torch.device("cpu"))


def _version(leaf: Tensor | None) -> int | None:
    """How often a tensor was written to; None where that is not known."""
    return None if leaf is None or leaf.is_inference() else leaf._version


def _rebuilt(state: Any, parts: Iterator[Tensor | None]) -> Any:
    if state is None or isinstance(state, Tensor):
        return next(parts)
    inner = [_rebuilt(part, parts) for part in state]
    return type(state)(*inner) if hasattr(state, "_fields") else tuple(inner)
