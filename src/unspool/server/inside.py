"""Routes of the views inside a model: forks with edits, gradients through time, the graph, and comparisons."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from unspool.server.api import read_body, state_of
from unspool.server.faults import ApiError, json_response
from unspool.server.models import Served
from unspool.server.schemas import (
    CompareRequest,
    DisagreeRequest,
    ForecastRequest,
    ForkTextRequest,
    GradientsRequest,
    GraphRequest,
    WeightsRequest,
)
from unspool.server.streaming import unless_gone

__all__ = ["compare", "disagree", "forecast", "fork", "gradients", "graph", "weights"]

_MOST_LOSSES = 1_000  # in a request for gradients: each loss has one with respect to every earlier step


async def fork(request: Request) -> Response:
    """Read an input without and with edits, and compare both runs."""
    state, body = state_of(request), await read_body(request, ForkTextRequest)
    served = state.models.get(body.model)
    state.check_inputs([body.input], written=2 * body.length, images=served.reads_files == "images")
    state.check_trace(body.input, image=served.reads_files == "images")
    if len(body.edits) + len(body.base) > state.settings.max_items:
        raise ApiError(413, f"{len(body.edits) + len(body.base):,} edits came; expected fewer", "edits")
    options: dict[str, Any] = {}
    if body.length:
        if not served.writes:
            raise ApiError(400, f"length: {served.name} is a model of the task {served.entry.name!r}", "length")
        options = {"length": body.length, "temperature": body.temperature, "seed": body.seed}

    def run(task: Any) -> dict[str, Any]:
        return dict(task.fork(body.input, body.edits, base=body.base, **options).record())

    return await _one(request, served, run)


async def gradients(request: Request) -> Response:
    """Measure the gradients of each loss with respect to each earlier state."""
    state, body = state_of(request), await read_body(request, GradientsRequest)
    served = state.models.get(body.model)
    state.check_inputs([body.input], images=served.reads_files == "images")
    state.check_trace(body.input, image=served.reads_files == "images")
    gone = threading.Event()

    def progress(stage: str, done: int, total: int) -> None:
        if gone.is_set():
            raise ConnectionResetError("the client has gone")
        if total > _MOST_LOSSES:
            raise ApiError(413, f"{total:,} losses; expected at most {_MOST_LOSSES:,}, or a position loss_at", "input")

    def run(task: Any) -> dict[str, Any]:
        measured = task.gradients(
            body.input,
            target=body.target,
            loss_at=body.loss_at,
            truncation=body.truncation,
            jacobians=body.jacobians,
            progress=progress,
        )
        words = {name: measured.sentences(name) for name in measured.names}
        return {**measured.record(), "sentences": words, "main": measured.main}

    try:
        return await _one(request, served, run)
    finally:
        gone.set()  # ends the measurement, so that the model thread is free for others


async def forecast(request: Request) -> Response:
    """Forecast one series, or go on from the training data: values with intervals, a table and a picture."""
    state, body = state_of(request), await read_body(request, ForecastRequest)
    served = state.models.get(body.model)
    if not served.entry.forecasts:
        raise ApiError(400, f"{served.name} is a model of the task {served.entry.name!r}, which does not forecast")
    if body.input is not None:
        state.check_inputs([body.input])

    def run(task: Any) -> dict[str, Any]:
        result = task.predict(body.input, horizon=body.horizon)
        first = result[0] if isinstance(result, list) else result
        return {"forecast": first.record(), "columns": first.to_columns(), "caution": first.caution, "svg": first.svg()}

    return await _one(request, served, run)


async def graph(request: Request) -> Response:
    """Return the graph of the network and of one step of its cell, as data and as a picture."""
    state, body = state_of(request), await read_body(request, GraphRequest)
    served = state.models.get(body.model)
    if body.input is not None:
        state.check_inputs([body.input])
        state.check_trace(body.input)

    def run(task: Any) -> dict[str, Any]:
        drawn = task.graph(body.input)
        return {**drawn.record(), "svg": drawn.picture()}

    return await _one(request, served, run)


async def weights(request: Request) -> Response:
    """Return the output weights of the units of the last layer for a choice."""
    state, body = state_of(request), await read_body(request, WeightsRequest)
    served = state.models.get(body.model)

    def run(task: Any) -> dict[str, Any]:
        return {"weights": {name: row.tolist() for name, row in task.output_weights(body.choice).items()}}

    return await _one(request, served, run)


async def compare(request: Request) -> Response:
    """Compare two models, or two texts, token by token."""
    state, body = state_of(request), await read_body(request, CompareRequest)
    served, other = state.models.get(body.model), state.models.get(body.other or body.model)
    second = body.input if body.other_input is None else body.other_input
    state.check_inputs([body.input, second])
    for value in (body.input, second):
        state.check_trace(value)

    def run(task: Any) -> dict[str, Any]:
        from unspool.inspection import compare_traces

        return dict(compare_traces(task.trace(body.input), other.task.trace(second)).record())

    return await _one(request, served, run)


async def disagree(request: Request) -> Response:
    """List the examples of labelled data on which two models disagree most."""
    state, body = state_of(request), await read_body(request, DisagreeRequest)
    served, other = state.models.get(body.model), state.models.get(body.other)

    def run(task: Any) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="unspool-studio-") as folder:
            path = Path(folder) / f"data{body.suffix}"
            path.write_text(body.text, encoding="utf-8")
            return dict(task.compare_with(other.task, path, names=(served.name, other.name)).record(body.most))

    return await _one(request, served, run)


async def _one(request: Request, served: Served, run: Callable[[Any], dict[str, Any]]) -> Response:
    """Run something for one request alone in the model thread, and return its record."""
    state = state_of(request)

    def alone(values: list[Any]) -> list[dict[str, Any]]:
        return [run(served.task)]

    call = state.thread.call(object(), [None], alone)  # a key of its own: never batched with another request
    (record,) = await unless_gone(request, call, state.settings.max_seconds)
    return json_response({"model": served.name, **record})
