"""Run a server: socket, uvicorn, loading, signals."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import uvicorn

from unspool.commands import CommandSet
from unspool.errors import MachineError
from unspool.server.app import application
from unspool.server.connections import Connection
from unspool.server.models import Models, Served
from unspool.server.settings import ServerSettings
from unspool.server.state import ServerState

__all__ = ["build", "event_loop", "load_models", "prepare", "run"]

_BACKLOG = 1024  # connections that wait to be accepted
_LARGEST_HEADERS = 65_536
_LAST_SECONDS = 5  # for connections to close after their last answer


class _Server(uvicorn.Server):
    """uvicorn's server that finishes open requests, and refuses new ones in words, before it ends."""

    def __init__(self, config: uvicorn.Config, state: ServerState, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._state, self._on_start = state, on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._state.draining = True  # new requests are refused, while open ones go on
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._state.settings.max_seconds
        while self.server_state.tasks and not self.force_exit and loop.time() < deadline:
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)

    async def on_tick(self, counter: int) -> bool:
        if self._state.thread.failure is not None:
            return True
        return await super().on_tick(counter)


def prepare(
    served: list[Served], settings: ServerSettings, runs: Sequence[Path] = ()
) -> tuple[ServerState, socket.socket, str]:
    """Open the socket of a server, and execute the file of commands that `settings` names.

    Args:
        served: The models.
        settings: Address, access and limits; an address that others reach gets a random token if it has none.
        runs: Folders of training runs to watch.

    Returns:
        The shared state, the open socket, and the address for a browser, with the token in its fragment.

    Raises:
        CommandError: If the file of commands fails.
        MachineError: If the address can't be used.
    """
    functions = CommandSet.load(settings.commands) if settings.commands else None
    if settings.is_open and not settings.token:
        settings = settings.replace(token=secrets.token_urlsafe(24))
    listener = _listen(settings.host.strip("[]"), settings.port)
    port = listener.getsockname()[1]
    host = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(settings.host, settings.host)
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    fragment = f"#token={settings.token}" if settings.token else ""
    state = ServerState(Models(served), settings, runs, functions)
    return state, listener, f"http://{host}:{port}/{fragment}"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio then sends without delay
    if os.name == "posix":  # elsewhere the option lets two programs share a port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise MachineError(f"port {port} of {host} can't be used: {reason}; try --port 0") from None
    return listener


def load_models(state: ServerState, device: str) -> None:
    """Load all models onto a device, and bind the functions of commands to them.

    Raises:
        CommandError: If the file of commands fits no model.
        UnspoolError: If a model can't be loaded.
    """
    gc.disable()  # each collection would traverse all objects of torch
    try:
        from unspool.tasks import load
        from unspool.training.devices import choose_device

        place, models = choose_device(device), state.models.by_name
        for served in models.values():  # an assistant stands before its parser
            if served.part_of is None:
                task = load(served.folder, cell=served.cell)
            else:
                task = models[served.part_of].task.parser
            for each in (task, getattr(task, "parser", None)):
                if each is not None:
                    each.model.to(place)
                    each.model.eval()
                    each.fitted.refuse_files()
            served.task = task
        state.dialogues.check(state.models)
    finally:
        gc.freeze()  # nor does any later collection
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
        application(state, port, load=load or (lambda: load_models(state, device)), studio=studio),
        http=cast(Any, partial(Connection, settings=state.settings)),
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_LAST_SECONDS,
        h11_max_incomplete_event_size=_LARGEST_HEADERS,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    return _Server(config, state, on_start)


def run(server: uvicorn.Server, state: ServerState, listener: socket.socket) -> None:
    """Run a server until ctrl-C or a signal to end; open requests are finished first.

    Raises:
        UnspoolError: If a model can't be loaded.
    """
    _allow_files(state.settings.max_connections)
    try:
        with asyncio.Runner(loop_factory=event_loop()) as runner:
            runner.run(server.serve(sockets=[listener]))
    except KeyboardInterrupt:
        if not server.should_exit:
            raise
    if state.thread.failure is not None:
        raise state.thread.failure


def event_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the maker of the event loop: uvloop's where it is installed, which takes less time; else None: asyncio's.

    It is not installed on Windows.
    """
    try:
        import uvloop
    except ModuleNotFoundError:
        return None
    make: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return make


def _allow_files(connections: int) -> None:
    """Raise the number of files that this process may open to what that many connections need, if it may."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = connections + 256
    if soft != resource.RLIM_INFINITY and soft < need:
        most = need if hard == resource.RLIM_INFINITY else min(need, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
