"""One step at a time: the same as `unroll` finds, whatever happened to the cell between two steps."""

from __future__ import annotations

import copy
import gc
import re
import threading
import weakref

import pytest
import torch

from cases import ALL_CELLS, TOLERANCE, ContextCell, make_case, make_cell, runs_on
from unspool.cells import Cell, LSTMCell, LSTMState, watch
from unspool.engine import Stepper, record_dispatch, unroll
from unspool.errors import BackendError, ShapeError

SIZES = [(1, 1, 1), (1, 5, 7), (3, 4, 16), (33, 3, 65)]  # batch, input, hidden


def walk(stepper, inputs, state, *context):
    """Every step's output and the last state."""
    outputs = []
    for x in inputs:
        output, state = stepper(x, state, *context)
        outputs.append(output)
    return torch.stack(outputs), state


def assert_steps_agree(stepper, case, context=(), dtype=torch.float64):
    inputs, state = case.inputs.detach(), type(case.state)(*(part.detach() for part in case.state))
    with torch.no_grad():
        expected = unroll(stepper.cell, inputs, state, context=context, backend="reference")
        actual = walk(stepper, inputs, state, *context)
    torch.testing.assert_close(actual[0], expected[0], **TOLERANCE[dtype])
    assert type(actual[1]) is type(expected[1])
    for mine, right in zip(actual[1], expected[1], strict=True):
        torch.testing.assert_close(mine, right, **TOLERANCE[dtype])


@pytest.mark.usefixtures("nan_memory")
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", ALL_CELLS)
def test_steps_agree_with_the_plain_loop(name, size):
    case = make_case(name, (4, *size), dtype=torch.float64, ragged=False)
    stepper = Stepper(case.cell)
    with record_dispatch() as dispatch:
        assert_steps_agree(stepper, case)
    compiled = runs_on("cpu", case.cell)
    assert {report.backend for report in dispatch.reports[1:]} == {"cpu" if compiled else "reference"}, dispatch.reason
    assert (stepper.report.reason == "cpu is the fastest path there is for this cell") == compiled


@pytest.mark.parametrize("name", ["lstm", "gru-reset-before", "own-pair", "ntm"])
def test_float32_steps_agree(name):
    case = make_case(name, (6, 2, 9, 33), ragged=False)
    stepper = Stepper(case.cell, backend="cpu")
    assert_steps_agree(stepper, case, dtype=torch.float32)


def test_the_batch_may_change_from_step_to_step():
    case = make_case("lstm-layernorm", (3, 12, 5, 7), dtype=torch.float64, ragged=False)
    stepper = Stepper(case.cell)
    for batch in (3, 12, 1, 5, 12):
        part = copy.copy(case)
        part.inputs, part.state = case.inputs[:, :batch], type(case.state)(*(s[:batch] for s in case.state))
        assert_steps_agree(stepper, part)
        assert stepper.report.backend == "cpu"


def test_context_reaches_every_step():
    case = make_case(ContextCell, (4, 3, 5, 7), dtype=torch.float64, ragged=False)
    stepper = Stepper(case.cell)
    assert_steps_agree(stepper, case, context=(torch.randn(3, 5).double(), torch.randn(3, 5).double()))
    assert stepper.report.backend == "cpu"
    assert_steps_agree(stepper, case, context=(torch.randn(3, 5).double(),))  # another number of them


def test_many_threads_share_a_large_batch():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        case = make_case("gru-reset-before", (2, 40, 100, 120), dtype=torch.float64, ragged=False)
        stepper = Stepper(case.cell)
        assert_steps_agree(stepper, case)
        assert stepper._step._parts == 3
    finally:
        torch.set_num_threads(before)


