"""Sessions: pieces equal the whole, forks go their own way, and what expires, ends or is cut off leaves nothing."""

from __future__ import annotations

import asyncio
import random
import sys
from contextlib import closing

import pytest
from live import Caller, ask, serving, wait_until

from unspool import LanguageModel
from unspool.server.models import Served
from unspool.server.sessions import Session, Sessions
from unspool.server.settings import ServerSettings
from unspool.tasks.catalog import TASKS

WRITERS = ("writer", "own", "context", "mixed", "bytes")


def open_session(live, **values):
    answer = live.post("/api/sessions", values)
    assert answer.status == 201, answer.body
    return answer.json


def advance(live, name, **values):
    answer = live.post(f"/api/sessions/{name}/advance", values)
    assert answer.status == 200, answer.body
    if values.get("stream"):
        assert {event["id"] for event in answer.events} <= {name}
        return "".join(event["text"] for event in answer.events)
    assert answer.json["id"] == name
    return answer.json["text"]


@pytest.mark.parametrize("name", WRITERS)
def test_pieces_of_any_length_equal_the_whole(live, tasks, name):
    expected = tasks[name].generate("abé c", length=70, seed=9, top_k=20).removeprefix("abé c")
    session = open_session(live, model=name, prompt="abé c", seed=9, top_k=20)
    assert session == {"id": session["id"], "model": name, "units": 0, "seed": 9, "expires": session["expires"]}
    assert 1790 < session["expires"] <= 1800
    text = ""
    for place, length in enumerate((1, 0, 2, 13, 1, 23, 30)):
        text += advance(live, session["id"], length=length, stream=place % 2 == 0)
    assert text == expected
    assert live.get(f"/api/sessions/{session['id']}").json["units"] == 70


def test_characters_of_several_units_arrive_once_whole(live, tasks):
    """The vocabulary of `bytes` splits rare characters into bytes, which several advances write."""
    vocabulary = tasks["bytes"].vocabulary
    assert len(vocabulary.encode("é")) == 1 or len(vocabulary.encode("€")) > 1
    session = open_session(live, model="bytes", seed=11)
    pieces = [advance(live, session["id"], length=1) for _ in range(120)]
    assert "" in pieces  # an incomplete character waits
    assert "".join(pieces) == tasks["bytes"].generate(length=120, seed=11)


@pytest.mark.parametrize("name", WRITERS[:-1])  # pieces of words are cut otherwise in a text than in its parts
def test_text_that_a_session_reads_counts_as_its_own(live, tasks, name):
    session = open_session(live, model=name, seed=3, temperature=0.7)
    assert advance(live, session["id"], text="abc ") == ""
    assert advance(live, session["id"], text="d") == ""
    first = advance(live, session["id"], text="ef", length=8)
    whole = open_session(live, model=name, seed=3, temperature=0.7, prompt="abc def")
    assert advance(live, whole["id"], length=8) == first
    again = advance(live, session["id"], text=" gh", length=9)
    assert advance(live, whole["id"], text=" gh", length=9) == again


def test_a_fork_goes_on_as_the_original_or_with_its_own_seed(live):
    session = open_session(live, model="writer", prompt="ab", seed=3)
    advance(live, session["id"], length=10)
    same = live.post(f"/api/sessions/{session['id']}/fork").json
    other = live.post(f"/api/sessions/{session['id']}/fork", {"seed": 4}).json
    assert (same["units"], same["seed"], other["seed"]) == (10, 3, 4)
    assert len({session["id"], same["id"], other["id"]}) == 3
    texts = [advance(live, one["id"], length=40) for one in (session, same, other)]
    assert texts[0] == texts[1] != texts[2]


def test_a_session_that_does_not_exist_or_has_ended(live):
    session = open_session(live, model="writer")
    ended = live.request("DELETE", f"/api/sessions/{session['id']}")
    assert (ended.status, ended.body) == (204, b"")
    for name in (session["id"], "x", "%00", "a" * 3000):
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/advance"), ("POST", "/fork")):
            answer = live.request(method, f"/api/sessions/{name}{path}", {} if method == "POST" else None)
            assert (answer.status, answer.error) == (404, "there is no such session; it may have expired")


