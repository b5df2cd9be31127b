"""Edits of attention weights: one change of an attention module per run, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from unspool.engine.reference import step_of_loop
from unspool.inspection.editor import Change, changed
from unspool.inspection.edits import Edit

__all__ = ["DonorWeights", "EditedWeights"]

_NAME = "weights"


class _Rows:
    """Rows of attention weights by token.

    Args:
        stepwise: Whether a call with one query is the current step of the plain loop.
        offset: Steps before the first token, in rows and columns.
    """

    def __init__(self, *, stepwise: bool = False, offset: int = 0) -> None:
        self.stepwise, self.offset = stepwise, offset
        self.token: int | None = None
        """Token of the next call, which has one query; None: by the rows."""

    def first(self, weights: Tensor) -> int:
        """Return the token of the first row, from 0."""
        if self.token is not None:
            return self.token
        alone = self.stepwise and weights.shape[-2] == 1
        return (step_of_loop.get() if alone else 0) - self.offset


class EditedWeights(_Rows):
    """Change of attention weights by edits; see `unspool.layers.change_attention`.

    Args:
        name: Name of the weights in the trace.
        changes: The edits.
        stepwise: Whether a call with one query is the current step of the plain loop.
        offset: Steps before the first token, in rows and columns.
    """

    def __init__(self, name: str, changes: Sequence[Change], *, stepwise: bool = False, offset: int = 0) -> None:
        super().__init__(stepwise=stepwise, offset=offset)
        self.name, self.changes = name, changes
        self.applied: set[Edit] = set()
        """Edits that changed a row so far."""

    def __call__(self, weights: Tensor) -> Tensor:
        before, first = weights.unbind(-2), self.first(weights)
        rows = list(before)
        for place in range(len(rows)):
            token = first + place
            for change in self.changes:
                if token >= 0 and change.edit.at(token):
                    self.applied.add(change.edit)
                    rows[place] = changed(
                        self._shifted(change.edit), rows[place], change.source(token, _NAME), self.name
                    )
        return torch.stack(rows, -2) if any(row is not old for row, old in zip(rows, before, strict=True)) else weights

    def _shifted(self, edit: Edit) -> Edit:
        if edit.units is None or not self.offset:
            return edit
        return replace(edit, units=tuple(unit + self.offset for unit in edit.units))


class DonorWeights(_Rows):
    """Collects the rows of another text's attention, and changes nothing."""

    def __init__(self, *, stepwise: bool = False, offset: int = 0) -> None:
        super().__init__(stepwise=stepwise, offset=offset)
        self.values: dict[int, dict[str, Tensor]] = {}
        """By token, from 0."""

    def __call__(self, weights: Tensor) -> Tensor:
        for place, row in enumerate(weights.unbind(-2), start=self.first(weights)):
            self.values[place] = {_NAME: row[:1].detach().clone()}
        return weights
