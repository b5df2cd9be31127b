"""Text over HTTP equals that of the task with the same seed, whole or as events, alone or among others."""

from __future__ import annotations

import threading

import pytest
from live import serving, wait_until

WRITERS = ("writer", "own", "context", "mixed", "bytes")


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    "values", [{"seed": 3}, {"seed": 4, "temperature": 0.5, "top_k": 9, "top_p": 0.9}, {"seed": 0}]
)
def test_text_equals_that_of_the_task(live, tasks, name, values):
    body = {"model": name, "prompt": "abé ", "length": 60, **values}
    expected = tasks[name].generate("abé ", length=60, **values).removeprefix("abé ")
    answer = live.post("/api/generate", body)
    assert answer.json == {"model": name, "text": expected, "units": 60, "seed": values["seed"]}
    streamed = live.post("/api/generate", {**body, "stream": True})
    assert streamed.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert streamed.headers["cache-control"] == "no-store"
    assert "".join(event["text"] for event in streamed.events) == expected
    assert streamed.events[-1]["units"] == 60
    assert all(event["text"] for event in streamed.events)


def test_a_text_without_a_seed_names_the_seed_that_repeats_it(live):
    first = live.post("/api/generate", {"model": "writer", "length": 30}).json
    second = live.post("/api/generate", {"model": "writer", "length": 30}).json
    assert first["seed"] != second["seed"]
    again = live.post("/api/generate", {"model": "writer", "length": 30, "seed": first["seed"]}).json
    assert again == first
    assert live.post("/api/generate", {"length": 0, "seed": 1}).json["text"] == ""


def test_texts_of_all_models_at_once_equal_the_same_texts_alone(live):
    bodies = [
        {
            "model": name,
            "prompt": "ab " * (1 + seed % 3),
            "length": 20 + 9 * seed,
            "seed": seed,
            "stream": seed % 2 == 0,
        }
        for name in WRITERS
        for seed in range(4)
    ]
    alone = [text_of(live, body) for body in bodies]
    texts = [None] * len(bodies)

    def write(place):
        texts[place] = text_of(live, bodies[place])

    threads = [threading.Thread(target=write, args=(place,)) for place in range(len(bodies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert texts == alone
    assert live.state.thread.rows == 0


def text_of(live, body):
    answer = live.post("/api/generate", body)
    assert answer.status == 200, answer.body
    return "".join(event["text"] for event in answer.events) if body["stream"] else answer.json["text"]


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ({"temperature": -1}, 400, "expected `float` >= 0.0 in temperature"),
        ({"top_k": 0}, 400, "expected `int` >= 1 in top_k"),
        ({"top_p": 0}, 400, "expected `float` > 0.0 in top_p"),
        ({"seed": -1}, 400, "expected `int` >= 0 in seed"),
        ({"seed": 2**63}, 400, "expected `int` <= 9223372036854775807 in seed"),
        ({"length": -1}, 400, "expected `int` >= 0 in length"),
        ({"length": 10_001}, 413, "length = 10,001: the limit of --max-tokens is 10,000"),
        ({"prompt": ["a"]}, 400, "expected `str`, got `array` in prompt"),
        ({"model": "tagger"}, 400, "tagger is a model of the task 'tag', which can't generate"),
    ],
)
def test_a_request_that_does_not_fit_is_refused(live, body, status, sentence):
    answer = live.post("/api/generate", body)
    assert (answer.status, answer.error) == (status, sentence)


def test_a_server_without_a_language_model(served):
    with serving(served[:1]) as live:
        for path in ("/api/generate", "/api/sessions", "/v1/completions"):
            assert live.post(path).error == "no model of this server can generate"
        chat = live.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "hello"}]})
        assert chat.error == "no model of this server can generate"


def begin(live, body, path="/api/generate"):
    """Send a request, and return the connection when the first bytes of the answer have come."""
    import json

    content = json.dumps(body).encode()
    one = live.socket()
    head = f"POST {path} HTTP/1.1\r\nHost: {live.host}\r\nContent-Type: application/json\r\n"
    one.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
    return one


@pytest.mark.parametrize("stream", [True, False])
def test_a_text_whose_client_goes_leaves_the_batch(served, stream):
    with serving(served[3:4], max_tokens=1_000_000) as live:
        with begin(live, {"length": 1_000_000, "stream": stream}) as one:
            if stream:
                assert one.recv(100).startswith(b"HTTP/1.1 200")
            wait_until(lambda: live.state.thread.rows == 1)
        wait_until(lambda: live.state.thread.rows == 0)
        assert live.post("/api/generate", {"length": 5}).json["units"] == 5


def test_a_client_that_goes_at_once_leaves_nothing(served):
    with serving(served[3:4], max_tokens=1_000_000) as live:
        for _ in range(20):
            begin(live, {"length": 1_000_000, "stream": True}).close()
        wait_until(lambda: live.state.thread.rows == 0 and live.state.thread.queue == 0)
        assert live.post("/api/generate", {"length": 5}).json["units"] == 5


def test_texts_beyond_the_batch_wait_their_turn(served):
    with serving(served[3:4], max_batch=2) as live:
        alone = [live.post("/api/generate", {"length": 50, "seed": seed}).json["text"] for seed in range(6)]
        texts = [None] * 6

        def write(seed):
            texts[seed] = live.post("/api/generate", {"length": 50, "seed": seed}).json["text"]

        threads = [threading.Thread(target=write, args=(seed,)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert texts == alone


def test_a_batch_that_fails_ends_its_texts_and_no_others(served, monkeypatch, caplog):
    writer, context = served[3], served[4]
    with serving([writer, context], max_tokens=1_000_000) as live:
        task = live.state.models.by_name["writer"].task
        original = task.model.decoder.forward
        with (
            begin(live, {"length": 1_000_000, "stream": True}) as broken,
            begin(live, {"model": "context", "length": 1_000_000, "stream": True}) as whole,
        ):
            wait_until(lambda: live.state.thread.rows == 2)
            assert whole.recv(15) == b"HTTP/1.1 200 OK"
            monkeypatch.setattr(task.model.decoder, "forward", lambda *_: 1 / 0)
            content = b""
            while b"[DONE]" not in content:
                content += broken.recv(65536)
            assert b'"message":"the server met an unexpected error; its log has the details"' in content
            assert live.post("/api/generate", {"length": 5}).status == 500
            assert live.state.thread.rows == 1
            monkeypatch.setattr(task.model.decoder, "forward", original)
            assert live.post("/api/generate", {"length": 5}).json["units"] == 5
    assert "ZeroDivisionError" in caplog.text


def test_a_text_that_takes_too_long_is_cut_off(served):
    with serving(served[3:4], max_tokens=10_000_000, max_seconds=0.3) as live:
        answer = live.post("/api/generate", {"length": 10_000_000})
        sentence = "took longer than 0.3 seconds, the limit of --max-seconds"
        assert answer.status == 504
        assert answer.error.endswith(sentence)
        streamed = live.post("/api/generate", {"length": 10_000_000, "stream": True}).events
        assert streamed[-1]["error"]["message"] == f"the text {sentence}"
        assert len(streamed) > 1
        wait_until(lambda: live.state.thread.rows == 0)
