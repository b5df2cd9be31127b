"""Generation with edits: the steps of a language model with editors attached, and units that edits force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unspool.data import UNKNOWN, Vocabulary
from unspool.decoding.sampling import SelfStarting
from unspool.errors import UsageError
from unspool.inspection.edits import Edit
from unspool.layers import CausalTransformer
from unspool.tasks.parts.editing import Donors, Parts, attached, past_the_end

__all__ = ["EditedGeneration", "forced_units", "refuse_past_the_context"]


class _State(NamedTuple):
    inner: Any
    token: Tensor  # of the next step, from 0, (batch,); -1 is the start symbol


class EditedGeneration:
    """Steps of a language model with edits, for `unspool.decoding.Continuations`.

    Editors are attached for each step alone, so that the code between two steps runs without them.

    Args:
        model: The steps without edits.
        parts: What can be edited in the network.
        edits: The edits; tokens count from the beginning of the prompt.
        values: Result of `donors`.
        forced: Result of `forced_units`.
    """

    def __init__(
        self, model: SelfStarting, parts: Parts, edits: Sequence[Edit], values: Donors, forced: Mapping[int, int]
    ) -> None:
        self._model, self._parts, self._edits, self._values, self._forced = model, parts, edits, values, forced

    def start(self, batch_size: int) -> _State:
        """Return the state before the start symbol."""
        return _State(self._model.start(batch_size), torch.full((batch_size,), -1))

    @torch.no_grad()
    def advance(self, ids: Tensor, state: Any) -> tuple[Tensor, _State]:
        """Read a unit per sequence, (batch,); return the next log-probabilities, (batch, vocabulary), and the state."""
        token = int(state.token[0])
        with attached(self._parts, self._edits, self._values) as editors:
            editors.move_to(token)
            scores, inner = self._model.advance(ids, state.inner)
        unit = self._forced.get(token + 1)
        if unit is not None:
            scores = torch.full_like(scores, float("-inf"))
            scores[:, unit] = 0.0
        return scores, _State(inner, state.token + 1)


def forced_units(vocabulary: Vocabulary, edits: Sequence[Edit], count: int, end: int) -> dict[int, int]:
    """Return the units that edits put into a generated text, by token.

    Args:
        vocabulary: The vocabulary.
        edits: The edits.
        count: Number of units of the prompt.
        end: Number of units of prompt and generated text.

    Raises:
        UsageError: If an edit begins past the end, or its token is no unit of the vocabulary.
    """
    forced = {}
    for edit in edits:
        first = 0 if edit.tokens is None else edit.tokens[0]
        if first >= end and edit.tokens is not None:
            raise past_the_end(edit, end)
        if edit.quantity == "token" and first >= count:
            ids = vocabulary.encode(edit.text or "")
            if len(ids) != 1 or ids[0] == UNKNOWN:
                raise UsageError(f"the edit {str(edit)!r}: {edit.text!r} is not one unit of the vocabulary")
            forced[first] = ids[0]
    return forced


def refuse_past_the_context(decoder: object, edits: Sequence[Edit], steps: int) -> None:
    """Check that edits of attention have a text that the network reads at once.

    Raises:
        UsageError: If a Transformer would read the text in several pieces.
    """
    context = decoder.context if isinstance(decoder, CausalTransformer) else steps
    if steps > context and any(edit.quantity in ("attention", "self-attention") for edit in edits):
        raise UsageError(
            f"edits of attention need a text within the context of {context} units, and this one has {steps} with the "
            f"start symbol; shorten it"
        )
