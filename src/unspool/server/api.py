"""Routes of Unspool's own API: predictions, traces, generation and sessions."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from unspool.server.faults import ApiError, json_response
from unspool.server.models import Served
from unspool.server.schemas import (
    AdvanceRequest,
    ForkRequest,
    GenerateRequest,
    PredictRequest,
    SessionRequest,
    TraceRequest,
)
from unspool.server.sessions import Session
from unspool.server.state import ServerState
from unspool.server.streaming import TextStream, events, unless_gone

__all__ = [
    "advance",
    "close_session",
    "fork_session",
    "generate",
    "info",
    "open_session",
    "predict",
    "read_body",
    "show_session",
    "state_of",
    "trace",
]

S = TypeVar("S", bound=msgspec.Struct)


async def read_body(request: Request, kind: type[S]) -> S:
    """Return the body of a request as a struct.

    Raises:
        ApiError: If it is no JSON, or does not fit.
    """
    body = await request.body()
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at ")
        field = place.strip("`").removeprefix("$").lstrip(".") or None
        raise ApiError(400, f"{message[:1].lower()}{message[1:]}" + (f" in {field}" if field else ""), field) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, f"the request is no valid JSON: {str(error)[:200]}") from None


def state_of(request: Request) -> ServerState:
    """Return what all requests share."""
    state: ServerState = request.app.state.unspool
    return state


def info(state: ServerState) -> dict[str, Any]:
    """Return the models and the limits of the server."""
    limits = msgspec.to_builtins(state.settings)
    limits.pop("token")
    return {
        "models": [_model(state, one) for one in state.models.by_name.values()],
        "runs": state.runs.count > 0,
        "loading": not state.models.loaded and state.thread.failure is None,
        "failure": state.failure_sentence(),
        "limits": limits,
    }


def _model(state: ServerState, served: Served) -> dict[str, Any]:
    """Return what the API tells about a model; `acts`: whether chats run its functions; `parser`: a model beside it."""
    models, record = state.models.by_name.values(), served.record()
    acts = served.commands is not None and state.dialogues.acts(served)
    parser = next((one.name for one in models if one.part_of == served.name), None)
    return {**record, "acts": acts, "parser": parser if served.answers else served.name}


async def predict(request: Request) -> Response:
    """Predict for one input, or for each of several."""
    state, body = state_of(request), await read_body(request, PredictRequest)
    served = state.models.get(body.model)
    if (body.input is UNSET) == (body.inputs is UNSET):
        raise ApiError(400, "expected either input, for one, or inputs, for many", "input")
    inputs = body.inputs if isinstance(body.inputs, list) else [body.input]
    state.check_inputs(inputs, images=served.reads_files == "images")
    if body.threshold is not None and not served.answers:
        raise ApiError(400, f"threshold: {served.name} is a model of the task {served.entry.name!r}", "threshold")

    def run(values: list[Any]) -> Sequence[Any]:
        if body.threshold is not None:
            return [served.task.ask(value, threshold=body.threshold).record() for value in values]
        return [each.record() for each in served.task.predict_each(values)]

    call = state.thread.call((served.name, "predict", body.threshold), inputs, run)
    records = await unless_gone(request, call, state.settings.max_seconds)
    if isinstance(body.inputs, list):
        return json_response({"model": served.name, "predictions": records})
    return json_response({"model": served.name, "prediction": records[0]})


async def trace(request: Request) -> Response:
    """Return all recorded values of one input."""
    state, body = state_of(request), await read_body(request, TraceRequest)
    served = state.models.get(body.model)
    state.check_inputs([body.input], images=served.reads_files == "images")
    state.check_trace(body.input, image=served.reads_files == "images")

    def run(values: list[Any]) -> list[bytes]:
        from unspool.inspection.files import FORMATS
        from unspool.inspection.wire import pack

        form: Callable[[Any], bytes] = pack if body.form == "binary" else FORMATS[".json"]
        options = {"edits": body.edits} if body.edits else {}
        return [form(served.task.trace(value, **options)) for value in values]

    key = object() if body.edits else (served.name, "trace", body.form)
    call = state.thread.call(key, [body.input], run)
    (content,) = await unless_gone(request, call, state.settings.max_seconds)
    kind = "application/octet-stream" if body.form == "binary" else "application/json"
    return Response(content, media_type=kind)


async def generate(request: Request) -> Response:
    """Continue a text, as a whole or as server-sent events."""
    state, body = state_of(request), await read_body(request, GenerateRequest)
    served = state.models.get(body.model, verb="generate")
    state.check_inputs([body.prompt], written=body.length)
    state.thread.check_open()
    seed = secrets.randbits(62) if body.seed is None else body.seed
    text = served.task.continuation(
        body.prompt, length=body.length, temperature=body.temperature, top_k=body.top_k, top_p=body.top_p, seed=seed
    )
    stream = TextStream(state.thread, served, text, list(text.unread), state.settings.max_seconds)

    def record(piece: str) -> dict[str, Any]:
        return {"model": served.name, "text": piece, "units": stream.units, "seed": seed}

    if body.stream:
        return events(_records(stream, record), stream.cancel)
    return json_response(record(await unless_gone(request, stream.whole(), state.settings.max_seconds)))


async def _records(
    stream: TextStream, record: Callable[[str], dict[str, Any]], finish: Callable[[], None] = lambda: None
) -> AsyncGenerator[dict[str, Any], None]:
    async with aclosing(stream.pieces()) as pieces:
        async for piece in pieces:
            if piece:
                yield record(piece)
    finish()


# ---- sessions ----------------------------------------------------------------------------------------------------


async def open_session(request: Request) -> Response:
    """Open a session."""
    state, body = state_of(request), await read_body(request, SessionRequest)
    served = state.models.get(body.model, verb="generate")
    state.check_inputs([body.prompt])
    state.thread.check_open()
    seed = secrets.randbits(62) if body.seed is None else body.seed
    text = served.task.continuation(
        body.prompt, temperature=body.temperature, top_k=body.top_k, top_p=body.top_p, seed=seed
    )
    session = state.sessions.add(Session(served, text.sampling, seed, list(text.unread)))
    if body.prompt:  # read now, so that the session has the size of its state
        advance = _Advance(state, session, "", 0)
        try:
            await unless_gone(request, advance.stream.whole(), state.settings.max_seconds)
        finally:
            advance.finish()
            if not advance.stream.complete:
                state.sessions.remove(session)
    return json_response(_describe(state, session), 201)


async def show_session(request: Request) -> Response:
    """Return a session."""
    state = state_of(request)
    return json_response(_describe(state, state.sessions.get(request.path_params["id"])))


async def close_session(request: Request) -> Response:
    """End a session."""
    sessions = state_of(request).sessions
    sessions.remove(sessions.get(request.path_params["id"]))
    return Response(status_code=204)


async def fork_session(request: Request) -> Response:
    """Copy a session with its state."""
    state, body = state_of(request), await read_body(request, ForkRequest)
    session = state.sessions.get(request.path_params["id"])
    _refuse_busy(session)
    state.sessions.touch(session)
    return json_response(_describe(state, state.sessions.add(session.fork(body.seed))), 201)


async def advance(request: Request) -> Response:
    """Let a session read further text and write."""
    state, body = state_of(request), await read_body(request, AdvanceRequest)
    session = state.sessions.get(request.path_params["id"])
    state.check_inputs([body.text], written=body.length)
    _refuse_busy(session)
    state.thread.check_open()
    advance = _Advance(state, session, body.text, body.length)

    def record(piece: str) -> dict[str, Any]:
        return {"id": session.id, "text": piece, "units": advance.stream.units}

    if body.stream:
        return events(_records(advance.stream, record, advance.finish), advance.finish)
    try:
        whole = await unless_gone(request, advance.stream.whole(), state.settings.max_seconds)
    finally:
        advance.finish()
    return json_response(record(whole))


class _Advance:
    """One request that advances a session; a request that is cut off leaves the session where it was."""

    def __init__(self, state: ServerState, session: Session, text: str, length: int) -> None:
        self._state, self._session, self._length = state, session, length
        self._units = session.served.task.vocabulary.encode(text) if text else []
        self._text = session.open(self._units, length)
        self.stream = TextStream(
            state.thread,
            session.served,
            self._text,
            [*session.context, *self._units],
            state.settings.max_seconds,
            incomplete=session.incomplete and not self._units,
            goes_on=True,
        )
        session.busy, self._finished = True, False

    def finish(self) -> None:
        """Let the session go on from the end of the text; further calls do nothing."""
        if self._finished:
            return
        self._finished, self._session.busy = True, False
        self.stream.cancel()
        if self.stream.complete:
            self._session.close(self._text, self._units, self._length)
            self._session.end_with(self.stream.context, incomplete=self.stream.incomplete)
        self._state.sessions.touch(self._session)


def _refuse_busy(session: Session) -> None:
    if session.busy:
        raise ApiError(409, "the session is advancing already; wait for its answer", "id")


def _describe(state: ServerState, session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "model": session.served.name,
        "units": session.drawn,
        "seed": session.seed,
        "expires": round(state.sessions.seconds_left(session), 1),
    }