def test_a_session_advances_once_at_a_time(served):
    with serving(served[3:4], max_tokens=1_000_000) as live:
        session = open_session(live, seed=5)
        with closing(live.connect()) as one:
            one.request("POST", f"/api/sessions/{session['id']}/advance", b'{"length": 1000000, "stream": true}', JSON)
            response = one.getresponse()
            response.read(10)
            for path in ("advance", "fork"):
                answer = live.post(f"/api/sessions/{session['id']}/{path}")
                assert (answer.status, answer.error) == (409, "the session is advancing already; wait for its answer")
            assert live.get(f"/api/sessions/{session['id']}").json["units"] == 0
        wait_until(lambda: live.state.thread.rows == 0)
        wait_until(lambda: not live.state.sessions.get(session["id"]).busy)
        # the advance was cut off: the session is where it was
        task = live.state.models.by_name["writer"].task
        assert advance(live, session["id"], length=20) == task.generate(length=20, seed=5)


JSON = {"Content-Type": "application/json"}


def test_advances_that_follow_each_other_at_once_are_never_refused(live, tasks):
    session = open_session(live, model="writer", seed=8)
    connection, text = live.connect(), ""
    with closing(connection):
        for _ in range(60):
            path = f"/api/sessions/{session['id']}/advance"
            answer = ask(connection, "POST", path, {"length": 1, "stream": True})
            text += "".join(event["text"] for event in answer.events)
    assert text == tasks["writer"].generate(length=60, seed=8)


def test_a_session_that_is_deleted_while_it_advances(served):
    with serving(served[3:4], max_tokens=1_000_000) as live:
        session = open_session(live, seed=5)
        with closing(live.connect()) as one:
            one.request("POST", f"/api/sessions/{session['id']}/advance", b'{"length": 1500}', JSON)
            wait_until(lambda: live.state.thread.rows == 1)
            assert live.request("DELETE", f"/api/sessions/{session['id']}").status == 204
            assert len(one.getresponse().read()) > 1500
        assert live.get(f"/api/sessions/{session['id']}").status == 404
        assert len(live.state.sessions) == 0


def test_sessions_expire_without_use_and_not_while_they_advance(served):
    with serving(served[3:4], session_seconds=0.4, max_tokens=1_000_000) as live:
        busy, idle = open_session(live, seed=1), open_session(live, seed=2)
        with closing(live.connect()) as one:
            one.request("POST", f"/api/sessions/{busy['id']}/advance", b'{"length": 1000000, "stream": true}', JSON)
            one.getresponse().read(10)
            wait_until(lambda: live.get(f"/api/sessions/{idle['id']}").status == 404)
            assert live.get(f"/api/sessions/{busy['id']}").json["expires"] == 0
        wait_until(lambda: live.get(f"/api/sessions/{busy['id']}").status == 404)
        assert len(live.state.sessions) == 0


def test_the_limit_of_sessions(served):
    with serving(served[3:4], max_sessions=3) as live:
        names = [open_session(live, prompt="ab")["id"] for _ in range(3)]
        for answer in (live.post("/api/sessions"), live.post(f"/api/sessions/{names[0]}/fork")):
            assert (answer.status, answer.headers["retry-after"]) == (429, "1")
            assert answer.error == "3 sessions are open, the limit of --max-sessions; delete some"
        live.request("DELETE", f"/api/sessions/{names[0]}")
        open_session(live)


def test_a_session_whose_advance_fails_goes_on_from_where_it_was(served, monkeypatch, caplog):
    with serving(served[3:4]) as live:
        task = live.state.models.by_name["writer"].task
        session = open_session(live, prompt="ab", seed=6)
        first = advance(live, session["id"], length=11)
        original = task.model.decoder.forward
        monkeypatch.setattr(task.model.decoder, "forward", lambda *_: 1 / 0)
        assert live.post(f"/api/sessions/{session['id']}/advance", {"length": 5}).status == 500
        assert live.post("/api/sessions", {"prompt": "abc"}).status == 500
        assert len(live.state.sessions) == 1
        monkeypatch.setattr(task.model.decoder, "forward", original)
        text = first + advance(live, session["id"], length=20)
        assert "ab" + text == task.generate("ab", length=31, seed=6)


