"""Where the rows of each step stand: padded batches as blocks, ragged ones packed, the longest sequences first.

A packed batch has no padding: the rows of step 0 come first, one for each sequence, then those of step 1, one for each
sequence that is long enough. So products over all steps at once touch real rows only, and the loop's batch shrinks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from unspool.engine.cpu.emit.loops import RATES

__all__ = ["CONSTANTS", "Given", "Layout", "blocks", "packed"]

Given = Literal["full", "packed", "padded"]
"""How sequences come to the loop: equally long; ragged and already without padding; or ragged and with it."""
INDICES = ("order", "back", "places", "spots", "previous", "ends", "ends_of_two")
"""The tables of row numbers that a ragged batch has."""
CONSTANTS = ("", "steps", "batch", "rows", "padded", "parts", "cuts", "active", "starts", *INDICES)
"""Names that jobs have for what a layout says: nothing, five sizes, and where tables stand."""


@dataclass(frozen=True)
class Layout:
    """How one batch lies in memory."""

    steps: int
    batch: int
    rows: int
    """Of all steps together."""
    padded: int
    """The same with the padding that the batch was given with."""
    active: Tensor
    """How many sequences go on at each step, (steps,)."""
    starts: Tensor
    """The first row of each step, by rate, (rates, steps)."""
    initial: int
    """Where the first state stands in the history of a state."""
    before: slice | Tensor
    """The rows of a history that hold the states before the rows of all steps."""
    after: slice
    """And the ones that hold the states after them."""
    final: slice | Tensor
    """The rows of a history that hold the last states."""
    final_of_two: slice | Tensor
    """The same where only two blocks are kept."""
    totals: Tensor | None = None
    """Rows of all sequences up to each, where they differ in length."""
    order: Tensor | None = None
    """The sequences in order of length."""
    back: Tensor | None = None
    """Where each sequence went."""
    places: Tensor | None = None
    """Where each row stands in the padded batch."""
    spots: Tensor | None = None
    """The row that stands at each place of the padded batch; -1 in the padding."""
    previous: Tensor | None = None
    """The rows of a history that hold the states before each row."""
    ends: Tensor | None = None
    """The rows of a history that hold the last states, in the order in which the sequences were given."""
    ends_of_two: Tensor | None = None
    """The same where only two blocks are kept."""

    known: dict[int, tuple[Tensor, list[int]]] = field(default_factory=dict)
    """By the number of parts: what `cuts` and `numbers` have answered before."""

    def cuts(self, parts: int) -> Tensor:
        """The first sequence of each part and where the last part ends; parts have about the same work."""
        return self._known(parts)[0]

    def numbers(self, parts: int) -> list[int]:
        """The `CONSTANTS`."""
        return self._known(parts)[1]

    def _known(self, parts: int) -> tuple[Tensor, list[int]]:
        if parts not in self.known:
            cuts = self._cuts(parts)
            tables = [table.data_ptr() for table in (cuts, self.active, self.starts)]
            indices = [getattr(self, name) for name in INDICES]
            tables += [0 if index is None else index.data_ptr() for index in indices]
            self.known[parts] = cuts, [0, self.steps, self.batch, self.rows, self.padded, parts, *tables]
        return self.known[parts]

    def _cuts(self, parts: int) -> Tensor:
        if self.totals is None:
            return torch.tensor([self.batch * part // parts for part in range(parts + 1)])
        shares = torch.tensor([self.rows * part // parts for part in range(1, parts)])
        inner = torch.searchsorted(self.totals, shares)
        return torch.cat([torch.tensor([0]), inner, torch.tensor([self.batch])])


@lru_cache(maxsize=256)
def blocks(steps: int, batch: int, reverse: bool) -> Layout:
    """All sequences are equally long: every step is a block, read from the last to the first if reverse."""
    step = torch.arange(steps)
    turn = steps - 1 - step if reverse else step
    tables = {
        "time": turn,
        "before": turn + 1 if reverse else turn,
        "after": turn if reverse else turn + 1,
        "now": step % 2,
        "next": (step + 1) % 2,
    }
    rows = steps * batch
    early, late = slice(0, rows), slice(batch, batch + rows)
    last = 0 if reverse else rows
    return Layout(
        steps=steps,
        batch=batch,
        rows=rows,
        padded=rows,
        active=torch.full((steps,), batch),
        starts=torch.stack([tables[rate] for rate in RATES]) * batch,
        initial=rows if reverse else 0,
        before=late if reverse else early,
        after=early if reverse else late,
        final=slice(last, last + batch),
        final_of_two=slice(steps % 2 * batch, (steps % 2 + 1) * batch),
    )


def packed(lengths: Tensor, time: int, reverse: bool) -> Layout:
    """Sequences differ in length, and were padded to `time` steps."""
    given = lengths.numpy().astype(np.int64)  # numpy's operations cost a fraction of torch's on so few numbers
    batch = len(given)
    order = np.argsort(-given, kind="stable")
    ordered = given[order]
    steps = int(ordered[0])
    step = np.arange(steps)
    going = ordered > step[:, np.newaxis]  # (steps, batch)
    active = going.sum(1)
    ends = active.cumsum()
    begins = ends - active
    rows = int(ends[-1])
    which_step, which = going.nonzero()
    turn = ordered[which] - 1 - which_step if reverse else which_step
    before = np.concatenate([[0], batch + begins[:-1]])
    tables = {
        "time": begins,
        "before": before,
        "after": batch + begins,
        "now": step % 2 * batch,
        "next": (step + 1) % 2 * batch,
    }
    each, back = np.arange(batch), np.argsort(order)
    final, final_of_two = batch + begins[ordered - 1] + each, ordered % 2 * batch + each
    previous, places = before[which_step] + which, turn * batch + order[which]
    spots = np.full(time * batch, -1)
    spots[places] = np.arange(rows)
    return Layout(
        steps=steps,
        batch=batch,
        rows=rows,
        padded=time * batch,
        active=torch.from_numpy(active),
        starts=torch.from_numpy(np.stack([tables[rate] for rate in RATES])),
        initial=0,
        before=torch.from_numpy(previous),
        after=slice(batch, batch + rows),
        final=torch.from_numpy(final),
        final_of_two=torch.from_numpy(final_of_two),
        totals=torch.from_numpy(ordered.cumsum()),
        order=torch.from_numpy(order),
        back=torch.from_numpy(back),
        places=torch.from_numpy(places),
        spots=torch.from_numpy(spots),
        previous=torch.from_numpy(previous),
        ends=torch.from_numpy(final[back]),
        ends_of_two=torch.from_numpy(final_of_two[back]),
    )
