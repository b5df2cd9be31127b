"""Stacks in one call: the same as layer by layer, whatever happened to weights, cells and sizes between two calls."""

from __future__ import annotations

import copy
import threading
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from cases import ALL_CELLS, runs_on
from unspool.cells import ElmanCell, ElmanState, LSTMCell, watch
from unspool.engine import record_dispatch
from unspool.engine.cpu import current_policy, use_policy
from unspool.layers import Recurrent


class LeakyCell(ElmanCell):
    """A cell with a number that the step reads."""

    rate = 0.9

    def step(self, x, state):
        h, _ = super().step(x, state)
        h = self.rate * state.h + (1 - self.rate) * h
        return h, ElmanState(h)


class Trace:
    """A watcher that forgets."""

    def add(self, name, value):
        pass


SIZES = [(2, 1, 1, 1, 1), (9, 1, 5, 7, 2), (7, 8, 16, 8, 3), (33, 3, 8, 17, 1)]  # time, batch, input, hidden, layers
TOLERANCE = {torch.float32: {"rtol": 1e-5, "atol": 1e-6}, torch.float64: {"rtol": 1e-12, "atol": 1e-13}}


def stack_of(cell, size, *, bidirectional=True, residual=False, dtype=torch.float32) -> tuple[Recurrent, Tensor]:
    time, batch, width, hidden, layers = size
    torch.manual_seed(hidden)
    net = Recurrent(cell, width, hidden, num_layers=layers, bidirectional=bidirectional, residual=residual)
    return net.to(dtype).eval(), torch.randn(time, batch, width, dtype=dtype)


def run(net, inputs, lengths=None, state=None, *, path="stack"):
    """Run without gradients, and assert which path ran."""
    with torch.no_grad(), record_dispatch() as dispatch:
        result = net(inputs, lengths, state)
    assert dispatch.backend == path, dispatch.reason
    return result


def assert_same(net, inputs, lengths=None, state=None, result=None):
    """Compare with the layers one by one, through the plain loop."""
    result = run(net, inputs, lengths, state) if result is None else result
    net.backend = "reference"
    expected = run(net, inputs, lengths, state, path="reference")
    net.backend = "auto"
    torch.testing.assert_close(result, expected, **TOLERANCE[inputs.dtype])
    return result


def drawn_state(net, batch):
    return tuple(
        tuple(type(part)(*(torch.rand_like(value) for value in part)) for part in layer)
        for layer in net.initial_state(batch)
    )


@pytest.mark.usefixtures("nan_memory")
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", [name for name in ALL_CELLS if runs_on("cpu", ALL_CELLS[name](3, 4))])
def test_a_stack_agrees_with_its_layers(name, size):
    residual = size[2] == 2 * size[3]
    net, inputs = stack_of(ALL_CELLS[name], size, residual=residual, dtype=torch.float64)
    assert_same(net, inputs)
    assert_same(net, inputs, state=drawn_state(net, size[1]))


