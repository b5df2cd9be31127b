"""Measurements that take a while: their limits, and what happens to them when nobody waits any more."""

from __future__ import annotations

import threading
import time

from live import serving

from unspool.inspection import backpropagation
from unspool.server import concepts, inside

TEXT = "abc def ghé fed cba " * 3


def test_too_many_losses_are_refused_but_not_one_of_a_long_text(served, monkeypatch):
    monkeypatch.setattr(backpropagation, "_BYTES", 1)
    monkeypatch.setattr(inside, "_MOST_LOSSES", 59)
    with serving(served[3:4]) as live:
        answer = live.post("/api/gradients", {"input": TEXT})
        assert (answer.status, answer.error) == (413, "60 losses; expected at most 59, or a position loss_at")
        one = live.post("/api/gradients", {"input": TEXT, "loss_at": 40})
        assert (one.status, len(one.json["losses"]), len(one.json["tokens"])) == (200, 1, 60)
        assert live.post("/api/gradients", {"input": TEXT[1:]}).status == 200


def test_gradients_end_when_the_time_is_over(served, monkeypatch):
    passes = []

    def slow(*args, **values):
        passes.append(time.sleep(0.05))
        return backward(*args, **values)

    backward = backpropagation._backward
    monkeypatch.setattr(backpropagation, "_BYTES", 1)
    monkeypatch.setattr(backpropagation, "_backward", slow)
    with serving(served[3:4], max_seconds=0.5) as live:
        assert live.post("/api/gradients", {"input": TEXT}).status == 504
        live.until(lambda: live.post("/api/predict", {"inputs": ["abc"]}).status == 200)
        assert 0 < (ended := len(passes)) < len(TEXT)
        time.sleep(0.2)
        assert len(passes) == ended


def test_a_search_ends_with_its_client_and_only_then_may_another_begin(served, monkeypatch):
    begun, may_go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def endless(one, body, progress):
        try:
            while True:
                progress("network", 1, 2)
                begun.set()
                assert may_go_on.wait(20)
        finally:
            ended.set()

    monkeypatch.setattr(concepts, "_report", endless)
    search = {"text": TEXT, "regex": "a"}
    with serving(served[3:4], studio=True) as live:
        with live.socket() as client:
            body = b'{"text": "abc", "regex": "a"}'
            head = f"POST /api/concepts HTTP/1.1\r\nHost: {live.host}\r\nContent-Type: application/json\r\n"
            client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            assert begun.wait(20)
        time.sleep(0.3)  # long enough for the server to see that the client has gone
        refused = live.post("/api/concepts", search)
        assert (refused.status, refused.error) == (429, "another search is running; try again when it has ended")
        may_go_on.set()
        assert ended.wait(20)
        monkeypatch.setattr(concepts, "_report", lambda one, body, progress: {"verdict": "tracked"})

        def found() -> bool:
            answer = live.post("/api/concepts", search)
            return answer.status == 200 and answer.events == [{"report": {"verdict": "tracked"}}]

        live.until(found)
