"""Corrections of replies, as lines to train or test on; an assistant learns a corrected answer at once."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from unspool.server.api import read_body, state_of
from unspool.server.faults import ApiError, json_response
from unspool.server.models import Served
from unspool.server.schemas import CorrectRequest
from unspool.server.state import ServerState
from unspool.tasks.dialogue.testing import check_case
from unspool.writing import append_line

__all__ = ["correct"]


async def correct(request: Request) -> Response:
    """Correct an answer or a call, and append it to a file of corrections; an assistant learns an answer at once."""
    state, body = state_of(request), await read_body(request, CorrectRequest)
    if (body.answer is UNSET) == (body.call is UNSET):
        raise ApiError(400, "expected either answer or call", "answer")
    if not body.question.strip():
        raise ApiError(400, "question needs at least one visible character", "question")
    if body.call is not UNSET:
        served = state.models.get(body.model, verb="chat")
        return json_response({"model": served.name, "file": await _correct_call(state, served, body)})
    served = state.models.get(body.model, verb="add")
    pair = (body.question.strip(), str(body.answer).strip())
    if not pair[1]:
        raise ApiError(400, "answer needs at least one visible character", "answer")

    def run(pairs: list[tuple[str, str]]) -> list[None]:
        if state.settings.corrections:
            append_line(Path(state.settings.corrections), {"question": pair[0], "answer": pair[1]})
        served.task.add(pairs)
        return [None]

    await state.thread.call((served.name, "correct", secrets.token_hex(4)), [pair], run)
    return json_response({"model": served.name, "file": state.settings.corrections or None})


async def _correct_call(state: ServerState, served: Served, body: CorrectRequest) -> str:
    """Append a sentence with its call, in the form that `unspool evaluate` reads; returns the file."""
    if served.commands is None:
        raise ApiError(400, f"{served.name} has no commands", "model")
    if not state.settings.corrections:
        raise ApiError(400, "a corrected call needs a file to go to: start the studio with --corrections FILE", "call")
    line = {"text": body.question.strip(), "call": body.call, "arguments": body.arguments}
    check_case(line, served.commands, "the correction")
    corrections = Path(state.settings.corrections)
    path = corrections.with_name(f"{corrections.stem}-calls.jsonl")

    def run(lines: list[Any]) -> list[None]:
        append_line(path, line)
        return [None]

    await state.thread.call(object(), [line], run)
    return str(path)
