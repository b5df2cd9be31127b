"""Planning: which settings follow from the data, the time limit and the speed, and which stay."""

from contextlib import nullcontext
from operator import attrgetter

import pytest
import torch

import unspool
from unspool import LanguageModel, Translator
from unspool.settings import from_record
from unspool.tasks.running import planning
from unspool.tasks.translate.settings import TranslatorSettings
from unspool.training import Reporter

PAIRS = [(f"{a} {b} {c}", f"{c} {b} {a}") for a in "abcdef" for b in "ghijkl" for c in "mnopqr"]
TEXT = "the cat sat on the mat and the dog sat on the log " * 200


class Notes(Reporter):
    """Collects what is said."""

    def __init__(self):
        self.lines = []

    def note(self, text):
        self.lines.append(text)


@pytest.fixture
def speed(monkeypatch):
    """Simulate a machine whose updates take a second per 128 units, and half of it in bfloat16; list what it timed."""
    timed = []

    def seconds(build, source, settings, device):
        hidden = build().decoder.output_size
        timed.append((hidden, settings.precision, settings.batch_size))
        return hidden / 128 * (0.5 if settings.precision == "bfloat16" else 1.0)

    monkeypatch.setattr(planning, "seconds_per_update", seconds)
    return timed


def planned(task, data, **changes):
    """Plan a training without running it; return the note."""
    examples = task._read(task._data_source(data))
    planning.plan_data(task, examples)
    task._learn(examples)
    return planning.plan_training(task, examples, planning.World())


def settings_of(task, *names):
    return [attrgetter(name)(task.settings) for name in names]


def test_the_largest_size_that_gets_enough_updates_is_taken(speed):
    # 256 units: 2 s an update; 384: 3 s. 5,000 updates of 384 units take 250 minutes.
    for minutes, hidden in ((100, 256), (249, 256), (251, 384)):
        task = LanguageModel(minutes=minutes, precision="float32", epochs=1_000_000)
        planned(task, [TEXT])
        assert settings_of(task, "network.hidden", "network.embedding") == [hidden, hidden]
    assert {hidden for hidden, _, _ in speed} == {256, 384}


def test_epochs_limit_the_size_without_a_time_limit_and_nothing_is_timed(speed):
    task = LanguageModel(epochs=3)
    note = planned(task, [TEXT])
    assert settings_of(task, "training.minutes", "network.hidden", "network.dropout") == [None, 256, 0.0]
    assert speed == []
    assert note == "lstm, 1 layer of 256, learning rate 0.016, float32: 3 epochs"
    planned(long := LanguageModel(epochs=900), [TEXT])
    assert settings_of(long, "network.hidden", "network.dropout") == [384, 0.3]


def test_what_was_passed_stays(speed):
    task = LanguageModel(minutes=300, hidden=100, learning_rate=0.5, steps=20, precision="float32", dropout=0.7)
    planned(task, [TEXT])
    names = ("network.hidden", "training.learning_rate", "training.steps", "training.precision", "network.dropout")
    assert settings_of(task, *names) == [100, 0.5, 20, "float32", 0.7]
    assert task.settings.training.batch_size == 16


def test_bfloat16_is_taken_where_time_is_short_and_it_is_faster(speed, monkeypatch):
    task = LanguageModel(minutes=2, epochs=1000)
    note = planned(task, [TEXT])
    assert task.settings.training.precision == "bfloat16"
    assert note.startswith("lstm, 1 layer of 256, learning rate 0.016, bfloat16, 2 minutes: ")
    assert note.endswith(" at 1 updates a second")
    planned(enough := LanguageModel(minutes=200, epochs=1), [TEXT])
    assert enough.settings.training.precision == "float32"
    monkeypatch.setattr(planning, "seconds_per_update", lambda build, source, settings, device: 2.0)
    planned(no_gain := LanguageModel(minutes=2, epochs=1000), [TEXT])
    assert no_gain.settings.training.precision == "float32"


