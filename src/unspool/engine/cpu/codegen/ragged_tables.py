"""Tables of ragged batches in LLVM's language: where each row stands, found by one loop over the rows."""

from __future__ import annotations

from functools import lru_cache

import torch

from unspool.engine.cpu.codegen.kernel import RATES
from unspool.engine.cpu.codegen.llvm_builder import Function

__all__ = ["TABLES", "emit_tables", "table_starts"]

TABLES = {
    "active": "steps",
    "starts": "rates",
    "order": "sequences",
    "back": "sequences",
    "ordered": "sequences",
    "sorted_ends": "sequences",
    "sorted_ends_of_two": "sequences",
    "ends": "sequences",
    "ends_of_two": "sequences",
    "places": "places",
    "previous": "places",
    "spots": "places",
    "counts": "steps",
}
"""The tables, one behind the other, and their lengths: steps, row indices at each step, sequences, places of the padded
batch."""


@lru_cache(maxsize=256)
def table_starts(time: int, batch: int) -> tuple[dict[str, int], int]:
    """Return the first number of each table, and the size of all."""
    room = {"steps": time + 1, "rates": len(RATES) * time, "sequences": batch, "places": time * batch}
    starts, end = {}, 0
    for name, size in TABLES.items():
        starts[name] = end
        end += room[size]
    return starts, end


def emit_tables() -> str:
    """Return a module with `tables(lengths, batch, time, reverse, starts)`; `starts` holds the address of each of
    `TABLES`.

    A counting sort orders sequences by length, the longest first and equal ones in their own order.
    """
    f = Function("void @tables(ptr %lengths, i64 %batch, i64 %time, i64 %reverse, ptr %starts)", torch.float32, 1)
    table = {name: f.load("ptr", "%starts", number) for number, name in enumerate(TABLES)}

    def put(name: str, at: str | int, value: str | int) -> None:
        f.do(f"store i64 {value}, ptr {f.address(table[name], at, 'i64')}")

    def get(name: str, at: str | int) -> str:
        return f.load("i64", table[name], at)

    with f.loop(0, f.whole("add", "%time", 1), what="length") as length:
        put("counts", length, 0)
    with f.loop(0, "%batch", what="sequence") as number:
        length = f.load("i64", "%lengths", number)
        put("counts", length, f.whole("add", get("counts", length), 1))
    # active: how many are longer than each step; then counts: the place of the next sequence of each length
    so_far = f.allocate("i64")
    f.do(f"store i64 0, ptr {so_far}")
    with f.loop(0, "%time", what="step") as back:
        length = f.whole("sub", "%time", back)
        here, before = get("counts", length), f.value(f"load i64, ptr {so_far}")
        put("counts", length, before)
        longer = f.whole("add", before, here)
        f.do(f"store i64 {longer}, ptr {so_far}")
        put("active", f.whole("sub", length, 1), longer)
    with f.loop(0, "%batch", what="sequence") as number:
        length = f.load("i64", "%lengths", number)
        place = get("counts", length)
        put("counts", length, f.whole("add", place, 1))
        put("order", place, number)
        put("back", number, place)
        put("ordered", place, length)
    steps = get("ordered", 0)
    rows, earlier = f.allocate("i64"), f.allocate("i64")  # before this step; before the states that it reads
    for place, start in ((rows, 0), (earlier, 0)):
        f.do(f"store i64 {start}, ptr {place}")
    with f.loop(0, f.whole("mul", "%time", "%batch"), what="spot") as spot:
        put("spots", spot, -1)
    with f.loop(0, steps, what="step") as step:
        begin, read = (f.value(f"load i64, ptr {place}") for place in (rows, earlier))
        after, odd = f.whole("add", "%batch", begin), f.whole("and", step, 1)
        now = f.whole("mul", odd, "%batch")
        rates = {
            "time": begin,
            "before": read,
            "after": after,
            "now": now,
            "next": f.whole("sub", "%batch", now),
        }
        for index, rate in enumerate(RATES):
            put("starts", f.whole("add", f.whole("mul", steps, index), step), rates[rate])
        count = get("active", step)
        with f.loop(0, count, what="row") as sequence:
            row = f.whole("add", begin, sequence)
            last = f.whole("sub", get("ordered", sequence), f.whole("add", step, 1))
            turn = f.value(f"select i1 {f.value('icmp ne i64 %reverse, 0')}, i64 {last}, i64 {step}")
            place = f.whole("add", f.whole("mul", turn, "%batch"), get("order", sequence))
            put("places", row, place)
            put("spots", place, row)
            put("previous", row, f.whole("add", read, sequence))
            put("sorted_ends", sequence, f.whole("add", after, sequence))  # the last step's stays
        f.do(f"store i64 {f.whole('add', begin, count)}, ptr {rows}")
        f.do(f"store i64 {after}, ptr {earlier}")
    with f.loop(0, "%batch", what="sequence") as number:
        odd = f.whole("and", get("ordered", number), 1)
        put("sorted_ends_of_two", number, f.whole("add", f.whole("mul", odd, "%batch"), number))
        sequence_number = get("order", number)
        put("ends", sequence_number, get("sorted_ends", number))
        put("ends_of_two", sequence_number, get("sorted_ends_of_two", number))
    return "\n".join([*sorted(f.declared), "", str(f)])
