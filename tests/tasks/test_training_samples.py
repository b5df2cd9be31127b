"""Samples of the output at each validation: in the log of tasks that write text, without an effect on training."""

import time

import pytest
import torch

from unspool.decoding.settings import DecodingSettings
from unspool.tasks import Classifier, LanguageModel, Translator
from unspool.training.run_log import RunLog
from unspool.training.sampling import Sampler

SOURCES = [f"{a} {b}" for a in "abcd" for b in "abcd"]
TARGETS = [f"{b} {a}".upper() for a in "abcd" for b in "abcd"]
GREEDY = DecodingSettings(search="greedy")
SMALL = {"hidden": 8, "embedding": 6, "epochs": 2}


@pytest.fixture(autouse=True)
def all_samples(monkeypatch):
    """Take samples at every validation, however short the training."""
    monkeypatch.setattr("unspool.training.sampling._SHARE", 1e9)


def translator(out, **values):
    task = Translator(**SMALL, units="blank", dropout=0.3, **values)
    return task.fit(list(zip(SOURCES, TARGETS, strict=True)), out=out, baselines=False)


def writer(out, **values):
    task = LanguageModel(**SMALL, dropout=0.3, **{"units": "character", **values})
    return task.fit(["to be or not to be\n" * 40], out=out, baselines=False)


def classifier(out):
    return Classifier(**SMALL).fit(["good film", "bad film"] * 10, ["yes", "no"] * 10, out=out, baselines=False)


def test_a_translator_writes_held_out_sentences(tmp_path):
    task = translator(tmp_path / "m")
    samples = RunLog(tmp_path / "m").samples
    assert len({sample.update for sample in samples}) == 2
    assert len(samples) % 2 == 0
    for sample in samples:
        assert sample.texts.keys() == {"input", "output", "right"}
        assert TARGETS[SOURCES.index(sample.texts["input"])] == sample.texts["right"]
    best = RunLog(tmp_path / "m").best_update
    for sample in samples:
        if sample.update == best:  # the weights that the model has now
            assert task._outputs(task.model, [sample.texts["input"]], GREEDY) == [sample.texts["output"]]
    assert best in [sample.update for sample in samples]


@pytest.mark.parametrize(
    "values", [{}, {"units": "word"}, {"network": "transformer", "heads": 2, "steps": 16}], ids=str
)
def test_a_language_model_writes_the_same_chances_each_time(tmp_path, values):
    writer(tmp_path / "m", **values)
    first, second = RunLog(tmp_path / "m").samples
    assert first.texts.keys() == {"output"}
    assert first.texts["output"]
    assert first.update < second.update


@pytest.mark.parametrize("make", [translator, writer])
def test_samples_change_no_weight(tmp_path, make, monkeypatch):
    with_samples = make(tmp_path / "with")
    monkeypatch.setattr(type(with_samples), "_samples", lambda *_: [])
    without = make(tmp_path / "without")
    assert not RunLog(tmp_path / "without").samples
    for name, tensor in with_samples.model.state_dict().items():
        assert torch.equal(tensor, without.model.state_dict()[name]), name


def test_a_task_that_writes_no_text_has_no_samples(tmp_path):
    classifier(tmp_path / "m")
    assert RunLog(tmp_path / "m").samples == []


def test_samples_take_at_most_a_hundredth_of_the_time(monkeypatch):
    monkeypatch.undo()
    clock = iter([0.0, 2.0, 10.0, 11.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    sampler = Sampler(lambda model: [{"output": "x"}])
    assert sampler.due(session=0.1)  # the first in any case
    assert sampler.take(torch.nn.Identity()) == [{"output": "x"}]
    assert not sampler.due(session=399.0)  # two seconds, and two more
    assert sampler.due(session=401.0)
    sampler.take(torch.nn.Identity())
    assert not sampler.due(session=399.0)  # three seconds, and one more
    assert sampler.due(session=401.0)
    assert not Sampler(None).due(session=1e9)
