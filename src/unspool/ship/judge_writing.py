"""Judge of writing: texts written unit by unit, greedily, in plain numpy."""

from __future__ import annotations

from typing import Any

import numpy as np

from unspool.ship.judge import run_program
from unspool.ship.judge_text import encode_texts, join_units
from unspool.ship.sheet import Sheet, Writer
from unspool.ship.sheet_text import Writing

__all__ = ["limit_of", "write_greedily"]


def limit_of(writer: Writer, length: int, asked: int) -> int:
    """Return the most units of a text, for the length of its source and the number that a caller asks for."""
    if not writer.longest:
        return asked
    return int(np.float32(length) * np.float32(writer.ratio) + writer.longest)


def write_greedily(sheet: Sheet, text: Any, length: int = 0) -> str:
    """Return what a model writes, always the most probable unit, of equal ones the first.

    Args:
        sheet: A sheet with a writer.
        text: The source; or the prompt of a language model, which is not part of the result.
        length: Number of units, where the writer has no limit.
    """
    writer, back = sheet.writer, sheet.back
    assert writer is not None
    assert isinstance(back, Writing)
    inputs = encode_texts(sheet.front, [text])
    has_source = bool(writer.start.inputs)
    state = run_program(writer.start, inputs if has_source else {}, 1)
    prompt = [] if has_source else inputs["ids"][:, 0].tolist()
    written: list[int] = []
    unread, limit = [writer.first, *prompt], limit_of(writer, len(inputs["ids"]), length)
    while len(written) < limit:
        for unit in unread:
            values = run_program(writer.step, {**state, "id": np.array([unit])})
            scores = values[writer.step.outputs[0].name][0].copy()
            new = [values[port.name] for port in writer.step.outputs[1:]]
            state |= dict(zip(writer.state, new, strict=True))
        scores[list(writer.never)] = -np.inf
        unit = int(scores.argmax())
        if unit == writer.end:
            break
        written.append(unit)
        unread = [unit]
    return join_units(back, written)
