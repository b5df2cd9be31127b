"""A real server in a thread, and clients that speak HTTP to it, byte by byte where needed."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from unspool.server.models import Served
from unspool.server.serving import build, prepare, run
from unspool.server.settings import ServerSettings


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The sentence of an error, after a check of its shape."""
        (error,) = self.json.values()
        assert set(error) == {"message", "type", "param", "code"}
        assert error["message"]
        assert "\n" not in error["message"]
        assert "Traceback" not in error["message"]
        return str(error["message"])

    @property
    def events(self) -> list[Any]:
        return events(self.body)


def events(body: bytes) -> list[Any]:
    """The values of server-sent events, which end with [DONE]."""
    lines = body.decode().split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    assert all(line.startswith("data: ") for line in lines[:-1])
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


class Live:
    """A server that runs, and the simplest client of it."""

    def __init__(self, state: Any, server: Any, port: int, address: str) -> None:
        self.state, self.server, self.port, self.address = state, server, port, address
        self.host = f"127.0.0.1:{port}"

    def connect(self, timeout: float = 30) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def request(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        connection = self.connect()
        try:
            return ask(connection, method, path, body, headers)
        finally:
            connection.close()

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("POST", path, {} if body is None else body, headers)

    def raw(self, content: bytes, *, timeout: float = 30) -> bytes:
        """What comes back for some bytes until the server closes, or `timeout` seconds after the last byte."""
        with self.socket(timeout) as one:
            one.sendall(content)
            return rest(one)

    def socket(self, timeout: float = 30) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def until(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        """Wait until something is so."""
        wait_until(condition, seconds)


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    kind = {} if content is None else {"Content-Type": "application/json"}
    connection.request(method, path, content, {**kind, **(headers or {})})
    response = connection.getresponse()
    return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())


class Caller:
    """One connection of asyncio that asks one request after the other."""

    def __init__(self, live: Live, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._live, self._reader, self._writer = live, reader, writer

    @classmethod
    async def connect(cls, live: Live) -> Caller:
        return cls(live, *await asyncio.open_connection("127.0.0.1", live.port))

    async def ask(self, method: str, path: str, body: Any = None) -> Answer:
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._live.host}\r\nContent-Type: application/json\r\n"
        self._writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
        if "content-length" in headers:
            answer = await self._reader.readexactly(int(headers["content-length"]))
        else:
            answer = b"" if lines[0].split()[1] == "204" else await self._chunks()
        return Answer(int(lines[0].split()[1]), headers, answer)

    async def _chunks(self) -> bytes:
        parts = []
        while length := int(await self._reader.readline(), 16):
            parts.append(await self._reader.readexactly(length))
            await self._reader.readline()
        await self._reader.readline()
        return b"".join(parts)

    def close(self) -> None:
        self._writer.close()


def rest(one: socket.socket) -> bytes:
    """Everything until the other side closes, resets or is silent for the socket's timeout."""
    content = b""
    try:
        while piece := one.recv(65536):
            content += piece
    except (ConnectionResetError, TimeoutError):
        pass
    return content


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


@contextmanager
def serving(served: list[Served], *, studio: bool = False, **settings: Any) -> Iterator[Live]:
    """Run a server on a free port; at the end it shuts down in order, or the test fails.

    Models that are loaded already are not loaded again.
    """
    own = [Served(one.name, one.folder, one.entry, one.cell, one.part_of) for one in served]
    state, listener, address = prepare(own, ServerSettings(**{"port": 0, **settings}))
    port = listener.getsockname()[1]
    started = threading.Event()
    server = build(state, listener, studio=studio, on_start=started.set)
    failures: list[Exception] = []

    def runs() -> None:
        try:
            run(server, state, listener)
        except Exception as error:
            failures.append(error)
            started.set()

    thread = threading.Thread(target=runs)
    thread.start()
    assert started.wait(30)
    live = Live(state, server, port, address)
    try:
        wait_until(lambda: state.models.loaded or bool(failures), 60)
        yield live
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
    assert not failures, failures


def unpacked(content: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and arrays of a binary trace, decoded from the description of the form."""
    (length,) = struct.unpack("<Q", content[:8])
    assert length % 8 == 0
    header = json.loads(content[8 : 8 + length])
    numbers = np.frombuffer(content[8 + length :], "<f4")
    arrays = {}
    for one in header["numbers"]:
        count = int(np.prod(one["shape"]))
        arrays[one["name"]] = numbers[one["begin"] : one["begin"] + count].reshape(one["shape"])
    assert sum(array.size for array in arrays.values()) == len(numbers)
    return header, arrays
