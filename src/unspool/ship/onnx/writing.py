"""Models that write, in ONNX: the state before the first unit, one step, and a whole text by one `Loop`.

`start.onnx` gives the state, `step.onnx` makes one step with it, and `write.onnx` writes a text, greedily or by
sampling with random numbers that the caller passes, so that every language writes the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from unspool.data.units import END, PADDING, UNKNOWN
from unspool.ship.onnx.model import facts_of, front_inputs
from unspool.ship.onnx.operations import ProgramEmitter
from unspool.ship.onnx.text import TextEmitter, takes_text
from unspool.ship.onnx.writer import FLOAT, INT64, GraphWriter
from unspool.ship.sheet import Port, Sheet, Writer
from unspool.ship.sheet_text import Units, Writing

__all__ = ["start_model", "step_model", "write_model"]


def start_model(sheet: Sheet, title: str) -> Any:
    """Return the model from a text to the state before the first unit; of a language model, from a number of texts."""
    assert sheet.writer is not None
    write, program = GraphWriter(), sheet.writer.start
    ports, values = _started(write, sheet)
    outputs = [
        _port(write, port, write.rename(value, port.name) if value != port.name else value)
        for port, value in zip(program.outputs, values, strict=True)
        if port.kind != "lengths"
    ]
    return write.model(ports, outputs, "start", facts_of(sheet, title))


def _started(write: GraphWriter, sheet: Sheet) -> tuple[list[Any], list[str]]:
    assert sheet.writer is not None
    program = sheet.writer.start
    if program.inputs:
        ports, names = front_inputs(write, sheet, program)
    else:
        ports, names = [write.port("batch", [1], "INT64")], {"batch": "batch"}
    return ports, ProgramEmitter(write, program, names).emit()


def _port(write: GraphWriter, port: Port, name: str) -> Any:
    if port.kind == "lengths":
        return write.port(name, ["batch"], "INT64")
    return write.port(name, ["time", "batch", port.width] if port.kind == "sequence" else ["batch", port.width])


def step_model(sheet: Sheet, title: str) -> Any:
    """Return the model of one step: a unit and the state to log-probabilities and the new state, `NAME_after`."""
    assert sheet.writer is not None
    write, program = GraphWriter(), sheet.writer.step
    names = {port.name: port.name for port in program.inputs}
    values = ProgramEmitter(write, program, names).emit()
    ports = [write.port("id", ["batch"], "INT64"), *(_port(write, port, port.name) for port in program.inputs[1:])]
    results = ["scores", *(f"{name}_after" for name in sheet.writer.state)]
    outputs = [
        _port(write, port, write.rename(value, name))
        for port, value, name in zip(program.outputs, values, results, strict=True)
    ]
    return write.model(ports, outputs, "step", facts_of(sheet, title))


def write_model(sheet: Sheet, title: str) -> Any:
    """Return the model that writes a whole text.

    Its inputs are one text, or its ids; `temperature`, 0 for the most probable unit; `uniform`, a random number in
    [0, 1) for each unit, (units,), which also bounds their number; and for models without a limit of their own only
    that. Its outputs are `units`, and `written`, the text, where units join without a tokenizer.
    """
    writer = sheet.writer
    assert writer is not None
    write = GraphWriter()
    has_source = bool(writer.start.inputs)
    if has_source:
        ports, names = front_inputs(write, sheet, writer.start)
        prompt = write.ints(writer.first)
    else:
        ports, prompt = _prompt(write, sheet)
        names = {"batch": write.ints(1)}
    started = ProgramEmitter(write, writer.start, names).emit()
    values = {port.name: value for port, value in zip(writer.start.outputs, started, strict=True)}
    ports += [write.port("temperature", []), write.port("uniform", ["units"])]
    most = write.op("Squeeze", write.op("Shape", "uniform"))
    if has_source:
        length = write.op("Cast", write.op("Squeeze", names["lengths"]), to=FLOAT)
        limit = write.op("Cast", write.op("Mul", length, write.number(writer.ratio)), to=INT64)
        limit = write.op("Add", limit, write.constant(np.array(writer.longest, np.int64)))
        most = write.op("Min", most, limit)
    units = _loop(write, writer, values, prompt, most)
    outputs = [write.port(write.rename(units, "units"), ["written"], "INT64")]
    assert isinstance(sheet.back, Writing)
    if sheet.back.units.units in ("word", "blank", "character"):
        _joined(write, sheet, sheet.back.units, units)
        outputs.append(write.port("written", [1], "STRING"))
    return write.model(ports, outputs, "write", facts_of(sheet, title))


def _prompt(write: GraphWriter, sheet: Sheet) -> tuple[list[Any], str]:
    """Write the units that a language model reads first: its first unit, and those of the prompt."""
    assert sheet.writer is not None
    first = write.ints(sheet.writer.first)
    if not takes_text(sheet.front):
        return [write.port("ids", ["prompt"], "INT64")], write.op("Concat", first, "ids", axis=0)
    text = TextEmitter(write, sheet.front, "text").emit(set())
    size = write.op("Sub", text["lengths"], write.op("Cast", write.op("Equal", "text", write.texts("")), to=INT64))
    ids = write.op("Slice", write.op("Squeeze", text["ids"], write.ints(1)), write.ints(0), size)
    return [write.port("text", [1], "STRING")], write.op("Concat", first, ids, axis=0)


def _loop(write: GraphWriter, writer: Writer, values: dict[str, str], prompt: str, most: str) -> str:
    """Write the loop; return the units that it writes, (units,).

    A round reads a unit of the prompt, or the last one that was written, and chooses the next one.
    """
    body = write.subgraph()
    p, zero, one = body._prefix, body.constant(np.array(0, np.int64)), body.constant(np.array(1, np.int64))
    begin = write.op("Squeeze", write.op("Shape", prompt))
    rounds = write.op("Sub", write.op("Add", begin, most), one)
    # the unit of this round
    place = body.op("Min", f"{p}round", body.op("Sub", begin, one))
    forced = body.op("Less", f"{p}round", begin)
    unit = body.op("Where", forced, body.op("Gather", prompt, place, axis=0), f"{p}unit")
    names = dict(values) | {"id": body.op("Unsqueeze", unit, body.ints(0))}
    names |= {name: f"{p}{name}" for name in writer.state}
    scores, *after = ProgramEmitter(body, writer.step, names).emit()
    width = writer.step.outputs[0].width
    allowed = np.zeros((1, width), np.float32)
    allowed[0, list(writer.never)] = -np.inf
    scores = body.op("Add", scores, body.constant(allowed, "allowed"))
    best = body.op("Squeeze", body.op("ArgMax", scores, axis=1, keepdims=0))
    number = body.op("Gather", "uniform", body.op("Max", body.op("Sub", f"{p}round", body.op("Sub", begin, one)), zero))
    new = body.op("Where", body.op("Greater", "temperature", body.number(0.0)), _drawn(body, scores, number), best)
    ended = body.op("Equal", new, body.constant(np.array(writer.end, np.int64)))
    reading = body.op("Less", body.op("Add", f"{p}round", one), begin)
    go_on = body.op("Or", reading, body.op("Not", ended))
    # one unit for each round; those of the prompt are cut off after the loop
    shown = body.op("Identity", new)
    widths = {port.name: port.width for port in writer.start.outputs}
    renewed = [
        body.port(body.rename(name, f"{p}new{number}"), ["batch", widths[state]])
        for number, (name, state) in enumerate(zip(after, writer.state, strict=True))
    ]
    graph = body.body(
        [
            body.port(f"{p}round", [], "INT64"),
            body.port(f"{p}before", [], "BOOL"),
            body.port(f"{p}unit", [], "INT64"),
            *(body.port(f"{p}{name}", ["batch", widths[name]]) for name in writer.state),
        ],
        [
            body.port(go_on, [], "BOOL"),
            body.port(new, [], "INT64"),
            *renewed,
            body.port(shown, [], "INT64"),
        ],
    )
    states = [values[name] for name in writer.state]
    yes = write.constant(np.array(True))
    results = write.several("Loop", 2 + len(states), rounds, yes, zero, *states, body=graph)
    end = write.ints(np.iinfo(np.int64).max)
    start = write.op("Unsqueeze", write.op("Sub", begin, one), write.ints(0))
    units = write.op("Slice", results[-1], start, end)
    if writer.end < 0:
        return units
    kept = write.op("Not", write.op("Equal", units, write.constant(np.array(writer.end, np.int64))))
    return write.op("Compress", units, kept, axis=0)


def _drawn(body: GraphWriter, scores: str, number: str) -> str:
    """Write the unit that a random number chooses: the first whose cumulative probability is above it."""
    least = body.op("Max", "temperature", body.number(1e-6))
    shares = body.op("Softmax", body.op("Div", scores, least), axis=1)
    sums = body.op("CumSum", shares, body.constant(np.array(1, np.int64)))
    below = body.op("Cast", body.op("LessOrEqual", sums, number), to=INT64)
    count = body.op("Squeeze", body.op("ReduceSum", below, body.ints(1), keepdims=0))
    width = body.op("Squeeze", body.op("Shape", scores, start=1, end=2))
    last = body.op("Sub", width, body.constant(np.array(1, np.int64)))
    return body.op("Min", count, last)


def _joined(write: GraphWriter, sheet: Sheet, units: Units, ids: str) -> None:
    """Write `written`, the text of ids, (1,)."""
    names = list(units.names)
    names[PADDING], names[END] = "", "\n" if units.units != "character" else ""
    if units.units == "character":
        names[UNKNOWN] = "\ufffd"
    pieces = write.op("Gather", write.constant(np.array(names, object), "names"), ids)
    if units.units != "character":
        before = write.op("Concat", write.ints(END), write.op("Slice", ids, write.ints(0), write.ints(-1)), axis=0)
        before = write.op("Slice", before, write.ints(0), write.op("Shape", ids))
        ends = write.constant(np.array(END, np.int64))
        bare = write.op("Or", write.op("Equal", before, ends), write.op("Equal", ids, ends))
        blank = write.op("Where", bare, write.texts(""), write.texts(" "))
        pieces = write.op("StringConcat", blank, pieces)
    padded = write.op("Concat", pieces, write.texts(""), axis=0)
    row = write.op("Unsqueeze", padded, write.ints(0))
    whole = TextEmitter(write, sheet.front, "").joined(row)
    write.rename(whole, "written")