def test_results_are_the_callers_own():
    cell = make_cell("lstm", 3, 5)
    stepper, x = Stepper(cell), torch.randn(2, 3).double()
    with torch.no_grad():
        first, state = stepper(x, cell.initial_state(2))
        kept = [first.clone(), state.h.clone(), state.c.clone()]
        second, after = stepper(x, state)
    for mine, right in zip((first, *state), kept, strict=True):
        torch.testing.assert_close(mine, right, rtol=0, atol=0)
    addresses = {part.data_ptr() for part in (first, state.c, second, after.c)}
    assert len(addresses) == 4


def test_inputs_that_do_not_lie_in_one_piece_are_taken():
    case = make_case("lstm", (3, 2, 4, 5), dtype=torch.float64, ragged=False)
    case.inputs = case.inputs.detach().permute(2, 1, 0).contiguous().permute(2, 1, 0)
    case.state = LSTMState(*(part.detach().t().contiguous().t() for part in case.state))
    stepper = Stepper(case.cell)
    assert_steps_agree(stepper, case)
    assert stepper.report.backend == "cpu"


# -- what changes between two steps


def optimizer_step(cell):
    with torch.enable_grad():
        optimizer = torch.optim.Adam(cell.parameters(), lr=0.1)
        unroll(cell, torch.ones(2, 1, 3).double(), backend="reference")[0].sum().backward()
    optimizer.step()


def fused_step(cell):
    for weight in cell.parameters():
        weight.grad = torch.ones_like(weight)
    torch.optim.Adam(cell.parameters(), lr=0.1, fused=True).step()


def load(cell, **options):
    cell.load_state_dict({name: 0.5 * weight for name, weight in cell.state_dict().items()}, **options)


def write_in_inference_mode(cell):
    with torch.inference_mode():
        cell.weight_hh.mul_(0.5)


def exchange_parameter(cell):
    cell.weight_hh = torch.nn.Parameter(cell.weight_hh.detach() * 0.5)


def exchange_twice(cell):
    """The second memory may come to lie where the first was."""
    for _ in range(2):
        cell.weight_hh.data = cell.weight_hh.data * 0.7


def scale_one(cell):
    with torch.no_grad():
        cell.bias_ih[1] += 1


def move_there_and_back(cell):
    cell.float().double()


SEEN = [
    optimizer_step,
    fused_step,
    load,
    lambda cell: load(cell, assign=True),
    write_in_inference_mode,
    exchange_parameter,
    exchange_twice,
    scale_one,
    move_there_and_back,
]


@pytest.mark.parametrize("change", SEEN, ids=lambda change: change.__name__)
@pytest.mark.parametrize("how", ["stepper", "unroll"])
def test_weights_that_change_are_packed_again(how, change):
    case = make_case("lstm", (3, 1, 3, 6), dtype=torch.float64, ragged=False)
    stepper = Stepper(case.cell)

    def run():
        if how == "stepper":
            assert_steps_agree(stepper, case)
            return
        with torch.no_grad():
            for mine, right in zip(case.run("cpu")[0], case.run("reference")[0], strict=True):
                torch.testing.assert_close(mine, right, **TOLERANCE[torch.float64])

    for _ in range(2):
        run()
        change(case.cell)
    run()


def mul_data(cell):
    cell.weight_hh.data.mul_(0.5)


def turn_data(cell):
    cell.bias_hh.data = cell.bias_hh.data.flip(0)


def write_array(cell):
    cell.bias_hh.detach().numpy()[:] += 1


@pytest.mark.parametrize("change", [mul_data, turn_data, write_array], ids=lambda change: change.__name__)
@pytest.mark.parametrize("how", ["stepper", "unroll"])
def test_what_torch_does_not_count_is_seen_where_it_changes_all_numbers(how, change):
    case = make_case("lstm", (3, 1, 3, 6), dtype=torch.float64, ragged=False)
    stepper = Stepper(case.cell)
    for _ in range(3):
        if how == "stepper":
            assert_steps_agree(stepper, case)
        else:
            with torch.no_grad():
                torch.testing.assert_close(case.run("cpu")[0], case.run("reference")[0], **TOLERANCE[torch.float64])
        change(case.cell)


