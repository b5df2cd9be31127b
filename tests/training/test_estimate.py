"""The time that a run takes, told after its first seconds, on a clock that only the test moves."""

from __future__ import annotations

import io
import itertools
import re
from typing import Any

import pytest
from tiny_training import Crash as Crashed
from tiny_training import Windows, crash_at, language_model, train

from unspool.errors import for_command_line
from unspool.training import BarReporter, LineReporter, Reporter
from unspool.training.progress import duration


class Time:
    """Seconds that pass only where a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("unspool.training.clock.time.monotonic", lambda: self.now)

    def source(self, update: float, first: float = 0.0) -> Windows:
        """Seven batches an epoch, each of so many seconds; the first update of all takes longer."""
        source, more = Windows(), itertools.chain([first], itertools.repeat(0.0))

        def before(*_: int) -> None:
            self.now += update + next(more)

        source.before = before
        return source

    def validation(self, seconds: float) -> Any:
        def validate(_: Any) -> dict[str, float]:
            self.now += seconds
            return {"nats": 1.0}

        return validate


class Ear(Reporter):
    interval = 0.0

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.left: dict[int, float | None] = {}

    def note(self, text: str) -> None:
        self.notes.append(for_command_line(text))

    def progress(self, progress: Any) -> None:
        self.left[progress.update] = progress.seconds_left


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


def test_the_time_left_counts_validations_to_come_and_not_the_first_update(time, tmp_path):
    ear = Ear()
    train(
        language_model(),
        time.source(2.0, first=30.0),
        tmp_path,
        validate=time.validation(10.0),
        epochs=3,
        reporter=ear,
    )
    assert ear.left[1] == 32.0 * 20  # all that is known yet
    assert ear.left[2] == 2.0 * 19
    assert ear.left[7] == 2.0 * 14
    assert ear.left[8] == 2.0 * 13 + 2 * 10.0
    assert ear.left[14] == 2.0 * 7 + 2 * 10.0  # one is due
    assert ear.left[15] == 2.0 * 6 + 10.0
    assert ear.left[21] == 10.0


def test_a_validation_at_the_end_counts(time, tmp_path):
    ear = Ear()
    settings = {"validate": time.validation(10.0), "epochs": 2, "validate_every": 0.8, "reporter": ear}
    train(language_model(), time.source(2.0), tmp_path, **settings)  # after 5.6 and 11.2 updates, and after all 14
    assert ear.left[10] == 2.0 * 4 + 2 * 10.0
    assert ear.left[13] == 2.0 + 10.0


def test_the_estimate_is_told_once_and_again_with_validation(time, tmp_path):
    ear = Ear()
    train(language_model(), time.source(2.0), tmp_path, validate=time.validation(9.0), epochs=4, reporter=ear)
    assert ear.notes == [
        "estimate: about 50 seconds left, validation not yet counted",
        "estimate: about 69 seconds left, validation included",
    ]


def test_a_validation_that_takes_no_time_is_not_told(time, tmp_path):
    ear = Ear()
    train(language_model(), time.source(2.0), tmp_path, validate=time.validation(0.1), epochs=4, reporter=ear)
    assert ear.notes == ["estimate: about 50 seconds left, validation not yet counted"]


def test_a_first_epoch_of_no_time_is_told_with_its_validation(time, tmp_path):
    ear = Ear()
    train(language_model(), time.source(0.5), tmp_path, validate=time.validation(30.0), epochs=4, reporter=ear)
    assert ear.notes == ["estimate: about 2 minutes left, validation included"]


def test_without_validation_and_with_patience_or_a_time_limit(time, tmp_path):
    ear = Ear()
    train(language_model(), time.source(3.0), tmp_path / "a", validate=None, epochs=4, reporter=ear)
    assert ear.notes.pop() == "estimate: about 78 seconds left"
    train(language_model(), time.source(3.0), tmp_path / "b", epochs=4, patience=9, reporter=ear)
    assert ear.notes.pop() == "estimate: at most 78 seconds left, validation not yet counted"
    train(language_model(), time.source(3.0), tmp_path / "c", validate=None, epochs=400, minutes=1.0, reporter=ear)
    assert ear.notes == ["estimate: about 54 seconds left"]


def test_what_takes_seconds_is_not_estimated(time, tmp_path):
    ear = Ear()
    train(language_model(), time.source(0.4), tmp_path / "a", epochs=2, reporter=ear)  # 5.6 seconds in all
    assert ear.notes == []


def test_a_long_run_says_what_would_shorten_it(time, tmp_path):
    ear, model = Ear(), language_model()
    rest = {"reporter": ear, "epochs": 40, "shorten": ["a nap"]}
    train(model, time.source(10.0), tmp_path / "a", validate=time.validation(1.0), **rest)
    assert ear.notes == [
        "estimate: about 46 minutes left, validation not yet counted; to shorten it: a nap, "
        "fewer epochs (--epochs N, now 40), a time limit (--minutes N)"
    ]
    ear.notes.clear()
    train(model, time.source(10.0), tmp_path / "b", validate=time.validation(300.0), validate_every=2, **rest)
    assert ear.notes[1].startswith(
        "estimate: about 2.3 hours left, validation included; to shorten it: rarer validation"
    )
    assert "(--validate-every N, now 2), a nap, fewer epochs" in ear.notes[1]


def test_a_run_that_goes_on_is_estimated_by_its_own_pace(time, tmp_path):
    source = time.source(1.0)
    before = source.before

    def slow_then_dead(epoch: int, index: int) -> None:
        before(epoch, index)
        time.now += 100
        crash_at(1, 3)(epoch, index)

    source.before = slow_then_dead
    with pytest.raises(Crashed):
        train(language_model(), source, tmp_path, epochs=4)
    ear = Ear()
    train(language_model(), time.source(2.0), tmp_path, epochs=4, resume=True, reporter=ear)
    # the checkpoint is that of the first epoch's end; 21 updates are to come, three of them done
    assert ear.notes == ["estimate: about 36 seconds left, validation not yet counted"]


@pytest.mark.parametrize("kind", [LineReporter, BarReporter])
def test_lines_and_bars_both_tell_it(kind, time, tmp_path):
    stream = io.StringIO()
    train(language_model(), time.source(2.0), tmp_path, epochs=4, reporter=kind(stream))
    assert (
        len(re.findall(r"^estimate: about 50 seconds left, validation not yet counted$", stream.getvalue(), re.M)) == 1
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (5.4, "5 seconds"),
        (89.4, "89 seconds"),
        (90, "2 minutes"),
        (2100, "35 minutes"),
        (5399, "90 minutes"),
        (5400, "1.5 hours"),
        (129_000, "35.8 hours"),
        (180_000, "2.1 days"),
    ],
)
def test_durations_in_words(seconds, text):
    assert duration(seconds) == text
