"""Answers of the judge, for machines that can't run what was exported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unspool.ship.answers import EXPORTED_UNITS, Answer
from unspool.ship.judge import run_program
from unspool.ship.judge_text import encode_texts, reply_of
from unspool.ship.judge_writing import write_greedily
from unspool.ship.sheet import Sheet
from unspool.ship.sheet_text import Labels, Replies, TagNames
from unspool.ship.small import Small, rounded_sheet

__all__ = ["judged_answers"]


def judged_answers(sheet: Sheet, texts: Sequence[Any], small: Small | None = None) -> list[Answer]:
    """Return what a sheet answers, computed in numpy.

    Args:
        sheet: The model.
        texts: Texts, or lists of words.
        small: Rounding of the weights.
    """
    sheet = rounded_sheet(sheet, small) if small else sheet
    if sheet.run is None:
        return [write_greedily(sheet, text, EXPORTED_UNITS) for text in texts]
    back, answers = sheet.back, list[Answer]()
    for text in texts:
        (port,) = sheet.run.outputs
        value = run_program(sheet.run, encode_texts(sheet.front, [text]))[port.name]
        if isinstance(back, Labels):
            answers.append(dict(zip(back.names, map(float, value[0]), strict=True)))
        elif isinstance(back, TagNames):
            answers.append([back.names[int(tag)] for tag in value[:, 0]])
        elif isinstance(back, Replies):
            assert sheet.front.question is not None
            answers.append(reply_of(back, sheet.front.question, text, value[0])[0])
    return answers
