"""Run a server: socket, uvicorn, signals and the browser."""

from __future__ import annotations

import asyncio
import gc
import logging
import secrets
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from unspool.errors import MachineError
from unspool.server.app import application
from unspool.server.models import Models, Served
from unspool.server.settings import ServerSettings
from unspool.server.state import ServerState

__all__ = ["build", "load_models", "prepare", "run"]

_HEADER_SECONDS = 10.0  # to send the first request of a connection
_LARGEST_HEADERS = 65_536


class _Protocol(H11Protocol):
    """HTTP/1.1 of uvicorn that closes connections whose first request does not arrive in time."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.loop.call_later(_HEADER_SECONDS, self._close_if_silent)

    def _close_if_silent(self) -> None:
        cycle: Any = self.cycle  # None until a request has arrived, whatever its annotation says
        if cycle is None and not self.transport.is_closing():
            self.transport.close()


class _Server(uvicorn.Server):
    """uvicorn's server that marks itself as draining before it waits for its connections."""

    def __init__(self, config: uvicorn.Config, state: ServerState, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._state, self._on_start = state, on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._state.draining = True
        await super().shutdown(sockets)

    async def on_tick(self, counter: int) -> bool:
        if self._state.thread.failure is not None:
            return True
        return await super().on_tick(counter)


def prepare(
    served: list[Served], settings: ServerSettings, runs: Sequence[Path] = ()
) -> tuple[ServerState, socket.socket, str]:
    """Open the socket of a server.

    Args:
        served: The models.
        settings: Address, access and limits; an address that others reach gets a random token if it has none.
        runs: Folders of training runs to watch.

    Returns:
        The shared state, the open socket, and the address for a browser, with the token in its fragment.

    Raises:
        MachineError: If the address can't be used.
    """
    if settings.is_open and not settings.token:
        settings = settings.replace(token=secrets.token_urlsafe(24))
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise MachineError(f"{settings.host}:{settings.port} can't be used: {reason}; try --port 0") from None
    port = listener.getsockname()[1]
    host = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(settings.host, settings.host)
    host = f"[{host}]" if ":" in host else host
    fragment = f"#token={settings.token}" if settings.token else ""
    return ServerState(Models(served), settings, runs), listener, f"http://{host}:{port}/{fragment}"


def load_models(models: Models, device: str) -> None:
    """Load all models onto a device."""
    gc.disable()  # each collection would traverse all objects of torch
    try:
        from unspool.tasks import load
        from unspool.training.devices import choose_device

        place = choose_device(device)
        for served in models.by_name.values():
            task = load(served.folder, cell=served.cell)
            task.model.to(place)
            task.model.eval()
            served.task = task
    finally:
        gc.enable()


def build(
    state: ServerState,
    listener: socket.socket,
    *,
    studio: bool,
    device: str = "cpu",
    on_start: Callable[[], None] = lambda: None,
    load: Callable[[], None] | None = None,
) -> uvicorn.Server:
    """Return a server that `run` runs; its attribute `should_exit` ends it.

    Args:
        state: As `prepare` returned it.
        listener: As `prepare` returned it.
        studio: Whether to serve the studio's pages.
        device: Device of the models.
        on_start: Called when the server listens.
        load: Loads the models, in their thread; `load_models` if omitted.
    """
    port = listener.getsockname()[1]
    config = uvicorn.Config(
        application(state, port, load=load or (lambda: load_models(state.models, device)), studio=studio),
        http=_Protocol,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=state.settings.max_connections,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=int(state.settings.max_seconds),
        h11_max_incomplete_event_size=_LARGEST_HEADERS,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    return _Server(config, state, on_start)


def run(server: uvicorn.Server, state: ServerState, listener: socket.socket) -> None:
    """Run a server until ctrl-C or a signal to end; open requests are finished first.

    Raises:
        UnspoolError: If a model can't be loaded.
    """
    with asyncio.Runner() as runner:
        runner.run(server.serve(sockets=[listener]))
    if state.thread.failure is not None:
        raise state.thread.failure
