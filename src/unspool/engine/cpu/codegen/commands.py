"""The native functions of commands: copy, add, clear and gather rows; and a player of command lists."""

from __future__ import annotations

from collections.abc import Callable

import torch

from unspool.engine.cpu.codegen.llvm_builder import Function
from unspool.engine.cpu.codegen.target import Target

__all__ = ["ARGUMENTS", "emit_jobs"]

ARGUMENTS = 9
"""Arguments of a command at most; all are whole numbers or addresses."""


def emit_jobs(target: Target, dtype: torch.dtype) -> str:
    """Return a module with eight functions.

    `play(table, count, places, bases)` makes `count` calls. A line of the table is the address of a function, then two
    whole numbers for each argument: its place, and an offset. A place is two whole numbers: its base, and an offset.
    `copy(to, stride, from, stride, rows, width)` copies rows, `add` adds them to what is there, and `clear(to, stride,
    rows, width)` makes them zero. `gather(to, stride, from, stride, index, rows, width)` picks rows by their numbers,
    or zeros where a number is negative. `put(to, ...)` writes eight whole numbers or addresses.
    `gather_join(arguments)` and `pack_join(arguments)` make the part of one thread of a team. Their arguments stand one
    behind the other, followed by the functions that return the thread's number and the team's size. Those of packing
    are the function that packs and its arguments, then the width and the size of what is packed at a time.
    """
    functions = [_play(dtype), _put(dtype), *(_rows(target, dtype, name) for name in ("copy", "add", "clear"))]
    functions += [_gather(target, dtype), _gather_join(dtype), _pack_join(dtype)]
    declared = sorted(set().union(*(function.declared for function in functions)))
    return "\n\n".join(["\n".join(declared), *map(str, functions)])


def _play(dtype: torch.dtype) -> Function:
    f = Function("void @play(ptr %table, i64 %count, ptr %places, ptr %bases)", dtype, 1)
    with f.loop(0, "%count", what="job") as job:
        line = f.address("%table", f.whole("mul", job, 1 + 2 * ARGUMENTS), "i64")
        function = f.load("ptr", line)
        arguments = []
        for number in range(1, 1 + 2 * ARGUMENTS, 2):
            place = f.address("%places", f.whole("mul", f.load("i64", line, number), 2), "i64")
            start = f.whole("add", f.load("i64", "%bases", f.load("i64", place)), f.load("i64", place, 1))
            arguments.append(f"i64 {f.whole('add', start, f.load('i64', line, number + 1))}")
        f.do(f"call void {function}({', '.join(arguments)})")
    return f


def _put(dtype: torch.dtype) -> Function:
    values = [f"%value{number}" for number in range(ARGUMENTS - 1)]
    f = Function(f"void @put(ptr %to, {', '.join(f'i64 {value}' for value in values)})", dtype, 1)
    for number, value in enumerate(values):
        f.do(f"store i64 {value}, ptr {f.address('%to', number, 'i64')}")
    return f


def _gather(target: Target, dtype: torch.dtype) -> Function:
    lanes = target.lanes(dtype)
    head = "void @gather(ptr %to, i64 %stride, ptr %from, i64 %apart, ptr %index, i64 %rows, i64 %width)"
    f = Function(head, dtype, lanes)
    with f.loop(0, "%rows", what="row") as row:
        number, to = f.load("i64", "%index", row), f.address("%to", f.whole("mul", row, "%stride"))
        there = f.value(f"icmp sge i64 {number}, 0")
        line = f.address("%from", f.whole("mul", number, "%apart"))
        for condition, what in ((there, "there"), (f.value(f"xor i1 {there}, true"), "nowhere")):
            with f.when(condition, what=what), f.loop(0, "%width", lanes, what="column") as column:
                within = f.first(column, "%width")
                value = f.read(f.address(line, column), within) if what == "there" else f.constant(0.0)
                f.write(value, f.address(to, column), within)
    return f


def _gather_join(dtype: torch.dtype) -> Function:
    f = Function("void @gather_join(ptr %arguments)", dtype, 1)
    to, stride, start, apart, index, _, width, first, last = _shared(f, "pipipii", lambda values: values[5])
    here, numbers = f.address(to, f.whole("mul", first, stride)), f.address(index, first, "i64")
    f.do(
        f"call void @gather(ptr {here}, i64 {stride}, ptr {start}, i64 {apart}, ptr {numbers}, "
        f"i64 {f.whole('sub', last, first)}, i64 {width})"
    )
    return f


def _pack_join(dtype: torch.dtype) -> Function:
    f = Function("void @pack_join(ptr %arguments)", dtype, 1)
    pack, matrix, down, across, depth, width, packed, wide, size, first, last = _shared(
        f, "ppiiiipii", lambda values: f.ceiling(values[5], values[7])
    )
    left, right = (f.smaller(width, f.whole("mul", group, wide)) for group in (first, last))
    here = f.address(matrix, f.whole("mul", left, across))
    f.do(
        f"call void {pack}(ptr {here}, i64 {down}, i64 {across}, i64 {depth}, i64 {f.whole('sub', right, left)}, "
        f"ptr {f.address(packed, f.whole('mul', first, size))})"
    )
    return f


def _shared(f: Function, kinds: str, whole: Callable[[list[str]], str]) -> list[str]:
    """Return arguments, pointers and whole numbers, and this thread's share of a whole: its first and the one after its
    last.
    """
    values = [f.load("ptr" if kind == "p" else "i64", "%arguments", number) for number, kind in enumerate(kinds)]
    part, parts = (f.ask(f.load("ptr", "%arguments", len(kinds) + number)) for number in (0, 1))
    ends = (part, f.whole("add", part, 1))
    return values + [f.whole("sdiv", f.whole("mul", whole(values), end), parts) for end in ends]


def _rows(target: Target, dtype: torch.dtype, name: str) -> Function:
    lanes = target.lanes(dtype)
    source = "" if name == "clear" else "ptr %from, i64 %apart, "
    f = Function(f"void @{name}(ptr %to, i64 %stride, {source}i64 %rows, i64 %width)", dtype, lanes)
    with f.loop(0, "%rows", what="row") as row:
        to = f.address("%to", f.whole("mul", row, "%stride"))
        line = f.address("%from", f.whole("mul", row, "%apart")) if source else ""
        with f.loop(0, "%width", lanes, what="column") as column:
            within = f.first(column, "%width")
            here = f.address(to, column)
            value = f.read(f.address(line, column), within) if source else f.constant(0.0)
            if name == "add":
                value = f.two("fadd", f.read(here, within), value)
            f.write(value, here, within)
    return f
