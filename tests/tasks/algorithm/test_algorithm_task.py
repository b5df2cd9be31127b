"""The task that learns algorithms: fit, scores by length and depth, use, folders, and what it refuses."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from unspool.data import Adding, Copy, Exercise
from unspool.errors import DataError, ModelFolderError, SettingError, UsageError
from unspool.tasks.algorithm.algorithm import ALGORITHMS, Algorithm
from unspool.tasks.algorithm.scores import AnswerScores

TINY = {"hidden": 12, "examples": 64, "valid_examples": 24, "epochs": 2, "batch_size": 8, "max_length": 3, "width": 3}


def fitted(*names: str, out=None, **values: object) -> Algorithm:
    return Algorithm(**{"cell": "gru", **TINY, **values}).fit(list(names), out=out)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_is_trained_and_used(name, tmp_path):
    model = fitted(name, out=tmp_path / "m")
    metrics, metric = model.record.metrics["valid"], model.metric[0]
    assert metric == ("squared_error" if name == "adding" else "nats")
    figure = "squared_error" if name == "adding" else "bits_wrong"
    assert {metric, *(f"{figure} at {length}" for length in (3, 6, 12))} <= metrics.keys()
    again = Algorithm.load(tmp_path / "m")
    assert again.evaluate(name) == metrics
    form = {"copy": "101", "reverse": "101 110", "repeat-copy": "2x 101", "sort": "0.1:101 0.5:001"}.get(
        name, "101 000 111 | 110 110 110 ? 101 000 111" if name == "recall" else again.kind.form
    )
    (worked,) = again.predict([form])
    assert worked == model.predict([form])[0]
    assert worked.answer in worked.line()
    trace = again.trace(form)
    assert len(trace.tokens) == trace.array("layer 1 / h").shape[0]
    assert trace.prediction["right"] == worked.right
    assert not trace.maps  # a GRU has no heads


def test_resuming_ends_in_the_same_bits(tmp_path):
    whole = fitted("copy", out=tmp_path / "whole", epochs=3)
    fitted("copy", out=tmp_path / "parts", epochs=1)
    resumed = Algorithm(**{"cell": "gru", **TINY, "epochs": 3}).fit("copy", out=tmp_path / "parts", resume=True)
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(DataError, match="the train data are not those"):
        Algorithm(**{"cell": "gru", **TINY, "epochs": 4}).fit("reverse", out=tmp_path / "parts", resume=True)


def test_a_curriculum_lasts_for_its_share_of_the_epochs():
    task = Algorithm(**TINY | {"curriculum": 0.5, "epochs": 4, "max_length": 9, "examples": 800})
    source = task._source(task._read("copy"))
    longest = [max((len(batch.inputs) - 1) // 2 for batch in source.epoch(epoch)) for epoch in range(4)]
    assert longest == [5, 9, 9, 9]


def test_held_out_exercises_are_not_those_of_training():
    task = Algorithm(**TINY | {"max_length": 9, "width": 16})
    read = task._read("copy")
    train, valid = read.divide(0.1, 0)
    train, test = train.divide(0.1, 0)
    streams = [task._source(train).stream, valid.stream, test.stream]
    assert len(set(streams)) == 3
    seen = {row.tobytes() for batch in task._source(train).epoch(0) for row in batch.inputs.transpose(0, 1).numpy()}
    held = {row.tobytes() for batch in task._held_out(valid, (1, 9)) for row in batch.inputs.transpose(0, 1).numpy()}
    assert not seen & held


def test_heads_of_a_machine_are_recorded():
    model = fitted("copy", cell="ntm(slots=6, width=4, read_heads=2)", epochs=1)
    trace = model.trace("101 110")
    assert list(trace.maps) == ["layer 1 / read head 1", "layer 1 / read head 2", "layer 1 / write head 1"]
    weights = trace.array("layer 1 / read_weights").reshape(5, 2, 6)  # steps, heads, slots
    second = trace.maps["layer 1 / read head 2"]
    assert second.columns == ("slot 1", "slot 2", "slot 3", "slot 4", "slot 5", "slot 6")
    assert second.rows == trace.tokens
    np.testing.assert_array_equal(second.values, weights[:, 1])
    np.testing.assert_allclose(trace.array("layer 1 / write_weights").sum(1), 1, rtol=1e-5)
    assert trace.array("layer 1 / memory").shape == (5, 24)
    assert trace.tokens == ("1010", "1100", "0001", "?", "?")


CODE = "int f(int a) { /* ) */\n  return a;\n}\n" * 30


def test_brackets_are_read_in_code_and_a_counter_stands_beside(tmp_path):
    (tmp_path / "a.c").write_text(CODE)
    model = fitted("brackets", str(tmp_path / "a.c"), out=tmp_path / "m", min_length=30, max_length=40)
    metrics, baselines = model.record.metrics["valid"], model.record.baselines
    assert {"accuracy, depth 0", "accuracy, depth 1", "accuracy, opened 1 to 10 ago"} <= metrics.keys()
    assert 0.5 < baselines["a counter of brackets"]["accuracy"] < 1  # the comment's bracket leads it astray
    again = Algorithm.load(tmp_path / "m")
    assert again.predict(["f(x); /* ( */ y"])[0].right == ".||" + "." * 12
    with pytest.raises(UsageError, match="learned brackets in code; it can't be scored on brackets"):
        again.evaluate("brackets")


def test_a_small_network_learns_to_reverse_three_bits():
    model = fitted("reverse", max_length=2, epochs=30, examples=512, learning_rate=1e-2, hidden=32)
    assert model.record.metrics["valid"]["exact"] > 0.95
    assert model.predict(["101 001"])[0].answer == "001 101"


def test_scores_are_counted_by_hand():
    exercise = Copy(2).read("10 01")
    scores = AnswerScores("bits")
    said = torch.zeros(5, 1, 2)
    said[3, 0] = torch.tensor([3.0, -1.0])  # right: 1 0
    said[4, 0] = torch.tensor([2.0, 1.0])  # one wrong: 0 1
    scores.add(exercise, said, None)
    scores.add(exercise, torch.where(exercise.targets > 0.5, 9.0, -9.0), None)
    figures = scores.figures()
    nats = [np.log1p(np.exp(-x)) for x in (3, 1, -2, 1, 9, 9, 9, 9)]
    assert figures["nats"] == pytest.approx(np.mean(nats), rel=1e-5)
    assert (figures["bits_wrong"], figures["exact"], figures["accuracy"]) == (0.5, 0.5, 7 / 8)
    numbers = AnswerScores("numbers")
    numbers.add(Adding().read("0.5* 0.25*"), torch.tensor([[[7.0]], [[1.0]]]), None)
    assert numbers.figures() == {"squared_error": 0.0625}


def test_accuracy_by_depth_and_distance_is_counted_by_hand():
    closed = np.array([1, 0, 0, 1] + [0] * 12, np.float32)[:, None, None]
    exercise = Exercise.of(np.zeros((16, 1, 1), np.float32), closed, np.ones(16, bool))
    said = torch.from_numpy(np.where(closed > 0, 1.0, -1.0).astype(np.float32))
    said[1] = said[15] = 1.0  # wrong: opened 1 and 12 ago
    scores = AnswerScores("bits")
    scores.add(exercise, said, np.array([0, 1, 2, 0] + [1] * 12)[:, None])
    found = scores.by_depth()
    assert found["accuracy, depth 0"] == 1
    assert found["accuracy, depth 1"] == pytest.approx(11 / 13)
    assert found["accuracy, depth 2"] == 1
    assert found["accuracy, opened 1 to 10 ago"] == pytest.approx(11 / 12)
    assert found["accuracy, opened 11 to 30 ago"] == 0.5
    assert AnswerScores("bits").by_depth() == {}


def test_what_can_t_be_is_refused(tmp_path):
    with pytest.raises(UsageError, match=re.escape("there is no algorithm 'copi' (did you mean 'copy'?); choose one")):
        fitted("copi")
    with pytest.raises(UsageError, match=r"the exercises of copy are generated, without files; .*such as a\.c"):
        fitted("copy", "a.c")
    with pytest.raises(SettingError, match="min_length = 5 is more than max_length = 3"):
        Algorithm(**TINY, min_length=5)
    with pytest.raises(SettingError, match="expected numbers from 1, as 20,40,80"):
        Algorithm(**TINY, test_lengths="20,x")
    model = fitted("copy", out=tmp_path / "m", test_lengths="4")
    assert model.test_lengths == [4]
    assert "bits_wrong at 4" in model.record.metrics["valid"]
    with pytest.raises(DataError, match="text 2: '10' is no exercise of copy"):
        model.predict(["101", "10"])
    with pytest.raises(UsageError, match="learned copy; it can't be scored on sort"):
        model.evaluate("sort")
    (tmp_path / "m" / "vocabulary" / "algorithm.json").write_text('{"algorithm": "fly", "in_code": false}')
    with pytest.raises(ModelFolderError, match=r"algorithm.json: there is no algorithm 'fly'"):
        Algorithm.load(tmp_path / "m")
