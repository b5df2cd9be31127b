"""Hostile HTTP requests from a seed: each is refused with a sentence or served, and nothing is left of it.

python tests/server/http_attack.py --seed 1 --cases 100000, or one again: --case 17
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import random
import socket
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from live import Live, serving, wait_until
from small_models import train

from unspool.server.models import describe_folders

STATUSES = {200, 201, 204, 400, 403, 404, 405, 408, 409, 413, 415, 422, 429}
"""Status of an answer that a hostile request may have; never one of the server's own faults."""
_PATIENCE = 0.2  # seconds without an answer after which the server waits for more, as far as a client can tell
_CLIENTS = 8
MOST_MEMORY = 150_000_000  # bytes by which the process may grow
LIMITS = {"max_body": 50_000, "max_characters": 2_000, "max_trace": 200, "max_tokens": 60, "max_seconds": 20.0}
LIMITS |= {"max_sessions": 200, "session_seconds": 5.0, "max_connections": 4_000}

TEMPLATES: list[tuple[str, str, Any]] = [
    ("GET", "/health", None),
    ("GET", "/openapi.json", None),
    ("GET", "/metrics", None),
    ("GET", "/api/info", None),
    ("GET", "/v1/models", None),
    ("GET", "/v1/models/writer", None),
    ("POST", "/api/predict", {"input": "good day", "model": "classifier"}),
    ("POST", "/api/predict", {"inputs": ["a b", "c"], "model": "tagger"}),
    ("POST", "/api/predict", {"input": "who are you", "model": "assistant", "threshold": 0.4}),
    ("POST", "/api/predict", {"input": "abc", "model": "writer"}),
    ("POST", "/api/trace", {"input": "abc", "model": "classifier", "form": "binary"}),
    ("POST", "/api/trace", {"input": "abc", "model": "writer", "edits": ["layer 1 / c[3] = 0 @ 2"]}),
    ("POST", "/api/fork", {"input": "abc", "model": "writer", "edits": ["layer 1 / c[3] = 0 @ 2"], "length": 5}),
    ("POST", "/api/gradients", {"input": "abc", "model": "classifier", "loss_at": 0, "truncation": 2}),
    ("POST", "/api/graph", {"input": "abc", "model": "own"}),
    ("POST", "/api/compare", {"input": "abc", "model": "writer", "other": "own"}),
    ("POST", "/api/generate", {"prompt": "ab", "length": 9, "seed": 1, "top_k": 5, "model": "writer"}),
    ("POST", "/api/generate", {"prompt": "ab", "length": 9, "temperature": 0.5, "stream": True, "model": "mixed"}),
    ("POST", "/api/sessions", {"prompt": "ab", "seed": 4, "model": "writer"}),
    ("GET", "/api/sessions/ID", None),
    ("DELETE", "/api/sessions/ID", None),
    ("POST", "/api/sessions/ID/advance", {"text": "ab", "length": 5, "stream": True}),
    ("POST", "/api/sessions/ID/advance", {"length": 3}),
    ("POST", "/api/sessions/ID/fork", {"seed": 3}),
    ("POST", "/v1/completions", {"prompt": "ab", "max_tokens": 9, "stop": ["e"], "model": "writer", "echo": True}),
    ("POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": "who are you"}], "stream": True}),
    (
        "POST",
        "/v1/chat/completions",
        {"model": "own", "max_tokens": 9, "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]},
    ),
]
ODD: list[Any] = [
    *(None, True, False, 0, -1, 1, 59, 61, 2**31, 2**63, -(2**63), 2**70, 0.5, -0.0, 1e-320, 1e308),
    *(
        "",
        " ",
        "\n",
        "\0",
        "\x1b[2J",
        "é",
        "\u202e",
        "😀",
        "a" * 1999,
        "a" * 2001,
        "a" * 60_000,
        "NaN",
        "../../x",
        "%s",
    ),
    *([], {}, [[]], [None], [""], ["a", 1], [["a"]], [[["a"]]], {"a": {"b": []}}, ["a"] * 1001, [0.5] * 9),
]
BYTES = [
    b"\0",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"\\u0000",
    b'"',
    b"{",
    b"]",
    b"[" * 3000,
    b"1e999",
    b"NaN",
]
METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PATCH", "get", "X" * 40, "P\u00d6ST"]
HEADERS = [
    *("Host: evil.example", "Host:", "Origin: null", "Origin: http://[::1", "Sec-Fetch-Site: cross-site", "X: \x7f"),
    *("Content-Length: 5", "Content-Length: -5", "Content-Length: 99999999999999999999", "Transfer-Encoding: chunked"),
    *("Transfer-Encoding: x", "Content-Type: text/plain", "Expect: 100-continue", "Upgrade: websocket", "X: \u00e9"),
    *(
        "Authorization: Bearer x",
        "Connection: close",
        "Connection: Upgrade",
        "X: " + "y" * 70_000,
        " X: y",
        "X y",
        ": y",
    ),
]
PATHS = [
    "/",
    "*",
    "//",
    "/api",
    "/api/",
    "/%",
    "/%ff",
    "/api/sessions/%2e%2e",
    "/\u00e9",
    "http://a/health",
    "/" + "x" * 70_000,
]
PATHS += [
    "/api/sessions//advance",
    "/v1/models/%00",
    "/api/units",
    "/studio/../x",
    "/health?" + "a=b&" * 100,
    "/health#x",
]


