"""Guard: checks of host, origin, token and size before a request reaches the application, as ASGI middleware.

A page of another site can make a browser send requests to this server. `Host` is checked first, against the addresses
that the server listens on, which stops names that an attacker points at this machine (DNS rebinding). Then `Origin`
must name the same address. The server sends no CORS headers, so no other page can read an answer.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from unspool.server.faults import ApiError, error_response, shutting_down
from unspool.server.settings import ServerSettings

__all__ = ["SAFETY_HEADERS", "App", "Guard", "Receive", "Scope", "Send", "allowed_hosts"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Scope = MutableMapping[str, Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_ALWAYS = ("/health", "/metrics")
_PROTECTED = ("/api/", "/v1/", "/metrics")
SAFETY_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"cross-origin-resource-policy": b"same-origin",
}
"""Headers of every answer."""
_PAGE_HEADERS = {
    b"content-security-policy": b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"x-frame-options": b"DENY",
}
"""Further headers of what a browser may show as a page, which is all but JSON."""


def allowed_hosts(settings: ServerSettings, port: int) -> frozenset[str]:
    """Return the values of `Host` that a request may have, in lower case.

    Args:
        settings: Address and further names.
        port: The port that the server listens on.
    """
    behind_a_proxy = {name.strip().lower() for name in settings.names.split(",") if name.strip()}
    names = {"localhost", settings.host.lower(), *behind_a_proxy}
    names |= {socket.gethostname().lower()} if settings.is_open else {"127.0.0.1", "[::1]"}
    bare = {f"[{name}]" if ":" in name and not name.startswith("[") else name for name in names}
    with_port = {f"{name}:{port}" for name in bare if ":" not in name or name.endswith("]")}
    return frozenset(with_port | behind_a_proxy | (bare if port == 80 else set()))


class Guard:
    """Middleware that refuses foreign, unauthorised and oversized requests, and adds headers to every response.

    Args:
        app: The application.
        settings: Token and limits.
        port: The port that the server listens on.
        is_draining: Whether the server is shutting down; it then refuses all but `/health` and `/metrics`.
    """

    def __init__(
        self, app: App, settings: ServerSettings, port: int, is_draining: Callable[[], bool] = lambda: False
    ) -> None:
        self.app, self.settings = app, settings
        self.hosts = allowed_hosts(settings, port)
        self.port, self._is_draining = port, is_draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection of ASGI."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        with_headers = _adding_headers(send)
        try:
            headers = _headers_of(scope)
            self._check_host(headers)
            self._check_origin(headers)
            self._check_token(scope["path"], headers)
            self._check_body(scope, headers)
            if self._is_draining() and scope["path"] not in _ALWAYS:
                raise shutting_down()
        except ApiError as error:
            await error_response(error)(scope, receive, with_headers)
            return
        await self.app(scope, _limited(receive, self.settings), with_headers)

    def _check_host(self, headers: dict[bytes, bytes]) -> None:
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if host in self.hosts or (self.settings.is_open and _is_address(host, self.port)):
            return
        raise ApiError(403, f"the Host {host[:80]!r} is not this server's; behind a proxy, start with --names NAME")

    def _check_origin(self, headers: dict[bytes, bytes]) -> None:
        """Refuse requests that a page of another site makes; clients that are no browsers send no `Origin`."""
        site = headers.get(b"sec-fetch-site")
        origin = headers.get(b"origin")
        if origin is not None:
            host = headers[b"host"].decode("latin-1").lower()
            if origin.decode("latin-1").lower() not in (f"http://{host}", f"https://{host}"):
                raise ApiError(403, "the Origin is another site; open the studio at this server's own address")
        if site in (b"cross-site", b"same-site"):
            raise ApiError(403, "the request comes from a page of another site")

    def _check_token(self, path: str, headers: dict[bytes, bytes]) -> None:
        if not self.settings.token or not path.startswith(_PROTECTED):
            return
        kind, _, token = headers.get(b"authorization", b"").partition(b" ")
        if kind.lower() != b"bearer" or not hmac.compare_digest(token.strip(), self.settings.token.encode()):
            message = "the token is missing or wrong; send the header Authorization: Bearer TOKEN"
            raise ApiError(401, message, headers={"WWW-Authenticate": "Bearer"})

    def _check_body(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 18 or int(length) > self.settings.max_body:
            raise ApiError(413, f"the request is larger than {self.settings.max_body:,} bytes, the limit of --max-body")
        if scope["method"] == "POST" and (length != b"0" or b"transfer-encoding" in headers):
            kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
            if kind != b"application/json":
                raise ApiError(415, "the request is not JSON; send the header Content-Type: application/json")


def _headers_of(scope: Scope) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in (b"host", b"origin", b"authorization", b"content-length") and name in headers:
            raise ApiError(400, f"the header {name.decode('latin-1')} came twice")
        headers[name] = value
    return headers


def _is_address(host: str, port: int) -> bool:
    """Whether a `Host` is an address in numbers, which no name can be made to point at, with the server's port."""
    name, _, number = host.rpartition(":")
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return number == str(port)


def _adding_headers(send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *SAFETY_HEADERS.items()]
            if (b"content-type", b"application/json") not in message["headers"]:
                message["headers"] += _PAGE_HEADERS.items()
        await send(message)

    return with_headers


def _limited(receive: Receive, settings: ServerSettings) -> Receive:
    """Limit the size of a body without a length, and the time that it takes to arrive."""
    size, complete = 0, False
    deadline = asyncio.get_running_loop().time() + settings.max_seconds

    async def limited() -> Message:
        nonlocal size, complete
        if complete:
            return await receive()  # waits for the client to go
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise ApiError(408, f"the request took longer than {settings.max_seconds:g} seconds to arrive") from None
        if message["type"] == "http.request":
            size += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if size > settings.max_body:
                raise ApiError(413, f"the request is larger than {settings.max_body:,} bytes, the limit of --max-body")
        return message

    return limited
