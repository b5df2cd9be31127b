"""The Viterbi path of a CRF in ONNX: one `Scan` forwards over scores, one backwards over the pointers."""

from __future__ import annotations

import numpy as np

from unspool.ship.onnx.unrolling import TimeAxis
from unspool.ship.onnx.writer import GraphWriter
from unspool.ship.sheet import BestPath

__all__ = ["emit_best_path"]


def emit_best_path(write: GraphWriter, op: BestPath, scores: str, axis: TimeAxis) -> str:
    """Write the best path of each sequence.

    Past the length, the scores of the paths stay, and each pointer names its own tag.

    Returns:
        The name of the tags, int64 (time, batch), arbitrary past the length.
    """
    tags = len(op.first)
    one = write.ints(1)
    first = write.op("Add", write.op("Gather", scores, write.constant(np.array(0, np.int64))), _row(write, op.first))
    end = write.ints(np.iinfo(np.int64).max)
    # one step more, which is not valid: a loop of no steps is an error
    rest, valid = (write.op("Slice", name, one, end, write.ints(0)) for name in (scores, axis.mask))
    rest = write.op("Concat", rest, write.op("Slice", scores, write.ints(0), one, write.ints(0)), axis=0)
    valid = write.op("Pad", valid, write.ints(0, 0, 0, 1, 0, 0), write.constant(np.array(False)))
    body = write.subgraph()
    p = body._prefix
    through = body.op(
        "Add", body.op("Unsqueeze", f"{p}best", body.ints(2)), body.constant(op.transitions[None], "transitions")
    )
    pointer = body.op("ArgMax", through, axis=1, keepdims=0)
    after = body.op("Add", body.op("ReduceMax", through, body.ints(1), keepdims=0), f"{p}scores")
    own = body.constant(np.arange(tags, dtype=np.int64)[None], "tags")
    results = [
        body.op("Where", f"{p}valid", after, f"{p}best"),
        body.op("Where", f"{p}valid", pointer, own),
    ]
    graph = body.body(
        [
            body.port(f"{p}best", ["batch", tags]),
            body.port(f"{p}scores", ["batch", tags]),
            body.port(f"{p}valid", ["batch", 1], "BOOL"),
        ],
        [body.port(results[0], ["batch", tags]), body.port(results[1], ["batch", tags], "INT64")],
    )
    best, pointers = write.several("Scan", 2, first, rest, valid, body=graph, num_scan_inputs=2)
    last = write.op("ArgMax", write.op("Add", best, _row(write, op.last)), axis=1, keepdims=1)  # (batch, 1)
    back = write.subgraph()
    p = back._prefix
    before = back.op("GatherElements", f"{p}pointers", f"{p}tag", axis=1)
    shown = back.rename(f"{p}tag", f"{p}shown")
    ports = [back.port(f"{p}tag", ["batch", 1], "INT64"), back.port(f"{p}pointers", ["batch", tags], "INT64")]
    outs = [back.port(name, ["batch", 1], "INT64") for name in (before, shown)]
    graph = back.body(ports, outs)
    start, later = write.several(
        "Scan",
        2,
        last,
        pointers,
        body=graph,
        num_scan_inputs=1,
        scan_input_directions=[1],
        scan_output_directions=[1],
    )
    path = write.op("Concat", write.op("Unsqueeze", start, write.ints(0)), later, axis=0)
    path = write.op("Slice", path, write.ints(0), write.ints(-1), write.ints(0))
    return write.op("Squeeze", path, write.ints(2))


def _row(write: GraphWriter, values: object) -> str:
    return write.constant(np.asarray(values, np.float32)[None], "row")
