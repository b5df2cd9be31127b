"""The reader: fit, scores by file, use, folders, what it shows of its hops, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
import torch

from unspool.data import Story
from unspool.errors import DataError, SettingError
from unspool.tasks.read.data import _numbers_of_stories
from unspool.tasks.read.reader import Answered, Reader, _typed

PEOPLE, PLACES = ("Mary", "John", "Daniel", "Sandra"), ("garden", "kitchen", "office", "hallway")
SMALL = {"embedding": 12, "hops": 2, "batch_size": 16, "epochs": 3}


def babi(stories: int, seed: int) -> str:
    """Who went where, asked twice in each story."""
    chance = np.random.default_rng(seed)
    lines = []
    for _ in range(stories):
        where: dict[str, tuple[str, int]] = {}
        id = 0
        for _ in range(2):
            for _ in range(2):
                id += 1
                person, place = PEOPLE[chance.integers(4)], PLACES[chance.integers(4)]
                where[person] = (place, id)
                lines.append(f"{id} {person} went to the {place}.")
            id += 1
            person = list(where)[chance.integers(len(where))]
            lines.append(f"{id} Where is {person}? \t{where[person][0]}\t{where[person][1]}")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stories")
    (folder / "train.txt").write_text(babi(150, 1))
    (folder / "test.txt").write_text(babi(40, 2))
    return folder


@pytest.fixture(scope="module")
def trained(folder):
    model = Reader(**SMALL | {"epochs": 80, "embedding": 20, "learning_rate": 1e-2})
    return model.fit(folder / "train.txt", test=folder / "test.txt", out=folder / "model", baselines=True)


def test_it_learns_who_is_where_and_says_which_sentence_told(trained):
    assert trained.record.metrics["test"]["accuracy"] > 0.9
    assert trained.record.baselines["answer named last"]["accuracy"] < 0.8
    said = trained.ask(
        ["Mary went to the garden.", "John went to the kitchen.", "Mary went to the office."], "Where is John?"
    )
    assert said.answer == "kitchen"
    assert said.probability > 0.5
    assert said.sentences[1] == "John went to the kitchen."
    assert len(said.hops) == 2
    assert all(sum(weights) == pytest.approx(1, abs=1e-5) for weights in said.hops)
    assert "John went to the kitchen." in said.read_most()


def test_one_story_is_answered_as_many(trained, folder):
    again = Reader.load(folder / "model")
    texts = [
        "Mary went to the garden. Where is Mary?",
        "John went to the office. Mary went to the garden. Where is John?",
    ]
    together = again.predict(texts)
    for text, said in zip(texts, together, strict=True):
        (alone,) = trained.predict([text])
        assert alone.answer == said.answer
        assert alone.probability == pytest.approx(said.probability, abs=1e-5)
        np.testing.assert_allclose(alone.hops, said.hops, atol=1e-5)
        assert said.line() == f"{said.answer}\t{said.probability:.4f}\t{said.question}"
        json.dumps(said.record())
    assert again.evaluate(folder / "test.txt") == trained.record.metrics["test"]


def test_hops_and_supporting_sentences_stand_side_by_side(trained, folder):
    trace = trained.trace(f"{folder / 'test.txt'}:3")
    lines = (folder / "test.txt").read_text().splitlines()
    assert trace.tokens == tuple(line.partition(" ")[2] for line in lines[:2])
    assert trace.prediction["right"] == lines[2].split("\t")[1]
    support = int(lines[2].split("\t")[2]) - 1
    assert trace.array("hops / support")[:, 0].tolist() == [float(place == support) for place in range(2)]
    for hop in (1, 2):
        assert trace.array(f"hops / hop {hop}").sum() == pytest.approx(1, abs=1e-5)
    typed = trained.trace("Mary went to the garden. Where is Mary?")
    assert "hops / support" not in typed.arrays
    with pytest.raises(DataError, match=re.escape("test.txt:1: there is no question at this line")):
        trained.trace(f"{folder / 'test.txt'}:1")


def test_resuming_ends_in_the_same_bits(folder, tmp_path):
    options = SMALL | {"linear_epochs": 1, "schedule": "constant"}
    whole = Reader(**options | {"epochs": 4}).fit(folder / "train.txt", out=tmp_path / "whole")
    Reader(**options | {"epochs": 2}).fit(folder / "train.txt", out=tmp_path / "parts")
    resumed = Reader(**options | {"epochs": 4}).fit(folder / "train.txt", out=tmp_path / "parts", resume=True)
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)
    assert not whole.model.linear
    assert int(whole.model.seen) == int(resumed.model.seen) > 0


@pytest.mark.parametrize(
    "network",
    [
        {"network": "key-value"},
        {"network": "dynamic", "cell": "lstm"},
        {"encoder": "cell", "cell": "gru"},
        {"tying": "layer-wise"},
        {"gated": True},
        {"tying": "layer-wise", "gated": True},
        {"encoder": "bag"},
    ],
    ids=str,
)
def test_every_network_is_trained_and_opened_again(network, folder, tmp_path):
    model = Reader(**SMALL, **network).fit(folder / "train.txt", out=tmp_path / "m", baselines=False)
    again = Reader.load(tmp_path / "m")
    said = "Mary went to the garden. Where is Mary?"
    assert again.predict([said]) == model.predict([said])
    assert again.trace(said) == model.trace(said)


def test_the_gates_of_the_cell_over_sentences_are_shown(folder):
    model = Reader(**SMALL, network="dynamic", cell="gru").fit(folder / "train.txt", baselines=False)
    trace = model.trace("Mary went to the garden. John went to the kitchen. Where is Mary?")
    for place in ("layer 1 forward", "layer 1 backward"):
        assert trace.array(f"{place} / reset").shape == (2, SMALL["embedding"])
    assert any("engine" in note for note in trace.notes)
    words = Reader(**SMALL, encoder="cell").fit(folder / "train.txt", baselines=False)
    assert list(words.trace("Mary went to the garden. Where is Mary?").arrays) == ["hops / hop 1", "hops / hop 2"]


def test_how_far_the_gates_were_open_is_told(trained, folder):
    model = Reader(**SMALL, gated=True).fit(folder / "train.txt", baselines=False)
    with torch.no_grad():
        for gate, bias in zip(model.model.gates, (-1e4, 1e4), strict=True):
            gate.bias.fill_(bias)
        model.model.gates[1].bias[:3] = -1e4  # of twelve
    said = "Mary went to the garden. John went to the kitchen. Where is Mary?"
    (answer,) = model.predict([said])
    assert answer.gates == (0.0, 0.75)
    assert json.loads(json.dumps(answer.record()))["gates"] == [0.0, 0.75]
    trace = model.trace(said)
    assert trace.prediction["gates"] == {"hop 1": 0.0, "hop 2": 0.75}
    assert trace.model.startswith("memory network, adjacent, gated, 2 hops of 12")
    assert trained.predict([said])[0].gates == ()
    assert "gates" not in trained.trace(said).prediction
    assert trained.trace(said).model.startswith("memory network, adjacent, 2 hops of 20")


def test_a_model_saved_before_there_were_gates_opens(trained, folder, tmp_path):
    old = shutil.copytree(folder / "model", tmp_path / "old")
    record = json.loads((old / "unspool.json").read_text())
    assert record["settings"]["network"].pop("gated") is False
    (old / "unspool.json").write_text(json.dumps(record))
    said = "Mary went to the garden. Where is Mary?"
    assert Reader.load(old).predict([said]) == trained.predict([said])


@pytest.mark.parametrize("network", ["key-value", "dynamic"])
def test_gates_where_there_are_none_are_refused(network):
    with pytest.raises(SettingError, match=f"gated needs network = memory, and network = {network} has no gates"):
        Reader(network=network, gated=True)


def test_errors_are_counted_by_file(folder, tmp_path):
    (tmp_path / "other.txt").write_text("1 Mary went to the garden.\n2 Where is Mary?\tmoon\t1\n")
    model = Reader(**SMALL).fit(folder / "train.txt", baselines=False)
    found = model.evaluate([folder / "test.txt", tmp_path / "other.txt"])
    one = model.evaluate(folder / "test.txt")
    assert found["error, test.txt"] == pytest.approx(one["error"])
    assert found["error, other.txt"] == 1  # an answer that was never seen is wrong
    assert found["mean_error"] == pytest.approx((one["error"] + 1) / 2)
    assert found["failed"] == 1 + (one["error"] > 0.05)
    notes = model.score_notes([tmp_path / "other.txt"])
    assert notes == ["1 answers were never seen in training and count as wrong: 'moon'"]


def test_questions_about_one_story_are_held_out_together(folder):
    task = Reader(**SMALL)
    whole = task._read(folder / "train.txt")
    kept, held = whole.divide(0.2, 0)
    assert len(kept.stories) + len(held.stories) == 300
    assert len(held.stories) == 60
    first = {story.where for story in held.stories if len(story.sentences) == 2}
    assert len(first) == 30  # both questions of thirty stories
    assert _numbers_of_stories(whole.stories[:6]).tolist() == [0, 0, 1, 1, 2, 2]


def test_the_oldest_sentences_are_dropped_and_that_is_said(folder, capsys):
    model = Reader(**SMALL, slots=3).fit(folder / "train.txt", baselines=False)
    assert capsys.readouterr().err.count("stories with more than 3 sentences: the oldest sentences are not read") == 1
    trace = model.trace("Mary went to the garden. John went home. Daniel left. Sandra left. Where is Mary?")
    assert len(trace.tokens) == 3
    assert "the 1 oldest sentences are not read: the network has 3 slots" in trace.notes


def test_what_can_t_be_read_or_asked_is_said(trained, tmp_path):
    for bad, message in [
        ([], "'Where is Mary?' has no sentence before it"),
        (["..."], "holds no word"),
    ]:
        with pytest.raises(DataError, match=re.escape(message)):
            trained.ask(bad, "Where is Mary?")
    with pytest.raises(DataError, match=re.escape("no word of the question 'Quo vadis?' was seen in training")):
        trained.ask(["Mary went to the garden."], "Quo vadis?")
    with pytest.raises(DataError, match="text 2: expected a story of at least one sentence, and then a question"):
        trained.predict(["Mary left. Where is Mary?", "Where is Mary?"])
    (tmp_path / "s.jsonl").write_text('{"story": ["Mary left."], "question": "Where?"}\n')
    with pytest.raises(DataError, match=re.escape("s.jsonl:1: the question has no answer")):
        Reader(**SMALL).fit(tmp_path / "s.jsonl")
    with pytest.raises(SettingError, match="expected at most 64 hops"):
        Reader(hops=65)


def test_a_typed_story_is_parted():
    assert _typed("Mary left. John stayed!\nWhere is Mary?", "text") == Story(
        ("Mary left.", "John stayed!"), "Where is Mary?", where="text"
    )


def test_the_most_read_sentence_of_each_hop():
    said = Answered("?", "a", 1.0, {"a": 1.0}, ["one", "two"], [[0.9, 0.1], [0.2, 0.8]])
    assert said.read_most() == ["one", "two"]
