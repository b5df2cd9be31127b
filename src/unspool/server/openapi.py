"""Description of the API in the OpenAPI format, made from the table of operations and the structs of bodies."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from unspool import __version__

__all__ = ["Operation", "openapi"]


class Operation(NamedTuple):
    """One operation of the API."""

    method: str
    path: str
    handler: Callable[[Request], Awaitable[Response]]
    request: type[msgspec.Struct] | None = None
    """Body of the request; None if it has none."""
    answer: type[msgspec.Struct] | None = None
    """Body of the answer; None if it is of another kind."""
    studio: bool = False
    """Whether the studio alone has the operation: it changes models, takes minutes, or shows files of this machine."""


_ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
            },
        }
    },
}


def openapi(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the description of some operations."""
    kinds = [kind for one in operations for kind in (one.request, one.answer) if kind is not None]
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    references = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        path = re.sub(r"{(\w+):\w+}", r"{\1}", one.path)
        paths.setdefault(path, {})[one.method.lower()] = _describe(one, references)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Unspool", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": {**components, "Error": _ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _describe(one: Operation, references: dict[Any, Any]) -> dict[str, Any]:
    summary = (inspect.getdoc(one.handler) or "").partition("\n")[0].removesuffix(".")
    operation: dict[str, Any] = {
        "summary": summary,
        "operationId": re.sub(r"\W+", "_", f"{one.method.lower()}{one.path}").strip("_"),
        "responses": {
            "200": {"description": "The answer."},
            "default": {
                "description": "An error, in one sentence.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            },
        },
    }
    if names := re.findall(r"{(\w+)(?::\w+)?}", one.path):
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ]
    if one.request is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": references[one.request]}},
        }
    if one.answer is not None:
        operation["responses"]["200"]["content"] = {"application/json": {"schema": references[one.answer]}}
    return operation
