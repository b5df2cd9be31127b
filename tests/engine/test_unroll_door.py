"""What the engine refuses, and in which words; what it says of its paths."""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from cases import PairCell
from unspool.cells import (
    Cell,
    GRUCell,
    LinearCell,
    LSTMCell,
    LSTMState,
    MinGRUCell,
    MinimalState,
    PeepholeLSTMCell,
    watch,
)
from unspool.engine import PATHS, check_lengths, check_sequences, explain, record_dispatch, unroll
from unspool.errors import BackendError, CellError, ShapeError
from unspool.layers import Recurrent


class State(NamedTuple):
    h: Tensor


class OtherState(NamedTuple):
    h: Tensor


class BrokenCell(Cell[State]):
    """Returns whatever it is told to."""

    def __init__(self, output: object = None, state: object = None) -> None:
        super().__init__(3, 4)
        self.output, self.state = output, state

    def initial_state(self, batch_size: int) -> State:
        return State(torch.zeros(batch_size, 4))

    def step(self, x, state, *context):
        good = torch.zeros(len(x), 4)
        return (
            good if self.output is None else self.output,
            State(good) if self.state is None else self.state,
        )


class BareStateCell(BrokenCell):
    def initial_state(self, batch_size):
        return torch.zeros(batch_size, 4)


INPUTS = torch.zeros(5, 2, 3)


@pytest.mark.parametrize(
    ("cell", "error", "message"),
    [
        (
            BrokenCell(output=torch.zeros(2, 7)),
            ShapeError,
            "BrokenCell.step returned an output of shape (2, 7), expected (2, 4)",
        ),
        (BrokenCell(output="h"), ShapeError, "BrokenCell.step returned an output of shape str, expected (2, 4)"),
        (
            BrokenCell(state=State(torch.zeros(2, 6))),
            ShapeError,
            "BrokenCell.step returned state.h of shape (2, 6), expected (2, 4)",
        ),
        (
            BrokenCell(state=OtherState(torch.zeros(2, 4))),
            CellError,
            "BrokenCell.step returned a state of type OtherState, expected State",
        ),
        (BareStateCell(), CellError, "BareStateCell.initial_state returned Tensor, expected a NamedTuple"),
    ],
    ids=["output", "output type", "state shape", "state type", "bare state"],
)
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_a_broken_cell_is_named_with_both_shapes(cell, error, message, reverse):
    with pytest.raises(error, match=re.escape(message)):
        unroll(cell, INPUTS, reverse=reverse)


def test_the_base_class_says_what_is_missing():
    with pytest.raises(NotImplementedError, match="Cell has no initial_state"):
        Cell(2, 3).initial_state(1)
    with pytest.raises(NotImplementedError, match="Cell has no step"):
        Cell(2, 3).step(torch.zeros(1, 2), ())


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (torch.zeros(5, 2, 4), "inputs have shape (5, 2, 4), expected (time, batch, 3)"),
        (torch.zeros(5, 3), "inputs have shape (5, 3), expected (time, batch, 3)"),
        (torch.zeros(0, 2, 3), "inputs have shape (0, 2, 3): there must be at least one step and one sequence"),
        (torch.zeros(5, 0, 3), "inputs have shape (5, 0, 3): there must be at least one step and one sequence"),
    ],
    ids=["width", "rank", "no step", "no sequence"],
)
def test_inputs_of_another_shape_are_refused(inputs, message):
    with pytest.raises(ShapeError, match=re.escape(message)):
        unroll(LSTMCell(3, 4), inputs)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        (torch.tensor([5, 0]), "lengths lie between 0 and 5, expected between 1 and 5"),
        (torch.tensor([6, 2]), "lengths lie between 2 and 6, expected between 1 and 5"),
        (torch.tensor([5, 2, 1]), "lengths are torch.int64 (3,), expected whole numbers (2,)"),
        (torch.tensor([5.0, 2.0]), "lengths are torch.float32 (2,), expected whole numbers (2,)"),
    ],
    ids=["zero", "long", "count", "float"],
)
def test_lengths_that_do_not_fit_are_refused(lengths, message):
    with pytest.raises(ShapeError, match=re.escape(message)):
        unroll(LSTMCell(3, 4), INPUTS, lengths=lengths)
    with pytest.raises(ShapeError, match=re.escape(message)):
        check_lengths(lengths, time=5, batch=2)
    with pytest.raises(ShapeError, match=re.escape(message)):
        check_sequences(INPUTS, lengths, 3)


