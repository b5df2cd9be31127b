"""Threads: more than cores, fewer than asked for, none after a fork; and memory that does not grow."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from scopes import policy, threads

from cases import assert_agrees, make_case
from unspool.engine.cpu.launch.command_buffer import CommandBuffer
from unspool.engine.cpu.policy import current_policy
from unspool.engine.cpu.runtime import thread_team

SIZE = (12, 20, 60, 64)  # enough work to be shared out


@pytest.fixture
def many_threads():
    with threads(5):
        yield


@pytest.fixture
def used(monkeypatch):
    """In how many parts batches were cut."""
    found, run = set(), CommandBuffer.run
    monkeypatch.setattr(
        CommandBuffer, "run", lambda self, form, *given: (found.add(form.split.parts), run(self, form, *given))[1]
    )
    return found


def agree(ragged: bool) -> None:
    case = make_case("gru-reset-before", SIZE, dtype=torch.float64, ragged=ragged)
    assert_agrees(case.outputs_and_gradients("cpu"), case.outputs_and_gradients("reference"), torch.float64)


@pytest.mark.usefixtures("many_threads")
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize("way", ["team", "pool", "forked"])
def test_parts_add_up_to_the_whole(way, ragged, used, monkeypatch):
    if way == "team" and thread_team.team(current_policy()).parallel is None:
        pytest.skip("torch has no OpenMP team here")
    if way == "forked":
        monkeypatch.setattr(thread_team, "_forked", True)
    with policy(openmp=way != "pool"):
        agree(ragged)
    assert used == ({1} if way == "forked" else {5})


def test_a_team_that_is_smaller_than_asked_for_does_all_parts(tmp_path):
    """OpenMP may hand out fewer threads; each then takes several parts."""
    code = """
        import torch
        from unspool.cells import ResetBeforeGRUCell
        from unspool.engine import unroll
        torch.set_num_threads(6)
        cell, inputs = ResetBeforeGRUCell(60, 64), torch.randn(12, 20, 60)
        torch.testing.assert_close(unroll(cell, inputs, backend="cpu")[0], unroll(cell, inputs, backend="reference")[0])
    """
    environment = {**os.environ, "OMP_THREAD_LIMIT": "2", "OMP_WAIT_POLICY": "passive"}
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env=environment, check=True, timeout=120)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize("counts", [(1, 3), (3, 1)], ids=str)
def test_the_way_back_may_have_other_threads(counts, ragged, dtype):
    """At a size that one thread makes on vectors and three leave to torch or to tiles."""
    case = make_case("lstm", (20, 20, 50, 48), dtype=dtype, ragged=ragged)
    leaves = [case.inputs, *case.state, *case.cell.parameters()]
    found = {}
    for backend in ("reference", "cpu"):
        with threads(counts[0]):
            outputs, final = case.run(backend)
        with threads(counts[1]):
            total = sum((part * other).sum() for part, other in zip((outputs, *final), case.cotangents, strict=True))
            found[backend] = torch.autograd.grad(total, leaves)
    for actual, expected in zip(found["cpu"], found["reference"], strict=True):
        near = 1e-5 if dtype is torch.float32 else 1e-13
        assert float((actual - expected).abs().max() / expected.abs().max()) < near


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")
def test_fewer_parts_than_threads_end_no_thread():
    code = """
        import os, time, torch
        from unspool.cells import ResetBeforeGRUCell
        from unspool.engine import unroll
        torch.set_num_threads(6)
        cell, inputs = ResetBeforeGRUCell(60, 64), torch.randn(50, 6, 60)
        for _ in range(3):
            torch.randn(500, 500) @ torch.randn(500, 500)
            torch.randn(1_000_000).exp_()
            before = len(os.listdir("/proc/self/task"))
            with torch.no_grad():
                unroll(cell, inputs, backend="cpu")  # six sequences, so three parts
            time.sleep(0.2)
            assert len(os.listdir("/proc/self/task")) >= before > 6
    """
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env=environment, check=True, timeout=120)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_runs_and_does_not_hang():
    code = """
        import os, torch
        from unspool.cells import ResetBeforeGRUCell
        from unspool.engine import unroll
        torch.set_num_threads(3)
        cell, inputs = ResetBeforeGRUCell(60, 64), torch.randn(12, 20, 60)
        with torch.no_grad():
            expected = unroll(cell, inputs, backend="cpu")[0]
            child = os.fork()
            if child == 0:
                torch.set_num_threads(1)  # as a data loader's worker does
                os._exit(0 if torch.allclose(unroll(cell, inputs, backend="cpu")[0], expected, atol=1e-5) else 3)
            assert os.waitpid(child, 0)[1] == 0
    """
    subprocess.run([sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)], check=True, timeout=120)


def test_training_finishes_and_is_right_while_other_processes_take_the_cores(used):
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        case = make_case("gru-reset-before", SIZE, dtype=torch.float64)
        expected = case.outputs_and_gradients("reference")
        for _ in range(10):  # ten regions there, ten back; each waits for a thread that may not be running
            assert_agrees(case.outputs_and_gradients("cpu"), expected, torch.float64)
    finally:
        torch.set_num_threads(before)
        for other in others:
            other.kill()
            other.wait()
    assert used == {2}


STATM = Path("/proc/self/statm")


def resident() -> int:
    """Bytes of this process in memory."""
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not STATM.exists(), reason="needs /proc")
def test_memory_does_not_grow_with_training():
    case = make_case("lstm-peephole", (4, 3, 5, 8), ragged=False)
    for count in range(2000):
        case.outputs_and_gradients("cpu")
        if count == 300:
            before = resident()
    assert resident() - before < 4 * 2**20


@pytest.mark.slow
@pytest.mark.skipif(not STATM.exists(), reason="needs /proc")
def test_memory_does_not_grow_with_forty_thousand_calls():
    case = make_case("gru", (4, 3, 5, 8), ragged=False)
    with torch.no_grad():
        for count in range(40_000):
            case.run("cpu")
            if count == 1000:
                before = resident()
    assert resident() - before < 8 * 2**20
