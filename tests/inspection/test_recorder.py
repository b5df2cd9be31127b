import numpy as np
import pytest
import torch

from unspool.errors import CellError, ShapeError
from unspool.inspection.recorder import Recording


def recorded(steps=3):
    recording, values = Recording(), torch.arange(steps * 2 * 4, dtype=torch.float32).reshape(steps, 2, 4)
    for step in values:
        recording.add("forget", step)
        recording.add("h", -step)
    return recording, values


def test_steps_are_stacked_in_the_order_they_ran():
    recording, values = recorded()
    stacked = recording.stacked()
    assert recording.names == ("forget", "h") == tuple(stacked)
    assert torch.equal(stacked["forget"], values)
    assert torch.equal(stacked["h"], -values)


def test_values_are_copied_and_leave_the_graph():
    recording, value = Recording(), torch.ones(1, 2, requires_grad=True)
    doubled = value * 2
    recording.add("x", doubled)
    with torch.no_grad():
        doubled.zero_()
    stacked = recording.stacked()["x"]
    assert stacked.tolist() == [[[2.0, 2.0]]]
    assert not stacked.requires_grad


def test_arrays_are_one_sequence_in_token_order():
    recording, values = recorded()
    forward = recording.arrays("layer 1 forward", column=1, length=2)
    backward = recording.arrays("layer 1 backward", column=1, length=2, reverse=True)
    assert list(forward) == ["layer 1 forward / forget", "layer 1 forward / h"]
    np.testing.assert_array_equal(forward["layer 1 forward / forget"], values[:2, 1].numpy())
    np.testing.assert_array_equal(backward["layer 1 backward / h"], -values.flip(0)[:2, 1].numpy())


def test_bfloat16_becomes_float32():
    recording = Recording()
    recording.add("h", torch.tensor([[0.5, -1.5]], dtype=torch.bfloat16))
    array = recording.arrays("layer 1")["layer 1 / h"]
    assert array.dtype == np.float32
    assert array.tolist() == [[0.5, -1.5]]


def test_a_complex_value_becomes_two_arrays():
    recording = Recording()
    recording.add("h", torch.tensor([[0.5 - 1.5j, 2j]]))
    arrays = recording.arrays("layer 1")
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "layer 1 / h real": [[0.5, 0.0]],
        "layer 1 / h imaginary": [[-1.5, 2.0]],
    }


def test_a_name_missing_from_a_step_is_the_cells_mistake():
    recording, _ = recorded()
    recording.add("forget", torch.zeros(2, 4))
    with pytest.raises(CellError, match="forget 4 times, h 3 times"):
        recording.stacked()


def test_a_name_in_two_shapes_is_the_cells_mistake():
    recording = Recording()
    recording.add("h", torch.zeros(2, 4))
    recording.add("h", torch.zeros(2, 3))
    with pytest.raises(ShapeError, match=r"'h' in several shapes: \(2, 3\), \(2, 4\)"):
        recording.stacked()


def test_nothing_recorded_is_nothing():
    assert Recording().stacked() == {}
