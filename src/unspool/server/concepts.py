"""Concept finder of the studio: a search in a thread of its own, with its progress as server-sent events."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from unspool.server.api import read_body, state_of
from unspool.server.faults import ApiError, BusyError, json_response
from unspool.server.models import Served
from unspool.server.schemas import ConceptRequest, NameUnitRequest
from unspool.server.streaming import events

__all__ = ["find", "name_unit"]

_searching = asyncio.Semaphore(1)  # a search takes a processor for minutes


async def find(request: Request) -> Response:
    """Find the unit that tracks a property of a text; progress, then the report, as server-sent events."""
    state, body = state_of(request), await read_body(request, ConceptRequest)
    served = state.models.get(body.model)
    state.thread.check_open()
    if (body.property is None) + (body.regex is None) + (body.column is None) != 2:
        raise ApiError(400, "expected one of property, regex and column", "property")
    if _searching.locked():
        raise BusyError("another search is running; try again when it has ended")
    return events(_search(served, body))


async def name_unit(request: Request) -> Response:
    """Name a unit in the model folder; traces then hold it under this name."""
    state, body = state_of(request), await read_body(request, NameUnitRequest)
    served = state.models.get(body.model)

    def run(values: list[Any]) -> list[None]:
        served.task.name_unit(body.array, body.unit, body.name)
        return [None]

    await state.thread.call(object(), [None], run)
    return json_response({"model": served.name, "name": body.name})


async def _search(served: Served, body: ConceptRequest) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the progress of a search, then its report."""
    loop, news = asyncio.get_running_loop(), asyncio.Queue[dict[str, Any] | None]()
    gone = False

    def progress(stage: str, done: int, total: int) -> None:
        if gone:
            raise ConnectionResetError("the client has gone")
        loop.call_soon_threadsafe(news.put_nowait, {"stage": stage, "done": done, "total": total})

    async with _searching:
        work = asyncio.create_task(asyncio.to_thread(_report, served, body, progress))
        work.add_done_callback(lambda _: news.put_nowait(None))
        try:
            while (one := await news.get()) is not None:
                yield one
            yield {"report": work.result()}
        finally:
            gone = True
            await asyncio.gather(work, return_exceptions=True)  # until it has stopped, no other search may begin


def _report(served: Served, body: ConceptRequest, progress: Any) -> dict[str, Any]:
    from unspool.inspection.concepts import labellings as concepts
    from unspool.tasks.concepts.finding import find_concept

    if body.regex is not None:
        labelling = concepts.regex(body.regex)
    elif body.column is not None:
        labelling = concepts.column(body.column)
    else:
        labelling = concepts.property_named(body.property or "")
    with tempfile.TemporaryDirectory(prefix="unspool-studio-") as folder:
        path = Path(folder) / f"data{body.suffix}"
        path.write_text(body.text, encoding="utf-8")
        report = find_concept(served.task, path, labelling, tokens=body.tokens, ablate=body.ablate, progress=progress)
    return dict(report.record())
