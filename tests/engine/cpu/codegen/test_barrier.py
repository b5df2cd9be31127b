"""Threads that make the products of every step together: right, the same bits as alone, and only where it pays."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest
import torch
from scopes import policy, threads

from cases import ALL_CELLS, assert_agrees, make_case, make_cell
from odd_cells import ODD
from unspool.cells import LSTMCell
from unspool.engine import Stepper, explain, unroll
from unspool.engine.cpu import backend as path
from unspool.engine.cpu.launch.command_buffer import CommandBuffer
from unspool.engine.cpu.policy import Policy, current_policy
from unspool.engine.cpu.program import Program, Split
from unspool.engine.cpu.runtime.thread_team import CrowdDetector, crowd_detector, team

pytestmark = pytest.mark.skipif(team(current_policy()).start == 0, reason="torch has no OpenMP team here")

# steps, batch, input, hidden; inputs and units as in other tests of these cells, so that kernels are compiled once
SIZES = [(5, 1, 4, 5), (6, 3, 6, 17), (9, 20, 32, 64)]
ODD_SIZES = [(5, 1, 9, 7), (6, 3, 60, 63), (9, 20, 60, 63)]
CASES = [(name, size) for name in ALL_CELLS for size in SIZES] + [(name, size) for name in ODD for size in ODD_SIZES]


@pytest.fixture(autouse=True)
def several_threads():
    """Three of them, who never find the machine crowded; the rows of three threads are never alike."""
    with threads(3), policy(lost_wait_share=1e9):
        yield


@pytest.fixture
def always():
    """Everything is worth it."""
    with policy(
        weight_cache_share=0, shared_rows_amx=1000, shared_rows_vectors=1000, thread_work=1, step_thread_work=1
    ):
        yield


@pytest.fixture
def waits(monkeypatch):
    """The waits of calls that threads made together: seconds lost, and seconds in all."""
    found, record = [], CrowdDetector.record
    monkeypatch.setattr(CrowdDetector, "record", lambda self, *times: (found.append(times), record(self, *times))[1])
    return found


@pytest.fixture
def splits(monkeypatch):
    """How batches were split."""
    found, run = [], CommandBuffer.run
    monkeypatch.setattr(
        CommandBuffer, "run", lambda self, form, *given: (found.append(form.split), run(self, form, *given))[1]
    )
    return found


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize(("name", "size"), CASES, ids=str)
def test_products_made_together_are_right(name, size, ragged, splits, waits):
    case = make_case(name if name in ALL_CELLS else ODD[name], size, dtype=torch.float64, ragged=ragged)
    assert_agrees(case.outputs_and_gradients("cpu"), case.outputs_and_gradients("reference"), torch.float64)
    there, back = splits
    multiplies = any(node.operation == "product" for node in path.graphs_of(case.cell).forward.nodes())
    assert there.together == back.together == multiplies
    assert len(waits) == 2 * multiplies
    assert there.parts == (3 if multiplies else 1)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize("batch", [20, 80])  # on vectors, and in tiles where the processor has them
@pytest.mark.parametrize("name", ["lstm-layernorm", "gru-reset-before"])
def test_alone_where_it_is_crowded_gives_the_same_bits(name, batch, ragged, splits):
    case = make_case(name, (9, batch, 30, 65), dtype=torch.float32, ragged=ragged)
    found = []
    detector = crowd_detector(current_policy())
    for crowded in (False, True, False):
        detector.until = 1e18 if crowded else 0.0
        found.append(case.outputs_and_gradients("cpu"))
    kinds = [split.together for split in splits]
    assert kinds == [True, True, False, False, True, True]
    for other in found[1:]:
        for mine, right in zip(flat(other), flat(found[0]), strict=True):
            assert torch.equal(mine, right)


def flat(found):
    """All tensors in whatever holds them."""
    if isinstance(found, torch.Tensor):
        return [found]
    parts = found.values() if isinstance(found, dict) else found
    return [tensor for part in parts if part is not None for tensor in flat(part)]


def test_a_team_that_is_smaller_than_asked_for_takes_turns_and_gives_the_same_bits():
    code = """
        import hashlib, sys, torch
        from unspool.cells import LSTMCell
        from unspool.engine import explain, unroll
        torch.manual_seed(0)
        torch.set_num_threads(4)
        cell, inputs = LSTMCell(30, 400), torch.randn(7, 4, 30)
        assert "shared by 4 threads" in str(explain(cell, inputs, backend="cpu"))
        outputs, _ = unroll(cell, inputs, backend="cpu")
        torch.testing.assert_close(outputs, unroll(cell, inputs, backend="reference")[0])
        (outputs * torch.linspace(-1, 1, outputs.numel()).view_as(outputs)).sum().backward()
        for part in cell.parameters():
            sys.stdout.write(hashlib.sha256(part.grad.numpy().tobytes()).hexdigest())
    """
    told = [
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            env={**os.environ, "OMP_THREAD_LIMIT": limit, "OMP_NUM_THREADS": "4", "OMP_WAIT_POLICY": "passive"},
            check=True,
            timeout=120,
            capture_output=True,
        ).stdout
        for limit in ("8", "2")
    ]
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("hidden", "batch", "count", "split"),
    [
        (512, 4, 2, Split(2, together=True)),  # weights that two threads' own caches hold, and one's does not
        (512, 4, 1, Split(1, together=False)),
        (512, 200, 2, Split(2, together=False)),  # so many rows that reading weights is the least
        (200, 20, 2, Split(2, together=False)),  # weights stay near anyway
        (256, 1, 2, Split(2, together=True)),  # a sequence can't be shared otherwise
        (100, 1, 2, Split(1, together=False)),  # to wait takes longer than to multiply
        (1024, 2, 16, Split(16, together=True)),
        (256, 1, 16, Split(3, together=True)),
    ],
)
def test_threads_work_together_where_it_pays(hidden, batch, count, split):
    found = Program.of(path.graphs_of(LSTMCell(8, hidden)), torch.float32)
    with threads(count):
        assert found.split(found.forward.kernel, 100, 100 * batch, batch) == split


def test_explain_tells_of_threads_that_work_together():
    told = [str(explain(LSTMCell(400, 400), torch.randn(20, batch, 400), backend="cpu")) for batch in (3, 300)]
    assert "within the loop forward are shared by 3 threads" in told[0]
    assert "shared by" not in told[1]
    lengths = torch.full((300,), 2)  # long padding makes no few rows
    assert "shared by" not in str(explain(LSTMCell(40, 400), torch.randn(99, 300, 40), lengths=lengths, backend="cpu"))


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("name", ["gru-reset-before", "lstm-layernorm", "Reduced"])
def test_single_steps_are_made_together_by_more_threads_than_there_are_sequences(name, waits):
    cell = make_cell(name if name in ALL_CELLS else ODD[name], 20, 65).float()
    stepper = Stepper(cell)
    for count, batch in ((3, 1), (3, 3), (1, 3), (2, 2), (3, 2)):
        torch.set_num_threads(count)
        inputs = torch.randn(4, batch, 20)
        with torch.no_grad():
            expected, state = unroll(cell, inputs, backend="reference")[0], cell.initial_state(batch)
            for x, right in zip(inputs, expected, strict=True):
                output, state = stepper(x, state)
                torch.testing.assert_close(output, right, rtol=1e-5, atol=1e-5)
        bound = stepper._step
        assert bound._parts == count
        for buffer in bound._kernel.buffers.values():
            if buffer.rate == "part":
                assert len(bound._held[buffer.name]) >= count, "each part writes a row of its own"
    assert len(waits) == 4 * 4


def test_who_waits_too_long_works_alone_for_a_while_and_longer_each_time():
    now = [100.0]
    detector = CrowdDetector(Policy(), clock=lambda: now[0])
    detector.record(0.5, 1.0)
    assert not detector.crowded(), "one bad call says little"
    for seconds in (1, 2, 4):
        while not detector.crowded():
            detector.record(0.5, 1.0)
        now[0] += seconds - 0.1
        assert detector.crowded()
        now[0] += 0.2
        assert not detector.crowded()
    for _ in range(200):
        now[0] += 0.1
        detector.record(0.01, 1.0)
    while not detector.crowded():
        detector.record(0.5, 1.0)
    now[0] += 1.1
    assert not detector.crowded(), "it went well in between"
