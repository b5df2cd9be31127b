"""Golden graphs and kernels: generated code that a person has read; a change shows as a difference.

`UNSPOOL_GOLDEN=write python -m pytest tests/engine/cpu/codegen/test_golden_kernels.py` writes the files anew; then read
them.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from cases import ALL_CELLS
from unspool.engine.compiler.loops.fusion import fuse
from unspool.engine.cpu.backend import graphs_of
from unspool.engine.cpu.codegen.commands import emit_jobs
from unspool.engine.cpu.codegen.gemm.vector_microkernel import emit_products
from unspool.engine.cpu.codegen.kernel import emit_kernel
from unspool.engine.cpu.codegen.ragged_tables import emit_tables
from unspool.engine.cpu.codegen.target import AVX2, AVX512, AVX512_BF16, NEON, PORTABLE

FOLDER = Path(__file__).parent / "golden"


def kernels(name: str, lanes: int):
    found = graphs_of(ALL_CELLS[name](4, 8))
    every = frozenset(range(len(found.widths)))
    yield "forward", found.forward, fuse(found.forward, lanes=lanes, backward=False, history=every)
    yield "backward", found.backward, fuse(found.backward, lanes=lanes, backward=True, history=every)


def compare(name: str, text: str) -> None:
    place = FOLDER / name
    if os.environ.get("UNSPOOL_GOLDEN") == "write":
        place.write_text(text + "\n", encoding="utf-8")
    assert place.read_text(encoding="utf-8") == text + "\n", f"{place} differs; see the head of this file"


@pytest.mark.parametrize("name", ["elman", "lstm", "gru-reset-before", "lstm-layernorm"])
def test_graphs_and_phases_are_as_they_were_read(name):
    parts = [part for way, graph, kernel in kernels(name, 16) for part in (f"# {way}", str(graph), "", str(kernel), "")]
    compare(f"{name}.txt", "\n".join(parts).rstrip())


def test_the_code_of_an_elman_cell_is_as_it_was_read():
    for way, _, kernel in kernels("elman", 4):
        compare(f"elman-{way}.ll", emit_kernel(kernel, PORTABLE, torch.float32))


def test_the_next_row_is_asked_for_where_there_is_one_for_every_step():
    for way, _, kernel in kernels("lstm", 16):
        loops = [loop for phase in kernel.phases for loop in phase.loops]
        far = ("time", "before", "after")
        read = sum(load.place.buffer.rate in far for loop in loops for load in loop.loads)
        written = sum(place.buffer.rate in far for loop in loops for _, place in loop.stores)
        text = emit_kernel(kernel, AVX512, torch.float32)
        asked = [line.split("i32 ")[1][0] for line in text.splitlines() if "call void @llvm.prefetch" in line]
        assert (asked.count("0"), asked.count("1")) == (read, written), way
        assert read > 4, way
        assert written > 3, way
        assert "prefetch" not in emit_kernel(kernel, AVX2, torch.float32), "its vectors are half a line"


TRIPLES = {
    "x86_64-unknown-linux-gnu": (
        (AVX512, "skylake-avx512"),
        (AVX512_BF16, "cooperlake"),
        (AVX2, "haswell"),
        (PORTABLE, "x86-64"),
    ),
    "aarch64-unknown-linux-gnu": ((NEON, "generic"),),
    "arm64-apple-macosx14": ((NEON, "apple-m1"),),
    "x86_64-pc-windows-msvc": ((AVX2, "haswell"),),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("triple", TRIPLES)
def test_code_is_made_for_processors_and_systems_that_are_not_here(triple, dtype):
    llvm = pytest.importorskip("llvmlite.binding")
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    for target, processor in TRIPLES[triple]:
        machine = llvm.Target.from_triple(triple).create_target_machine(cpu=processor, opt=1)
        if target.halves:  # all else is the text of the target without them
            texts = [emit_products(target, dtype, half=True)] if dtype == torch.float32 else []
        else:
            texts = [emit_products(target, dtype), emit_jobs(target, dtype), emit_tables()]
            # the other systems get the same texts; what differs there is the object file
            for name in ("lstm-layernorm", "ntm-feedforward") if triple.endswith("linux-gnu") else ("lstm-layernorm",):
                texts += [emit_kernel(kernel, target, dtype) for _, _, kernel in kernels(name, target.lanes(dtype))]
        for text in texts:
            module = llvm.parse_assembly(text)
            module.triple = triple
            module.verify()
            assert machine.emit_object(module)


def test_pairs_of_bfloat16_are_multiplied_by_one_instruction():
    llvm = pytest.importorskip("llvmlite.binding")
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple("x86_64-unknown-linux-gnu").create_target_machine(cpu="cooperlake", opt=2)
    text = emit_products(AVX512_BF16, torch.float32, half=True)
    assembly = machine.emit_assembly(llvm.parse_assembly(text))
    assert "vdpbf16ps" in assembly
    assert "vcvtne" in assembly, "rows are rounded by the processor"
    assert "vfmadd" not in assembly


def test_without_fused_multiplication_no_library_is_called_for_it():
    llvm = pytest.importorskip("llvmlite.binding")
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple("x86_64-unknown-linux-gnu").create_target_machine(cpu="x86-64", opt=2)
    assembly = machine.emit_assembly(llvm.parse_assembly(emit_products(PORTABLE, torch.float32)))
    assert "fma" not in assembly
    assert "mulps" in assembly
