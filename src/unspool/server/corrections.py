"""Corrections of an assistant's answers: learned at once, and kept as lines to train on."""

from __future__ import annotations

import secrets
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from unspool.server.api import read_body, state_of
from unspool.server.faults import ApiError, json_response
from unspool.server.schemas import CorrectRequest
from unspool.writing import append_line

__all__ = ["correct"]


async def correct(request: Request) -> Response:
    """Teach an assistant the right answer to a question, and append it to the file of corrections."""
    state, body = state_of(request), await read_body(request, CorrectRequest)
    served = state.models.get(body.model, verb="chat")
    pair = (body.question.strip(), body.answer.strip())
    if not all(pair):
        raise ApiError(400, "question and answer need at least one visible character", "answer")

    def run(pairs: list[tuple[str, str]]) -> list[None]:
        if state.settings.corrections:
            append_line(Path(state.settings.corrections), {"question": pair[0], "answer": pair[1]})
        served.task.add(pairs)
        return [None]

    await state.thread.call((served.name, "correct", secrets.token_hex(4)), [pair], run)
    return json_response({"model": served.name, "file": state.settings.corrections or None})