def test_refresh_keeps_what_has_not_changed_and_sees_settings():
    class Leaky(ALL_CELLS["elman"]):
        leak = None

        def step(self, x, state, *context):
            output, new = super().step(x, state)
            return self.leak * output, new

    case = make_case(Leaky, (2, 2, 3, 4), dtype=torch.float64, ragged=False)
    case.cell.leak = 0.5
    stepper = Stepper(case.cell)
    assert_steps_agree(stepper, case)
    step = stepper._step
    stepper.refresh()
    assert stepper._step is step
    case.cell.leak = 0.25
    stepper.refresh()
    assert_steps_agree(stepper, case)
    assert stepper.report.backend == "cpu"


def test_packed_weights_are_kept_between_calls_and_go_with_the_cell(monkeypatch):
    from unspool.engine.cpu import program

    packed = []
    pack = program.Program.pack
    monkeypatch.setattr(program.Program, "pack", lambda self, *given: (packed.append(1), pack(self, *given))[1])
    case = make_case("gru-reset-before", (5, 2, 3, 6), dtype=torch.float64, ragged=False)
    with torch.no_grad():
        case.run("cpu")
        once = len(packed)
        case.run("cpu")
        Stepper(case.cell)(case.inputs[0], case.state)
        assert once == len(packed) == 3, "those of the inputs, of the state and of the gated state"
        case.cell.weight_hh.mul_(0.5)
        case.run("cpu")
        assert len(packed) == 2 * once
    weight = weakref.ref(case.cell.weight_hh)
    del case
    gc.collect()
    assert weight() is None


def test_weights_made_in_inference_mode_are_never_kept():
    with torch.inference_mode():
        cell = LSTMCell(3, 4)
        x, state = torch.randn(2, 3), cell.initial_state(2)
        for _ in range(2):
            expected = unroll(cell, x[None], state, backend="reference")[0][0]
            torch.testing.assert_close(unroll(cell, x[None], state, backend="cpu")[0][0], expected)
            stepper = Stepper(cell)
            torch.testing.assert_close(stepper(x, state)[0], expected)
            assert "inference mode" in stepper.report.reason
            cell.weight_hh.mul_(0.5)


def test_steps_in_inference_mode_are_compiled():
    case = make_case("lstm", (2, 2, 3, 4), dtype=torch.float64, ragged=False)
    stepper = Stepper(case.cell)
    with torch.inference_mode():
        assert_steps_agree(stepper, case)
    assert stepper.report.backend == "cpu"
    assert_steps_agree(stepper, case)


# -- when the plain step runs


def test_a_step_that_wants_a_gradient_is_plain_and_has_it():
    case = make_case("gru", (1, 2, 3, 4), dtype=torch.float64, ragged=False)
    stepper = Stepper(case.cell)
    output, _ = stepper(case.inputs[0], case.state)
    expected, _ = case.run("reference")
    (mine,) = torch.autograd.grad(output.sum(), case.cell.weight_hh)
    (right,) = torch.autograd.grad(expected.sum(), case.cell.weight_hh)
    torch.testing.assert_close(mine, right)
    assert (stepper.report.backend, "gradient" in stepper.report.reason) == ("reference", True)
    with torch.no_grad():
        stepper(case.inputs[0], case.state)
    assert stepper.report.backend == "cpu"
    case.cell.requires_grad_(False)
    stepper(case.inputs[0].detach(), type(case.state)(case.state.h.detach()))
    assert stepper.report.backend == "cpu", "nothing asks for a gradient"


def test_a_watched_step_shows_what_it_records():
    class Names(list):
        def add(self, name, value):
            self.append(name)

    cell, seen = make_cell("lstm", 3, 4), Names()
    stepper, x = Stepper(cell), torch.randn(1, 3).double()
    with torch.no_grad():
        stepper(x, cell.initial_state(1))
        with watch(cell, seen):
            stepper(x, cell.initial_state(1))
        assert {"h", "c"} <= set(seen)
        assert len(seen) > 2, "gates too"
        assert "watching" in stepper.report.reason
        stepper(x, cell.initial_state(1))
    assert stepper.report.backend == "cpu"