@pytest.mark.usefixtures("nan_memory")
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru", "gru-reset-before", "hyperlstm"])
def test_ragged_lengths(cell, bidirectional):
    net, inputs = stack_of(cell, (11, 5, 6, 9, 2), bidirectional=bidirectional)
    for lengths in ([11, 3, 1, 7, 11], [2, 2, 4, 1, 3], [11] * 5):
        padded = inputs.clone()
        for row, length in enumerate(lengths):
            padded[length:, row] = float("nan")
        outputs, _ = assert_same(net, padded, torch.tensor(lengths), drawn_state(net, 5))
        for row, length in enumerate(lengths):
            assert torch.count_nonzero(outputs[length:, row]) == 0


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_nothing(threads, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    net, inputs = stack_of("lstm", (40, 2, 32, 64, 1))
    eager = replace(current_policy(), thread_work=1000, step_thread_work=1000, serial_work=0)
    with use_policy(eager):
        assert_same(net, inputs)
        assert_same(net, inputs[:, :1])
        assert_same(net, inputs, torch.tensor([17, 40]))


def test_one_call_gives_the_bits_of_the_layers():
    net, inputs = stack_of("lstm", (20, 4, 24, 40, 2))
    whole = run(net, inputs)
    net.backend = "cpu"
    policy = replace(current_policy(), serial_work=1 << 40)
    with use_policy(policy):
        layers = run(net, inputs, path="cpu")
    assert torch.equal(whole.outputs, layers.outputs)


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
def test_weights_are_packed_again_after_an_update(optimizer):
    net, inputs = stack_of("gru", (6, 2, 5, 8, 2))
    before = run(net, inputs)
    net(inputs).outputs.square().sum().backward()
    optimizer(net.parameters(), lr=0.1).step()
    after = assert_same(net, inputs)
    assert not torch.allclose(before.outputs, after.outputs)


def test_weights_are_packed_again_after_every_kind_of_write():
    net, inputs = stack_of("lstm", (6, 2, 5, 8, 1))
    other, _ = stack_of("lstm", (6, 2, 5, 8, 1))
    with torch.no_grad():
        for part in other.parameters():
            part.mul_(1.5)
    cell = net.layers[0][1]
    writes = [
        lambda: net.load_state_dict(other.state_dict()),
        lambda: cell.weight_hh.data.mul_(0.5),
        lambda: cell.weight_ih.detach().numpy().fill(0.25),
        lambda: cell.bias_hh.detach().add_(1),
        lambda: setattr(cell, "weight_hh", torch.nn.Parameter(torch.randn(32, 8))),
        lambda: net.layers.__getitem__(0).__setitem__(1, LSTMCell(5, 8)),
    ]
    last = run(net, inputs)
    for write in writes:
        write()
        result = assert_same(net, inputs)
        assert not torch.allclose(last.outputs, result.outputs)
        last = result


def test_a_number_on_a_cell_compiles_anew():
    net, inputs = stack_of(LeakyCell, (6, 2, 5, 8, 1))
    before = run(net, inputs)
    net.layers[0][0].rate = 0.3
    assert not torch.allclose(before.outputs, assert_same(net, inputs).outputs)


def test_results_of_earlier_calls_keep_their_numbers():
    net, inputs = stack_of("lstm", (6, 2, 5, 8, 2))
    first = run(net, inputs)
    kept = copy.deepcopy(first)
    run(net, inputs + 1)
    torch.testing.assert_close(first, kept, rtol=0, atol=0)


def test_states_and_inputs_may_have_gaps():
    net, inputs = stack_of("lstm", (6, 2, 5, 8, 1))
    state = tuple(
        tuple(type(part)(*(torch.rand(8, 2).t() for _ in part)) for part in layer) for layer in net.initial_state(2)
    )
    assert_same(net, inputs.transpose(0, 1).contiguous().transpose(0, 1), state=state)
    assert_same(net, torch.randn(6, 1, 5).expand(6, 2, 5), torch.tensor([6, 2]))


def test_sizes_come_and_go():
    net, inputs = stack_of("gru", (40, 3, 5, 8, 1))
    with use_policy(replace(current_policy(), stack_sizes=4)):
        for time in [40, 3, 7, 12, 25, 31, 3, 40]:
            assert_same(net, inputs[:time])


def test_threads_may_share_a_stack():
    net, inputs = stack_of("lstm", (30, 2, 16, 32, 2))
    expected = run(net, inputs).outputs
    wrong = []

    def work():
        with torch.no_grad():
            wrong.extend(number for number in range(30) if not torch.equal(net(inputs).outputs, expected))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_a_copy_binds_anew():
    net, inputs = stack_of("lstm", (6, 2, 5, 8, 1))
    run(net, inputs)
    twin = copy.deepcopy(net)
    with torch.no_grad():
        net.layers[0][0].weight_hh.zero_()
    assert_same(twin, inputs)


def test_what_needs_another_path_gets_it():
    net, inputs = stack_of("lstm", (6, 9, 5, 8, 1))
    run(net, inputs, path="cpu")  # more sequences than one call is for
    few = inputs[:, :2].contiguous()
    with record_dispatch() as dispatch:
        net(few).outputs.sum().backward()
    assert dispatch.backend == "cpu"
    assert net.layers[0][1].weight_hh.grad is not None
    with watch(net.layers[0][0], Trace()):
        run(net, few, path="reference+cpu")
    with torch.no_grad(), torch.autocast("cpu"), record_dispatch() as dispatch:
        net(few)
    assert "stack" not in dispatch.backend
    with torch.inference_mode():
        assert net(few).outputs.is_inference()
    run(net.train(), few)  # without dropout nothing changes
    net.dropout.rate = 0.5
    run(net, few, path="cpu")


def test_a_state_that_needs_a_gradient_gets_it():
    net, inputs = stack_of("gru", (6, 2, 5, 8, 1))
    net.requires_grad_(False)
    state = drawn_state(net, 2)
    for layer in state:
        for part in layer:
            part.h.requires_grad_()
    with record_dispatch() as dispatch:
        net(inputs, None, state).outputs.sum().backward()
    assert dispatch.backend == "cpu"
    assert state[0][1].h.grad is not None


def test_explain_says_which_and_why():
    net, _ = stack_of("gru", (6, 2, 5, 8, 2))
    report = net.explain(time=30, batch=2)
    assert report.backend == "stack"
    assert report.sizes == "5 in, 16 out, 2 layers of both directions, 30 steps, batch 2, float32 on cpu"
    report = net.explain(time=30, batch=20)
    assert (report.backend, report.refusals["stack"]) == ("cpu", "one call for all layers pays for up to 8 sequences")
    net.backend = "reference"
    assert "asks for one path" in net.explain().refusals["stack"]
    assert Recurrent("gru", 5, 8, dropout=0.5).explain().refusals["stack"] == "dropout is on; .eval() turns it off"
    with use_policy(replace(current_policy(), stack_bytes=100)):
        assert "its memory would exceed" in Recurrent("gru", 5, 8).eval().explain().refusals["stack"]
