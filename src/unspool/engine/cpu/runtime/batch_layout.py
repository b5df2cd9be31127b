"""Where the rows of each step stand: padded batches as blocks, ragged ones packed, the longest sequences first.

A packed batch has no padding: the rows of step 0 come first, one for each sequence, then those of step 1, one for each
sequence that is long enough. So products over all steps at once touch real rows only, and the loop's batch shrinks.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from typing import Literal

import torch
from torch import Tensor

from unspool.engine.cpu.codegen.kernel import RATES
from unspool.engine.cpu.codegen.ragged_tables import table_starts
from unspool.engine.cpu.jit.compile import tables
from unspool.engine.cpu.policy import current_target

__all__ = ["CONSTANTS", "Given", "Layout", "blocks", "packed"]

Given = Literal["full", "packed", "padded"]
"""How sequences come to the loop: equally long; ragged and already without padding; or ragged and with it."""
_TABLES = ("active", "starts", "order", "back", "places", "spots", "previous", "ends", "ends_of_two")
CONSTANTS = ("", "steps", "batch", "rows", "padded", "parts", "cuts", *_TABLES)
"""Names that jobs have for what a layout says: nothing, five sizes, and where tables stand."""


@dataclass(frozen=True)
class Layout:
    """How one batch lies in memory.

    Its tables are whole numbers: `active`, how many sequences go on at each step; `starts`, the first row of each step,
    by rate. A ragged batch has more of them: `order`, the sequences in order of length; `back`, where each went;
    `places`, where each row stands in the padded batch; `spots`, the row that stands at each place of it, -1 in the
    padding; `previous`, the rows of a history that hold the states before each row; `ends` and `ends_of_two`, those
    that hold the last states, in all of a history or where only two blocks are kept; `sorted_ends` and
    `sorted_ends_of_two`, the same in order of length.
    """

    steps: int
    batch: int
    rows: int
    """Of all steps together."""
    padded: int
    """The same with the padding that the batch was given with."""
    initial: int
    """Where the first state stands in the history of a state."""
    after: int
    """The first row of a history that holds the states after the rows of all steps."""
    memory: Tensor
    """For the tables."""
    tables: Mapping[str, int]
    """The first number of each table."""
    before: int | None = None
    """The first row of a history that holds the states before the rows of all steps, if they stand together."""
    final: int | None = None
    """The first row of a history that holds the last states, if they stand together."""
    final_of_two: int | None = None
    """The same where only two blocks are kept."""
    lengths: Sequence[int] | None = None
    """Of the sequences, if they differ."""

    known: dict[int, tuple[array[int], list[int]]] = field(default_factory=dict)
    """By the number of parts: what `cuts` and `numbers` have answered before."""

    @property
    def ragged(self) -> bool:
        """Whether sequences differ in length."""
        return self.lengths is not None

    def index(self, table: str) -> Tensor:
        """A table of row numbers."""
        count = self.rows if table in ("places", "previous") else self.batch
        return self.memory.narrow(0, self.tables[table], count)

    def cuts(self, parts: int) -> array[int]:
        """The first sequence of each part and where the last part ends; parts have about the same work."""
        return self._known(parts)[0]

    def numbers(self, parts: int) -> list[int]:
        """The `CONSTANTS`."""
        return self._known(parts)[1]

    def _known(self, parts: int) -> tuple[array[int], list[int]]:
        if parts not in self.known:
            cuts, start, tables = array("q", self._cuts(parts)), self.memory.data_ptr(), self.tables
            found = [0, self.steps, self.batch, self.rows, self.padded, parts, cuts.buffer_info()[0]]
            found += [start + 8 * tables[name] if name in tables else 0 for name in _TABLES]
            self.known[parts] = cuts, found
        return self.known[parts]

    def _cuts(self, parts: int) -> list[int]:
        if self.lengths is None:
            return [self.batch * part // parts for part in range(parts + 1)]
        totals = list(accumulate(sorted(self.lengths, reverse=True)))
        return [0, *(bisect_left(totals, self.rows * part // parts) for part in range(1, parts)), self.batch]


@lru_cache(maxsize=256)
def blocks(steps: int, batch: int, reverse: bool) -> Layout:
    """All sequences are equally long: every step is a block, read from the last to the first if reverse."""
    step = torch.arange(steps, device="cpu")
    turn = steps - 1 - step if reverse else step
    begins = {
        "time": turn,
        "before": turn + 1 if reverse else turn,
        "after": turn if reverse else turn + 1,
        "now": step % 2,
        "next": (step + 1) % 2,
    }
    rows = steps * batch
    return Layout(
        steps=steps,
        batch=batch,
        rows=rows,
        padded=rows,
        initial=rows if reverse else 0,
        before=batch if reverse else 0,
        after=0 if reverse else batch,
        final=0 if reverse else rows,
        final_of_two=steps % 2 * batch,
        memory=torch.cat([torch.ones_like(step), *(begins[rate] for rate in RATES)]) * batch,
        tables={"active": 0, "starts": steps},
    )


def packed(lengths: Tensor, time: int, reverse: bool) -> Layout:
    """Sequences differ in length, between 1 and `time`, to which they were padded."""
    given: list[int] = lengths.tolist()
    assert min(given) > 0, "checked at the door"
    assert max(given) <= time, "checked at the door"
    batch, (begins, count) = len(given), table_starts(time, len(given))
    memory = torch.empty(count, dtype=torch.int64, device="cpu")
    start, numbers = memory.data_ptr(), array("q", given)
    addresses = array("q", [start + 8 * begin for begin in begins.values()])
    tables(current_target()).run(numbers.buffer_info()[0], batch, time, reverse, addresses.buffer_info()[0])
    return Layout(
        steps=max(given),
        batch=batch,
        rows=sum(given),
        padded=time * batch,
        initial=0,
        after=batch,
        memory=memory,
        tables=begins,
        lengths=given,
    )