def request_of(draw: random.Random, live: Live, session: str) -> bytes:
    """Return one request: a good one, changed in its values, its bytes, its lines, or not at all."""
    method, path, body = draw.choice(TEMPLATES)
    path = path.replace("ID", session if draw.random() < 0.9 else "x")
    kind = draw.choice(["values", "values", "values", "bytes", "lines", "nothing"])
    if body is not None and kind == "values":
        for _ in range(draw.randint(1, 3)):
            body = changed(draw, body)
    content = b"" if body is None else json.dumps(body).encode()
    if kind == "bytes":
        for _ in range(draw.randint(1, 4)):
            place = draw.randint(0, len(content))
            content = content[:place] + draw.choice(BYTES) + content[place + draw.randint(0, 3) :]
    lines = [f"Host: {live.host}", "Content-Type: application/json", f"Content-Length: {len(content)}"]
    if draw.random() < 0.2 and kind != "lines":
        lines[2], content = "Transfer-Encoding: chunked", chunks(draw, content)
    if kind == "lines":
        choice = draw.random()
        if choice < 0.2:
            method = draw.choice(METHODS)
        elif choice < 0.4:
            path = draw.choice(PATHS)
        elif choice < 0.6:
            del lines[draw.randrange(3)]
        for _ in range(draw.randint(0, 2)):
            lines.insert(draw.randint(0, len(lines)), draw.choice(HEADERS))
    version = "HTTP/1.1" if draw.random() < 0.98 else draw.choice(["HTTP/1.0", "HTTP/2", "HTTP/9.9", "", "XTTP/1.1"])
    return "\r\n".join([f"{method} {path} {version}", *lines, "", ""]).encode() + content


def changed(draw: random.Random, value: Any) -> Any:
    """Return a JSON value with one part replaced, removed or added."""
    if isinstance(value, dict) and value and draw.random() < 0.9:
        key, choice = draw.choice(list(value)), draw.random()
        if choice < 0.15:
            return {name: part for name, part in value.items() if name != key}
        if choice < 0.3:
            return value | {draw.choice(["x", "model", "n", "stop", "edits", "input"]): draw.choice(ODD)}
        return value | {key: changed(draw, value[key])}
    if isinstance(value, list) and value and draw.random() < 0.6:
        place = draw.randrange(len(value))
        return [*value[:place], changed(draw, value[place]), *value[place + 1 :]]
    return draw.choice(ODD)


def chunks(draw: random.Random, content: bytes) -> bytes:
    parts = []
    while content:
        size = draw.randint(1, 4000)
        part, content = content[:size], content[size:]
        parts.append(b"%x\r\n%b\r\n" % (len(part) if draw.random() < 0.99 else size + 7, part))
    return b"".join(parts) + b"0\r\n\r\n"


