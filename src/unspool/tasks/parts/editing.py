"""Runs of a task with edits: find the cells and attentions, run the texts to copy from, attach the editors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from torch import nn

from unspool.cells import Cell, edit_steps, editor_of
from unspool.engine import any_backend
from unspool.errors import UsageError, counted
from unspool.inspection import Trace
from unspool.inspection.attention_editor import DonorWeights, EditedWeights
from unspool.inspection.editor import Change, DonorSteps, EditedSteps
from unspool.inspection.edits import Edit
from unspool.layers import change_attention, record_attention
from unspool.settings import nearest

__all__ = [
    "EditableAttention",
    "EditableCell",
    "Editors",
    "Parts",
    "attached",
    "check_applied",
    "check_count",
    "donors",
    "on_plain_loop",
    "past_the_end",
    "with_tokens",
]

T = TypeVar("T")
Donors = Mapping[str, Mapping[str, Mapping[int, Mapping[str, Any]]]]
"""Values of other texts: by text, place, token and name."""


class EditableCell(NamedTuple):
    """A cell whose gates and states can be edited."""

    place: str
    cell: Cell[Any]
    offset: int = 0
    """Steps before the first token."""


class EditableAttention(NamedTuple):
    """An attention whose weights can be edited."""

    place: str
    """Place in the trace; empty if the map has no place."""
    quantity: str
    module: nn.Module
    offset: int = 0
    """Steps before the first token."""
    outer: Cell[Any] | None = None
    """The cell that attends in each of its steps, if there is one."""
    columns: int | None = None
    """Steps before the first token that is looked at; `offset` if None."""
    causal: bool = False
    """Whether a token sees no later one."""
    looker: str = ""
    """What looks, where it is no token: `the question`."""

    @property
    def name(self) -> str:
        """Name of the map in the trace."""
        return f"{self.place} / {self.quantity}" if self.place else self.quantity

    @property
    def rows(self) -> dict[str, Any]:
        """Where its rows and columns lie, for the editors."""
        stepwise = self.outer is not None
        return {"stepwise": stepwise, "offset": self.offset, "columns": self.columns, "causal": self.causal}

    def check(self, edit: Edit) -> None:
        """Check that an edit can meet a row of the attention.

        Raises:
            UsageError: If it names tokens where no token looks, or only later tokens where a token sees none.
        """
        if self.looker and edit.tokens is not None:
            raise UsageError(
                f"the edit {str(edit)!r}: {self.looker} looks in {self.name!r}, and no token; leave the @ out"
            )
        if not self.causal or edit.units is None or edit.tokens is None or edit.tokens[1] is None:
            return
        seen = edit.tokens[1] + 1 + self.offset - (self.offset if self.columns is None else self.columns)
        needed = max(edit.units) if edit.action == "swap" else min(edit.units)
        if needed >= seen:
            raise UsageError(
                f"the edit {str(edit)!r}: in {self.name!r} token {edit.tokens[1] + 1} sees "
                f"{f'tokens 1 to {seen}' if seen else 'no token before it'}, and not {needed + 1}"
            )


class Parts(NamedTuple):
    """What can be edited in a network."""

    cells: Sequence[EditableCell] = ()
    attentions: Sequence[EditableAttention] = ()
    refusal: str = ""
    """Why the cells of the network can't be edited, if they can't."""

    @property
    def names(self) -> list[str]:
        """Places of the cells, and names of the attentions."""
        return [*(each.place for each in self.cells), *(each.name for each in self.attentions)]


@dataclass
class Editors:
    """The editors of one run."""

    cells: list[EditedSteps] = field(default_factory=list)
    attentions: list[EditedWeights] = field(default_factory=list)

    @property
    def applied(self) -> set[Edit]:
        """Edits that changed a step or a row so far."""
        return {edit for editor in self._all for edit in editor.applied}

    def has_applied(self, edit: Edit, tokens: int) -> bool:
        """Return whether an edit changed a step, a row, or one of a number of tokens."""
        if edit.quantity == "token":
            return edit.tokens is not None and edit.tokens[0] < tokens
        return edit in self.applied

    def move_to(self, token: int) -> None:
        """Set the token of the next step, from 0, for models that run step by step."""
        for editor in self._all:
            editor.token = token

    @property
    def _all(self) -> list[EditedSteps | EditedWeights]:
        return [*self.cells, *self.attentions]


@contextmanager
def attached(parts: Parts, edits: Sequence[Edit], values: Donors) -> Iterator[Editors]:
    """Apply edits to all runs of a network inside the `with` block, for calls of this thread.

    Cells run on the plain loop, with edits or without, so that runs with the same edits are equal bit by bit.

    Args:
        parts: What can be edited.
        edits: The edits; those of tokens are ignored.
        values: Result of `donors`.

    Raises:
        UsageError: If an edit names no part of the network.
    """
    edits = [edit for edit in edits if edit.quantity != "token"]
    of_weights = {id(edit): _attentions(parts, edit) for edit in edits}
    for edit in edits:
        if not of_weights[id(edit)] and not any(edit.fits(each.place) for each in parts.cells):
            raise _nowhere(parts, edit)
    editors = Editors()
    with ExitStack() as stack:
        stack.enter_context(any_backend())
        for place, cell, offset in parts.cells:
            own = [edit for edit in edits if edit.fits(place) and not of_weights[id(edit)]]
            editor = EditedSteps(place, _changes(own, values, place), offset=offset)
            editors.cells.append(editor)
            stack.enter_context(edit_steps(cell, editor))
        for each in parts.attentions:
            _attach_outer(stack, each)
            own = [edit for edit in edits if each in of_weights[id(edit)]]
            for edit in own:
                each.check(edit)
            weights = EditedWeights(each.name, _changes(own, values, each.name), **each.rows)
            editors.attentions.append(weights)
            stack.enter_context(change_attention(each.module, weights))
        if parts.attentions:
            stack.enter_context(record_attention())
        yield editors


@contextmanager
def on_plain_loop(parts: Parts) -> Iterator[None]:
    """Run cells without an editor on the plain loop too, so that their results equal those of edited runs."""
    with ExitStack() as stack:
        stack.enter_context(any_backend())
        for place, cell, _ in parts.cells:
            if editor_of(cell) is None:
                stack.enter_context(edit_steps(cell, EditedSteps(place, ())))
        yield


def donors(parts: Parts, edits: Sequence[Edit], run: Callable[[str], object]) -> Donors:
    """Run the texts that edits copy from, and return their values.

    Args:
        parts: What can be edited.
        edits: The edits.
        run: Runs the network on a text.
    """
    texts = dict.fromkeys(edit.text for edit in edits if edit.action == "copy" and edit.text is not None)
    return {text: _values(parts, lambda text=text: run(text)) for text in texts}  # type: ignore[misc]


def check_applied(editors: Editors, edits: Sequence[Edit], trace: Trace, tokens: Sequence[str]) -> None:
    """Check after a run that each edit had a token to change.

    Args:
        editors: The editors of the run.
        edits: The edits.
        trace: The trace with the edits.
        tokens: Tokens of the text before any was replaced; empty if none was.

    Raises:
        UsageError: If an edit begins past the end, or a new token makes several tokens or none.
    """
    for edit in edits:
        if not editors.has_applied(edit, len(tokens)):
            count = len(tokens or trace.tokens)
            if edit.place.startswith("decoder") and trace.written is not None:
                count = len(trace.written.tokens)
            raise past_the_end(edit, count)
    if tokens:
        check_count(tokens, trace.tokens)


def check_count(before: Sequence[str], after: Sequence[str]) -> None:
    """Check that a text with new tokens has as many tokens as before.

    Raises:
        UsageError: If it has more or fewer.
    """
    if len(after) != len(before):
        raise UsageError(
            f"a new token takes the place of one token, and the text with the new tokens has {len(after)} tokens in "
            f"place of {len(before)}"
        )


def past_the_end(edit: Edit, count: int) -> UsageError:
    """Return the error for an edit that begins after the last token."""
    return UsageError(f"the edit {str(edit)!r} begins past the end: there are {counted(count, 'tokens')}")


def with_tokens(text: T, tokens: Sequence[str], edits: Sequence[Edit]) -> T:
    """Return a text, or a list of words, with some of its tokens replaced.

    Args:
        text: The text.
        tokens: Its tokens, as in its trace.
        edits: The edits; those with another quantity than `token`, or past the end, are ignored.

    Raises:
        UsageError: If the tokens don't stand in the text in this order.
    """
    new = {edit.tokens[0]: edit.text for edit in edits if edit.quantity == "token" and edit.tokens is not None}
    if not new:
        return text
    if isinstance(text, list) and list(tokens) == text:
        return [new.get(place, word) for place, word in enumerate(text)]  # type: ignore[return-value]
    if not isinstance(text, str):
        raise UsageError("an input that is not a text has no tokens to replace")
    pieces, end = [], 0
    for place, token in enumerate(tokens):
        begin = text.find(token, end)
        if begin < 0:
            raise UsageError(f"token {place + 1}, {token!r}, does not stand in the text itself; no token is replaced")
        pieces += [text[end:begin], str(new.get(place, token))]
        end = begin + len(token)
    return "".join([*pieces, text[end:]])  # type: ignore[return-value]


def _values(parts: Parts, run: Callable[[], object]) -> dict[str, Mapping[int, Mapping[str, Any]]]:
    values: dict[str, Mapping[int, Mapping[str, Any]]] = {}
    with ExitStack() as stack:
        stack.enter_context(any_backend())
        for place, cell, offset in parts.cells:
            steps = DonorSteps(offset=offset)
            values[place] = steps.values
            stack.enter_context(edit_steps(cell, steps))
        for each in parts.attentions:
            _attach_outer(stack, each)
            weights = DonorWeights(**each.rows)
            values[each.name] = weights.values
            stack.enter_context(change_attention(each.module, weights))
        if parts.attentions:
            stack.enter_context(record_attention())
        run()
    return {place: {token: own for token, own in steps.items() if token >= 0} for place, steps in values.items()}


def _attach_outer(stack: ExitStack, attention: EditableAttention) -> None:
    """Run a cell that attends on the plain loop, which knows its step."""
    if attention.outer is not None:
        stack.enter_context(edit_steps(attention.outer, EditedSteps(attention.name, ())))


def _attentions(parts: Parts, edit: Edit) -> list[EditableAttention]:
    """Return the attentions that an edit changes; `attention` also names self-attention where there is no other."""
    here = [each for each in parts.attentions if edit.fits(each.place)]
    exact = [each for each in here if each.quantity == edit.quantity]
    return exact or [each for each in here if edit.quantity == "attention"]


def _changes(edits: Sequence[Edit], values: Donors, place: str) -> list[Change]:
    return [Change(edit, values.get(edit.text or "", {}).get(place)) for edit in edits]


def _nowhere(parts: Parts, edit: Edit) -> UsageError:
    names = parts.names
    if parts.refusal:
        return UsageError(f"the edit {str(edit)!r}: {parts.refusal}")
    if not names:
        return UsageError(f"the edit {str(edit)!r}: this network has no cell or attention to edit")
    name = edit.place or edit.quantity
    hint = nearest(name, names) or f"; there are {', '.join(map(repr, names))}"
    return UsageError(f"the edit {str(edit)!r}: this network has no place {name!r}{hint}")
