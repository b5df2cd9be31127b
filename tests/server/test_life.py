"""Start and end of a server: loading that fails, a port in use, shutdown, signals, and its own report."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest
from click.testing import CliRunner
from live import ask, events, serving, wait_until

from unspool.cli import unspool
from unspool.errors import MachineError, ModelFolderError, UsageError
from unspool.server.models import Served, describe_folders
from unspool.server.serving import build, prepare, run
from unspool.server.settings import ServerSettings


def copy(served, folder):
    shutil.copytree(served.folder, folder)
    return str(folder)


def test_loading_that_fails_ends_the_server_with_the_reason(served, tmp_path):
    folder = copy(served[0], tmp_path / "damaged")
    (tmp_path / "damaged" / "model.safetensors").write_bytes(b"x" * 100)
    state, listener, _ = prepare(describe_folders([folder]), ServerSettings(port=0))
    with pytest.raises(ModelFolderError, match="damaged"):
        run(build(state, listener, studio=False), state, listener)


def test_the_command_ends_with_one_sentence(served, tmp_path):
    folder = copy(served[0], tmp_path / "damaged")
    (tmp_path / "damaged" / "model.safetensors").write_bytes(b"x" * 100)
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        for words, code, sentence in (
            ([folder, "--port", "0"], 1, "model.safetensors"),
            (
                [str(served[0].folder), "--port", str(port)],
                1,
                f"port {port} of 127.0.0.1 can't be used: Address already",
            ),
            ([str(served[0].folder), "--host", "256.1.1.1"], 1, "port 8321 of 256.1.1.1 can't be used: "),
            ([str(tmp_path / "none")], 1, "none"),
            ([folder, copy(served[1], tmp_path / "x" / "damaged")], 2, "two folders are called damaged"),
            ([folder, "--max-tokens", "0"], 2, "max_tokens"),
            ([folder, "--token", "a b"], 2, "token: expected visible ASCII characters without spaces"),
            ([], 2, "MODELS"),
        ):
            outcome = CliRunner().invoke(unspool, ["serve", *words])
            complaints = [line for line in outcome.stderr.splitlines() if line.startswith("unspool: ")]
            assert (outcome.exit_code, len(complaints)) == (code, 1), (words, outcome.stderr)
            assert sentence in complaints[0]
            assert "Traceback" not in outcome.stderr


def test_folders_that_are_no_models_are_refused(tmp_path, served):
    with pytest.raises(ModelFolderError):
        describe_folders([str(tmp_path)])
    folder = copy(served[0], tmp_path / "odd")
    record = json.loads((tmp_path / "odd" / "unspool.json").read_text())
    (tmp_path / "odd" / "unspool.json").write_text(json.dumps({**record, "task": "cook"}))
    with pytest.raises(ModelFolderError, match="cook"):
        describe_folders([folder])
    with pytest.raises(UsageError, match="two folders are called"):
        describe_folders([str(served[0].folder), copy(served[1], tmp_path / "a" / served[0].name)])


def test_a_port_is_taken_as_soon_as_it_is_prepared(served):
    _, listener, _ = prepare(served[:1], ServerSettings(port=0))
    with closing(listener), pytest.raises(MachineError, match="can't be used"):
        prepare(served[:1], ServerSettings(port=listener.getsockname()[1]))


def test_a_server_that_still_loads_says_so(served):
    """Loading waits for an event, and requests come before it."""
    free, own = threading.Event(), [Served(served[0].name, served[0].folder, served[0].entry)]
    state, listener, _ = prepare(own, ServerSettings(port=0))
    server = build(state, listener, studio=False, load=lambda: free.wait(30) and None)
    thread = threading.Thread(target=run, args=(server, state, listener))
    thread.start()
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", listener.getsockname()[1], timeout=30)) as one:
            health = ask(one, "GET", "/health")
            assert (health.status, health.json) == (503, {"status": "loading"})
            answer = ask(one, "POST", "/api/predict", {"input": "a"})
            assert (answer.status, answer.headers["retry-after"]) == (503, "2")
            assert answer.error == "the model is still being loaded; try again in a few seconds"
            assert ask(one, "GET", "/api/info").json["loading"] is True
            server.should_exit = True  # and ends although the thread still loads
            thread.join(30)
            assert not thread.is_alive()
    finally:
        free.set()
        state.thread._thread.join(30)


@pytest.mark.parametrize("installed", [True, False])
def test_the_loop_is_that_of_uvloop_where_it_is_installed(served, monkeypatch, installed):
    if installed:
        pytest.importorskip("uvloop")
    else:
        monkeypatch.setitem(sys.modules, "uvloop", None)
    loops = []
    with serving(served[:1]) as live:
        answer = live.post("/api/predict", {"input": "a good day"})
        call = live.state.thread.call
        monkeypatch.setattr(
            live.state.thread, "call", lambda *args: (loops.append(asyncio.get_running_loop()), call(*args))[1]
        )
        again = live.post("/api/predict", {"input": "a good day"})
    assert answer.status == 200
    assert again.json == answer.json
    assert [type(loop).__module__.partition(".")[0] for loop in loops] == ["uvloop" if installed else "asyncio"]


@pytest.mark.parametrize("stream", [True, False])
def test_open_requests_are_finished_and_new_ones_refused(served, stream):
    with serving(served[3:4], max_tokens=1_000_000) as live:
        task, length = live.state.models.by_name["writer"].task, 1500
        expected = task.generate(length=length, seed=1)
        with closing(live.connect()) as idle, closing(live.connect()) as one:
            assert ask(idle, "GET", "/health").status == 200
            body = json.dumps({"length": length, "seed": 1, "stream": stream}).encode()
            one.request("POST", "/api/generate", body, {"Content-Type": "application/json"})
            wait_until(lambda: live.state.thread.rows == 1)
            live.server.should_exit = True
            wait_until(lambda: live.state.draining)
            if live.state.thread.rows:  # still writing: a kept connection and a new one are told
                refused = ask(idle, "POST", "/api/generate", {})
                assert (refused.status, refused.headers["retry-after"]) == (503, "5")
                assert refused.error == "the server is shutting down"
                assert live.get("/health").json == {"status": "draining"}
            response = one.getresponse()
            content = response.read()
            text = "".join(e["text"] for e in events(content)) if stream else json.loads(content)["text"]
            assert text == expected
        wait_until(lambda: not live.server.server_state.connections)


def test_shutdown_does_not_wait_longer_than_the_limit(served):
    with serving(served[3:4], max_tokens=10_000_000, max_seconds=0.5) as live, closing(live.connect()) as one:
        body = b'{"length": 10000000, "stream": true}'
        one.request("POST", "/api/generate", body, {"Content-Type": "application/json"})
        wait_until(lambda: live.state.thread.rows == 1)
        live.server.should_exit = True
        content = one.getresponse().read()
        assert events(content)[-1]["error"]["message"].startswith("the text took longer than 0.5 seconds")


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, -signal.SIGTERM)])
def test_a_signal_ends_the_command_after_open_requests(served, sign, code):
    command = [sys.executable, "-m", "unspool", "serve", str(served[3].folder), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stderr.readline()
            assert line.startswith("serving writer: http://127.0.0.1:")
            port = int(line.partition("127.0.0.1:")[2].partition("/")[0])
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as one:
                while ask(one, "GET", "/health").status != 200:
                    time.sleep(0.05)
                body = b'{"length": 1500, "stream": true}'
                one.request("POST", "/api/generate", body, {"Content-Type": "application/json"})
                response = one.getresponse()  # the text is being written
                process.send_signal(sign)
                assert events(response.read())[-1]["units"] == 1500
            rest = process.stderr.read()
            assert process.wait(60) == code
            assert rest == ""
        finally:
            process.kill()


# ---- what a server says of itself --------------------------------------------------------------------------------


def test_the_description_names_every_operation_and_field(live):
    import msgspec

    from unspool.server.app import OPERATIONS

    described = live.get("/openapi.json").json
    assert described["openapi"].startswith("3.1")
    schemas = described["components"]["schemas"]
    own = [one for one in OPERATIONS if not one.studio]
    assert {(m, p) for p, ways in described["paths"].items() for m in ways} == {(o.method.lower(), o.path) for o in own}
    names = set()
    for one in own:
        operation = described["paths"][one.path][one.method.lower()]
        names.add(operation["operationId"])
        assert operation["summary"]
        assert operation["responses"]["default"]["content"]["application/json"]["schema"]["$ref"].endswith("/Error")
        for kind, place in ((one.request, operation.get("requestBody")), (one.answer, operation["responses"]["200"])):
            if kind is None:
                continue
            schema = place["content"]["application/json"]["schema"]
            properties = schemas[schema["$ref"].rpartition("/")[2]]["properties"]
            assert set(properties) == {field.encode_name for field in msgspec.structs.fields(kind)}
    assert len(names) == len(own)
    text = json.dumps(described)
    for reference in {part.split('"')[0] for part in text.split('"$ref": "')[1:]}:
        place = described
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_the_report_of_models_and_limits(live):
    info = live.get("/api/info").json
    assert info["loading"] is False
    assert info["failure"] is None
    by_name = {one["name"]: one for one in info["models"]}
    assert by_name["assistant"]["chats"]
    assert not by_name["assistant"]["writes"]
    assert by_name["own"]["writes"]
    assert all(one["loaded"] for one in info["models"])
    assert info["limits"]["max_batch"] == 64
    assert "token" not in info["limits"]


def test_metrics_count_requests_batches_and_units(served):
    with serving(served[3:4]) as live:
        live.post("/api/generate", {"length": 30})
        live.post("/api/predict", {"inputs": ["ab", "cd"]})
        live.post("/api/predict", {})
        session = live.post("/api/sessions", {}).json["id"]
        live.get(f"/api/sessions/{session}")
        answer = live.get("/metrics")
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        lines = answer.body.decode().splitlines()
        values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        assert values["unspool_units_written_total"] == "30"
        assert values["unspool_sessions"] == "1"
        assert values["unspool_queue"] == values["unspool_texts_in_progress"] == "0"
        assert values['unspool_requests_total{method="POST",route="/api/predict",status="200"}'] == "1"
        assert values['unspool_requests_total{method="POST",route="/api/predict",status="400"}'] == "1"
        assert values['unspool_requests_total{method="GET",route="/api/sessions/{id}",status="200"}'] == "1"
        assert values["unspool_batch_inputs_sum"] == "2.000000"
        for route in ("/api/generate", "/api/predict"):
            buckets = [
                int(v) for k, v in values.items() if k.startswith(f'unspool_request_seconds_bucket{{route="{route}"')
            ]
            assert buckets == sorted(buckets)
            assert buckets[-1] == int(values[f'unspool_request_seconds_count{{route="{route}"}}'])


LIMITS = [
    (
        {"max_items": 2},
        "/api/predict",
        {"inputs": ["a", "b", "c"]},
        413,
        "3 inputs came; the limit of --max-items is 2",
    ),
    (
        {"max_characters": 10},
        "/api/predict",
        {"inputs": ["abcdef", ["ghijk"]]},
        413,
        "11 characters came; the limit of --max-characters is 10",
    ),
    ({"max_trace": 5}, "/api/trace", {"input": "abcdef"}, 413, "6 characters came; the limit of --max-trace is 5"),
    (
        {"max_tokens": 5},
        "/api/generate",
        {"model": "writer", "length": 6},
        413,
        "length = 6: the limit of --max-tokens is 5",
    ),
    (
        {"max_body": 30},
        "/api/predict",
        {"input": "a" * 30},
        413,
        "the request is larger than 30 bytes, the limit of --max-body",
    ),
]


@pytest.mark.parametrize(("limits", "path", "body", "status", "sentence"), LIMITS, ids=lambda value: str(value)[:20])
def test_each_limit_has_its_flag(served, limits, path, body, status, sentence):
    """The limits of seconds, sessions, the queue, the batch and connections have tests of their own."""
    with serving([served[0], served[3]], **limits) as live:
        answer = live.post(path, body)
        assert (answer.status, answer.error) == (status, sentence)
        flag = sentence.partition("--")[2].split()[0]
        assert f"--{flag}" in CliRunner().invoke(unspool, ["serve", "--help"]).stdout
        assert live.post("/api/predict", {"input": "a"}).status == 200