def attack(live: Live, draw: random.Random, session: str) -> list[int]:
    """Make one attack; return the statuses of the answers.

    Raises:
        AssertionError: If an answer is no answer.
    """
    content = b"".join(request_of(draw, live, session) for _ in range(1 if draw.random() < 0.8 else 3))
    content += f"GET /health HTTP/1.1\r\nHost: {live.host}\r\nConnection: close\r\n\r\n".encode()
    ending = draw.choice(["read", "read", "read", "read", "drop", "reset", "cut"])
    if ending == "cut":
        content = content[: draw.randint(0, len(content))]
    with live.socket(30) as one:
        try:
            one.sendall(content)
            if ending in ("drop", "reset"):
                if draw.random() < 0.5:
                    one.recv(draw.randint(1, 300))
                if ending == "reset":
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                return []
            return statuses_of(received(one))
        except (ConnectionResetError, BrokenPipeError):
            return []


def received(one: socket.socket) -> bytes:
    """Return all answers; a server that waits for the rest of a request is left."""
    content = b""
    one.settimeout(_PATIENCE)
    try:
        while piece := one.recv(65536):
            content += piece
    except TimeoutError:
        pass
    return content


def statuses_of(content: bytes) -> list[int]:
    """Return the statuses of the answers in some bytes, after a look at each head and each error."""
    statuses = []
    for head, _, body in (part.partition(b"\r\n\r\n") for part in content.split(b"HTTP/1.1 ")[1:]):
        status = int(head[:3])
        if status == 100:
            continue
        statuses.append(status)
        assert status in STATUSES, (status, body[:300])
        assert b"x-content-type-options: nosniff" in head.lower(), head
        assert b"Traceback" not in body
        if status >= 400 and body:
            error = json.loads(body)["error"]
            assert error["message"], body
            assert error["message"].isprintable(), body
    return statuses


class Records(logging.Handler):
    """Log records of the server and of asyncio, which must not be."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def run(live: Live, seed: int, cases: range) -> Counter[int]:
    """Make attacks; return the number of answers by status.

    Raises:
        AssertionError: If an attack has an effect that it must not have; names the case.
    """
    counts: Counter[int] = Counter()
    records, before, blocks = Records(), 0, [cases[begin : begin + 40] for begin in range(0, len(cases), 40)]
    logging.getLogger().addHandler(records)
    try:
        with ThreadPoolExecutor(_CLIENTS) as pool:
            for place, block in enumerate(pool.map(lambda block: attack_block(live, seed, block), blocks)):
                counts.update(block)
                assert not records.records, f"near case {40 * place}: {records.format(records.records[0])}"
                if place == min(len(blocks) // 4, 100):
                    before = resident()
        wait_until(lambda: is_quiet(live), 60)
        gc.collect()
        assert before == 0 or resident() - before < MOST_MEMORY, f"{resident() - before:,} bytes more"
        assert live.get("/health").status == 200
        assert live.post("/api/generate", {"model": "writer", "length": 9}).json["units"] == 9
    finally:
        logging.getLogger().removeHandler(records)
    return counts


def attack_block(live: Live, seed: int, cases: range) -> Counter[int]:
    """Make some attacks on one session."""
    counts: Counter[int] = Counter()
    session = live.post("/api/sessions", {"model": "writer"}).json.get("id", "x")
    for case in cases:
        try:
            counts.update(attack(live, random.Random(seed * 10_000_019 + case), session))
        except Exception as error:
            raise AssertionError(f"case {case} of seed {seed}: {error!r}") from error
    return counts


def is_quiet(live: Live) -> bool:
    """Whether no connection, request or text is left."""
    thread, server = live.state.thread, live.server.server_state
    return not (thread.rows or thread.queue or server.tasks or server.connections)


def resident() -> int:
    """Memory of this process in bytes; 0 where the system does not say."""
    path = Path("/proc/self/statm")
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGESIZE") if path.exists() else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--case", type=int, help="one case alone")
    options = parser.parse_args()
    cases = range(options.cases) if options.case is None else range(options.case, options.case + 1)
    with tempfile.TemporaryDirectory() as folder:
        train(Path(folder))
        names = ["classifier", "tagger", "assistant", "writer", "mixed", "context"]
        served = [*describe_folders([f"{folder}/{name}" for name in names])]
        served += describe_folders([f"{folder}/own"], f"{Path(__file__).parents[1] / 'cases.py'}:PairCell")
        with serving(served, **LIMITS) as live:
            began = time.monotonic()
            counts = run(live, options.seed, cases)
    seconds = time.monotonic() - began
    print(f"{len(cases):,} cases in {seconds:.0f} s; answers by status: {dict(sorted(counts.items()))}")


if __name__ == "__main__":
    sys.exit(main())