def test_one_thread_is_taken_where_several_are_not_faster(monkeypatch):
    monkeypatch.setattr(planning.torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(planning, "num_threads", lambda count: nullcontext())  # else the real number would stay at 4
    for alone, threads in ((1.5, 1), (2.5, None)):
        speeds = {1: alone}
        monkeypatch.setattr(planning, "seconds_per_update", lambda b, s, settings, d: speeds.get(settings.threads, 2.0))  # noqa: B023
        planned(task := LanguageModel(minutes=2, epochs=1000), [TEXT])
        assert task.settings.training.threads == threads
    planned(own := LanguageModel(minutes=2, epochs=1000, threads=2), [TEXT])
    assert own.settings.training.threads == 2


def test_the_default_time_limit_gives_way_to_epochs(speed):
    planned(usual := LanguageModel(), [TEXT])
    assert usual.settings.training.minutes == 10
    planned(by_epochs := LanguageModel(epochs=4), [TEXT])
    assert settings_of(by_epochs, "training.minutes", "training.epochs") == [None, 4]


def test_settings_objects_and_no_plan_keep_their_defaults(speed):
    for task in (LanguageModel(LanguageModel().settings), LanguageModel(plan=False)):
        before = task.settings
        assert planned(task, [TEXT]) is None
        assert task.settings == before
    assert speed == []


def test_other_networks_than_the_measured_ones_get_the_time_limit_alone(speed):
    task = LanguageModel(network="transformer", hidden=8, heads=2, embedding=8, feedforward=8)
    before = task.settings
    planned(task, [TEXT])
    assert task.settings == before.replace(minutes=10.0)
    assert speed == []


def test_a_small_training_set_gets_a_small_vocabulary(speed):
    planned(task := Translator(epochs=1), PAIRS)
    assert task.settings.vocabulary.size == 4000
    planned(own := Translator(epochs=1, size=300), PAIRS)
    assert own.settings.vocabulary.size == 300


def test_the_plan_is_recorded_and_repeats_the_training_to_the_bit(tmp_path):
    notes = Notes()
    length = {"epochs": 100_000, "minutes": 0.02, "validate_every": 20}
    options = {"hidden": 8, "embedding": 8, **length, "size": 270, "device": "cpu"}
    task = Translator(**options).fit(PAIRS, out=tmp_path / "m", reporter=notes, baselines=False)
    (line,) = [line for line in notes.lines if line.startswith("plan: ")]
    assert "learning rate 0.02" in line
    loaded = unspool.load(tmp_path / "m")
    for shown in (repr(task), repr(loaded)):  # what was passed, not what was planned
        assert shown.startswith("<Translator(hidden=8, embedding=8, size=270, epochs=100000, minutes=0.02, ")
    record = loaded.record
    assert "training.batch_tokens" in record.planned
    assert "network.hidden" not in record.planned
    assert record.settings["training"]["batch_tokens"] == 1024
    assert record.training["stopped"] == "minutes"
    settings = from_record(TranslatorSettings, record.settings)
    again = Translator(settings.replace(course=record.training["course"], minutes=None))
    again.fit(PAIRS, reporter=Reporter(), baselines=False)
    for name, weight in task.model.state_dict().items():
        assert torch.equal(weight, again.model.state_dict()[name]), name


def test_a_resumed_training_keeps_its_plan(tmp_path, speed):
    options = {"hidden": 8, "embedding": 8, "epochs": 3, "device": "cpu"}
    whole = LanguageModel(**options).fit([TEXT], out=tmp_path / "m", reporter=Reporter(), baselines=False)
    resumed = LanguageModel(**options)
    resumed.fit([TEXT], out=tmp_path / "m", resume=True, reporter=Reporter(), baselines=False)
    assert resumed.settings == whole.settings
    assert resumed.record.metrics == whole.record.metrics
