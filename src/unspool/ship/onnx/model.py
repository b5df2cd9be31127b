"""A sheet as one ONNX file: text or ids in, probabilities and labels out."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from unspool.errors import UsageError
from unspool.ship.onnx.operations import ProgramEmitter
from unspool.ship.onnx.question import emit_question, emit_reply
from unspool.ship.onnx.text import TextEmitter, takes_text
from unspool.ship.onnx.writer import GraphWriter
from unspool.ship.sheet import Port, Program, Sheet
from unspool.ship.sheet_text import Labels, Replies, TagNames

__all__ = ["facts_of", "front_inputs", "sheet_model"]


def front_inputs(write: GraphWriter, sheet: Sheet, program: Program) -> tuple[list[Any], dict[str, str]]:
    """Write the text front of a program.

    Returns:
        The inputs of the file, and the names of the program's inputs.
    """
    needed = {port.name for port in program.inputs}
    if takes_text(sheet.front) and sheet.front.words:
        words = TextEmitter.of_words(write, sheet.front, "words")
        return [write.port("words", ["batch", "units"], "STRING")], words.emit(needed)
    if takes_text(sheet.front):
        return [write.port("text", ["batch"], "STRING")], TextEmitter(write, sheet.front, "text").emit(needed)
    ports = [write.port("ids", ["batch", "units"], "INT64"), write.port("lengths", ["batch"], "INT64")]
    names = {"ids": write.op("Transpose", "ids", perm=[1, 0]), "lengths": "lengths"}
    if "characters" in needed:
        ports.append(write.port("characters", ["batch", "units", "characters"], "INT64"))
        names["characters"] = write.op("Transpose", "characters", perm=[1, 0, 2])
    if "bag" in needed:
        assert sheet.front.ngrams is not None
        ports.append(write.port("bag", ["batch", len(sheet.front.ngrams.entries)]))
        names["bag"] = "bag"
    return ports, names


def sheet_model(sheet: Sheet, title: str) -> Any:
    """Return the ONNX model of a sheet.

    Raises:
        UsageError: If the sheet has an operation without a form in ONNX.
    """
    assert sheet.run is not None
    write = GraphWriter()
    if isinstance(sheet.back, Replies):
        names, words = emit_question(write, sheet.front, "text")
        (scores,) = ProgramEmitter(write, sheet.run, names).emit()
        outputs = emit_reply(write, sheet.front, sheet.back, words, scores)
        return write.model([write.port("text", [1], "STRING")], outputs, "unspool", facts_of(sheet, title))
    ports, names = front_inputs(write, sheet, sheet.run)
    (value,) = ProgramEmitter(write, sheet.run, names).emit()
    (port,) = sheet.run.outputs
    if isinstance(sheet.back, Labels):
        outputs = _labelled(write, sheet.back, port, value)
    elif isinstance(sheet.back, TagNames):
        outputs = _tagged(write, sheet.back, value, names["lengths"])
    else:
        raise UsageError(f"a model of the task {sheet.task!r} can't be exported to ONNX yet")
    return write.model(ports, outputs, "unspool", facts_of(sheet, title))


def facts_of(sheet: Sheet, title: str) -> dict[str, str]:
    """Return what a file says of itself."""
    facts = {"title": title, "task": sheet.task, "units": sheet.front.units.units}
    if isinstance(sheet.back, Labels):
        facts["labels"] = msgspec.json.encode(sheet.back.names).decode()
    return facts


def _labelled(write: GraphWriter, back: Labels, port: Port, value: str) -> list[Any]:
    """Write the outputs of a classifier."""
    shares = write.rename(value, "probabilities")
    outputs = [write.port(shares, ["batch", port.width])]
    if not back.several:
        best = write.op("ArgMax", shares, axis=1, keepdims=0)
        write.op("Gather", write.texts(*back.names), best, axis=0, name="label")
        return [*outputs, write.port("label", ["batch"], "STRING")]
    least = np.full(len(back.names), 0.5) if back.thresholds is None else back.thresholds
    write.op("GreaterOrEqual", shares, write.constant(_at_least(least)[None], "thresholds"), name="chosen")
    return [*outputs, write.port("chosen", ["batch", port.width], "BOOL")]


def _tagged(write: GraphWriter, back: TagNames, places: str, lengths: str) -> list[Any]:
    """Write the tags, (batch, units), empty past the length."""
    by_batch = write.op("Transpose", places, perm=[1, 0])
    tags = write.op("Gather", write.texts(*back.names), by_batch)
    zero, one = (write.constant(np.array(number, np.int64)) for number in (0, 1))
    units = write.op("Squeeze", write.op("Shape", by_batch, start=1, end=2))
    mask = write.op("Less", write.op("Range", zero, units, one), write.op("Unsqueeze", lengths, write.ints(1)))
    write.op("Where", mask, tags, write.texts(""), name="tags")
    return [write.port("tags", ["batch", "units"], "STRING")]


def _at_least(thresholds: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the least numbers in single precision that are no smaller."""
    single = thresholds.astype(np.float32)
    return np.where(single.astype(np.float64) < thresholds, np.nextafter(single, np.float32(np.inf)), single)
