"""The application: routes, errors, metrics and pages, behind the guard."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from unspool.errors import UnspoolError
from unspool.server import api, concepts, corrections, inside, openai_api, pages, pruning, runs
from unspool.server.faults import ApiError, error_response, json_response
from unspool.server.guard import App, Guard
from unspool.server.openapi import Operation, openapi
from unspool.server.schemas import (
    AdvanceRequest,
    ChatRequest,
    CompareRequest,
    CompletionRequest,
    ConceptRequest,
    CorrectRequest,
    DisagreeRequest,
    ForecastRequest,
    ForkRequest,
    ForkTextRequest,
    GenerateRequest,
    GradientsRequest,
    GraphRequest,
    NameUnitRequest,
    Prediction,
    PredictRequest,
    PruneRequest,
    SessionRequest,
    SessionState,
    TraceRequest,
    WeightsRequest,
    Written,
)
from unspool.server.state import ServerState

__all__ = ["OPERATIONS", "application"]

Handler = Callable[[Request], Awaitable[Response]]
_LOG = logging.getLogger("unspool.server")
_SWEEP = 30.0  # seconds between two removals of expired sessions


async def _health(request: Request) -> Response:
    """Return 200 if the server can answer, 503 while it loads or shuts down."""
    state = api.state_of(request)
    ready = state.models.loaded and not state.draining
    status = "ok" if ready else "draining" if state.draining else "failed" if state.thread.failure else "loading"
    return json_response({"status": status}, 200 if ready else 503)


async def _info(request: Request) -> Response:
    """Return the models and the limits."""
    return json_response(api.info(api.state_of(request)))


async def _metrics(request: Request) -> Response:
    """Return counts in the text format of Prometheus."""
    state = api.state_of(request)
    gauges = {"queue": state.thread.queue, "texts_in_progress": state.thread.rows}
    gauges |= {"sessions": len(state.sessions), "dialogue_states": len(state.dialogues)}
    return PlainTextResponse(state.metrics.text(gauges), media_type="text/plain; version=0.0.4")


async def _openapi(request: Request) -> Response:
    """Return this description."""
    return json_response(openapi(request.app.state.operations))


OPERATIONS = (
    Operation("GET", "/health", _health),
    Operation("GET", "/openapi.json", _openapi),
    Operation("GET", "/metrics", _metrics),
    Operation("GET", "/api/info", _info),
    Operation("POST", "/api/predict", api.predict, PredictRequest, Prediction),
    Operation("POST", "/api/trace", api.trace, TraceRequest),
    Operation("GET", "/api/runs", runs.list_runs, studio=True),
    Operation("GET", "/api/runs/{name:path}", runs.show_run, studio=True),
    Operation("POST", "/api/fork", inside.fork, ForkTextRequest),
    Operation("POST", "/api/weights", inside.weights, WeightsRequest),
    Operation("POST", "/api/gradients", inside.gradients, GradientsRequest),
    Operation("POST", "/api/compare", inside.compare, CompareRequest),
    Operation("POST", "/api/disagreements", inside.disagree, DisagreeRequest, studio=True),
    Operation("POST", "/api/concepts", concepts.find, ConceptRequest, studio=True),
    Operation("POST", "/api/units", concepts.name_unit, NameUnitRequest, studio=True),
    Operation("POST", "/api/prune", pruning.prune, PruneRequest, studio=True),
    Operation("POST", "/api/forecast", inside.forecast, ForecastRequest),
    Operation("POST", "/api/graph", inside.graph, GraphRequest),
    Operation("POST", "/api/correct", corrections.correct, CorrectRequest, studio=True),
    Operation("POST", "/api/generate", api.generate, GenerateRequest, Written),
    Operation("POST", "/api/sessions", api.open_session, SessionRequest, SessionState),
    Operation("GET", "/api/sessions/{id}", api.show_session, None, SessionState),
    Operation("DELETE", "/api/sessions/{id}", api.close_session),
    Operation("POST", "/api/sessions/{id}/advance", api.advance, AdvanceRequest),
    Operation("POST", "/api/sessions/{id}/fork", api.fork_session, ForkRequest, SessionState),
    Operation("GET", "/v1/models", openai_api.list_models),
    Operation("GET", "/v1/models/{id}", openai_api.show_model),
    Operation("POST", "/v1/completions", openai_api.completions, CompletionRequest),
    Operation("POST", "/v1/chat/completions", openai_api.chat_completions, ChatRequest),
)
"""All operations of the API."""


def application(state: ServerState, port: int, *, load: Callable[[], None], studio: bool = False) -> App:
    """Return the ASGI application of a server.

    Args:
        state: What all requests share.
        port: The port that the server listens on.
        load: Loads the models, in the model thread.
        studio: Whether to serve the studio's pages.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        state.thread.start(load)
        sweeping = asyncio.create_task(_sweep(state))
        yield
        state.draining = True
        sweeping.cancel()
        await asyncio.to_thread(state.thread.stop)

    operations = [one for one in OPERATIONS if studio or not one.studio]
    routes = _routes(state, operations)
    if studio:
        routes += pages.routes()
    handlers: dict[Any, Any] = {HTTPException: _http_error, Exception: _unexpected}
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
    app.router.redirect_slashes = False
    app.state.unspool, app.state.operations = state, operations
    return Guard(app, state.settings, port, lambda: state.draining)


def _routes(state: ServerState, operations: Sequence[Operation]) -> list[Route]:
    """Return one route per path, so that a wrong method learns of all methods."""
    by_path: dict[str, dict[str, Handler]] = {}
    for one in operations:
        by_path.setdefault(one.path, {})[one.method] = _measured(one.handler, one.path, state)
    return [Route(path, _dispatching(handlers), methods=list(handlers)) for path, handlers in by_path.items()]


def _dispatching(handlers: Mapping[str, Handler]) -> Handler:
    async def dispatch(request: Request) -> Response:
        return await handlers["GET" if request.method == "HEAD" else request.method](request)

    return dispatch


def _measured(handler: Handler, route: str, state: ServerState) -> Handler:
    """Wrap a handler: errors become answers, and the request is counted."""

    async def measured(request: Request) -> Response:
        began = time.perf_counter()
        try:
            response = await handler(request)
        except (ApiError, UnspoolError) as error:
            response = error_response(error)
        except (ClientDisconnect, ConnectionResetError):
            response = Response(status_code=499)  # nobody receives it
        except Exception as error:
            _LOG.exception("%s %s failed", request.method, route)
            response = error_response(error)
        state.metrics.observe_request(request.method, route, response.status_code, time.perf_counter() - began)
        return response

    measured.__doc__ = handler.__doc__
    return measured


async def _http_error(request: Request, error: HTTPException) -> Response:
    method, path, allowed = request.method[:20], request.url.path[:80], (error.headers or {}).get("Allow", "")
    if error.status_code != 405:
        return error_response(ApiError(error.status_code, f"there is nothing at {path}"))
    sentence = f"{method} is not possible at {path}; expected {' or '.join(sorted(allowed.split(', ')))}"
    return error_response(ApiError(405, sentence, headers={"Allow": allowed}))


async def _unexpected(request: Request, error: Exception) -> Response:
    return error_response(error)


async def _sweep(state: ServerState) -> None:
    while True:
        await asyncio.sleep(_SWEEP)
        state.sessions.expire()
        state.dialogues.expire()
