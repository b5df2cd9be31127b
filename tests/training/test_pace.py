"""Progress under a time limit: it follows the clock, and its knots repeat it exactly."""

import itertools
import random

import pytest
import torch
from tiny_training import Windows, language_model, train

from unspool.errors import SettingError
from unspool.training.pace import Pace, read_course, write_course


def test_without_a_limit_progress_is_the_share_of_updates():
    pace = Pace(8, [])
    assert [pace.at(update) for update in (0, 1, 6, 8, 9)] == [0, 1 / 8, 6 / 8, 1, 1]
    assert pace.course(8) is None


def drive(seconds_of, limit, updates=100_000):
    """Train by a simulated clock; return the pace, and the progress before each update."""
    pace, spent, update, course = Pace(updates, [], timed=True), 0.0, 0, []
    while spent < limit and update < updates:
        course.append(pace.at(update))
        spent += seconds_of(update)
        update += 1
        pace.revise(update, spent / update, limit - spent)
    return pace, course


def test_progress_ends_with_the_time_at_a_steady_speed():
    pace, course = drive(lambda update: 0.5, 600)
    assert len(course) == 1200
    assert course[600] == pytest.approx(0.5, abs=0.01)
    assert course[-1] > 0.99
    assert len(pace.knots) < 5


@pytest.mark.parametrize("change", [0.4, 2.5])
def test_progress_ends_with_the_time_when_the_speed_changes(change):
    pace, course = drive(lambda update: 0.5 if update < 500 else 0.5 * change, 600)
    assert all(before <= after for before, after in itertools.pairwise(course))
    assert 0.97 < course[-1] <= 1
    assert len(pace.knots) < 200


def test_epochs_end_a_training_that_the_limit_does_not():
    pace, course = drive(lambda update: 0.5, 600, updates=300)
    assert course == pytest.approx([update / 300 for update in range(300)])
    assert pace.course(300).startswith("0:0.0:")


def test_a_training_that_outlasts_its_schedule_is_repeated_to_its_end():
    pace = Pace(10, [(0, 0.0, 0.25)], timed=True)
    assert pace.at(4) == pace.at(6) == 1
    again = Pace(10, read_course(pace.course(6)))
    assert [again.ends(update) for update in (4, 5, 6)] == [False, False, True]


def test_the_course_repeats_the_progress_to_the_bit():
    noise = random.Random(3)
    pace, course = drive(lambda update: noise.uniform(0.1, 1.5), 300)
    again = Pace(7, read_course(pace.course(len(course))))
    assert [again.at(update) for update in range(len(course))] == course
    assert again.at(len(course)) == 1
    assert [again.ends(len(course) + more) for more in (-1, 0, 1)] == [False, True, True]
    assert write_course(again.knots) == pace.course(len(course))


@pytest.mark.parametrize(
    "text", ["", "5:0.1:0.1", "0:0", "0:0:x", "0:0:1 0:0:1", "0:2:1", "0:0:-1", "0:0:inf", "0:0:nan", "0:0:1:4"]
)
def test_what_is_no_course_is_refused(text):
    with pytest.raises(SettingError, match="course = "):
        read_course(text)


def test_a_training_repeats_a_recorded_course_bit_by_bit(tmp_path):
    options = {"epochs": 900, "schedule": "linear", "warmup": 3, "average": "ema"}
    first = language_model()
    result = train(first, Windows(), tmp_path / "a", minutes=0.01, **options)
    assert result.stopped == "minutes"
    assert result.updates < 900 * 7
    second = language_model()
    again = train(second, Windows(), tmp_path / "b", course=result.course, **options)
    assert (again.stopped, again.updates, again.best, again.course) == (
        "minutes", result.updates, result.best, result.course,
    )  # fmt: skip
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, second.state_dict()[name]), name
