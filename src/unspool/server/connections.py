"""HTTP connections: limits of number and time, and JSON errors before a request is complete."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from unspool.server.faults import ApiError, error_response
from unspool.server.guard import SAFETY_HEADERS, Receive, Scope, Send
from unspool.server.settings import ServerSettings

__all__ = ["Connection"]

_HEADER_SECONDS = 10.0  # to send the line and the headers of a request
_REST_SECONDS = 5.0  # to send the rest of a body after the answer
_PERIOD = 1.0  # seconds between two looks at a connection


class Connection(H11Protocol):
    """One connection: HTTP/1.1 of uvicorn that ends connections which make no progress.

    Args:
        settings: Limits of seconds and connections.
        arguments: Those of uvicorn.
    """

    def __init__(self, *, settings: ServerSettings, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._settings = settings
        self._state: tuple[str, int] = ("", 0)
        self._since = 0.0
        self._open = True

    def connection_made(self, transport: Any) -> None:
        """Begin to watch the connection; requests of one too many are refused."""
        super().connection_made(transport)
        if len(self.connections) > self._settings.max_connections:
            self.app = _refuse
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching."""
        self._open = False
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, unless an answer has begun."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE) and not self.transport.is_closing():
            response = error_response(ApiError(400, "this is no valid HTTP request"))
            headers = [*response.raw_headers, *SAFETY_HEADERS.items(), (b"connection", b"close")]
            head = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
            with suppress(h11.LocalProtocolError):  # an answer to HEAD has no body
                for event in (head, h11.Data(data=bytes(response.body)), h11.EndOfMessage()):
                    self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _look(self) -> None:
        """End the connection if it is in one state for too long."""
        if not self._open:
            return
        now = self.loop.time()
        state = self._stalled(), id(self.cycle)
        if state != self._state:
            self._state, self._since = state, now
        elif state[0] and now - self._since > self._limit(state[0]):
            self.transport.abort()
            return
        self.loop.call_later(_PERIOD, self._look)

    def _stalled(self) -> str:
        """Return what the client must do next; empty if it is the server's turn, or an idle connection."""
        cycle: Any = self.cycle  # None until a request has arrived, whatever its annotation says
        if self.flow.write_paused or self.transport.is_closing():
            return "read"
        if cycle is None or (cycle.response_complete and self.conn.their_state is not h11.SEND_BODY):
            return "begin" if cycle is None or self.conn.trailing_data[0] else ""
        return "end" if cycle.response_complete else ""

    def _limit(self, stalled: str) -> float:
        return {"read": self._settings.max_seconds, "begin": _HEADER_SECONDS, "end": _REST_SECONDS}[stalled]


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    error = ApiError(503, "too many connections are open, the limit of --max-connections", retry_after=1)
    error.headers |= {
        "Connection": "close",
        **{name.decode(): value.decode() for name, value in SAFETY_HEADERS.items()},
    }
    await error_response(error)(scope, receive, send)