class Sorted(LSTMCell):
    """A step that the compiler does not take."""

    def step(self, x, state, *context):
        h, new = super().step(x.sort(-1).values, state)
        return h, new


def test_a_step_that_can_t_be_compiled_is_plain_and_says_why():
    case = make_case(Sorted, (3, 2, 4, 5), dtype=torch.float64, ragged=False)
    stepper = Stepper(case.cell)
    assert_steps_agree(stepper, case)
    assert "the compiler does not know aten.sort.default" in stepper.report.reason
    with pytest.raises(BackendError, match=r'backend="cpu" can\'t run this: .*aten.sort'), torch.no_grad():
        Stepper(case.cell, backend="cpu")(case.inputs[0], case.state)


def test_the_plain_step_may_be_demanded():
    case = make_case("lstm", (2, 2, 3, 4), dtype=torch.float64, ragged=False)
    stepper = Stepper(case.cell, backend="reference")
    assert_steps_agree(stepper, case)
    assert stepper.report.backend == "reference"
    with pytest.raises(BackendError, match="there is no backend 'native' for single steps"):
        Stepper(case.cell, backend="native")


def test_half_precision_goes_the_plain_way():
    cell = make_cell("lstm", 3, 4).float()
    stepper, x = Stepper(cell), torch.randn(2, 3)
    with torch.no_grad():
        stepper(x, cell.initial_state(2))
        with torch.autocast("cpu", torch.bfloat16):
            stepper(x, cell.initial_state(2))
            assert "automatic half precision" in stepper.report.reason
        stepper(x, LSTMState(torch.zeros(2, 4), torch.zeros(2, 4).double()))
        assert "it takes float32 (2, 4) on the cpu, and was given float64 (2, 4) on cpu" in stepper.report.reason


@pytest.mark.parametrize("warm", [False, True])
def test_what_does_not_fit_is_refused_with_both_shapes(warm):
    cell: Cell = LSTMCell(3, 4)
    stepper, state = Stepper(cell), cell.initial_state(2)
    with torch.no_grad():
        if warm:
            stepper(torch.zeros(2, 3), state)
        with pytest.raises(ShapeError, match=re.escape("inputs of a step have shape (2, 4), expected (batch, 3)")):
            stepper(torch.zeros(2, 4), state)
        with pytest.raises(ShapeError, match=re.escape("inputs of a step have shape (0, 3), expected (batch, 3)")):
            stepper(torch.zeros(0, 3), cell.initial_state(0))
        with pytest.raises(ShapeError, match=re.escape("state has shapes [(2, 4), (2, 4)], expected [(3, 4), (3, 4)]")):
            stepper(torch.zeros(3, 3), state)


def test_copies_step_for_themselves():
    case = make_case("lstm", (2, 1, 3, 4), dtype=torch.float64, ragged=False)
    stepper = Stepper(case.cell)
    assert_steps_agree(stepper, case)
    other = copy.deepcopy(stepper)
    assert other.cell is not case.cell
    with torch.no_grad():
        other.cell.weight_hh.mul_(0.5)
    assert_steps_agree(other, case)
    assert_steps_agree(stepper, case)


def test_threads_may_share_a_stepper():
    case = make_case("gru", (300, 1, 16, 32), ragged=False)
    inputs, state = case.inputs.detach(), type(case.state)(case.state.h.detach())
    stepper = Stepper(case.cell)
    found: dict[int, torch.Tensor] = {}

    def work(number):
        with torch.no_grad():
            found[number] = walk(stepper, inputs * number, state)[0]

    workers = [threading.Thread(target=work, args=(number,)) for number in range(1, 4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    with torch.no_grad():
        for number in found:
            torch.testing.assert_close(found[number], walk(stepper, inputs * number, state)[0], rtol=0, atol=0)
