"""Recurrent layers in ONNX Runtime against the plain loop: every cell, ragged, both directions, two layers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from cases import PairCell
from odd_cells import ODD
from unspool.cells.names import cell_names
from unspool.layers import Recurrent
from unspool.ship.building import ProgramBuilder
from unspool.ship.onnx.operations import ProgramEmitter
from unspool.ship.onnx.writer import GraphWriter
from unspool.ship.sheet import Port, Program

ort = pytest.importorskip("onnxruntime", reason="the extra `onnx` is missing")

KINDS = {**{name: name for name in cell_names()}, **ODD, "Pair": PairCell}
OPERATORS = {
    "elman": "RNN",
    "elman-relu": "RNN",
    "gru": "GRU",
    "gru-reset-before": "GRU",
    "lstm": "LSTM",
    "lstm-peephole": "LSTM",
}


def onnx_of(program: Program, widths: dict[str, int]):
    """Write a program with the inputs `x`, `lengths` and rows; return the model."""
    write = GraphWriter()
    names = {port.name: port.name for port in program.inputs}
    results = ProgramEmitter(write, program, names).emit()
    ports = [write.port("x", ["time", "batch", widths["x"]]), write.port("lengths", ["batch"], "INT64")]
    ports += [write.port(name, ["batch", width]) for name, width in widths.items() if name != "x"]
    outs = []
    for port, name in zip(program.outputs, results, strict=True):
        shape = ["time", "batch", port.width] if port.kind == "sequence" else ["batch", port.width]
        outs.append(write.port(write.rename(name, f"out_{port.name}"), shape))
    return write.model(ports, outs, "cells", {})


def session_of(model):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(model.SerializeToString(), options)


def flat(states):
    return [part.reshape(len(part), -1) for layer in states for direction in layer for part in direction]


def random_stack(kind, *, layers: int, bidirectional: bool) -> Recurrent:
    stack = Recurrent(KINDS[kind], 5, 6, num_layers=layers, bidirectional=bidirectional, backend="reference").eval()
    with torch.no_grad():
        for weight in stack.parameters():
            weight.copy_(torch.randn_like(weight) * 0.5)
    return stack


def stack_program(stack: Recurrent, given: bool) -> tuple[Program, list[str], list[int]]:
    """The program of a stack, whose initial state is given or not; the names and widths of the rows of the state."""
    state = stack.initial_state(1)
    names = [[[f"s{a}{b}{c}" for c in range(len(direction))] for b, direction in enumerate(layer)]
             for a, layer in enumerate(state)]  # fmt: skip
    rows = [name for layer in names for direction in layer for name in direction]
    widths = [part.shape[1] for part in flat(state)]
    inputs = [Port("x", "sequence", 5), Port("lengths", "lengths")]
    inputs += [Port(name, "row", width) for name, width in zip(rows, widths, strict=True)] if given else []
    build = ProgramBuilder(*inputs)
    output, final = build.recurrent(stack, "x", names if given else None)
    after = [name for layer in final for direction in layer for name in direction]
    ends = [Port(name, "row", width) for name, width in zip(after, widths, strict=True)]
    return build.finish(Port(output, "sequence", stack.output_size), *ends), rows, widths


@pytest.mark.parametrize("kind", KINDS)
def test_two_layers_in_both_directions_agree_with_the_plain_loop(kind):
    stack = random_stack(kind, layers=2, bidirectional=True)
    for given in (False, True):
        program, rows, widths = stack_program(stack, given)
        session = session_of(onnx_of(program, {"x": 5, **dict(zip(rows, widths, strict=True))} if given else {"x": 5}))
        for batch in (1, 7):
            x, lengths = torch.randn(6, batch, 5), torch.tensor([6, 1, 3, 5, 2, 6, 4][:batch])
            state = stack.initial_state(batch)
            if given:
                state = tuple(tuple(type(d)(*(0.5 * torch.randn_like(part) for part in d)) for d in layer)
                              for layer in state)  # fmt: skip
            with torch.no_grad():
                expected = stack(x, lengths, state)
            x[(torch.arange(6)[:, None] >= lengths)] = 7.0  # nobody reads the padding
            feeds = {"x": x.numpy(), "lengths": lengths.numpy()}
            feeds |= dict(zip(rows, (part.detach().numpy() for part in flat(state)), strict=True)) if given else {}
            outputs, *final = session.run(None, feeds)
            np.testing.assert_allclose(outputs, expected.outputs.numpy(), atol=1e-5)
            for actual, part in zip(final, flat(expected.state), strict=True):
                np.testing.assert_allclose(actual, part.numpy(), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_operator_of_the_vendor_runs_where_there_is_one_and_nothing_is_unrolled(kind):
    program, _, _ = stack_program(random_stack(kind, layers=1, bidirectional=False), False)
    counts = Counter(node.op_type for node in onnx_of(program, {"x": 5}).graph.node)
    expected = OPERATORS.get(kind, "Scan")
    assert {name: counts[name] for name in ("LSTM", "GRU", "RNN", "Scan") if counts[name]} == {expected: 1}


def test_a_cell_of_ones_own_that_is_an_lstm_takes_its_operator_too():
    from unspool.cells import LSTMCell

    class Mine(LSTMCell):
        def step(self, x, state, *context):
            return super().step(x, state)

    class NotQuite(LSTMCell):
        def step(self, x, state, *context):
            output, after = super().step(x, state)
            return output, type(after)(after.h, after.c * 0.5)

    for kind, operator in ((Mine, "LSTM"), (NotQuite, "Scan")):
        program, _, _ = stack_program(Recurrent(kind, 5, 6).eval(), False)
        assert operator in {node.op_type for node in onnx_of(program, {"x": 5}).graph.node}
