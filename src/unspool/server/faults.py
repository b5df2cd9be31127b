"""Errors of the HTTP API: one JSON sentence with a status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from unspool.errors import DataError, MachineError, UnspoolError, UsageError, for_python, printable

__all__ = ["ApiError", "BusyError", "error_content", "error_response", "json_response", "shutting_down", "status_of"]


class ApiError(Exception):
    """A request that is refused.

    Args:
        status: HTTP status.
        message: One sentence: what came, what was expected.
        param: Name of the field at fault, if any.
        retry_after: Seconds after which the client may try again; None: trying again does not help.
        headers: Further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        param: str | None = None,
        *,
        retry_after: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param = status, message, param
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)


class BusyError(ApiError):
    """A request that is refused because too many others wait."""

    def __init__(self, message: str) -> None:
        super().__init__(429, message, retry_after=1)


def shutting_down() -> ApiError:
    """Return the error of requests that come while the server shuts down."""
    return ApiError(503, "the server is shutting down", retry_after=5)


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


def status_of(error: Exception) -> int:
    """Return the HTTP status of an error."""
    if isinstance(error, ApiError):
        return error.status
    if isinstance(error, MachineError):
        return 503
    return 422 if isinstance(error, DataError) else 400 if isinstance(error, UsageError) else 500


def error_content(error: Exception) -> dict[str, Any]:
    """Return the body of an error: the message of one of ours, one fixed sentence for any other."""
    message, param = "the server met an unexpected error; its log has the details", None
    if isinstance(error, ApiError):
        message, param = printable(error.message), error.param
    elif isinstance(error, UnspoolError):
        message = printable(for_python(error.message))
    return {"error": {"message": message, "type": _TYPES.get(status_of(error), "error"), "param": param, "code": None}}


def error_response(error: Exception) -> Response:
    """Return the response for an error."""
    headers = error.headers if isinstance(error, ApiError) else {}
    return json_response(error_content(error), status_of(error), headers)
