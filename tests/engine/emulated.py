"""AMX in software, so that what is written for it can be run where the processor has none: right, and slow.

Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, LDTILECFG and TDPBF16PS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from unspool.engine.cpu.codegen.llvm_builder import Function
from unspool.engine.cpu.codegen.target import AVX512, has_bfloat16, host_target
from unspool.engine.cpu.jit import compile as compiling
from unspool.engine.cpu.policy import current_policy, use_target
from unspool.engine.cpu.runtime.thread_team import team

__all__ = ["emulate", "with_tiles"]

_TILE, _TILES, _THREADS = 1024, 8, 64
_EACH = _TILE * _TILES + 64
"""Bytes that each thread has: its tiles, then how many lines and bytes they have, as LDTILECFG was told."""


@contextmanager
def with_tiles(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compile for a processor with tiles, in software if this one has none."""
    host, which = host_target(), team(current_policy()).which
    if compiling.missing() is not None:
        pytest.skip(compiling.missing())
    if host.tiled:
        yield
        return
    if host.register_bytes < AVX512.register_bytes or not has_bfloat16() or not which:
        pytest.skip("this processor has neither tiles (AMX) nor the vectors to emulate them (AVX512-BF16)")
    import llvmlite.binding as llvm

    llvm.add_symbol("which_thread", which)
    target, machine = replace(host, name="emulated", tiled=True, halves=False), compiling._Machine.__wrapped__
    load = machine.load
    monkeypatch.setattr(machine, "load", lambda self, text: load(self, emulate(text)))
    with use_target(target):
        yield


def emulate(text: str) -> str:
    """A module that calls functions of its own instead of the processor's instructions for tiles."""
    names = set(re.findall(r"@llvm\.x86\.((?:ld)?t(?:ile|dp)\w+)\(", text))
    if not names:
        return text
    kept = [line for line in text.splitlines() if not line.startswith("declare") or "@llvm.x86." not in line]
    text = re.sub(r"@llvm\.x86\.((?:ld)?t(?:ile|dp))", r"@emulated.\1", "\n".join(kept))
    room = f"@registers = internal global [{_EACH * _THREADS} x i8] zeroinitializer, align 64"
    functions = [_configure(), _release(), _zero(), _product()]
    functions += [_move(name) for name in ("tileloadd64", "tileloaddt164", "tilestored64")]
    declared = {part for function in functions for part in function.declared} | {"declare i32 @which_thread()"}
    new = sorted(line for line in declared if line not in text)
    return "\n\n".join([*new, room, text, *map(str, functions)])


def _function(name: str, arguments: str) -> Function:
    return Function(f"internal void @emulated.{name}({arguments})", torch.float32, 16)


def _mine(f: Function) -> str:
    return f.address("@registers", f.whole("mul", f.ask("@which_thread"), _EACH), "i8")


def _tile(f: Function, tile: str) -> tuple[str, str]:
    """Where a tile begins, and how many lines it has."""
    mine, number = _mine(f), f.value(f"zext i8 {tile} to i64")
    lines = f.value(f"load i8, ptr {f.address(mine, f.whole('add', number, _TILE * _TILES + 48), 'i8')}")
    return f.address(mine, f.whole("mul", number, _TILE), "i8"), f.value(f"zext i8 {lines} to i64")


def _configure() -> Function:
    f = _function("ldtilecfg", "ptr %from")
    told = f.value("load <64 x i8>, ptr %from, align 1")
    f.do(f"store <64 x i8> {told}, ptr {f.address(_mine(f), _TILE * _TILES, 'i8')}")
    return f


def _release() -> Function:
    f = _function("tilerelease", "")
    f.do(f"store <64 x i8> zeroinitializer, ptr {f.address(_mine(f), _TILE * _TILES, 'i8')}")
    return f


def _zero() -> Function:
    f = _function("tilezero", "i8 %tile")
    start, _ = _tile(f, "%tile")
    with f.loop(0, _TILE, 64, what="line") as line:
        f.do(f"store <64 x i8> zeroinitializer, ptr {f.address(start, line, 'i8')}")
    return f


def _move(name: str) -> Function:
    """Lines to a tile or, if it is stored, from there."""
    f = _function(name, "i8 %tile, ptr %place, i64 %apart")
    start, lines = _tile(f, "%tile")
    with f.loop(0, lines, what="line") as line:
        outside = f.address("%place", f.whole("mul", line, "%apart"), "i8")
        inside = f.address(start, f.whole("mul", line, 64), "i8")
        source, to = (inside, outside) if name == "tilestored64" else (outside, inside)
        found = f.value(f"load <64 x i8>, ptr {source}, align 1")
        f.do(f"store <64 x i8> {found}, ptr {to}, align 1")
    return f


def _product() -> Function:
    """Pairs of two tiles' numbers; those of even places are summed up by themselves, and so are the others."""
    f = _function("tdpbf16ps", "i8 %sums, i8 %rows, i8 %columns")
    (sums, lines), (rows, _), (columns, pairs) = (_tile(f, name) for name in ("%sums", "%rows", "%columns"))
    places = [f.allocate(f.vector) for _ in range(2)]
    with f.loop(0, lines, what="line") as line:
        for place in places:
            f.write("zeroinitializer", place)
        row = f.address(rows, f.whole("mul", line, 64), "i8")
        with f.loop(0, pairs, what="pair") as pair:
            number = f.value(f"load i32, ptr {f.address(row, pair, 'i32')}")
            column = f.value(f"load {f.integers32}, ptr {f.address(columns, f.whole('mul', pair, 64), 'i8')}, align 64")
            for place, number_half, column_half in zip(
                places,
                (f.value(f"shl i32 {number}, 16"), f.value(f"and i32 {number}, -65536")),
                (
                    f.value(f"shl {f.integers32} {column}, splat (i32 16)"),
                    f.value(f"and {f.integers32} {column}, splat (i32 -65536)"),
                ),
                strict=True,
            ):
                factor = f.spread(f.value(f"bitcast i32 {number_half} to float"))
                other = f.value(f"bitcast {f.integers32} {column_half} to {f.vector}")
                f.write(f.intrinsic("fma", factor, other, f.read(place)), place)
        to = f.address(sums, f.whole("mul", line, 64), "i8")
        f.write(f.two("fadd", f.read(to), f.two("fadd", *map(f.read, places))), to)
    return f
