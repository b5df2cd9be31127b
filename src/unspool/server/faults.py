"""Errors of the HTTP API: one JSON sentence with a status."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from unspool.errors import DataError, MachineError, UnspoolError, UsageError, for_python, printable

__all__ = ["ApiError", "BusyError", "error_response", "json_response"]


class ApiError(Exception):
    """A request that is refused.

    Args:
        status: HTTP status.
        message: One sentence: what came, what was expected.
        param: Name of the field at fault, if any.
        retry_after: Seconds after which the client may try again; None: trying again does not help.
    """

    def __init__(self, status: int, message: str, param: str | None = None, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.retry_after = status, message, param, retry_after


class BusyError(ApiError):
    """A request that is refused because too many others wait."""

    def __init__(self, message: str) -> None:
        super().__init__(429, message, retry_after=1)


_TYPES = {
    400: "invalid_request",
    401: "authentication",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid_data",
    429: "busy",
    500: "server_error",
    503: "unavailable",
    504: "timeout",
}


def json_response(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return plain data as a JSON response; NaN and infinity become null."""
    return Response(msgspec.json.encode(content), status, headers, media_type="application/json")


def error_response(error: Exception) -> Response:
    """Return the response for an error: the message of one of ours, one fixed sentence for any other."""
    if isinstance(error, ApiError):
        headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
        return _response(error.status, error.message, error.param, headers)
    if isinstance(error, UnspoolError):
        status = 422 if isinstance(error, DataError) else 400 if isinstance(error, UsageError) else 500
        status = 503 if isinstance(error, MachineError) else status
        return _response(status, printable(for_python(error.message)), None, {})
    return _response(500, "the server met an unexpected error; its log has the details", None, {})


def _response(status: int, message: str, param: str | None, headers: dict[str, str]) -> Response:
    content = {"error": {"message": message, "type": _TYPES.get(status, "error"), "param": param}}
    return json_response(content, status, headers)
