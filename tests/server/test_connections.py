"""Connections that send nonsense, too much, too slowly or not at all, and clients that do not read."""

from __future__ import annotations

import gc
import json
import os
import socket
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from live import ask, rest, serving, wait_until

from unspool.server import connections

JSON = "Content-Type: application/json\r\n"


def head_of(live, path="/api/predict", more=""):
    return f"POST {path} HTTP/1.1\r\nHost: {live.host}\r\n{JSON}{more}\r\n".encode()


def parts(answer):
    """Status and sentence of an answer in bytes."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]["message"]


@contextmanager
def impatient(served, monkeypatch, **settings):
    """A server that waits for clients a moment only."""
    monkeypatch.setattr(connections, "_PERIOD", 0.05)
    monkeypatch.setattr(connections, "_HEADER_SECONDS", 0.3)
    monkeypatch.setattr(connections, "_REST_SECONDS", 0.3)
    with serving(served, **settings) as live:
        yield live


@pytest.mark.parametrize(
    "content",
    [
        b"GARBAGE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(40)) + b"\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET /health HTTP/1.1\r\n\r\n",
        b"GET /h\xc3\xa9alth HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
        b"POST /api/predict HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/predict HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"POST /api/predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /api/predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"\r\n" * 40_000,
    ],
    ids=lambda content: repr(content[:30]),
)
def test_what_is_no_http_is_refused_in_json(live, content):
    status, sentence = parts(live.raw(content.replace(b"Host: a", f"Host: {live.host}".encode())))
    assert (status, sentence) == (400, "this is no valid HTTP request")
    assert live.get("/health").status == 200


def test_a_chunk_that_is_no_chunk_is_refused(live):
    answer = live.raw(head_of(live, more="Transfer-Encoding: chunked\r\n") + b"zz\r\n{}\r\n")
    assert parts(answer) == (400, "this is no valid HTTP request")


def test_a_chunk_that_is_no_chunk_after_head(live, caplog):
    head = head_of(live, more="Transfer-Encoding: chunked\r\n").replace(b"POST /api/predict", b"HEAD /health")
    answer = live.raw(head + b"zz\r\n{}\r\n")
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 200"))
    assert answer.endswith(b"\r\n\r\n")
    assert not caplog.records


def test_requests_in_chunks_and_in_a_row_are_answered_in_order(live):
    body = b'{"input": "good day"}'
    chunked = head_of(live, more="Transfer-Encoding: chunked\r\n")
    chunks = b"".join(b"1\r\n" + bytes([byte]) + b"\r\n" for byte in body) + b"0\r\n\r\n"
    plain = head_of(live, more=f"Content-Length: {len(body)}\r\n") + body
    last = f"GET /health HTTP/1.1\r\nHost: {live.host}\r\nConnection: close\r\n\r\n".encode()
    answers = live.raw(chunked + chunks + plain * 20 + last).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"200"] * 22
    assert all(b'"prediction"' in answer for answer in answers[:-1])
    assert b'"status":"ok"' in answers[-1]


def test_an_older_http_and_an_upgrade_that_does_not_exist(live):
    old = live.raw(f"GET /health HTTP/1.0\r\nHost: {live.host}\r\n\r\n".encode())
    assert old.startswith(b"HTTP/1.1 200")
    more = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"
    with live.socket(1) as one:
        one.sendall(f"GET /health HTTP/1.1\r\nHost: {live.host}\r\n{more}\r\n".encode())
        assert rest(one).startswith(b"HTTP/1.1 200")


def test_a_body_above_the_limit_is_refused_before_it_arrives(served):
    with serving(served[:1], max_body=1000) as live:
        sentence = "the request is larger than 1,000 bytes, the limit of --max-body"
        with live.socket() as one:  # a gigabyte that never comes
            one.sendall(head_of(live, more="Content-Length: 1000000000\r\nConnection: close\r\n"))
            assert parts(rest(one)) == (413, sentence)
        with live.socket() as one:
            one.sendall(head_of(live, more="Transfer-Encoding: chunked\r\nConnection: close\r\n") + b"800\r\n")
            one.sendall(b" " * 0x800)
            assert parts(rest(one)) == (413, sentence)
        answer = live.request("POST", "/api/predict", b" " * 3_000_000)  # a client that sends all, then reads
        assert (answer.status, answer.error) == (413, sentence)
        assert live.request("GET", "/health", b" " * 3000, {"Content-Type": "text/plain"}).status == 413
        assert live.post("/api/predict", {"input": "a" * 900}).status == 200


@pytest.mark.slow
@pytest.mark.parametrize("chunked", [True, False])
def test_a_gigabyte_takes_no_memory(served, chunked):
    """A client that sends a gigabyte whatever the server says; Linux says how large the process is."""
    with serving(served[:1]) as live:
        before = resident()
        more = "Transfer-Encoding: chunked\r\n" if chunked else f"Content-Length: {1 << 30}\r\n"
        piece = b" " * (1 << 20)
        piece = b"100000\r\n" + piece + b"\r\n" if chunked else piece
        with live.socket() as one:
            one.sendall(head_of(live, more=more))
            try:
                for _ in range(1 << 10):
                    one.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                pass
            one.settimeout(2)
            answer = rest(one)
        assert not answer or parts(answer)[0] == 413
        assert resident() - before < 100_000_000
        assert live.get("/health").status == 200


def resident():
    """Memory of this process in bytes; 0 where the system does not say."""
    path = Path("/proc/self/statm")
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGESIZE") if path.exists() else 0


def test_a_rest_of_a_body_that_never_comes_is_not_waited_for(served, monkeypatch):
    with impatient(served[:1], monkeypatch) as live, live.socket() as one:
        one.sendall(head_of(live, more="Content-Length: 9000000\r\n") + b"  ")
        assert parts(rest(one))[0] == 413  # and closed, as `rest` has returned
    assert not live.server.server_state.connections


@pytest.mark.parametrize("before", [b"", b"GET /health HT", b"GET /health HTTP/1.1\r\nHost: a\r\nX-Slow: "])
def test_headers_that_come_too_slowly_end_the_connection(served, monkeypatch, before):
    with impatient(served[:1], monkeypatch) as live:
        with live.socket() as one:
            one.sendall(before)
            assert rest(one) == b""
        with live.socket() as one:  # also after a first request
            one.sendall(f"GET /health HTTP/1.1\r\nHost: {live.host}\r\n\r\n".encode() + before)
            began = time.monotonic()
            if before:
                assert rest(one).count(b"HTTP/1.1 200") == 1
                assert time.monotonic() - began < 10
        wait_until(lambda: not live.server.server_state.connections)


def test_a_drop_at_a_time_does_not_keep_a_connection(served, monkeypatch):
    with impatient(served[:1], monkeypatch) as live, live.socket() as one:
        try:
            for _ in range(200):
                one.sendall(b"X")
                time.sleep(0.02)
        except (BrokenPipeError, ConnectionResetError):
            pass
        wait_until(lambda: not live.server.server_state.connections)


def test_a_body_that_comes_too_slowly_is_refused(served, monkeypatch):
    with impatient(served[:1], monkeypatch, max_seconds=0.4) as live, live.socket() as one:
        one.sendall(head_of(live, more="Content-Length: 100\r\nConnection: close\r\n"))
        for _ in range(30):
            try:
                one.sendall(b" ")
            except (BrokenPipeError, ConnectionResetError):
                break
            time.sleep(0.03)
        assert parts(rest(one)) == (408, "the request took longer than 0.4 seconds to arrive")


def test_a_client_that_does_not_read_is_cut_off(served, monkeypatch):
    with impatient(served[:1], monkeypatch, max_seconds=0.5) as live:
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.connect(("127.0.0.1", live.port))
            one.sendall(f"GET /openapi.json HTTP/1.1\r\nHost: {live.host}\r\n\r\n".encode() * 1000)
            wait_until(lambda: any(each.flow.write_paused for each in live.server.server_state.connections))
            wait_until(lambda: not live.server.server_state.connections)
        wait_until(lambda: not live.server.server_state.tasks)
        assert live.get("/health").status == 200


def test_a_stream_that_nobody_reads_leaves_the_batch(served, monkeypatch):
    with impatient(served[3:4], monkeypatch, max_seconds=1.0, max_tokens=10_000_000) as live:
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.connect(("127.0.0.1", live.port))
            body = b'{"length": 10000000, "stream": true}'
            one.sendall(head_of(live, "/api/generate", f"Content-Length: {len(body)}\r\n") + body)
            wait_until(lambda: live.state.thread.rows == 1)
            wait_until(lambda: live.state.thread.rows == 0)
        wait_until(lambda: not live.server.server_state.tasks)


def test_too_many_connections(served):
    with serving(served[:1], max_connections=3) as live:
        open_ones = [live.connect() for _ in range(3)]
        try:
            assert [ask(one, "GET", "/health").status for one in open_ones] == [200] * 3
            answer = live.get("/health")
            assert (answer.status, answer.headers["retry-after"], answer.headers["connection"]) == (503, "1", "close")
            assert answer.error == "too many connections are open, the limit of --max-connections"
            assert answer.headers["x-content-type-options"] == "nosniff"
        finally:
            for one in open_ones:
                one.close()
        wait_until(lambda: not live.server.server_state.connections)
        assert live.get("/health").status == 200


def test_too_many_requests_wait(served):
    free = threading.Event()
    with serving(served[:2], max_queue=2) as live:
        task = live.state.models.by_name["classifier"].task
        original, inside = task._classified, threading.Event()
        task._classified = lambda texts: inside.set() or (free.wait(30) and original(texts))
        statuses = []
        bodies = [{"input": "a"}, {"input": "b", "model": "tagger"}, {"input": "c", "model": "tagger"}]
        threads = [
            threading.Thread(target=lambda b=b: statuses.append(live.post("/api/predict", b).status)) for b in bodies
        ]
        threads[0].start()
        assert inside.wait(30)
        for thread in threads[1:]:
            thread.start()
        wait_until(lambda: live.state.thread.queue == 2)
        for path in ("/api/predict", "/api/trace"):
            answer = live.post(path, {"input": "d"})
            assert (answer.status, answer.headers["retry-after"]) == (429, "1")
            assert answer.error == "2 requests wait already; try again in a second"
        assert "unspool_queue 2" in live.get("/metrics").body.decode()
        free.set()
        for thread in threads:
            thread.join(30)
        assert statuses == [200] * 3


def test_nothing_is_left_of_connections_that_come_and_go(live):
    """File descriptors, tasks, rows and waiting requests are as before, however connections end."""

    def descriptors():
        return len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0

    def play(number):
        with live.socket() as one:
            body = json.dumps({"model": "writer", "length": 300, "stream": number % 3 == 0}).encode()
            request = head_of(live, "/api/generate", f"Content-Length: {len(body)}\r\n") + body
            one.sendall(request[: len(request) if number % 2 else 20 + number])
            if number % 4 == 1:
                one.recv(10)
            if number % 5 == 0:  # ends with a reset instead of in order
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    def is_quiet():
        thread = live.state.thread
        return not live.server.server_state.tasks and not thread.rows and not thread.queue

    wait_until(lambda: is_quiet() and not live.server.server_state.connections)
    gc.collect()
    before = descriptors()
    for number in range(60):
        play(number)
    wait_until(lambda: is_quiet() and not live.server.server_state.connections)
    gc.collect()
    assert descriptors() <= before
    with closing(live.connect()) as one:
        assert ask(one, "POST", "/api/predict", {"input": "good"}).status == 200
