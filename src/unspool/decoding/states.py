"""States of a step model during decoding: nested tuples of tensors whose rows are selected at each step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

__all__ = ["CarriedState", "StepModel", "join", "leaves", "rebuilt", "select"]

S = TypeVar("S")


class StepModel(Protocol):
    """Interface of a model that predicts one step at a time, from a state of its own.

    A state is a tensor, `None`, or a (named) tuple of states; every tensor has the batch as its first dimension. With
    attention, the state has an attribute `attention`: the weights of the last step, (batch, source), or None.
    """

    def advance(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Read one unit per sequence, (batch,); return log-probabilities, (batch, vocabulary), and the new state."""


def leaves(state: Any) -> Iterator[Tensor | None]:
    """Iterate over every tensor and every None of a state, in order."""
    if state is None or isinstance(state, Tensor):
        yield state
    else:
        for part in state:
            yield from leaves(part)


def select(state: S, index: Tensor) -> S:
    """Select rows of every tensor of a state; rows may repeat.

    Args:
        state: Nested tuples of tensors, (batch, ...), and None.
        index: Rows, int64 (rows,), on the state's device.

    Returns:
        A state of the same structure, with tensors (rows, ...).
    """
    rows = [None if leaf is None else leaf.index_select(0, index) for leaf in leaves(state)]
    return rebuilt(state, iter(rows))  # type: ignore[no-any-return]


def join(*groups: Sequence[S]) -> S:
    """Concatenate the rows of states of the same structure, at least one in all groups together."""
    states = [state for group in groups for state in group]
    if len(states) == 1:
        return states[0]
    columns = zip(*(leaves(state) for state in states), strict=True)
    parts = [
        None if column[0] is None else torch.cat([part for part in column if part is not None]) for column in columns
    ]
    return rebuilt(states[0], iter(parts))  # type: ignore[no-any-return]


class CarriedState:
    """State of all hypotheses of a batch, with as few copies as possible.

    Hypotheses of one sequence change rows at every step of a beam. Tensors that a model only reads, such as encoder
    states, are equal for all of them. If `advance` returns the same tensor with the same version, `select` skips its
    copy, as long as each row belongs to the same sequence as before.

    Args:
        state: One row per sequence.
    """

    def __init__(self, state: Any) -> None:
        self.state = state
        self._shared = [True for _ in leaves(state)]

    def advance(self, model: StepModel, ids: Tensor, *, alone: bool) -> Tensor:
        """Read one unit per row, (rows,); return log-probabilities, (rows, vocabulary).

        Args:
            model: Predicts the next unit.
            ids: The units.
            alone: Whether each row belongs to a sequence of its own.
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
        """Select rows; `same_sequences` is whether each row belongs to the same sequence as before."""
        rows = [
            leaf if leaf is None or (shared and same_sequences) else leaf.index_select(0, index)
            for leaf, shared in zip(leaves(self.state), self._shared, strict=True)
        ]
        self.state = rebuilt(self.state, iter(rows))

    @property
    def attention(self) -> Tensor | None:
        """Attention weights of the last step, (rows, source); None without attention."""
        return getattr(self.state, "attention", None)

    @property
    def device(self) -> torch.device:
        """Device of the state."""
        return next((leaf.device for leaf in leaves(self.state) if leaf is not None), torch.device("cpu"))


def _version(leaf: Tensor | None) -> int | None:
    """Return the version counter of a tensor; None if it has none."""
    return None if leaf is None or leaf.is_inference() else leaf._version


def rebuilt(state: Any, parts: Iterator[Tensor | None]) -> Any:
    """Return a state of the same structure with other tensors, in the order of `leaves`."""
    if state is None or isinstance(state, Tensor):
        return next(parts)
    inner = [rebuilt(part, parts) for part in state]
    return type(state)(*inner) if hasattr(state, "_fields") else tuple(inner)