def test_a_state_that_does_not_fit_is_refused_with_both_shapes():
    state = LSTMState(torch.zeros(2, 4), torch.zeros(2, 5))
    message = "LSTMCell: state has shapes [(2, 4), (2, 5)], expected [(2, 4), (2, 4)]"
    with pytest.raises(ShapeError, match=re.escape(message)):
        unroll(LSTMCell(3, 4), INPUTS, state)
    with pytest.raises(ShapeError, match=re.escape("[(2, 4)], expected [(2, 4), (2, 7)]")):
        unroll(PairCell(3, 4), INPUTS, State(torch.zeros(2, 4)))


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_a_plain_pair_is_taken_as_the_cell_s_state(backend):
    cell = LSTMCell(3, 4)
    pair = (torch.randn(2, 4), torch.randn(2, 4))
    outputs, final = unroll(cell, INPUTS, pair, backend=backend)
    expected, _ = unroll(cell, INPUTS, LSTMState(*pair), backend="reference")
    torch.testing.assert_close(outputs, expected)
    assert isinstance(final, LSTMState)


def test_an_unknown_backend_is_refused_with_the_nearest_name():
    with pytest.raises(BackendError, match=re.escape("no backend 'natve' (did you mean 'native'?)")):
        unroll(LSTMCell(3, 4), INPUTS, backend="natve")


@pytest.mark.parametrize(
    ("cell", "backend", "why"),
    [
        (PeepholeLSTMCell(3, 4), "native", "torch has no kernel for PeepholeLSTMCell"),
        (GRUCell(3, 4), "scan", "GRUCell is not a LinearCell, its gates may look at the state"),
        (MinGRUCell(3, 4), "native", "torch has no kernel for MinGRUCell"),
    ],
    ids=["peephole", "gru", "mingru"],
)
def test_a_demanded_path_that_cannot_run_says_why(cell, backend, why):
    with (
        record_dispatch() as dispatch,
        pytest.raises(BackendError, match=re.escape(f'backend="{backend}" can\'t run this: {why}')),
    ):
        unroll(cell, INPUTS, backend=backend)
    assert dispatch.backend == "none"


class Silent:
    def add(self, name, value):
        pass


@pytest.mark.parametrize(
    ("cell", "backend", "word"), [(LSTMCell(3, 4), "native", "gates"), (MinGRUCell(3, 4), "scan", "step by step")]
)
def test_watching_or_context_takes_the_plain_loop(cell, backend, word):
    assert explain(cell, INPUTS).backend == "cpu"
    with watch(cell, Silent()):
        report = explain(cell, INPUTS)
        assert report.backend == "reference"
        assert word in report.refusals[backend]
        assert "watching" in report.refusals[backend]
        with pytest.raises(BackendError, match="watching"):
            unroll(cell, INPUTS, backend=backend)
    assert explain(cell, INPUTS).backend == "cpu"
    report = explain(cell, INPUTS, context=[torch.zeros(2, 1)])
    assert report.backend == "cpu"
    with pytest.raises(BackendError, match="context"):
        unroll(cell, INPUTS, context=[torch.zeros(2, 1)], backend=backend)


def test_explain_says_in_words_what_runs_and_what_keeps_a_faster_path_from_running():
    assert str(explain(LSTMCell(3, 4), time=1, batch=2)) == (
        "LSTMCell (3 in, 4 out, 1 steps, batch 2, float32 on cpu) runs on the reference path: "
        "not cpu: a compiled loop is not worth its call for 1 step; "
        "not native: for 1 step torch's kernels lay out all weights anew, which may take longer than the step; "
        "not scan: LSTMCell is not a LinearCell, its gates may look at the state"
    )
    assert str(explain(PeepholeLSTMCell(3, 4).double(), INPUTS[:1].double())) == (
        "PeepholeLSTMCell (3 in, 4 out, 1 steps, batch 2, float64 on cpu) runs on the reference path: "
        "not cpu: a compiled loop is not worth its call for 1 step; "
        "not native: torch has no kernel for PeepholeLSTMCell; "
        "not scan: PeepholeLSTMCell is not a LinearCell, its gates may look at the state"
    )


