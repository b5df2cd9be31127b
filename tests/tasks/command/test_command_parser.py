"""The task of command understanding: learned from a small grammar, saved, resumed, and refused in words."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

import unspool
from unspool import CommandParser
from unspool.errors import DataError, SettingError, UsageError

SMALL = {"hidden": 16, "embedding": 12, "character_hidden": 8, "threads": 1, "seed": 3}


def grammar(count: int, seed: int, *, none: bool = False) -> list[dict[str, object]]:
    lot, rows = random.Random(seed), []
    for _ in range(count):
        kind = lot.choice(["timer", "play", "stop", "why"] if none else ["timer", "play", "stop"])
        if kind == "timer":
            value = f"{lot.choice(['two', 'ten', 'five', '12'])} {lot.choice(['minutes', 'hours', 'seconds'])}"
            text = lot.choice([f"set a timer for {value}", f"timer, {value} please", f"wake me in {value}"])
            rows.append({"text": text, "intent": kind, "slots": {"length": value}})
        elif kind == "play":
            genre, room = lot.choice(["jazz", "soul", "old folk"]), lot.choice(["kitchen", "bedroom"])
            text = f"play {lot.choice(['some', 'my'])} {genre} in the {room}"
            rows.append({"text": text, "intent": kind, "slots": {"genre": genre, "room": room}})
        elif kind == "stop":
            rows.append(
                {"text": lot.choice(["stop it", "stop the music now", "be quiet", "please stop"]), "intent": kind}
            )
        else:
            what = lot.choice(["sky blue", "sea deep", "moon round", "grass green"])
            rows.append({"text": f"why is the {what}", "intent": "oos"})
    return rows


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("commands")
    write(folder / "train.jsonl", grammar(300, 0))
    write(folder / "valid.jsonl", grammar(90, 1))
    write(folder / "test.jsonl", grammar(80, 2, none=True))
    return folder


@pytest.fixture(scope="module")
def parser(data: Path, tmp_path_factory: pytest.TempPathFactory) -> CommandParser:
    out = tmp_path_factory.mktemp("parser") / "m"
    return CommandParser(epochs=25, **SMALL).fit(data / "train.jsonl", valid=data / "valid.jsonl", out=out)


def test_intents_slots_and_refusals_are_learned(parser, data):
    scores = parser.evaluate(data / "test.jsonl")
    assert scores["accuracy"] > 0.97
    assert scores["slot_f1"] > 0.95
    assert scores["exact"] > 0.9
    assert scores["auroc"] > 0.9
    parse = parser.predict("play some jazz in the kitchen")
    assert parse.intent == "play"
    assert [(slot.slot, slot.text, slot.start, slot.end) for slot in parse.slots] == [
        ("genre", "jazz", 10, 14), ("room", "kitchen", 22, 29),
    ]  # fmt: skip
    assert parse.known
    assert sum(parse.probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_an_unfamiliar_sentence_is_refused_with_the_nearest_two(parser):
    parse = parser.predict("zebras hold umbrellas")
    assert parse.intent is None
    assert not parse.known
    assert parse.familiarity <= parse.threshold == pytest.approx(0.05)
    assert parse.nearest == tuple(parse.probabilities)[:2]
    assert parse.line().startswith("-\t")
    everything = parser.settings
    parser.settings = everything.replace(keep=0.9999)
    try:
        assert parser.predict("zebras hold umbrellas").known
    finally:
        parser.settings = everything


def test_a_saved_parser_answers_the_same(parser, data, tmp_path):
    parser.save(tmp_path / "m")
    loaded = unspool.load(tmp_path / "m")
    texts = [json.loads(line)["text"] for line in (data / "test.jsonl").read_text().splitlines()]
    assert loaded.predict(texts) == parser.predict(texts)
    assert loaded.evaluate(data / "test.jsonl") == parser.evaluate(data / "test.jsonl")
    one = [parser.predict(text) for text in texts[:9]]
    for alone, together in zip(one, parser.predict(texts[:9]), strict=True):
        assert (alone.intents, [slot[:4] for slot in alone.slots]) == (
            together.intents,
            [s[:4] for s in together.slots],
        )
    record = parser.predict(texts[0]).record()
    assert json.loads(json.dumps(record)) == record


def test_sentences_out_of_scope_get_an_output_of_their_own(data):
    model = CommandParser(epochs=6, **SMALL).fit(grammar(300, 4, none=True), valid=grammar(90, 5, none=True))
    assert model.fitted.has_none
    assert model.model.output.out_features == 4
    assert set(model.classes_) == {"timer", "play", "stop"}
    scores = model.evaluate(data / "test.jsonl")
    assert scores["auroc"] > 0.98
    assert scores["refused"] > 0.9
    assert not model.predict("why is the moon deep").known
    assert len(model.predict("stop it").probabilities) == 3


def test_several_intents(data):
    lot = random.Random(7)
    rows = []
    for _ in range(240):
        parts = lot.sample(
            [("stop the music", "stop"), ("open the door", "open"), ("call home", "call")], lot.randint(1, 2)
        )
        rows.append({"text": " and ".join(text for text, _ in parts), "intents": [name for _, name in parts]})
    model = CommandParser(epochs=6, **SMALL).fit(rows)
    assert model.fitted.several
    assert model.main_score == ("micro_f1", True)
    assert set(model.predict("call home and open the door").intents) == {"call", "open"}
    assert model.record.metrics["valid"]["micro_f1"] > 0.95
    assert "linear n-grams" in model.record.baselines


@pytest.mark.parametrize("output", ["softmax", "crf"])
def test_predicted_tags_are_always_legal(data, output):
    model = CommandParser(epochs=1, output=output, ngrams=False, plan=False, **SMALL).fit(data / "train.jsonl")
    assert (model.model.crf is not None) == (output == "crf")
    with torch.no_grad():
        for weight in model.model.parameters():
            weight.normal_(std=1.5)
    texts = [str(row["text"]) for row in grammar(60, 9)]
    count = 0
    for parse in model.predict(texts):
        end = 0
        for slot in parse.slots:
            assert end <= slot.start < slot.end <= len(parse.text)
            assert slot.text == parse.text[slot.start : slot.end]
            end = slot.end
            count += 1
    assert count > 20


def test_a_trace_and_its_edits(parser):
    trace = parser.trace("play my soul in the bedroom")
    assert trace.tokens == ("play", "my", "soul", "in", "the", "bedroom")
    assert trace.prediction["intent"] == "play"
    weights = trace.arrays["readout / weight"]
    assert weights.shape == (6, 1)
    assert weights.sum() == pytest.approx(1, abs=1e-5)
    fork = parser.fork("play my soul in the bedroom", ["token = 'stop' @ 1"])
    assert np.abs(fork.original.arrays["output / score"] - fork.edited.arrays["output / score"]).max() > 0.1


def test_a_resumed_training_ends_in_the_same_bits(data, tmp_path):
    options = {"ngrams": True, "plan": False, **SMALL}
    whole = CommandParser(epochs=3, **options).fit(data / "train.jsonl", out=tmp_path / "whole")

    def stop(progress, scores):
        return progress.epoch >= 1

    CommandParser(epochs=3, **options).fit(data / "train.jsonl", out=tmp_path / "part", callbacks=[stop])
    rest = CommandParser(epochs=3, **options).fit(data / "train.jsonl", out=tmp_path / "part", resume=True)
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, rest.model.state_dict()[name]), name
    assert whole.fitted.refusal == rest.fitted.refusal
    assert whole.fitted.calibration == rest.fitted.calibration


@pytest.mark.parametrize(
    ("rows", "options", "said"),
    [
        ([{"text": "go", "intent": "a"}] * 9, {}, r"have 1 intent \(a\); expected two or more"),
        ([{"text": "go", "intent": ["a", "b"]}] * 9, {"several": "no"}, "this sentence has several intents"),
        ([{"text": " ", "intent": "a"}] * 9, {}, "example 1: the text is empty"),
    ],
)
def test_data_that_cannot_be_learned_are_one_sentence(rows, options, said):
    with pytest.raises(DataError, match=said):
        CommandParser(epochs=1, **options, **SMALL).fit(rows)


def test_wrong_settings_and_values(parser, data):
    with pytest.raises(SettingError, match="slots need one unit for each word"):
        CommandParser(units="bpe", **SMALL).fit(data / "train.jsonl")
    with pytest.raises(UsageError, match="trace takes one text"):
        parser.trace(["a", "b"])
    with pytest.raises(DataError, match="no token"):
        parser.predict("  ")
    with pytest.raises(DataError, match="no intent of these data is one of the model's"):
        parser.evaluate([{"text": "go", "intent": "fly"}])
    assert any("never seen in training" in note for note in parser.score_notes([{"text": "go", "intent": "fly"}]))


def test_intents_that_only_the_test_has_count_as_wrong(data):
    test = [*grammar(20, 8), {"text": "fly to the moon", "intent": "fly"}]
    options = {**SMALL, "plan": False}
    model = CommandParser(epochs=2, **options).fit(data / "train.jsonl", test=test, valid=data / "valid.jsonl")
    assert model.record.metrics["test"]["accuracy"] <= 0.9524
    assert 0 < model.record.baselines["majority intent"]["accuracy"] <= 0.9524
