"""Inference of a recurrent layer on a few sequences, beside torch.nn and ONNX Runtime in float and in int8.

    python benchmarks/inference.py                       # batches of 1, 2, 4, 8 and 32, in about two minutes
    python benchmarks/inference.py --cell gru --hidden 128 --layers 2 --batches 1

All read the same weights and the same inputs, and their outputs are compared before anything is timed. ONNX Runtime
gets its own operator, `LSTM` or `GRU`; its int8 is `quantize_dynamic`. Times are the processor's, of one thread, unless
`--threads` says more; the rate is that of sequences. Without `onnxruntime` and `onnx` its columns are left out.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from measure import Disagreement, conditions, distance, interleaved, note, table, told, use_threads
from torch import Tensor, nn

from unspool.layers import Recurrent

TOLERANCE = 1e-5
"""Largest distance from torch's outputs, as a share of their norm."""
GATES = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2)}
"""Gates in ONNX's order: i o f c, and z r h."""


def stacks(cell: str, width: int, hidden: int, layers: int) -> tuple[Recurrent, nn.RNNBase]:
    """Return our stack and torch's, of both directions, with the same weights."""
    theirs = {"lstm": nn.LSTM, "gru": nn.GRU}[cell](width, hidden, layers, bidirectional=True).eval()
    ours = Recurrent(cell, width, hidden, num_layers=layers, bidirectional=True).eval()
    with torch.no_grad():
        for depth in range(layers):
            for inner, suffix in zip(ours.layers[depth], ("", "_reverse"), strict=True):
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                    getattr(inner, name).copy_(getattr(theirs, f"{name}_l{depth}{suffix}"))
    return ours, theirs


def exported(cell: str, theirs: nn.RNNBase, folder: Path) -> Path:
    """Write torch's stack as a graph of ONNX's own operators."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    hidden, gates = theirs.hidden_size, GATES[cell]

    def pieces(name: str, depth: int) -> Any:
        both = []
        for suffix in ("", "_reverse"):
            weight = getattr(theirs, f"{name}_l{depth}{suffix}").detach().numpy()
            both.append(np.concatenate([weight.reshape(len(gates), hidden, -1)[gate] for gate in gates]))
        return np.stack(both)

    nodes, constants, source = [], [numpy_helper.from_array(np.array([0, 0, -1]), "flat")], "x"
    for depth in range(theirs.num_layers):
        biases = np.concatenate([pieces("bias_ih", depth), pieces("bias_hh", depth)], axis=1)[..., 0]
        values = {"W": pieces("weight_ih", depth), "R": pieces("weight_hh", depth), "B": biases}
        constants += [numpy_helper.from_array(value, f"{name}{depth}") for name, value in values.items()]
        options = {"linear_before_reset": 1} if cell == "gru" else {}
        names = [source, *(f"{name}{depth}" for name in values)]
        nodes += [
            helper.make_node(
                cell.upper(), names, [f"y{depth}"], hidden_size=hidden, direction="bidirectional", **options
            ),
            helper.make_node("Transpose", [f"y{depth}"], [f"t{depth}"], perm=[0, 2, 1, 3]),
            helper.make_node("Reshape", [f"t{depth}", "flat"], [f"r{depth}"]),
        ]
        source = f"r{depth}"
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["time", "batch", theirs.input_size])
    result = helper.make_tensor_value_info(source, TensorProto.FLOAT, ["time", "batch", 2 * hidden])
    graph = helper.make_graph(nodes, "stack", [given], [result], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "float.onnx")
    return folder / "float.onnx"


def sessions(cell: str, theirs: nn.RNNBase, threads: int) -> dict[str, Any]:
    """Return ONNX Runtime's sessions in float and in int8; none where it is not installed."""
    try:
        import onnxruntime
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError:
        note("onnxruntime or onnx is not installed: left out")
        return {}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
    with tempfile.TemporaryDirectory() as folder:
        paths = {"ONNX Runtime": exported(cell, theirs, Path(folder))}
        if cell == "lstm":  # it has no GRU in int8
            paths["ONNX Runtime int8"] = Path(folder) / "int8.onnx"
            quantize_dynamic(paths["ONNX Runtime"], paths["ONNX Runtime int8"], weight_type=QuantType.QInt8)
        return {name: onnxruntime.InferenceSession(path.read_bytes(), options) for name, path in paths.items()}


def runs(ours: Recurrent, theirs: nn.RNNBase, others: dict[str, Any], inputs: Tensor) -> dict[str, Callable[[], Any]]:
    """Return a call of every rival."""
    array = inputs.numpy()
    calls: dict[str, Callable[[], Any]] = {
        "unspool": lambda: ours(inputs).outputs,
        "torch.nn": lambda: theirs(inputs)[0],
    }
    for name, session in others.items():
        calls[name] = lambda session=session: session.run(None, {"x": array})[0]
    return calls


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cell", choices=sorted(GATES), default="lstm")
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--time", type=int, default=30)
    parser.add_argument("--batches", default="1,2,4,8,32")
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    use_threads(arguments.threads)
    torch.manual_seed(0)
    print(told(conditions("onnxruntime")))
    print(
        f"- {arguments.cell}, {arguments.hidden} units a direction, {arguments.layers} layers, {arguments.time} steps"
    )
    ours, theirs = stacks(arguments.cell, arguments.hidden, arguments.hidden, arguments.layers)
    others = sessions(arguments.cell, theirs, arguments.threads)
    rows, names = [], ["unspool", "torch.nn", *others]
    for batch in map(int, arguments.batches.split(",")):
        note(f"batch {batch}")
        inputs = torch.randn(arguments.time, batch, arguments.hidden)
        calls = runs(ours, theirs, others, inputs)
        with torch.no_grad():
            expected = theirs(inputs)[0]
            gaps = {name: distance(torch.as_tensor(call()), expected) for name, call in calls.items()}
            for name, gap in gaps.items():
                if gap > TOLERANCE and "int8" not in name:
                    raise Disagreement(f"{name} is {gap:.1e} from torch.nn at batch {batch}")
            times = interleaved(calls, arguments.repeats, clock=time.process_time, warm=True)
        path = ours.explain(time=arguments.time, batch=batch).backend
        mine = times["unspool"].median
        rates = [f"{batch / times[name].median:,.0f} ({times[name].median / mine:.2f})" for name in names]
        rows.append(
            [str(batch), path, *rates, f"{gaps['ONNX Runtime int8']:.1e}" if "ONNX Runtime int8" in gaps else "-"]
        )
    print("\n" + table(["batch", "path", *names, "loss of int8"], rows))
    print("\nSequences per second; in brackets the time as a multiple of Unspool's, over 1 where Unspool is faster.")


if __name__ == "__main__":
    main()
