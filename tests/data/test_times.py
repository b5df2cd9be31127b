"""Times of series: forms, frequencies, later times, and the calendar."""

from __future__ import annotations

import numpy as np
import pytest

from unspool.data.times import Clock, calendar_features, find_clock, parse_time, season_of
from unspool.errors import DataError


def times(*texts):
    return np.array([parse_time(text)[0] for text in texts])


@pytest.mark.parametrize(
    ("text", "expected", "resolution"),
    [
        ("2016-07-01 13:00:00", "2016-07-01T13:00:00", "second"),
        ("2016-07-01T13:00:00+02:00", "2016-07-01T11:00:00", "second"),
        ("2016-07-01", "2016-07-01T00:00:00", "day"),
        ("1949-01", "1949-01-01T00:00:00", "month"),
        ("1949", "1949-01-01T00:00:00", "year"),
        ("31.12.2020 23:30", "2020-12-31T23:30:00", "second"),
        ("12/31/2020", "2020-12-31T00:00:00", "day"),
        (1467378000, "2016-07-01T13:00:00", "second"),
        (1467378000000, "2016-07-01T13:00:00", "second"),
    ],
)
def test_a_time_is_read_in_its_form(text, expected, resolution):
    assert parse_time(text) == (np.datetime64(expected), resolution)


@pytest.mark.parametrize("text", ["soon", "", "12.5", "2020-13-01", "2016-07-01 13:00:00.5"])
def test_what_is_no_time_is_refused_with_its_place(text):
    with pytest.raises(DataError, match=r"file\.csv:7"):
        parse_time(text, "file.csv:7")


@pytest.mark.parametrize(
    ("texts", "name", "season", "following"),
    [
        (["2016-07-01 00:00", "2016-07-01 01:00", "2016-07-01 02:00"], "every hour", 24, "2016-07-01 03:00:00"),
        (["2016-07-01 00:00", "2016-07-01 00:15", "2016-07-01 00:45"], "every 15 minutes", 96, "2016-07-01 01:00:00"),
        (["2016-07-01", "2016-07-02", "2016-07-03"], "every day", 7, "2016-07-04"),
        (["2016-07-01", "2016-07-08", "2016-07-15"], "every week", 52, "2016-07-22"),
        (["2016-11-01", "2016-12-01", "2017-01-01"], "every month", 12, "2017-02-01"),
        (["2016-11-30", "2016-12-31", "2017-01-31"], "every month", 12, "2017-02-28"),
        (["2016-01", "2016-04", "2016-10"], "every 3 months", 4, "2017-01"),
        (["2016", "2017", "2018"], "every year", 1, "2019"),
        (
            ["2026-01-05", "2026-01-06", "2026-01-07", "2026-01-08", "2026-01-09", "2026-01-12"],
            "every business day",
            5,
            "2026-01-13",
        ),
    ],
)
def test_the_frequency_is_the_usual_distance(texts, name, season, following):
    grid = times(*texts)
    clock = find_clock(grid, parse_time(texts[0])[1], texts)
    assert (clock.name, season_of(clock)) == (name, season)
    assert clock.text(clock.later(grid[-1], 1)) == following
    assert all(clock.later(grid[0], clock.steps_between(grid[0], time)) == time for time in grid)


def test_a_time_off_the_grid_is_named():
    texts = ["2016-07-01 00:00", "2016-07-01 01:00", "2016-07-01 02:00", "2016-07-01 03:07"]
    with pytest.raises(DataError, match=r"t:4.*67 minutes after the time before, and most times come every hour"):
        find_clock(times(*texts), "second", [f"t:{number}" for number in range(1, 5)])


def test_the_calendar_has_what_the_frequency_makes_vary():
    hour, month = Clock("second", 3600, "second"), Clock("month", 1, "month")
    grid = hour.times(np.datetime64("2016-07-01T00:00:00"), 0, 24 * 366)
    features = calendar_features(hour, grid)
    names = {name.partition(" ")[2] for name in features}
    assert names == {"hour", "weekday", "day of the month", "month"}
    midnight = features["sin hour"][::24]
    assert np.allclose(midnight, 0, atol=1e-6)
    assert np.allclose(features["cos weekday"][: 24 * 7], features["cos weekday"][24 * 7 : 24 * 14])
    monday = np.datetime64("2016-07-04T00:00:00")
    assert calendar_features(hour, np.array([monday]))["cos weekday"][0] == pytest.approx(1.0)
    assert {name.partition(" ")[2] for name in calendar_features(month, times("2016-01", "2016-02"))} == {"month"}
    assert calendar_features(Clock("step", 1, "step"), grid[:3]) == {}
