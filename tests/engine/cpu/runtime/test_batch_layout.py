"""Where rows stand: the tables of ragged batches against their definitions, worked out row by row."""

from __future__ import annotations

import itertools

import pytest
import torch

from unspool.engine.cpu.codegen.kernel import RATES
from unspool.engine.cpu.jit.compile import missing
from unspool.engine.cpu.runtime.batch_layout import packed

pytestmark = pytest.mark.skipif(missing() is not None, reason="needs llvmlite")


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("kind", [torch.int64, torch.int32])
@pytest.mark.parametrize("seed", range(20))
def test_tables_say_where_each_row_stands(seed, kind, reverse):
    chance = torch.Generator().manual_seed(seed)
    batch, longest = (int(torch.randint(1, 12, (), generator=chance)) for _ in range(2))
    lengths = torch.randint(1, longest + 1, (batch,), generator=chance, dtype=kind)
    time = longest + seed % 3  # padded further than the longest is long
    layout = packed(lengths, time, reverse)

    order = sorted(range(batch), key=lambda number: -int(lengths[number]))
    steps = int(lengths.max())
    rows = [(step, number) for step in range(steps) for number in order if step < int(lengths[number])]
    row_of = {row: place for place, row in enumerate(rows)}
    at = {
        (step, number): (int(lengths[number]) - 1 - step if reverse else step) * batch + number for step, number in rows
    }
    after = {row: batch + place for row, place in row_of.items()}
    before = {(step, number): after.get((step - 1, number), order.index(number)) for step, number in rows}
    ends = [after[int(length) - 1, number] for number, length in enumerate(lengths)]

    assert (layout.steps, layout.rows, layout.padded) == (steps, len(rows), time * batch)
    assert layout.index("order").tolist() == order
    assert layout.index("back").tolist() == [order.index(number) for number in range(batch)]
    assert layout.index("places").tolist() == [at[row] for row in rows]
    assert layout.index("previous").tolist() == [before[row] for row in rows]
    assert layout.index("ends").tolist() == ends
    assert layout.index("sorted_ends").tolist() == [ends[number] for number in order]
    of_two = [int(length) % 2 * batch + order.index(number) for number, length in enumerate(lengths)]
    assert layout.index("ends_of_two").tolist() == of_two
    assert layout.index("sorted_ends_of_two").tolist() == [of_two[number] for number in order]

    spots = layout.memory.narrow(0, layout.tables["spots"], time * batch).tolist()
    placed = {at[row]: place for row, place in row_of.items()}
    assert spots == [placed.get(spot, -1) for spot in range(time * batch)]
    active = layout.memory.narrow(0, layout.tables["active"], steps).tolist()
    assert active == [sum(int(length) > step for length in lengths) for step in range(steps)]
    starts = layout.memory.narrow(0, layout.tables["starts"], len(RATES) * steps).view(len(RATES), steps).tolist()
    first = [row_of[step, order[0]] for step in range(steps)]
    assert dict(zip(RATES, starts, strict=True)) == {
        "time": first,
        "before": [0, *(batch + row for row in first[:-1])],
        "after": [batch + row for row in first],
        "now": [step % 2 * batch for step in range(steps)],
        "next": [(step + 1) % 2 * batch for step in range(steps)],
    }


def test_parts_of_a_ragged_batch_have_about_the_same_work():
    lengths = torch.tensor([9, 1, 30, 2, 2, 25, 7, 4])
    cuts = packed(lengths, 30, reverse=False).cuts(3).tolist()
    assert cuts[0] == 0
    assert cuts[-1] == 8
    assert cuts == sorted(cuts)
    ordered = sorted(lengths.tolist(), reverse=True)
    assert max(sum(ordered[a:b]) for a, b in itertools.pairwise(cuts)) <= 2 * 80 / 3
