"""Layouts of batches: padded ones as blocks of rows, ragged ones packed, the longest sequences first.

A packed batch has no padding: the rows of step 0 come first, one for each sequence, then those of step 1, one for each
sequence that is long enough. So products over all steps read valid rows only, and the loop's batch shrinks.
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

__all__ = ["CONSTANTS", "Arrangement", "Layout", "blocks", "packed"]

Arrangement = Literal["full", "packed", "padded"]
"""How sequences come to the loop: of equal length; ragged and packed already; or ragged and padded."""
_TABLES = ("active", "starts", "order", "back", "places", "spots", "previous", "ends", "ends_of_two")
CONSTANTS = ("", "steps", "batch", "rows", "padded", "parts", "cuts", *_TABLES)
"""Names that commands have for the layout: none, five sizes, and the addresses of tables."""


@dataclass(frozen=True)
class Layout:
    """The rows of one batch in memory.

    The tables are int64: `active`, the number of sequences at each step; `starts`, the first row of each step, by row
    index. A ragged batch has more: `order`, the sequences in order of length; `back`, the place of each sequence there;
    `places`, the row of the padded batch for each row; `spots`, the row for each row of the padded batch, -1 in the
    padding; `previous`, the rows of a history that hold the states before each row; `ends` and `ends_of_two`, those
    that hold the last states, in a whole history or where only two blocks are kept; `sorted_ends` and
    `sorted_ends_of_two`, the same in order of length.
    """

    steps: int
    batch: int
    rows: int
    """Of all steps together."""
    padded: int
    """Rows of all steps with the padding of the inputs."""
    initial: int
    """The row of a history that holds the first state."""
    after: int
    """The first row of a history that holds the states after the rows of all steps."""
    memory: Tensor
    """Of the tables."""
    tables: Mapping[str, int]
    """The first number of each table."""
    before: int | None = None
    """The first row of a history that holds the states before the rows of all steps, if these rows are adjacent."""
    final: int | None = None
    """The first row of a history that holds the last states, if these rows are adjacent."""
    final_of_two: int | None = None
    """The same where only two blocks are kept."""
    lengths: Sequence[int] | None = None
    """Of the sequences, if they differ."""

    by_parts: dict[int, tuple[array[int], list[int]]] = field(default_factory=dict)
    """Cached results of `cuts` and `numbers`, by the number of parts."""

    @property
    def ragged(self) -> bool:
        """Whether sequences differ in length."""
        return self.lengths is not None

    def index(self, table: str) -> Tensor:
        """Return a table of row numbers, int64."""
        count = self.rows if table in ("places", "previous") else self.batch
        return self.memory.narrow(0, self.tables[table], count)

    def cuts(self, parts: int) -> array[int]:
        """Return the first sequence of each part and the end of the last part; parts have about the same work."""
        return self._for_parts(parts)[0]

    def numbers(self, parts: int) -> list[int]:
        """Return the values of the `CONSTANTS`."""
        return self._for_parts(parts)[1]

    def _for_parts(self, parts: int) -> tuple[array[int], list[int]]:
        if parts not in self.by_parts:
            cuts, start, tables = array("q", self._cuts(parts)), self.memory.data_ptr(), self.tables
            constants = [0, self.steps, self.batch, self.rows, self.padded, parts, cuts.buffer_info()[0]]
            constants += [start + 8 * tables[name] if name in tables else 0 for name in _TABLES]
            self.by_parts[parts] = cuts, constants
        return self.by_parts[parts]

    def _cuts(self, parts: int) -> list[int]:
        if self.lengths is None:
            return [self.batch * part // parts for part in range(parts + 1)]
        totals = list(accumulate(sorted(self.lengths, reverse=True)))
        return [0, *(bisect_left(totals, self.rows * part // parts) for part in range(1, parts)), self.batch]


@lru_cache(maxsize=256)
def blocks(steps: int, batch: int, reverse: bool) -> Layout:
    """Return the layout of sequences of equal length: each step is a block; `reverse` reads from the last."""
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
    """Return the layout of a ragged batch.

    Args:
        lengths: Valid steps, int64 (batch,), each between 1 and `time`.
        time: Steps of the padded batch.
        reverse: Whether each sequence is read from its last valid step.
    """
    values: list[int] = lengths.tolist()
    assert min(values) > 0, "checked at the door"
    assert max(values) <= time, "checked at the door"
    batch, (begins, count) = len(values), table_starts(time, len(values))
    memory = torch.empty(count, dtype=torch.int64, device="cpu")
    start, numbers = memory.data_ptr(), array("q", values)
    addresses = array("q", [start + 8 * begin for begin in begins.values()])
    tables(current_target()).run(numbers.buffer_info()[0], batch, time, reverse, addresses.buffer_info()[0])
    return Layout(
        steps=max(values),
        batch=batch,
        rows=sum(values),
        padded=time * batch,
        initial=0,
        after=batch,
        memory=memory,
        tables=begins,
        lengths=values,
    )
