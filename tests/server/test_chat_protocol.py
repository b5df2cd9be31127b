"""The chat and completion protocol: published shapes, stop sequences, usage, and what is refused."""

from __future__ import annotations

import itertools
import re

import pytest

HELLO = [{"role": "user", "content": "ab cd"}]
ASK = [{"role": "system", "content": "be kind"}, {"role": "user", "content": [{"type": "text", "text": "who are you"}]}]


def check_envelope(record, kind, prefix):
    assert set(record) >= {"id", "object", "created", "model", "choices"}
    assert record["object"] == kind
    assert re.fullmatch(prefix + r"-[0-9a-f]{16}", record["id"])
    assert isinstance(record["created"], int)


def text_of(live, **values):
    return live.post("/v1/completions", {"model": "writer", "prompt": "ab", "seed": 5, "max_tokens": 80, **values})


def test_the_models_are_listed(live):
    listed = live.get("/v1/models").json
    assert listed["object"] == "list"
    assert [one["id"] for one in listed["data"]][:2] == ["classifier", "tagger"]
    assert set(listed["data"][0]) == {"id", "object", "created", "owned_by"}
    assert live.get("/v1/models/tagger").json == listed["data"][1]
    missing = live.get("/v1/models/gpt")
    assert (missing.status, missing.error) == (404, "there is no model 'gpt'")


def test_a_completion(live, tasks):
    answer = text_of(live).json
    check_envelope(answer, "text_completion", "cmpl")
    text = tasks["writer"].generate("ab", length=80, seed=5)
    assert answer["choices"] == [{"index": 0, "text": text[2:], "logprobs": None, "finish_reason": "length"}]
    assert answer["usage"] == {"prompt_tokens": 2, "completion_tokens": 80, "total_tokens": 82}
    assert text_of(live, echo=True, prompt=["ab"]).json["choices"][0]["text"] == text
    nothing = text_of(live, max_tokens=0).json
    assert (nothing["choices"][0]["text"], nothing["usage"]["completion_tokens"]) == ("", 0)
    assert text_of(live, max_tokens=None).json["usage"]["completion_tokens"] == 200


def test_a_completion_as_events(live):
    whole = text_of(live).json["choices"][0]["text"]
    chunks = text_of(live, stream=True, stream_options={"include_usage": True}).events
    for chunk in chunks:
        check_envelope(chunk, "text_completion", "cmpl")
        assert chunk["id"] == chunks[0]["id"]
    *pieces, last, usage = chunks
    assert "".join(chunk["choices"][0]["text"] for chunk in pieces) == whole
    assert {chunk["choices"][0]["finish_reason"] for chunk in pieces} == {None}
    assert last["choices"][0]["finish_reason"] == "length"
    assert (usage["choices"], usage["usage"]["completion_tokens"]) == ([], 80)
    assert "usage" not in text_of(live, stream=True).events[-1]


def test_stop_sequences_end_the_text_wherever_its_pieces_end(live):
    whole = text_of(live).json["choices"][0]["text"]
    cuts = [whole[begin : begin + length] for begin, length in itertools.product((0, 7, 33, 76), (1, 2, 4))]
    for stop in [*cuts, [cuts[4], cuts[7], "never"]]:
        stops = [stop] if isinstance(stop, str) else stop
        end = min(whole.find(one) + len(one) for one in stops if one in whole)  # the first that is complete
        first = min(whole[:end].find(one) for one in stops if one in whole[:end])
        answer = text_of(live, stop=stop).json
        assert answer["choices"][0] == {"index": 0, "text": whole[:first], "logprobs": None, "finish_reason": "stop"}
        assert answer["usage"]["completion_tokens"] == end
        chunks = text_of(live, stop=stop, stream=True, stream_options={"include_usage": True}).events
        assert "".join(one["choices"][0]["text"] for one in chunks[:-1]) == whole[:first]
        assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
        assert chunks[-1]["usage"] == answer["usage"]
    unfinished = text_of(live, stop=whole[-3:] + "x").json["choices"][0]
    assert (unfinished["text"], unfinished["finish_reason"]) == (whole, "length")


