"""Intents of labelled data: slots read by the linear model, and offsets that favour rare intents."""

from __future__ import annotations

import json
from random import Random

import numpy as np
import pytest

from unspool import CommandParser
from unspool.data import SlotSpan
from unspool.errors import ModelFolderError
from unspool.tasks.command.masking import delexicalize
from unspool.tasks.parts.priors import prior_offsets

SMALL = {"hidden": 12, "embedding": 12, "batch_size": 32, "threads": 1, "seed": 0, "characters": "none"}


def test_values_become_the_names_of_their_slots():
    slots = [SlotSpan("fromloc.city_name", 5, 11), SlotSpan("day", 9, 11), SlotSpan("day", 15, 21)]
    assert delexicalize("from boston on monday please", slots) == "from fromloccitynamevalue on dayvalue please"
    assert delexicalize("stop", ()) == "stop"


def test_offsets_are_those_of_the_paper_up_to_a_constant():
    targets = np.array([0] * 60 + [1] * 30 + [2] * 10 + [-1] * 5)
    offsets = prior_offsets(targets, 4)
    logits = -0.5 * np.log([0.6, 0.3, 0.1])
    assert offsets[:3] - offsets[0] == pytest.approx(logits - logits[0], abs=1e-6)
    assert offsets[:3] @ [0.6, 0.3, 0.1] == pytest.approx(0, abs=1e-6)
    assert offsets[3] == 0  # out of scope
    assert prior_offsets(np.array([0, 1, 2]), 3) == pytest.approx(np.zeros(3))


def rows(count: int, seed: int) -> list[dict[str, object]]:
    """Sentences whose intent depends on the kind of a name, and on the word before it in four of five."""
    lot, sentences = Random(seed), []
    for number in range(count):
        intent, slot = ("city", "place") if lot.random() < 0.7 else ("star", "person")
        name = f"b{lot.choice('aeiou')}{lot.choice('dlmnr')}{number}"
        before = "in" if (slot == "place") == (lot.random() < 0.8) else "by"
        sentences.append({"text": f"show {before} {name} now", "intent": intent, "slots": {slot: name}})
    return sentences


@pytest.fixture(scope="module")
def parser() -> CommandParser:
    return CommandParser(epochs=2, learning_rate=0.02, **SMALL).fit(rows(240, 1), valid=rows(80, 2))


def test_the_calibration_keeps_what_loses_least(parser):
    assert parser.fitted.offsets is not None
    assert parser.fitted.offsets[0] < 0 < parser.fitted.offsets[1]  # the most frequent intent comes first
    network = np.zeros((80, 2), np.float32)  # a network that knows no intent, and all slots
    held_out = parser._read(parser._data_source(rows(80, 2))).utterances
    train = parser._read(parser._data_source(rows(240, 1))).utterances
    before = vars(parser.fitted).copy()
    try:
        parser.fitted.calibrate(train, network, held_out, [each.slots for each in held_out])
        assert parser.fitted.slots_as_words
        assert parser.fitted.features(["show in bad0 now"], [[SlotSpan("place", 8, 12)]]) == [
            ["show", "in", "placevalue", "now"]
        ]
        parser.fitted.calibrate(train, network, held_out, [()] * len(held_out))  # and one that knows no slots either
        assert not parser.fitted.slots_as_words
        assert parser.fitted.features(["show in bad0 now"], [()])[0][2] == "bad0"
    finally:
        vars(parser.fitted).update(before)


def test_a_folder_keeps_the_offsets_and_refuses_others(parser, tmp_path):
    parser.save(tmp_path / "m")
    kept = CommandParser.load(tmp_path / "m").fitted
    assert kept.slots_as_words == parser.fitted.slots_as_words
    assert kept.offsets == pytest.approx(parser.fitted.offsets, abs=0)
    file = tmp_path / "m" / "vocabulary" / "intents.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps({**record, "offsets": [0.1]}))
    with pytest.raises(ModelFolderError, match="offsets do not fit 2 intents"):
        CommandParser.load(tmp_path / "m")
    file.write_text(json.dumps({name: record[name] for name in ("several", "none", "threshold")}))  # an older folder
    assert CommandParser.load(tmp_path / "m").fitted.offsets is None
