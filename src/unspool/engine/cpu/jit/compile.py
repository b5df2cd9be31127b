"""JIT: compile LLVM's text to machine code in this process, through llvmlite and the disk cache."""

from __future__ import annotations

import ctypes
import ctypes.util
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch

from unspool.engine.compiler.loops.loop_ir import LoopNest
from unspool.engine.cpu.codegen.commands import emit_jobs
from unspool.engine.cpu.codegen.gemm.amx_microkernel import emit_tiled
from unspool.engine.cpu.codegen.gemm.amx_microkernel import work_size as tiled_work_size
from unspool.engine.cpu.codegen.gemm.vector_microkernel import emit_products, work_size
from unspool.engine.cpu.codegen.kernel import emit_kernel
from unspool.engine.cpu.codegen.ragged_tables import emit_tables
from unspool.engine.cpu.codegen.target import Target
from unspool.engine.cpu.jit import disk_cache as disk
from unspool.engine.cpu.policy import DEFAULT_CODEGEN, CodegenPolicy, current_target

__all__ = [
    "Native",
    "Products",
    "Shared",
    "Tables",
    "Tools",
    "compile_kernel",
    "missing",
    "products",
    "tables",
    "tiled",
    "tools",
    "uncollected",
]


_FROZEN = 1000
"""Objects that a program has frozen at least if it freezes any: Python 3.12 itself begins with 375."""


@cache
def missing() -> str | None:
    """Return why code can't be compiled on this machine; None if it can."""
    if find_spec("llvmlite") is None:
        return "llvmlite is not installed (pip install llvmlite)"
    return None


@contextmanager
def uncollected() -> Iterator[None]:
    """Suspend garbage collection in the block, and don't let the new objects cause one afterwards.

    What compiling makes lives on, and to go through all that torch has imported takes longer than loading a kernel.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            if gc.get_freeze_count() < _FROZEN:  # what was made counts as old, and no longer as a reason to collect
                gc.freeze()
                gc.unfreeze()
            gc.enable()


@cache
class _Machine:
    """LLVM for one processor."""

    def __init__(self, target: Target) -> None:
        import llvmlite
        import llvmlite.binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        library = ctypes.util.find_library("m")
        if library is not None:
            llvm.load_library_permanently(library)
        self._llvm: Any = llvm
        if target.name == "portable":
            processor, features = "", ""
        else:
            processor, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
        features = ",".join(part for part in (features, target.features) if part)
        triple = llvm.get_process_triple()
        self._new_machine = partial(
            llvm.Target.from_triple(triple).create_target_machine, cpu=processor, features=features, opt=3, jit=True
        )
        version = ".".join(map(str, llvm.llvm_version_info))
        self._about = (llvmlite.__version__, version, triple, processor, features)

    def load(self, text: str) -> Any:
        """Return an engine with the module's functions; the code lives as long as the engine."""
        llvm = self._llvm
        name = disk.key(*self._about, text)
        code = disk.find(name)
        if code is None:
            code = self._compile(text)
            disk.keep(name, code)
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), self._new_machine())  # the engine's own
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
        return engine

    def _compile(self, text: str) -> bytes:
        llvm = self._llvm
        module = llvm.parse_assembly(text)
        module.verify()
        options = llvm.create_pipeline_tuning_options(speed_level=2)
        machine = self._new_machine()
        builder = llvm.create_pass_builder(machine, options)
        builder.getModulePassManager().run(module, builder)
        code: bytes = machine.emit_object(module)
        return code


class Shared(NamedTuple):
    """A function whose work threads share."""

    run: Any
    """Makes one part: `run(arguments, part)`."""
    join: int
    """The address of the function that each thread of a team runs."""


@dataclass(frozen=True)
class Products:
    """The compiled products that all kernels of one number type share."""

    product: int
    """The address of the product of rows in a loop."""
    pack: Any
    turned: int
    """The address of the product of columns; 0 if there is none."""
    multiply: Shared | None
    """Products of whole matrices."""
    work: int
    """Numbers of memory that each thread needs for products of whole matrices."""
    engine: Any


@cache
def products(
    dtype: torch.dtype, target: Target, half: bool = False, policy: CodegenPolicy = DEFAULT_CODEGEN
) -> Products:
    """Compile products on vectors: of bfloat16 if `half`."""
    with uncollected():
        work = 0 if half else work_size(target, dtype, policy)
        return _products(_Machine(target).load(emit_products(target, dtype, half=half, policy=policy)), work)


@cache
def tiled(target: Target, parts: int, policy: CodegenPolicy = DEFAULT_CODEGEN) -> Products:
    """Compile AMX products of float32, each number split into so many bfloat16."""
    with uncollected():
        return _products(_Machine(target).load(emit_tiled(target, parts, policy)), tiled_work_size(parts, policy))


def _products(engine: Any, work: int) -> Products:
    whole, address = ctypes.c_int64, ctypes.c_void_p
    run, pack = ctypes.CFUNCTYPE(None, address, whole), ctypes.CFUNCTYPE(None, address, *[whole] * 4, address)
    product, packer, turned, multiply, join = (
        engine.get_function_address(name) for name in ("product", "pack", "turned", "multiply", "multiply_join")
    )
    shared = Shared(run(multiply), join) if multiply else None
    return Products(product, pack(packer), turned, shared, work, engine)


@dataclass(frozen=True)
class Tools:
    """The functions that commands call."""

    play: Any
    """Makes the calls of a list: `play(table, count, places, bases)`."""
    addresses: dict[str, int]
    """Of each function by name."""
    engine: Any


@cache
def tools(dtype: torch.dtype, target: Target) -> Tools:
    """Compile the functions that commands call."""
    with uncollected():
        engine = _Machine(target).load(emit_jobs(target, dtype))
    names = ("play", "copy", "add", "clear", "put", "gather", "gather_join", "pack_join")
    addresses = {name: engine.get_function_address(name) for name in names}
    address = ctypes.c_void_p
    play = ctypes.CFUNCTYPE(None, address, ctypes.c_int64, address, address)
    return Tools(play(addresses["play"]), addresses, engine)


class Tables(NamedTuple):
    """The function that fills the tables of a ragged batch."""

    run: Any
    """`run(lengths, batch, time, reverse, starts)`."""
    engine: Any


@cache
def tables(target: Target) -> Tables:
    """Compile the function that fills the tables of a ragged batch."""
    with uncollected():
        engine = _Machine(target).load(emit_tables())
    whole, address = ctypes.c_int64, ctypes.c_void_p
    run = ctypes.CFUNCTYPE(None, address, whole, whole, whole, address)
    return Tables(run(engine.get_function_address("tables")), engine)


@dataclass(frozen=True)
class Native:
    """One compiled direction."""

    kernel: LoopNest
    run: Any
    """Runs one part of the batch: `run(arguments, part)`."""
    join: int
    """The address of the function that each thread of a team runs."""
    engine: Any


def compile_kernel(
    kernel: LoopNest, dtype: torch.dtype, target: Target | None = None, policy: CodegenPolicy = DEFAULT_CODEGEN
) -> Native:
    """Compile one direction, for the current target if none is given."""
    target = target or current_target()
    with uncollected():
        engine = _Machine(target).load(emit_kernel(kernel, target, dtype, policy))
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
    return Native(kernel, run(engine.get_function_address("run")), engine.get_function_address("join"), engine)
