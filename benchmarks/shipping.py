"""Speed of exports in ONNX Runtime: a custom cell by `Scan`, and an LSTM by its operator beside torch.onnx's file.

Agreement comes first. Runs of all rivals are interleaved, so that they meet the same neighbours; times are processor
time of one thread, medians.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from measure import conditions, told
from torch import Tensor, nn

from unspool.cells import Cell
from unspool.layers import Recurrent
from unspool.ship.building import ProgramBuilder
from unspool.ship.onnx.operations import ProgramEmitter
from unspool.ship.onnx.running import session_of
from unspool.ship.onnx.writer import GraphWriter
from unspool.ship.sheet import Port


class GatedState(NamedTuple):
    """State of `GatedCell`."""

    h: Tensor  # (batch, hidden)


class GatedCell(Cell[GatedState]):
    """A minimal gated unit: a gate that mixes the state with a candidate, eight operations without products."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih, self.bias_ih = self.parameter(2 * hidden_size, input_size), self.parameter(2 * hidden_size)
        self.weight_hh = self.parameter(2 * hidden_size, hidden_size)

    def initial_state(self, batch_size: int) -> GatedState:
        return GatedState(self.weight_hh.new_zeros(batch_size, self.hidden_size))

    def step(self, x: Tensor, state: GatedState, *context: Tensor) -> tuple[Tensor, GatedState]:
        sums = F.linear(x, self.weight_ih, self.bias_ih) + F.linear(state.h, self.weight_hh)
        gate, candidate = sums.chunk(2, dim=-1)
        f = torch.sigmoid(gate)
        h = f * state.h + (1 - f) * torch.tanh(candidate)
        return h, GatedState(h)


class Torch(nn.Module):
    """`torch.nn.LSTM`, whose export is the rival."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.layer = nn.LSTM(size, size)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.layer(x)[0]
        return outputs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=64, help="width of inputs and units")
    parser.add_argument("--time", type=int, default=30, help="steps")
    parser.add_argument("--repeats", type=int, default=60)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(told(conditions()))
    size, steps = options.size, options.time
    x = torch.randn(steps, 1, size)
    runs: dict[str, Callable[[], Any]] = {}
    for name, cell in (("own gated cell, Scan", GatedCell), ("LSTM, operator", "lstm")):
        stack = Recurrent(cell, size, size).eval()
        if name.startswith("LSTM"):
            rival = Torch(size).eval()
            stack.layers[0][0].load_state_dict({k[:-3]: v for k, v in rival.layer.state_dict().items()})  # type: ignore[index]
        for ragged in (False, True):
            feeds = {"x": x.numpy()} | ({"lengths": np.array([steps])} if ragged else {})
            title = f"{name}, lengths" if ragged else name
            runs[title] = running(exported(stack, size, ragged=ragged), feeds, stack, x)
    session = session_of(by_torch(rival, x))
    runs["LSTM, torch.onnx"] = running(session, {"x": x.numpy()}, stack, x)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.repeats):
        for name, run in runs.items():
            begin = time.process_time_ns()
            for _ in range(20):
                run()
            times[name].append((time.process_time_ns() - begin) / 20e3)
    for name, each in times.items():
        middle = statistics.median(each)
        print(f"{name:24} {middle:8.1f} us a call, {middle / steps:6.2f} us a step")
    own, other = (statistics.median(times[name]) for name in ("LSTM, operator", "LSTM, torch.onnx"))
    print(f"LSTM by the operator / torch.onnx: {own / other:.3f}")


def exported(stack: Recurrent, size: int, *, ragged: bool) -> Any:
    """Return a session of the layer alone: `x` in, and `lengths` if sequences are ragged; all outputs out."""
    inputs = [Port("x", "sequence", size), *[Port("lengths", "lengths")] * ragged]
    build = ProgramBuilder(*inputs)
    output, _ = build.recurrent(stack, "x")
    program, write = build.finish(Port(output, "sequence", size)), GraphWriter()
    (value,) = ProgramEmitter(write, program, {port.name: port.name for port in inputs}).emit()
    ports = [write.port("x", ["time", "batch", size]), *[write.port("lengths", ["batch"], "INT64")] * ragged]
    outs = [write.port(write.rename(value, "y"), ["time", "batch", size])]
    return session_of(write.model(ports, outs, "layer", {}).SerializeToString())


def by_torch(model: nn.Module, x: Tensor) -> bytes:
    """Return the file that torch.onnx writes."""
    buffer = io.BytesIO()
    axes = {"x": {0: "time", 1: "batch"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (x,), buffer, dynamo=False, input_names=["x"], output_names=["y"], dynamic_axes=axes)
    return buffer.getvalue()


def running(session: Any, feeds: dict[str, Any], stack: Recurrent, x: Tensor) -> Callable[[], Any]:
    """Return a call, after it agreed with the layer."""
    with torch.no_grad():
        expected = stack(x).outputs.numpy()
    np.testing.assert_allclose(session.run(["y"], feeds)[0], expected, atol=1e-5)
    return lambda: session.run(None, feeds)


if __name__ == "__main__":
    main()