def test_dispatch_is_recorded_only_where_something_ran():
    with record_dispatch() as outer:
        unroll(LSTMCell(3, 4), INPUTS[:1])
        with record_dispatch() as inner:
            unroll(MinGRUCell(3, 4), INPUTS[:1])
        explain(GRUCell(3, 4), INPUTS)
        unroll(PeepholeLSTMCell(3, 4), INPUTS)
    assert inner.backend == "scan"
    assert outer.backend == "reference+cpu"
    assert [report.cell for report in outer.reports] == ["LSTMCell", "PeepholeLSTMCell"]


def test_paths_go_from_fast_to_plain():
    assert list(PATHS)[-1] == "reference"
    assert {name: path.name for name, path in PATHS.items()} == {name: name for name in PATHS}


class _Lonely(LSTMCell):
    """A cell whose step forgets to return the state."""

    def step(self, x, state, *context):
        return super().step(x, state)[0]


class _Wide(LinearCell[MinimalState]):
    """A linear cell whose coefficients are too wide."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight = self.parameter(2 * hidden_size, input_size)

    def initial_state(self, batch_size: int) -> MinimalState:
        return MinimalState(self.weight.new_zeros(batch_size, self.hidden_size))

    def coefficients(self, x):
        wide = x @ self.weight.T
        return wide, wide


def test_a_step_that_returns_no_pair_is_named():
    with pytest.raises(
        CellError, match=r"_Lonely\.step returned Tensor, expected a pair: the output and the new LSTMState"
    ):
        unroll(_Lonely(3, 4), torch.zeros(5, 2, 3))


def test_coefficients_of_the_wrong_width_are_named_with_both_shapes():
    with pytest.raises(ShapeError, match=r"_Wide.coefficients returned shape \(5, 2, 8\), expected \(..., 4\)"):
        unroll(_Wide(3, 4), torch.zeros(5, 2, 3))


@pytest.mark.parametrize("lengths", [[4, 2, 3], (4, 2, 3), np.array([4, 2, 3])], ids=["list", "tuple", "array"])
def test_lengths_may_be_a_list(lengths):
    inputs = torch.randn(4, 3, 5, dtype=torch.float64)
    cell, stack = LSTMCell(5, 6).double(), Recurrent("lstm", 5, 6).double()
    tensor = torch.tensor([4, 2, 3])
    assert torch.equal(unroll(cell, inputs, lengths=lengths)[0], unroll(cell, inputs, lengths=tensor)[0])
    assert torch.equal(stack(inputs, lengths).outputs, stack(inputs, tensor).outputs)


@pytest.mark.parametrize("lengths", [[4, 2.5, 3], ["a", 1, 2], "423"])
def test_lengths_that_are_no_whole_numbers_are_refused(lengths):
    with pytest.raises(ShapeError, match=r"expected (a )?whole number"):
        unroll(LSTMCell(5, 6), torch.randn(4, 3, 5), lengths=lengths)


def test_packed_sequences_and_lists_are_answered_with_what_to_pass():
    packed = torch.nn.utils.rnn.pack_padded_sequence(torch.randn(4, 3, 5), [4, 3, 2])
    for run in (lambda x: unroll(LSTMCell(5, 6), x), Recurrent("lstm", 5, 6)):
        with pytest.raises(ShapeError, match="pad_packed_sequence"):
            run(packed)
        with pytest.raises(ShapeError, match=r"inputs are list, expected a tensor \(time, batch, 5\)"):
            run([[1.0]])


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (LSTMCell, r"is the class LSTMCell; make one of it: LSTMCell\(input_size, hidden_size\)"),
        (functools.partial(LSTMCell, hidden_size=6), r"functools.partial; call it first"),
        (torch.nn.LSTM(5, 6), "torch.nn.LSTM; unspool.cells.from_torch"),
        ("lstm", "the cell is str, expected an unspool.Cell"),
    ],
    ids=["class", "partial", "torch", "name"],
)
def test_what_is_no_cell_is_answered_with_what_is(cell, message):
    with pytest.raises(CellError, match=message):
        unroll(cell, torch.randn(4, 3, 5))
