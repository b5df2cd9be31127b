"""Predictions: one for one text, a list for several, short in a notebook, and objects of JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import unspool
from unspool import Algorithm, Assistant, Classifier, LanguageModel, Reader, Tagger, Translator
from unspool.errors import DataError, ModelFolderError, UsageError
from unspool.training import Reporter

TINY: dict[str, Any] = {"hidden": 5, "embedding": 6, "epochs": 1, "threads": 1, "plan": False}
FIT: dict[str, Any] = {"baselines": False, "reporter": Reporter()}
STORIES = [(["Mary went home."], "Where is Mary?", "home"), (["John went out."], "Where is John?", "out")] * 4


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    """A small model of every task, and a text that it takes."""
    return {
        "classify": Classifier(**TINY).fit(["a joy", "dull"] * 4, ["pos", "neg"] * 4, **FIT),
        "several": Classifier(**TINY, several=True, threshold=0.01).fit(
            ["a joy", "dull"] * 4, [["pos", "new"], []] * 4, **FIT
        ),
        "tag": Tagger(**TINY).fit([["Ann", "runs"]] * 8, [["I-PER", "O"]] * 8, **FIT),
        "translate": Translator(**TINY, units="word", beam=3, best=2).fit(
            [("I see", "je vois"), ("I go", "je vais")] * 4, **FIT
        ),
        "answer": Assistant(generator=False, epochs=1).fit([("how are you", "fine"), ("what is up", "sky")], **FIT),
        "read": Reader(embedding=5, epochs=1, gated=True).fit(STORIES, **FIT),
        "write": LanguageModel(**TINY, steps=8, batch_size=2).fit(["the cat sat on the mat\n" * 9], **FIT),
        "algorithm": Algorithm(hidden=5, epochs=1, examples=16, valid_examples=4, max_length=2, threads=1).fit(
            "copy", **FIT
        ),
    }


TASKS = {
    "classify": ("a joy", "<Classification 'pos' (0."),
    "several": ("a joy", "<Classification '"),
    "tag": ("Ann runs", "<Tagging 'Ann/"),
    "translate": ("I see", "<Translation '"),
    "answer": ("how are you", "<Reply 'fine' ("),
    "read": ("Mary went home. Where is Mary?", "<Answered '"),
    "write": ("the cat", "<Reading with perplexity "),
    "algorithm": ("10010110 01011101", "<Worked '"),
}


def assert_alike(one, other):
    """Compare nested values; numbers may differ by rounding, since the size of a batch decides the order of sums."""
    if isinstance(one, dict):
        assert list(one) == list(other)
        one, other = list(one.values()), list(other.values())
    if isinstance(one, list | tuple):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            assert_alike(mine, theirs)
    else:
        assert one == (pytest.approx(other, rel=1e-5) if isinstance(one, float) else other)


@pytest.mark.parametrize("name", TASKS)
def test_one_text_gets_one_prediction_and_several_a_list(name, models):
    model, text = models[name], TASKS[name][0]
    said = model.predict(text)
    for several in ([text, text], (text, text), (each for each in (text, text)), np.array([text, text])):
        for each in model.predict(several):
            assert_alike(each.record(), said.record())
    assert model.predict([]) == []
    with pytest.raises(UsageError, match="predict takes a text or a list of texts, and int came"):
        model.predict(3)
    with pytest.raises(DataError, match=r"text 2: NoneType None came; expected a text"):
        model.predict([text, None])
    with pytest.raises(UsageError, match="predict takes a text or a list of texts, and PosixPath came"):
        model.predict(Path("texts.txt"))


@pytest.mark.parametrize("name", TASKS)
def test_a_prediction_is_an_object_of_json(name, models):
    record = models[name].predict(TASKS[name][0]).record()
    assert json.loads(json.dumps(record)) == record
    assert msgspec.json.decode(msgspec.json.encode(record)) == record


@pytest.mark.parametrize("name", TASKS)
def test_a_prediction_shows_itself_in_one_short_line(name, models):
    line = repr(models[name].predict(TASKS[name][0]))
    assert line.startswith(TASKS[name][1]) or name == "classify"
    assert line.endswith(">")
    assert "\n" not in line
    assert len(line) < 200


@pytest.mark.parametrize("name", TASKS)
def test_several_texts_to_trace_are_answered_with_how(name, models):
    model, text = models[name], TASKS[name][0]
    assert model.trace(text).tokens
    for several in ([text, text], (text,), 3):
        with pytest.raises(UsageError, match=r"trace takes one text; .*\[model\.trace\(text\) for text in texts\]"):
            model.trace(several)


def test_words_of_one_text(models):
    assert models["classify"].predict([["a", "joy"]])[0] == models["classify"].predict("a joy")
    assert models["tag"].trace(["Ann", "runs"]) == models["tag"].trace("Ann runs")
    assert models["classify"].trace(["a", "joy"]) == models["classify"].trace("a joy")
    with pytest.raises(DataError, match=r"text 1: list .* came; expected a text"):
        models["translate"].predict([["I", "see"]])


def test_labels_and_tags(models):
    assert set(models["classify"].classes_) == {"neg", "pos"}
    assert set(models["several"].classes_) == {"pos", "new"}
    assert Classifier().classes_ == Tagger().classes_ == ()
    assert models["tag"].classes_ == ("O", "I-PER")
    assert Tagger(**TINY).fit([["a", "b"]] * 8, [["X", "Y"]] * 8, **FIT).classes_ == ("X", "Y")


@pytest.mark.parametrize(
    ("scheme", "tags"),
    [
        (["B-A", "I-A", "O", "B-B"], {"O", "B-A", "I-A", "B-B", "I-B"}),
        (["I-A", "B-A", "O", "I-B"], {"O", "B-A", "I-A", "B-B", "I-B"}),
        (["B-A", "E-A", "O", "S-B"], {"O", *(f"{letter}-{kind}" for letter in "BIES" for kind in "AB")}),
        (["B-A", "L-A", "O", "U-B"], {"O", *(f"{letter}-{kind}" for letter in "BILU" for kind in "AB")}),
        (["B-A", "M-A", "E-A", "S-B"], {"O", *(f"{letter}-{kind}" for letter in "BMES" for kind in "AB")}),
    ],
    ids=["IOB2", "IOB1", "BIOES", "BILOU", "BMES"],
)
def test_tags_of_spans_are_those_of_the_data_s_scheme(scheme, tags):
    tagger = Tagger(**TINY).fit([["a", "b", "c", "d"]] * 8, [scheme] * 8, **FIT)
    assert set(tagger.classes_) == tags


def test_a_task_shows_its_settings_and_its_main_score(models, tmp_path):
    assert repr(Classifier()) == "<Classifier(), not trained>"
    assert repr(Assistant(**{"memory.batch_size": 9, "hidden": 7})) == (
        "<Assistant(memory.batch_size=9, hidden=7), not trained>"
    )
    shown = repr(models["classify"])
    assert shown.startswith(
        "<Classifier(hidden=5, embedding=6, network='recurrent', plan=False, epochs=1, threads=1): "
        "bidirectional lstm, 1 layer of 5, "
    )
    assert f"; accuracy on valid {models['classify'].record.metrics['valid']['accuracy']:.4g}>" in shown
    tested = Classifier(**TINY).fit(["a joy", "dull"] * 4, ["p", "n"] * 4, test=[("dull", "n")], **FIT)
    assert "accuracy on test " in repr(tested)
    for name in TASKS:
        assert repr(models[name]).count("\n") == 0


def test_load_names_the_class_it_expects(models, tmp_path):
    models["classify"].save(tmp_path / "m")
    assert unspool.load(tmp_path / "m", Classifier).predict("a joy") == models["classify"].predict("a joy")
    with pytest.raises(
        ModelFolderError, match=r"m holds a Classifier, not a Tagger; open it with unspool\.load\(folder, Classifier\)$"
    ):
        unspool.load(tmp_path / "m", Tagger)
    with pytest.raises(UsageError, match=r"'my_cell\.py:Cell' is no task: .* a cell is the argument cell"):
        unspool.load(tmp_path / "m", "my_cell.py:Cell")

    class Mine(Classifier):
        pass

    assert type(unspool.load(tmp_path / "m", Mine)) is Mine
