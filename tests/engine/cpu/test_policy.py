"""Policies: every field changes something, and programs, command buffers and kernels are cached by policy."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from scopes import policy, threads

from cases import make_case, make_cell
from unspool.cells import LSTMCell
from unspool.engine import explain, unroll
from unspool.engine.compiler.loops.fusion import fuse
from unspool.engine.cpu.backend import _programs, graphs_of
from unspool.engine.cpu.codegen.gemm.amx_microkernel import emit_tiled
from unspool.engine.cpu.codegen.gemm.vector_microkernel import emit_products
from unspool.engine.cpu.codegen.kernel import emit_kernel
from unspool.engine.cpu.codegen.target import AMX, AVX512, AVX512_BF16, PORTABLE, host_target
from unspool.engine.cpu.jit import disk_cache
from unspool.engine.cpu.jit.compile import missing, products
from unspool.engine.cpu.launch.packed_weights import WeightSnapshot
from unspool.engine.cpu.launch.record import record_affine
from unspool.engine.cpu.policy import (
    AmxRows,
    CodegenPolicy,
    Policy,
    current_policy,
    current_target,
    use_policy,
    use_target,
)
from unspool.engine.cpu.program import Program
from unspool.engine.cpu.runtime.autograd_gemm import matrix_gradient
from unspool.engine.cpu.runtime.batch_layout import blocks
from unspool.engine.cpu.runtime.gemm import enough, fastest, worthwhile
from unspool.engine.cpu.runtime.memory_pool import MemoryPool, pool_of, pooled_empty
from unspool.engine.cpu.runtime.thread_team import CrowdDetector, team
from unspool.layers import Recurrent

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))
GRAPHS = graphs_of(LSTMCell(8, 512))


def split(batch: int, *, hidden: int = 512, count: int = 2) -> Any:
    """How two threads share a batch of 100 steps."""
    program = Program.of(GRAPHS if hidden == 512 else graphs_of(LSTMCell(8, hidden)), torch.float32)
    kernel = fuse(program.graphs.forward, lanes=16, backward=False, history=program.states)
    with threads(count):
        return program.split(kernel, 100, 100 * batch, batch), program.tiles(kernel, 100, 100 * batch, batch)


def in_bfloat16(batch: int) -> int:
    program = Program.of(GRAPHS, torch.float32, half=True)
    kernel = fuse(program.graphs.forward, lanes=16, backward=False, history=program.states)
    return program.tiles(kernel, 100, 100 * batch, batch)


def on(target: Any, result: Callable[[], Any]) -> Callable[[], Any]:
    """The same on another processor, under the policy of the test."""

    def run() -> Any:
        chosen = current_policy()
        with use_target(target), use_policy(chosen):
            return result()

    return run


def seconds_alone(lost: list[float]) -> float:
    """How long threads work alone after some calls of a second that lost some of it."""
    now = [100.0]
    detector = CrowdDetector(current_policy(), lambda: now[0])
    for part in lost:
        detector.record(part, 1.0)
    return detector.until


def strategy(width: int) -> str:
    cell = LSTMCell(8, width)
    program = Program.of(graphs_of(cell), torch.float32)
    return record_affine(program, program.graphs.plain, 1, list(cell.parameters())).strategy(blocks(60, 40, False))


def commands(steps: int) -> tuple[int, int]:
    """Of a forward pass: how many commands it has, and among how many threads products are shared."""
    case = make_case("lstm", (steps, 40, 64, 96), ragged=False)
    with threads(2):
        case.run("cpu")
        program = next(reversed(_programs.values()))
        (recorder,) = program.recorders.values()
        (buffer,) = recorder._buffers.values()
        return len(buffer.head._calls), buffer.lay_out(blocks(steps, 40, False)).shares


def programs(count: int) -> int:
    for hidden in range(3, 3 + count):
        assert explain(make_cell("elman", 2, hidden), backend="cpu").details
    return len(_programs)


def kept_entries(tmp_path: Any) -> int:
    for number in range(4):
        disk_cache.keep(f"entry{number}", bytes(1000))
    return len(list(disk_cache.folder().iterdir()))


def pool_after_use(size: int) -> int:
    chosen = current_policy()
    del_me = pooled_empty(torch.float32, size)
    del del_me
    return pool_of(chosen.pool_least_bytes, chosen.pool_most_bytes).unused


def gradient() -> tuple[int, ...]:
    with policy(own_gemm=False):
        return matrix_gradient(torch.randn(1030, 4), torch.randn(1030, 5)).stride()


def stack_path() -> str:
    return Recurrent("gru", 4, 5).eval().explain(time=9, batch=3).backend


def kept_launches() -> int:
    net = Recurrent("gru", 4, 5).eval()
    with torch.no_grad():
        for time in range(3, 8):
            net(torch.randn(time, 1, 4))
    return len(net._stack._benches[0].launches)


FIELDS: dict[str, tuple[Any, Callable[[], Any]]] = {
    "codegen": (CodegenPolicy(block_depth=256), lambda: Program.of(GRAPHS, torch.float32).products(0).work),
    "compiled_steps": (9, lambda: explain(LSTMCell(8, 16), time=8).backend),
    "openmp": (False, lambda: team(current_policy()).start > 0),
    "thread_work": (10**12, lambda: split(200)),
    "step_thread_work": (10**9, lambda: split(1, hidden=256)),
    "shared_rows_amx": (1, on(AMX, lambda: split(20))),
    "shared_rows_vectors": (1, on(AVX512, lambda: split(20))),
    "weight_cache_share": (1e9, on(AVX512, lambda: split(4))),
    "lost_wait_share": (0.9, lambda: seconds_alone([0.5] * 3)),
    "lost_wait_weight": (0.01, lambda: seconds_alone([0.5] * 3)),
    "alone_seconds": (2.0, lambda: seconds_alone([1.0])),
    "alone_seconds_most": (1.0, lambda: seconds_alone([1.0] * 2)),
    "amx_rows_split": (AmxRows(0, 0, 0), on(AMX, lambda: split(2, count=1))),
    "amx_rows_rounded": (AmxRows(0, 0, 0), on(AMX, lambda: in_bfloat16(2))),
    "stack_sequences": (2, stack_path),
    "stack_bytes": (1, stack_path),
    "stack_sizes": (2, kept_launches),
    "serial_work": (10**12, lambda: strategy(96)),
    "blocked_ratio": (0, lambda: strategy(96)),
    "parallel_packing": (1 << 30, lambda: commands(20)[0]),
    "thread_lines": (10**6, lambda: commands(20)[1]),
    "own_gemm": (not current_policy().own_gemm, lambda: fastest() is None),
    "gemm_work": (10**12, lambda: enough(10**9)),
    "gemm_columns": (40, lambda: worthwhile(torch.randn(40_000, 64), torch.randn(64, 30))),
    "transposed_gradient_rows": (2000, gradient),
    "pool_least_bytes": (1 << 40, lambda: pool_after_use(1 << 20) > 0),
    "pool_most_bytes": (100, lambda: pool_after_use(1 << 20) > 0),
    "weight_probes": (2, lambda: WeightSnapshot(torch.randn(100, 100), current_policy().weight_probes).numbers.size),
    "cached_programs": (2, lambda: programs(4)),
    "disk_cache_bytes": (2100, lambda: kept_entries(None)),
}


def test_every_field_has_a_test():
    assert FIELDS.keys() == {field.name for field in fields(Policy)}


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_changes_something(name, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    value, result = FIELDS[name]
    needs = {"own_gemm": True} if name == "gemm_columns" else {}
    with policy(**needs):
        before = result()
        with policy(**{name: value}):
            after = result()
    assert before != after


@pytest.mark.parametrize("field", fields(CodegenPolicy), ids=lambda field: field.name)
def test_every_constant_stands_in_generated_code(field):
    found = graphs_of(LSTMCell(4, 8))
    kernel = fuse(found.forward, lanes=16, backward=False, history=frozenset({0, 1}))
    texts = []
    for codegen in (CodegenPolicy(), replace(CodegenPolicy(), **{field.name: field.default / 2})):
        codegen = replace(codegen, **{field.name: type(field.default)(getattr(codegen, field.name))})
        texts.append(
            [
                emit_kernel(kernel, AVX512, torch.float32, codegen),
                emit_tiled(AMX, 3, codegen),
                emit_products(AVX512, torch.float32, policy=codegen),
                emit_products(AVX512_BF16, torch.float32, half=True, policy=codegen),
            ]
        )
    assert texts[0] != texts[1]


def test_programs_and_their_command_buffers_belong_to_one_policy():
    case = make_case("lstm", (12, 20, 50, 48), ragged=False)
    expected = case.outputs_and_gradients("reference")
    found = []
    for changes in ({}, {"serial_work": 0}, {"openmp": False}, {}):
        with policy(**changes):
            actual = case.outputs_and_gradients("cpu")
            found.append(next(reversed(_programs.values())))
            assert found[-1].policy == current_policy()
        for key, right in expected.items():
            torch.testing.assert_close(actual[key], right, rtol=1e-4, atol=1e-4)
    assert found[0] is found[3], "equal policies share a program"
    assert len({id(program) for program in found}) == 3
    buffers = [buffer for program in found[:3] for r in program.recorders.values() for buffer in r._buffers.values()]
    assert {id(buffer.program) for buffer in buffers} == {id(program) for program in found}
    starts = {buffer.program.policy.openmp: buffer._functions["parallel"] for buffer in buffers}
    assert starts[False] == 0


def test_a_backward_pass_keeps_the_policy_of_its_forward_pass():
    case = make_case("gru-reset-before", (12, 20, 50, 48), ragged=True, dtype=torch.float64)
    leaves = [case.inputs, *case.cell.parameters()]
    expected = torch.autograd.grad(case.run("reference")[0].sum(), leaves)
    with policy(openmp=False, serial_work=0):
        total = case.run("cpu")[0].sum()
    torch.testing.assert_close(torch.autograd.grad(total, leaves), expected, rtol=1e-11, atol=1e-11)


def test_kernels_are_shared_by_policies_that_differ_elsewhere():
    other = replace(Policy(), serial_work=1)
    first, second = (products(torch.float32, PORTABLE, False, chosen.codegen) for chosen in (Policy(), other))
    assert first is second
    deeper = products(torch.float32, PORTABLE, False, replace(CodegenPolicy(), block_depth=1024))
    assert deeper is not first
    assert deeper.work > first.work


def test_packed_weights_are_packed_anew_for_another_policy():
    cell, inputs = LSTMCell(4, 9), torch.randn(3, 2, 4)
    with torch.no_grad():
        expected = unroll(cell, inputs, backend="reference")[0]
        for target in (host_target(), PORTABLE, host_target()):  # whose packed matrices have other widths
            with use_target(target):
                torch.testing.assert_close(unroll(cell, inputs, backend="cpu")[0], expected)


def test_scopes_nest_and_end():
    host = current_policy()
    assert host is current_policy()
    with policy(serial_work=1):
        with policy(gemm_work=2) as inner:
            assert (inner.serial_work, inner.gemm_work) == (1, 2)
        with use_target(AMX):
            assert current_policy() == Policy.for_target(AMX)
            assert current_target() is AMX
        assert current_policy().serial_work == 1
    assert current_policy() is host
    assert current_target() is host_target()


def test_other_threads_keep_their_own_policy():
    policies = []
    with policy(serial_work=1):
        thread = threading.Thread(target=lambda: policies.append(current_policy().serial_work))
        thread.start()
        thread.join()
    assert policies == [Policy().serial_work]


def test_a_policy_follows_from_its_processor():
    assert Policy.for_target(AMX).own_gemm
    assert not Policy.for_target(AVX512).own_gemm
    assert Policy.for_target(replace(AVX512, amd=True)).own_gemm
    assert not Policy.for_target(replace(PORTABLE, amd=True)).own_gemm, "narrow vectors"


def test_a_pool_of_its_own_limits():
    assert pool_of(1, 2) is pool_of(1, 2)
    assert pool_of(1, 2) is not pool_of(1, 3)
    assert isinstance(pool_of(1, 2), MemoryPool)
