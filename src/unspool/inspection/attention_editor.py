"""Edits of attention weights: one change of an attention module per run, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

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
        offset: Steps before the first token, in rows.
        columns: Steps before the first token that is looked at; `offset` if None.
        causal: Whether a token sees no later one; the last row then sees all columns.
    """

    def __init__(
        self, *, stepwise: bool = False, offset: int = 0, columns: int | None = None, causal: bool = False
    ) -> None:
        self.stepwise, self.offset, self.causal = stepwise, offset, causal
        self.columns = offset if columns is None else columns
        self.token: int | None = None
        """Token of the next call, which has one query; None: by the rows."""

    def first(self, weights: Tensor) -> int:
        """Return the token of the first row, from 0."""
        if self.token is not None:
            return self.token
        alone = self.stepwise and weights.shape[-2] == 1
        return (step_of_loop.get() if alone else 0) - self.offset

    def visible(self, weights: Tensor, place: int) -> int:
        """Return how many columns a row sees."""
        queries, columns = weights.shape[-2:]
        return columns - (queries - 1 - place) if self.causal else columns


class EditedWeights(_Rows):
    """Change of attention weights by edits; see `unspool.layers.change_attention`.

    Causal attention changes at the tokens so far alone. A later one is no part of the row: an edit of all tokens leaves
    it at 0, and an edit of that token alone changes the rows from there on.

    Args:
        name: Name of the weights in the trace.
        changes: The edits.
        options: As for `_Rows`.
    """

    def __init__(self, name: str, changes: Sequence[Change], **options: Any) -> None:
        super().__init__(**options)
        self.name, self.changes = name, changes
        self.applied: set[Edit] = set()
        """Edits that changed a row so far."""

    def __call__(self, weights: Tensor) -> Tensor:
        before, first = weights.unbind(-2), self.first(weights)
        rows = list(before)
        for place in range(len(rows)):
            token, visible = first + place, self.visible(weights, place)
            for change in self.changes:
                if token < 0 or not change.edit.at(token):
                    continue
                edit = self._within(change.edit, visible)
                if edit is not None:
                    self.applied.add(change.edit)
                    seen, later = rows[place].tensor_split([visible], -1)
                    new, source = seen, change.source(token, _NAME)
                    for one in _by_head(edit, seen):
                        new = changed(one, new, source, self.name)
                    if new is not seen:
                        rows[place] = torch.cat([new, later], -1)
        return torch.stack(rows, -2) if any(row is not old for row, old in zip(rows, before, strict=True)) else weights

    def _within(self, edit: Edit, visible: int) -> Edit | None:
        """Return an edit with the columns of its units; of causal attention only those that a row sees, or None."""
        if edit.units is None:
            return edit
        units = tuple(unit + self.columns for unit in edit.units)
        if self.causal:
            seen = tuple(unit for unit in units if unit < visible)
            if not seen or (edit.action == "swap" and seen != units):
                return None
            units = seen
        return edit if units == edit.units else replace(edit, units=units)


def _by_head(edit: Edit, row: Tensor) -> list[Edit]:
    """Return an edit of each head for an edit of some columns of a row, (batch, columns) or (batch, heads, columns)."""
    if row.dim() < 3 or edit.row is not None or edit.units is None:
        return [edit]
    return [replace(edit, row=head) for head in range(row.shape[1])]


class DonorWeights(_Rows):
    """Collects the rows of another text's attention, and changes nothing."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.values: dict[int, dict[str, Tensor]] = {}
        """By token, from 0."""

    def __call__(self, weights: Tensor) -> Tensor:
        first = self.first(weights)
        for place, row in enumerate(weights.unbind(-2)):
            self.values[first + place] = {_NAME: row[:1, ..., : self.visible(weights, place)].detach().clone()}
        return weights
