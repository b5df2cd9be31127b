"""Generation with edits: the steps of a language model with editors attached, and units that edits force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unspool.decoding.sampling import SelfStarting
from unspool.inspection.edits import Edit
from unspool.tasks.parts.editing import Donors, Parts, attached

__all__ = ["EditedGeneration"]


class _State(NamedTuple):
    inner: Any
    token: int  # of the next step, from 0; -1 is the start symbol


class EditedGeneration:
    """Steps of a language model with edits, for `unspool.decoding.sample`.

    Editors are attached for each step alone, so that the code between two steps runs without them.

    Args:
        model: The steps without edits.
        parts: What can be edited in the network.
        edits: The edits; tokens count from the beginning of the prompt.
        values: Result of `donors`.
        forced: The units that edits of tokens put into the generated text, by token.
    """

    def __init__(
        self, model: SelfStarting, parts: Parts, edits: Sequence[Edit], values: Donors, forced: Mapping[int, int]
    ) -> None:
        self._model, self._parts, self._edits, self._values, self._forced = model, parts, edits, values, forced

    def start(self, batch_size: int) -> _State:
        """Return the state before the start symbol."""
        return _State(self._model.start(batch_size), -1)

    @torch.no_grad()
    def advance(self, ids: Tensor, state: Any) -> tuple[Tensor, _State]:
        """Read a unit per sequence, (batch,); return the next log-probabilities, (batch, vocabulary), and the state."""
        with attached(self._parts, self._edits, self._values) as editors:
            editors.move_to(state.token)
            scores, inner = self._model.advance(ids, state.inner)
        unit = self._forced.get(state.token + 1)
        if unit is not None:
            scores = torch.full_like(scores, float("-inf"))
            scores[:, unit] = 0.0
        return scores, _State(inner, state.token + 1)
