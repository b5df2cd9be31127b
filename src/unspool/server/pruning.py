"""Pruning in the studio: a copy of a model without some units, written into the folder that the server may write to."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from unspool.server.api import read_body, state_of
from unspool.server.faults import ApiError, json_response
from unspool.server.schemas import PruneRequest

__all__ = ["prune"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")


async def prune(request: Request) -> Response:
    """Write a copy of a model without some units; the server then has it as a model too."""
    state, body = state_of(request), await read_body(request, PruneRequest)
    served = state.models.get(body.model)
    if not state.settings.pruned:
        raise ApiError(403, "this studio may not write models: start it with --pruned FOLDER")
    if not _NAME.fullmatch(body.name):
        raise ApiError(
            400, f"{body.name[:80]!r} is no name: expected letters, digits, dots, hyphens and underscores", "name"
        )
    folder = Path(state.settings.pruned) / body.name

    def run(values: list[Any]) -> list[Any]:
        if body.name in state.models.by_name or folder.exists():
            raise ApiError(409, f"there is a model {body.name!r} already; choose another name", "name")
        task = served.task.pruned(body.units)
        task.save(folder)
        return [task]

    (task,) = await state.thread.call(object(), [None], run)
    new = replace(served, name=body.name, folder=folder, task=task, part_of=None)
    state.models.add(replace(new, batch=None, start=None, layout=None))
    return json_response({"model": body.name, "folder": str(folder), **task.record.pruned})
