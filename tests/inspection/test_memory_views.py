"""Views of a memory: heads, contents after each step, and the path of the heads of a copying machine."""

import numpy as np
import pytest
import torch

from unspool import unroll
from unspool.cells import NTMCell, watch
from unspool.errors import UsageError
from unspool.inspection import Map, Recording, Trace
from unspool.inspection.memory import head_maps, head_path, heads_of, memory_contents, memory_map, memory_places

TOKENS = tuple("abcde")


def traced(**sizes):
    torch.manual_seed(3)
    cell, recording = NTMCell(3, 7, slots=6, width=4, **sizes), Recording()
    with watch(cell, recording), torch.no_grad():
        _, state = unroll(cell, torch.randn(5, 1, 3))
    arrays = recording.arrays("layer 1")
    return Trace(TOKENS, arrays, maps=head_maps(arrays, "layer 1", TOKENS, heads_of(cell))), state


def test_weights_times_contents_are_the_read_vectors():
    trace, state = traced(read_heads=2)
    contents = memory_contents(trace)
    assert contents.shape == (5, 6, 4)
    np.testing.assert_array_equal(contents[-1], state.memory[0])
    reads = trace.array("layer 1 / reads").reshape(5, 2, 4)
    for head in range(2):
        shown = trace.map(f"layer 1 / read head {head + 1}")
        assert (shown.rows, shown.columns) == (TOKENS, tuple(f"slot {n}" for n in range(1, 7)))
        rebuilt = np.einsum("ts,tsw->tw", shown.values, contents)
        np.testing.assert_allclose(rebuilt, reads[:, head], rtol=1e-5, atol=1e-6)


def test_the_heads_and_their_parameters_are_arrays_too():
    trace, _ = traced(write_heads=2)
    assert [trace.array(f"layer 1 / {name}").shape[1] for name in ("gate", "strength", "sharpening")] == [3, 3, 3]
    shifts = trace.array("layer 1 / shift").reshape(5, 3, 3)
    np.testing.assert_allclose(shifts.sum(-1), 1, rtol=1e-5)
    assert list(trace.maps) == ["layer 1 / read head 1", "layer 1 / write head 1", "layer 1 / write head 2"]


def test_the_contents_after_one_step_are_a_map():
    trace, _ = traced()
    shown = memory_map(trace, 2)
    np.testing.assert_array_equal(shown.values, memory_contents(trace)[2])
    assert shown.rows == tuple(f"slot {n}" for n in range(1, 7))
    assert shown.columns == ("1", "2", "3", "4")
    assert memory_places(trace) == ["layer 1"]


def test_what_is_no_memory_is_refused():
    trace, _ = traced()
    with pytest.raises(UsageError, match="there is no step 6; the trace has steps 1 to 5"):
        memory_map(trace, 5)
    with pytest.raises(UsageError, match="'layer 2' has no memory"):
        memory_contents(trace, "layer 2")
    with pytest.raises(UsageError, match="this trace has no memory with heads"):
        memory_contents(Trace(TOKENS, {"layer 1 / memory": np.ones((5, 6))}))


def walk(write, read, slots=8):
    tokens = tuple(str(step) for step in range(len(write)))
    columns = tuple(f"slot {n + 1}" for n in range(slots))
    maps = {
        f"layer 1 / {kind} head 1": Map(np.eye(slots)[np.array(path) % slots] * 0.7, tokens, columns)
        for kind, path in (("write", write), ("read", read))
    }
    return Trace(tokens, {}, maps=maps)


def test_a_perfect_walk_backwards_over_the_edge_of_the_ring():
    path = head_path(walk([1, 0, -1, -2, 5, 5, 5, 5, 5], [3, 3, 3, 3, 3, 1, 0, -1, -2]), 4)
    assert (path.direction, path.advances, path.lag, path.retraces) == (-1, 1.0, 0, 1.0)
    assert path.written == (1, 0, 7, 6)
    assert path.read == (1, 0, 7, 6)


def test_a_machine_that_writes_one_step_later_reads_with_a_lag():
    path = head_path(walk([6, 1, 2, 3, 4, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1, 2, 3, 4]), 4)
    assert (path.lag, path.retraces) == (1, 1.0)
    assert path.advances == pytest.approx(2 / 3)


def test_a_machine_that_stands_still_advances_nowhere():
    path = head_path(walk([2] * 9, [4] * 9), 4)
    assert (path.advances, path.retraces) == (0.0, 0.0)
    assert path.record()["written"] == [2, 2, 2, 2]


def test_the_path_of_another_exercise_is_refused():
    with pytest.raises(UsageError, match="a copy of 3 vectors has 7 steps, and the trace 9"):
        head_path(walk([2] * 9, [4] * 9), 3)
