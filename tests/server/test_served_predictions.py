"""Predictions and traces over HTTP equal those of the task in Python, one or many, and one fault fails one request."""

from __future__ import annotations

import asyncio
import json
import threading

import msgspec
import numpy as np
import pytest
from live import serving, unpacked

from unspool.errors import DataError
from unspool.inspection.files import FORMATS

TEXTS = ["good day", "ab", "a bad day é " * 9, "x y z good"]
INPUTS = {
    "classifier": TEXTS,
    "tagger": [*TEXTS, ["two", "words"]],
    "assistant": TEXTS,
    "writer": TEXTS,
    "own": TEXTS,
    "context": TEXTS,
    "mixed": TEXTS,
    "bytes": TEXTS,
}


def plain(value):
    """A value as it looks after JSON."""
    return json.loads(msgspec.json.encode(value))


@pytest.mark.parametrize("name", INPUTS)
def test_predictions_equal_those_of_the_task(live, tasks, name):
    answer = live.post("/api/predict", {"model": name, "inputs": INPUTS[name]})
    assert answer.status == 200, answer.body
    expected = [one.record() for one in tasks[name].predict(INPUTS[name])]
    assert answer.json == {"model": name, "predictions": plain(expected)}
    alone = live.post("/api/predict", {"model": name, "input": INPUTS[name][2]})
    (one,) = tasks[name].predict([INPUTS[name][2]])
    assert alone.json == {"model": name, "prediction": plain(one.record())}


@pytest.mark.parametrize("name", INPUTS)
def test_traces_equal_those_of_the_task_to_the_bit(live, tasks, name):
    expected = tasks[name].trace(TEXTS[2])
    answer = live.post("/api/trace", {"model": name, "input": TEXTS[2]})
    assert answer.status == 200
    assert answer.body == FORMATS[".json"](expected)
    header, arrays = unpacked(live.post("/api/trace", {"model": name, "input": TEXTS[2], "form": "binary"}).body)
    for place, array in expected.arrays.items():
        np.testing.assert_array_equal(arrays[place], array)
        assert array.dtype == np.float32
    for part in ("tokens", "prediction", "notes"):
        assert header["trace"][part] == json.loads(answer.body)[part]
    if name not in ("assistant", "context"):
        assert arrays


def test_a_model_without_a_name_is_the_first(live):
    assert live.post("/api/predict", {"input": "good"}).json["model"] == "classifier"


def test_the_threshold_of_an_assistant(live, tasks):
    body = {"model": "assistant", "input": "when do you open"}
    for threshold in (0, 1):
        expected = tasks["assistant"].ask("when do you open", threshold=threshold).record()
        assert live.post("/api/predict", {**body, "threshold": threshold}).json["prediction"] == plain(expected)
    assert live.post("/api/predict", {**body, "threshold": 0}).json["prediction"]["known"] is True
    refused = live.post("/api/predict", {"model": "tagger", "input": "a", "threshold": 0.5})
    assert (refused.status, refused.error) == (400, "threshold: tagger is a model of the task 'tag'")


BAD = [
    ({}, 400, "expected either input, for one, or inputs, for many"),
    ({"input": "a", "inputs": ["a"]}, 400, "expected either input, for one, or inputs, for many"),
    ({"inputs": []}, 400, "inputs is empty; expected at least one input"),
    ({"inputs": "a"}, 400, "expected `array`, got `str` in inputs"),
    ({"input": "a", "colour": 1}, 400, "object contains unknown field `colour`"),
    ({"input": "a", "threshold": 2}, 400, "expected `float` <= 1.0 in threshold"),
    ({"input": "a", "model": "clasifier"}, 404, "there is no model 'clasifier' (did you mean 'classifier'?)"),
    ({"input": None}, 422, "text 1: NoneType None came; expected a text or a list of words"),
    ({"inputs": ["a", {"b": 1}]}, 422, "text 2: dict {'b': 1} came; expected a text or a list of words"),
    ({"input": ""}, 422, "text 1: there is no token in this example; expected at least one, drop it or fill it"),
    ([], 400, "expected `object`, got `array`"),
]


@pytest.mark.parametrize(("body", "status", "sentence"), BAD, ids=lambda value: str(value)[:40])
def test_a_request_that_does_not_fit_is_refused_in_a_sentence(live, body, status, sentence):
    answer = live.post("/api/predict", body)
    assert (answer.status, answer.error) == (status, sentence)