# ---- many at once ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_interleaved_sessions_equal_the_same_sessions_alone(served, count):
    """All sessions at once, each on its connection: random pieces, forks and deletions; then each text again, alone."""
    length = 40
    with serving(served[3:4], max_connections=2 * count, max_queue=2 * count) as live:
        task = live.state.models.by_name["writer"].task
        most = 0

        async def play(seed, open_ones):
            nonlocal most
            draw = random.Random(seed)
            values = {"seed": seed, "prompt": "ab é"[: draw.randint(0, 4)], "temperature": draw.choice([0.7, 1.0, 1.3])}
            caller = await Caller.connect(live)
            name, text = (await caller.ask("POST", "/api/sessions", values)).json["id"], ""
            await open_ones.wait()  # until all sessions are open
            most = max(most, len(live.state.sessions))
            while len(text) < length:
                piece = min(draw.randint(1, 12), length - len(text))
                if draw.random() < 0.2:  # go on from a copy, and drop the original
                    copy = (await caller.ask("POST", f"/api/sessions/{name}/fork", {})).json["id"]
                    assert (await caller.ask("DELETE", f"/api/sessions/{name}")).status == 204
                    name = copy
                body = {"length": piece, "stream": draw.random() < 0.3}
                answer = await caller.ask("POST", f"/api/sessions/{name}/advance", body)
                whole = "".join(e["text"] for e in answer.events) if body["stream"] else answer.json["text"]
                assert len(whole) == piece, answer.body
                text += whole
            caller.close()
            return values, text

        async def play_all():
            open_ones = asyncio.Barrier(count)
            return await asyncio.gather(*(play(seed, open_ones) for seed in range(count)))

        texts = asyncio.run(play_all())
        assert most >= count
        assert len(live.state.sessions) == count
        for values, text in texts:
            assert values["prompt"] + text == task.generate(length=length, **values)
        wait_until(lambda: not live.state.thread.rows)


# ---- memory ------------------------------------------------------------------------------------------------------


def size_of(value, seen):
    """Bytes of all objects that a value holds, each counted once; models and classes are not counted."""
    if id(value) in seen or isinstance(value, Served | type) or value is None:
        return 0
    seen.add(id(value))
    size = sys.getsizeof(value)
    if isinstance(value, tuple | list):
        return size + sum(size_of(part, seen) for part in value)
    slots = getattr(type(value), "__slots__", ()) if isinstance(value, Session) else ()
    return size + sum(size_of(getattr(value, name), seen) for name in slots)


@pytest.mark.parametrize(("cell", "parts"), [("gru", 1), ("lstm", 2)])
def test_a_session_takes_less_than_twice_its_state(cell, parts, tmp_path):
    units = 512
    task = LanguageModel(
        units="character", cell=cell, hidden=units, embedding=8, epochs=1, batch_size=2, steps=4, plan=False
    )
    task.fit(["abcd efgh " * 3] * 9, baselines=False)
    served = Served("big", tmp_path, TASKS["write"], task=task)
    sessions, state = Sessions(ServerSettings()), parts * units * 4
    held = []
    for seed in range(20):
        first = task.continuation("ab", seed=seed)
        session = sessions.add(Session(served, first.sampling, seed, list(first.unread)))
        text = session.open([], 5)
        batch = task.continuations(tiled=True)
        batch.add([text])
        while batch.rows:
            batch.step()
        session.close(text, [], 5)
        session.end_with([1, 2, 3, 4, 5, 6, 7, 8, 9], incomplete=False)
        held.append(size_of(session, set()))
    entry = sys.getsizeof(sessions._open) / len(sessions._open)
    assert state < max(held) + entry < 2 * state, (max(held), entry, state)
