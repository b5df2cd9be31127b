"""Reporters that end a training, callbacks beside the bar, and the events that `logging` gets."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from typing import Any

import pytest
import torch
from tiny_training import Windows, assert_same_bits, language_model, state_of, train

from unspool import Cell, Classifier, unroll
from unspool.cells import LSTMCell
from unspool.engine import Stepper
from unspool.errors import TrainingError, UsageError
from unspool.training import LineReporter, LogReporter, Progress, Reporter
from unspool.training.callbacks import together

SMALL: dict[str, Any] = {"hidden": 5, "embedding": 6, "epochs": 4, "batch_tokens": 40, "threads": 1}


class Hears(Reporter):
    """Remembers what it hears, and ends the training at an epoch or an update."""

    def __init__(self, *, epoch: float | None = None, update: int | None = None) -> None:
        self.interval = 0.0 if update is not None else float("inf")
        self.epoch, self.update, self.heard = epoch, update, []

    def started(self, text: str, progress: Progress) -> None:
        self.heard.append("started")

    def progress(self, progress: Progress) -> None:
        if progress.update == self.update:
            self.stop()

    def validated(self, progress: Progress, metrics: dict[str, float], improved: bool) -> None:
        self.heard.append(("validated", progress.epoch, metrics))
        if progress.epoch == self.epoch:
            self.stop()

    def finished(self, text: str) -> None:
        self.heard.append(text)


def test_a_reporter_ends_a_training_at_a_validation(tmp_path):
    hears = Hears(epoch=2)
    model = language_model()
    result = train(model, Windows(), tmp_path / "a", epochs=5, reporter=hears)
    assert (result.stopped, result.epoch, result.updates) == ("reporter", 2, 14)
    assert [event[1] for event in hears.heard if event[0] == "validated"] == [1, 2]
    assert hears.heard[-1].startswith("stopped after 2 epochs")
    two = language_model()
    train(two, Windows(), tmp_path / "b", epochs=2)
    assert_same_bits(model, two)


def test_a_reporter_ends_a_training_between_validations_and_it_can_go_on(tmp_path):
    model = language_model()
    result = train(model, Windows(), tmp_path / "a", epochs=3, reporter=Hears(update=10))
    assert (result.stopped, result.updates) == ("reporter", 11)  # the request is heard after the update under way
    assert result.best_epoch in (1, 11 / 7)  # what stands at the end is validated too
    whole = language_model()
    train(whole, Windows(), tmp_path / "whole", epochs=3)
    before = state_of(whole)
    resumed = language_model()
    again = train(resumed, Windows(), tmp_path / "a", epochs=3, reporter=Hears(), resume=True)
    assert (again.stopped, again.updates) == ("done", 21)
    assert_same_bits(resumed, before)


def test_a_request_of_one_training_does_not_end_the_next(tmp_path):
    hears = Hears()
    hears.stop()
    assert train(language_model(), Windows(), tmp_path, epochs=2, reporter=hears).stopped == "done"


@pytest.fixture
def reviews(tmp_path):
    path = tmp_path / "reviews.tsv"
    rows = ["a joy\tpos", "a bore\tneg", "what a gem\tpos", "such a mess\tneg"] * 6
    path.write_text("text\tlabel\n" + "\n".join(rows) + "\n")
    return path


def test_callbacks_stand_beside_the_reporter(reviews):
    lines, heard = io.StringIO(), []

    def record(progress: Progress, metrics: dict[str, float]) -> bool:
        heard.append((progress.epoch, metrics["accuracy"]))
        return progress.epoch == 2

    hears = Hears()
    task = Classifier(**SMALL).fit(reviews, reporter=LineReporter(lines), callbacks=[record, hears])
    assert task.record.training["stopped"] == "reporter"
    assert [epoch for epoch, _ in heard] == [1, 2]
    assert [(event[1], event[2]["accuracy"]) for event in hears.heard if event[0] == "validated"] == heard
    assert lines.getvalue().count("epoch 1 ") == 1
    assert "network: bidirectional lstm" in lines.getvalue()


def test_a_callback_that_returns_something_else_ends_nothing(reviews):
    log: list[Any] = []
    task = Classifier(**SMALL).fit(
        reviews, reporter=Reporter(), callbacks=[lambda progress, metrics: log.append(metrics) or 1]
    )
    assert len(log) == 4
    assert task.record.training["stopped"] == "done"


@pytest.mark.parametrize("callback", [3, Hears, "print"])
def test_what_is_no_callback_is_refused(reviews, tmp_path, callback):
    with pytest.raises(UsageError, match="callbacks holds"):
        Classifier(**SMALL).fit(reviews, out=tmp_path / "m", callbacks=[callback])
    assert not (tmp_path / "m").exists()


def test_what_a_callback_raises_ends_the_training_and_is_not_swallowed(reviews):
    def fails(progress: Progress, metrics: dict[str, float]) -> None:
        raise TrainingError("enough")

    with pytest.raises(TrainingError, match="enough"):
        Classifier(**SMALL).fit(reviews, reporter=Reporter(), callbacks=[fails])


def test_each_reporter_is_called_at_its_own_interval():
    quick, slow = Hears(update=-1), LineReporter(io.StringIO(), interval=1000.0)
    several = together(slow, [quick])
    assert several.interval == 0
    assert several.talks is True
    assert together(Reporter(), [quick]).talks is False
    position = Progress(
        epoch=1, epochs=2, update=-1, updates=9, loss=None, metric="a", value=None, best=None, learning_rate=1,
        tokens_per_second=1, seconds=1, seconds_left=None,
    )  # fmt: skip
    several.progress(position)
    assert slow._stream.getvalue() == ""
    assert quick.take_stop() is True
    assert several.take_stop() is False


def test_events_of_a_training_are_logged(reviews, caplog):
    with caplog.at_level(logging.INFO, logger="unspool"):
        Classifier(**SMALL, learning_rate=1e-9).fit(reviews, reporter=Reporter(), baselines=True)
    events = [record for record in caplog.records if record.name == "unspool.training"]
    texts = [record.getMessage() for record in events]
    assert any(text.startswith("training: ") for text in texts)
    assert [text.partition("  ")[0] for text in texts if text.startswith("epoch ")] == [
        f"epoch {n}" for n in range(1, 5)
    ]
    assert any(text.startswith("done after 4 epochs") for text in texts)
    assert not any("\x1d" in text for text in texts)
    warnings = [record.getMessage() for record in events if record.levelno == logging.WARNING]
    assert warnings
    assert all("does as well as this network" in text for text in warnings)


def test_choices_of_the_engine_are_logged_once_per_cell_and_path(caplog):
    cell, other = LSTMCell(3, 4), LSTMCell(3, 4)
    inputs = torch.zeros(5, 2, 3)
    with caplog.at_level(logging.INFO, logger="unspool.engine"):
        unroll(cell, inputs)  # unheard
    with caplog.at_level(logging.DEBUG, logger="unspool.engine"), torch.no_grad():
        for _ in range(3):
            unroll(cell, inputs, backend="reference")
        unroll(cell, inputs)
        unroll(other, inputs, backend="reference")
        stepper = Stepper(cell)
        for _ in range(2):
            stepper(inputs[0], cell.initial_state(2))
    messages = [record.getMessage() for record in caplog.records if record.name == "unspool.engine"]
    assert all(record.levelno == logging.DEBUG for record in caplog.records)
    assert sum("runs on the reference path" in text for text in messages) == 2
    assert len(messages) == len({(number < 1, text) for number, text in enumerate(messages)})
    assert len(messages) == 3
    assert isinstance(cell, Cell)


def test_nothing_is_logged_to_the_terminal_unasked(reviews):
    program = (
        "import sys\nfrom unspool import Classifier\nfrom unspool.training import Reporter\n"
        "model = Classifier(hidden=4, embedding=4, epochs=1, learning_rate=1e-9, threads=1)\n"
        "model.fit(sys.argv[1], reporter=Reporter())\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(reviews)], capture_output=True, text=True, check=True)
    assert done.stderr == done.stdout == ""


def test_the_log_reporter_can_stand_alone(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="unspool"):
        train(language_model(), Windows(), tmp_path, epochs=1, reporter=LogReporter())
    assert [record.getMessage().split()[0] for record in caplog.records] == ["training:", "epoch", "done"]