def test_what_is_no_json_is_refused(live):
    deep = b'{"input": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    shallow = b'{"input": ' + b"[" * 500 + b"]" * 500 + b"}"
    for body in (b"{", b'{"input": "\xff"}', b"\xff\xfe{}", b'{"input": NaN}', b'{"input": "\\ud800"}', deep):
        answer = live.post("/api/predict", body)
        assert answer.status in (400, 422), (body[:20], answer)
        assert answer.error
    assert live.post("/api/predict", shallow).status == 422
    assert live.post("/api/predict", b"").error == "expected either input, for one, or inputs, for many"


def test_the_trace_of_several_inputs_is_refused(live):
    assert live.post("/api/trace", {"inputs": ["a"]}).error == "object contains unknown field `inputs`"
    assert live.post("/api/trace", {}).error == "object missing required field `input`"
    assert live.post("/api/trace", {"input": 3, "model": "writer"}).status == 400
    assert live.post("/api/trace", {"input": "a", "form": "pickle"}).error.startswith("expected `str` matching regex")


def held(live):
    """Hold the model thread in a call until the function that this returns is called."""
    inside, free = threading.Event(), threading.Event()

    def wait(values):
        inside.set()
        assert free.wait(30)
        return values

    async def hold():
        await live.state.thread.call("hold", [1], wait)

    runner = threading.Thread(target=lambda: asyncio.run(hold()))
    runner.start()
    assert inside.wait(30)

    def release():
        free.set()
        runner.join(30)

    return release


def together(live, bodies, path="/api/predict"):
    """Send requests that wait together, and return their answers in order."""
    release = held(live)
    answers = [None] * len(bodies)

    def send(place):
        answers[place] = live.post(path, bodies[place])

    threads = [threading.Thread(target=send, args=(place,)) for place in range(len(bodies))]
    before = live.state.thread.queue
    for thread in threads:
        thread.start()
    live.until(lambda: live.state.thread.queue >= before + len(bodies))
    release()
    for thread in threads:
        thread.join(30)
    return answers


def test_requests_that_wait_together_run_as_one_batch(served):
    with serving(served[:1]) as live:
        task = live.state.models.by_name["classifier"].task
        answers = together(live, [{"input": text} for text in TEXTS] + [{"inputs": TEXTS[:2]}])
        expected = task.predict([*TEXTS, *TEXTS[:2]])
        one = [answer.json["prediction"] for answer in answers[:-1]]
        actual = [*one, *answers[-1].json["predictions"]]
        for prediction, wanted in zip(actual, expected, strict=True):
            assert prediction["text"] == wanted.text
            assert prediction["probabilities"] == pytest.approx(wanted.probabilities, abs=1e-6)
        metrics = live.get("/metrics").body.decode()
    assert 'unspool_batch_inputs_bucket{le="8"} 2' in metrics  # the one that held the thread, and one of six inputs
    assert "unspool_batch_inputs_sum 7" in metrics
    assert "unspool_batch_inputs_count 2" in metrics


@pytest.mark.parametrize("faulty", [{"input": ""}, {"input": 7}, {"inputs": ["fine", ["a", 1]]}])
def test_a_faulty_request_fails_alone(served, faulty):
    with serving(served[:1]) as live:
        answers = together(live, [{"input": "good day"}, faulty, {"inputs": TEXTS}])
        assert [answer.status for answer in answers] == [200, 422, 200]
        place = "text 2" if "inputs" in faulty else "text 1"
        assert answers[1].error.startswith(place)


def test_an_unexpected_error_fails_the_requests_of_its_batch_alone(served, caplog, monkeypatch):
    with serving(served[:2]) as live:
        task = live.state.models.by_name["classifier"].task
        original = type(task).predict

        def predict(self, texts):
            if self is task and any("burn" in text for text in texts):
                raise RuntimeError("a secret of the machine")
            return original(self, texts)

        monkeypatch.setattr(type(task), "predict", predict)
        answers = together(live, [{"input": "good day"}, {"input": "burn"}, {"input": "x", "model": "tagger"}])
        assert [answer.status for answer in answers] == [200, 500, 200]
        assert answers[1].error == "the server met an unexpected error; its log has the details"
        assert b"secret" not in answers[1].body
        assert live.post("/api/predict", {"input": "good day"}).status == 200
    assert "a secret of the machine" in caplog.text


def test_a_request_whose_client_has_gone_is_not_run(served):
    with serving(served[:1]) as live:
        runs = []
        task = live.state.models.by_name["classifier"].task
        original = task._classified
        task._classified = lambda texts: runs.append(list(texts)) or original(texts)
        release = held(live)
        with live.socket() as one:
            body = b'{"input": "nobody waits"}'
            head = f"POST /api/predict HTTP/1.1\r\nHost: {live.host}\r\nContent-Type: application/json\r\n"
            one.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            live.until(lambda: live.state.thread.queue == 1)
        live.until(lambda: live.state.thread._calls[0].answer.cancelled())
        release()
        assert live.post("/api/predict", {"input": "still here"}).status == 200
    assert runs == [["still here"]]


def test_errors_of_data_keep_their_place(live):
    task = live.state.models.by_name["classifier"].task
    with pytest.raises(DataError, match="text 3"):
        task.predict(["a", "b", ""])
    assert live.post("/api/predict", {"inputs": ["a", "b", ""]}).error.startswith("text 3: ")
