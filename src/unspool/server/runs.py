"""Training runs in the studio: curves, samples and warnings, read from their logs while training writes them."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from unspool.server.api import state_of
from unspool.server.faults import ApiError, json_response

__all__ = ["list_runs", "show_run"]

_MOST_COLUMNS = 4000  # of an envelope


async def list_runs(request: Request) -> Response:
    """List the training runs."""
    runs = state_of(request).runs
    return json_response({"runs": await asyncio.to_thread(runs.summaries)})


async def show_run(request: Request) -> Response:
    """Return curves, samples and warnings of a training run."""
    columns = request.query_params.get("columns", "800")
    if not columns.isdigit() or not 1 <= int(columns) <= _MOST_COLUMNS:
        raise ApiError(400, f"columns = {columns[:20]}: expected a number from 1 to {_MOST_COLUMNS}", "columns")
    runs = state_of(request).runs
    return json_response(await asyncio.to_thread(runs.record, request.path_params["name"], int(columns)))