def test_a_chat_with_an_assistant(live, tasks):
    answer = live.post("/v1/chat/completions", {"messages": ASK, "temperature": 0.2, "user": "me"}).json
    check_envelope(answer, "chat.completion", "chatcmpl")
    reply = tasks["assistant"].ask("who are you")
    assert answer["model"] == "assistant"
    assert answer["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": reply.answer, "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    assert answer["unspool"]["confidence"] == reply.confidence
    chunks = live.post("/v1/chat/completions", {"messages": ASK, "stream": True}).events
    for chunk in chunks:
        check_envelope(chunk, "chat.completion.chunk", "chatcmpl")
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [{"role": "assistant", "content": reply.answer}, {}]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, "stop"]
    assert chunks[-1]["unspool"] == answer["unspool"]
    options = {"include_usage": True}
    body = {"messages": ASK, "stream": True, "stream_options": options}
    assert live.post("/v1/chat/completions", body).events[-1]["usage"] == answer["usage"]


def test_a_chat_with_a_language_model(live, tasks):
    body = {"model": "writer", "messages": HELLO, "seed": 2, "max_completion_tokens": 30, "max_tokens": 7}
    answer = live.post("/v1/chat/completions", body).json
    text = tasks["writer"].generate("ab cd\n", length=30, seed=2).removeprefix("ab cd\n")
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": text, "refusal": None}
    assert answer["choices"][0]["finish_reason"] == "length"
    chunks = live.post("/v1/chat/completions", {**body, "stream": True}).events
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == text
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    none = live.post("/v1/chat/completions", {**body, "max_completion_tokens": 0}).json
    assert none["choices"][0]["message"]["content"] == ""


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"n": 2}, "n is not supported by this server; leave it out"),
        ({"logprobs": 3}, "logprobs is not supported by this server; leave it out"),
        ({"suffix": "x"}, "suffix is not supported by this server; leave it out"),
        ({"prompt": ["a", "b"]}, "prompt holds 2 texts; expected one"),
        ({"prompt": [1, 2]}, "expected `str`, got `int` in prompt[0]"),
        ({"stop": ""}, "stop: expected at most 16 texts of 1 to 1,000 characters"),
        ({"stop": ["a"] * 17}, "stop: expected at most 16 texts of 1 to 1,000 characters"),
        ({"max_tokens": 10_001}, "length = 10,001: the limit of --max-tokens is 10,000"),
        ({"model": "classifier"}, "classifier is a model of the task 'classify', which can't generate"),
        ({"mirostat": 2}, "object contains unknown field `mirostat`"),
    ],
)
def test_a_completion_that_does_not_fit_is_refused(live, values, sentence):
    answer = text_of(live, **values)
    assert (answer.status, answer.error) == (413 if "limit" in sentence else 400, sentence)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"messages": []}, "expected `array` of length >= 1 in messages"),
        ({"messages": [{"role": "user"}]}, "object missing required field `content` in messages[0]"),
        (
            {"messages": [{"role": "assistant", "content": "a"}]},
            "the last message is of the role 'assistant'; expected user",
        ),
        ({"tools": [{"type": "function"}]}, "tools is not supported by this server; leave it out"),
        ({"store": True}, "store is not supported by this server; leave it out"),
        ({"response_format": {"type": "json_object"}}, "response_format is not supported by this server; leave it out"),
        ({"model": "tagger"}, "tagger is a model of the task 'tag', which can't chat"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "a part of a message is no text; expected parts of the type 'text'",
        ),
    ],
)
def test_a_chat_that_does_not_fit_is_refused(live, values, sentence):
    answer = live.post("/v1/chat/completions", {"messages": HELLO, **values})
    assert (answer.status, answer.error) == (400, sentence)


def test_values_that_change_nothing_are_taken(live):
    nothing = {
        "n": 1,
        "presence_penalty": 0,
        "frequency_penalty": 0.0,
        "logit_bias": {},
        "logprobs": False,
        "tools": [],
        "tool_choice": "none",
        "response_format": {"type": "text"},
        "store": False,
        "metadata": {"a": "b"},
        "parallel_tool_calls": True,
    }
    assert live.post("/v1/chat/completions", {"messages": ASK, **nothing}).status == 200
