"""WebAssembly with SIMD for steps of cells: LLVM's text from the engine's code generator, compiled by llvmlite."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch

from unspool.engine.cpu.codegen.llvm_builder import Function
from unspool.engine.cpu.codegen.loop_body import emit_loops
from unspool.ship.page.step import LANES, PageStep
from unspool.ship.page.wasm_module import link

__all__ = ["PANEL", "compile_steps", "emit_steps"]

PANEL = 8
"""Vectors of columns that a product computes at once: as many sums as hide the latency of an addition."""
_TRIPLE = "wasm32-unknown-unknown"


class _Function(Function):
    """A function for memory whose rows end in whole vectors: what stands behind a row may be read and written again."""

    def __init__(self, head: str) -> None:
        super().__init__(f"void {head}", torch.float32, LANES, "i32")

    def read(self, pointer: str, within: str | None = None) -> str:
        """Load a vector; lanes outside of the mask hold what stands there."""
        return super().read(pointer)

    def write(self, vector: str, pointer: str, within: str | None = None) -> None:
        """Store a vector; lanes outside of the mask stay as they are."""
        if within is not None:
            vector = self.choose(within, vector, super().read(pointer))
        super().write(vector, pointer)


def emit_steps(steps: Sequence[PageStep]) -> str:
    """Return LLVM's text of `product` and of `step0`, `step1` ..., each of which takes the address of its table."""
    functions = [_product(), *(_step(number, step) for number, step in enumerate(steps))]
    declared = sorted(set().union(*(f.declared for f in functions)))
    return "\n\n".join([f'target triple = "{_TRIPLE}"', *declared, *map(str, functions)])


def compile_steps(steps: Sequence[PageStep]) -> bytes:
    """Compile steps to a module that exports `product` and each step, and imports memory and mathematics."""
    llvm = _llvm()
    module = llvm.parse_assembly(emit_steps(steps))
    module.verify()
    machine = llvm.Target.from_triple(_TRIPLE).create_target_machine(opt=3, features="+simd128,+bulk-memory")
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_unrolling = options.loop_vectorization = options.slp_vectorization = False
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return link(machine.emit_object(module))


@cache
def _llvm() -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    return llvm


def _product() -> _Function:
    f = _Function("@product(ptr noalias %x, ptr noalias %w, i32 %depth, i32 %vectors, ptr noalias %y)")
    f.attributes.add("noinline")
    whole = f.whole("mul", f.whole("sdiv", "%vectors", PANEL), PANEL)
    for start, stop, step in ((0, whole, PANEL), (whole, "%vectors", 1)):
        with f.loop(start, stop, step, what="panel") as panel:
            totals = [f.allocate(f.vector) for _ in range(step)]
            for total in totals:
                f.do(f"store {f.vector} zeroinitializer, ptr {total}")
            first = f.whole("mul", panel, LANES)
            packed = f.address("%w", f.whole("mul", first, "%depth"))
            with f.loop(0, "%depth", what="row") as k:
                x = f.spread(f.value(f"load float, ptr {f.address('%x', k)}"))
                line = f.address(packed, f.whole("mul", k, step * LANES))
                for number, total in enumerate(totals):
                    w = f.read(f.address(line, number * LANES))
                    f.do(f"store {f.vector} {f.fused(x, w, f.value(f'load {f.vector}, ptr {total}'))}, ptr {total}")
            for number, total in enumerate(totals):
                at = f.address("%y", f.whole("add", first, number * LANES))
                f.write(f.value(f"load {f.vector}, ptr {total}"), at)
    return f


def _step(number: int, step: PageStep) -> _Function:
    f = _Function(f"@step{number}(ptr noalias %table)")
    memory = {name: f.load("ptr", "%table", place) for place, name in enumerate(step.memories)}
    rows = {buffer: memory[name] for name, buffer in step.nest.buffers.items()}
    for phase in step.nest.phases:
        for product in phase.products:
            operand, result = (
                f.address(memory[place.buffer.name], place.column) for place in (product.operand, product.result)
            )
            vectors = -(-product.width // LANES)
            packed = memory[product.packed]
            f.do(f"call void @product(ptr {operand}, ptr {packed}, i32 {product.depth}, i32 {vectors}, ptr {result})")
        emit_loops(f, phase.loops, rows)
    return f
