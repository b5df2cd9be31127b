"""Durations: a table of forms, and words that must come back."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.commands.english.durations import duration_words, match_duration
from unspool.commands.kinds.moments import DurationKind
from unspool.commands.tokens import match_whole
from unspool.errors import SlotError

NOW = datetime(2026, 11, 30, 18, 0)
FORMS = {
    "ten minutes": 600, "10 minutes": 600, "10 min": 600, "10min": 600, "10m": 600, "10 mins": 600, "ten minute": 600,
    "ten-minute": 600, "10-minute": 600, "a minute": 60, "one minute": 60, "half a minute": 30,
    "two and a half minutes": 150, "2.5 minutes": 150, "two minutes and a half": 150, "a minute and a half": 90,
    "1½ hours": 5400, "90 secs": 90, "90 seconds": 90, "ninety seconds": 90, "90s": 90, "90 s": 90, "a second": 1,
    "1.5 s": 1.5, "250 ms": 0.25, "half an hour": 1800, "half-an-hour": None, "a half hour": 1800, "half hour": 1800,
    "half-hour": 1800, "a quarter of an hour": 900, "quarter of an hour": 900, "quarter hour": 900,
    "three quarters of an hour": 2700, "an hour": 3600, "an hour and a half": 5400, "one and a half hours": 5400,
    "an hour and a quarter": 4500, "two and a quarter hours": 8100, "hour and a half": 5400,
    "an hour and ten minutes": 4200, "an hour ten": 4200, "one hour thirty": 5400,
    "one hour and thirty minutes": 5400, "1h30": 5400, "1h 30m": 5400, "1h30m": 5400, "1 h 30": None, "2 hrs": 7200,
    "1 hr 5 min 10 sec": 3910, "2 hours, 10 minutes and 5 seconds": 7805, "an hour and half a minute": 3630,
    "1:30:00": 5400, "0:05:30": 330, "12:00:00": 43200, "1:30": None, "1:75:00": None, "a day": 86400,
    "half a day": 43200, "two days": 172800, "a day and a half": 129600, "two days and six hours": 194400,
    "a week": 604800, "2 weeks": 1209600, "two weeks and a day": 1296000, "a fortnight": 1209600,
    "a couple of minutes": 120, "a couple hours": 7200, "half a dozen hours": 21600,
    "a hundred and twenty minutes": 7200, "1,000 seconds": 1000, "five minutes thirty": 330,
    "for about ten minutes": 600, "ten minutes, please": 600, "zero seconds": 0, "ten": None, "minutes": None,
    "a few minutes": None, "minus ten minutes": None, "an hour and": None, "": None, "ten minutes ten minutes": None,
    "a month": None, "2 years": None, "ten minutes and an hour": None, "999999999999999 weeks": None,
}  # fmt: skip


@pytest.mark.parametrize(("text", "seconds"), FORMS.items())
def test_a_form_means_its_duration(text, seconds):
    value = match_whole(text, match_duration)
    assert value == (None if seconds is None else timedelta(seconds=seconds))
    if seconds is None:
        with pytest.raises(SlotError, match="is not a duration; expected something like 'ten minutes'"):
            DurationKind().parse(text, NOW)


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("set a timer for ten minutes and call it tea", ["ten minutes"]),
        ("timer, an hour and a half please", ["an hour and a half"]),
        ("a ten-minute timer", ["ten-minute"]),
        ("first 5 min, then 90s.", ["5 min", "90s"]),
        ("an hour and 2 eggs", ["an hour"]),
        ("wait an hour, then two minutes", ["an hour", "two minutes"]),
        ("i have two hours three times", ["two hours"]),
        ("the minutes of the second day", []),
        ("remind me at five", []),
    ],
)
def test_durations_are_found_in_a_sentence(text, spans):
    places = DurationKind().find(text, NOW)
    assert [text[start:end] for start, end, _ in places] == spans
    for start, end, value in places:
        assert DurationKind().parse(text[start:end], NOW) == value


@given(st.timedeltas(timedelta(0), timedelta(days=4000)))
def test_a_duration_is_read_from_its_words(value):
    assert DurationKind().parse(duration_words(value), NOW) == value


def test_words_of_durations():
    assert duration_words(timedelta(minutes=90)) == "one hour and thirty minutes"
    assert duration_words(timedelta(days=14)) == "two weeks"
    assert duration_words(timedelta(days=1, hours=2, seconds=1.5)) == "one day, two hours and one point five seconds"
