"""Clock times: a table of forms at six in the evening, the open half of the day, and words that must come back."""

from __future__ import annotations

from datetime import datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.commands.english.clock import time_words
from unspool.commands.kinds.moments import TimeKind
from unspool.errors import SlotError

NOW = datetime(2026, 11, 30, 18, 0)
FORMS = {
    "7:30": "19:30", "07:30": "07:30", "7:30 am": "07:30", "7:30am": "07:30", "7:30 pm": "19:30", "7.30": "19:30",
    "7.30pm": "19:30", "7:30 p.m.": "19:30", "19:30": "19:30", "19h30": "19:30", "0:15": "00:15", "00:00": "00:00",
    "12:30": "00:30", "12:30 pm": "12:30", "12:30 am": "00:30", "23:59:58": "23:59:58", "5:10": "05:10",
    "24:00": None, "7:60": None, "7:5": None, "25:00": None, "7": "19:00", "at 7": "19:00", "seven": "19:00",
    "five": "05:00", "7am": "07:00", "7 pm": "19:00", "seven a.m.": "07:00", "seven a m": "07:00",
    "seven p m": "19:00", "12 pm": "12:00", "12 am": "00:00", "13": "13:00", "noon": "12:00", "midday": "12:00",
    "midnight": "00:00", "twelve noon": "12:00", "12 midnight": "00:00", "9 o'clock": "21:00",
    "nine o’clock": "21:00", "9 o'clock in the evening": "21:00", "nine oclock in the morning": "09:00",
    "six in the morning": "06:00", "three in the afternoon": "15:00", "eleven at night": "23:00",
    "one at night": "01:00", "half past seven": "19:30", "half past five": "05:30", "half seven": "19:30",
    "quarter past six": "18:15", "a quarter past six": "18:15", "quarter to nine": "20:45",
    "quarter to 9 pm": "20:45", "a quarter to one": "00:45", "quarter of nine": "20:45", "ten past five": "05:10",
    "ten to five": "04:50", "ten minutes to five": "04:50", "20 past 7": "19:20", "twenty-five to six pm": "17:35",
    "twenty five past noon": "12:25", "quarter to midnight": "23:45", "quarter past midnight": "00:15",
    "ten after eight": "20:10", "ten till eight": "19:50", "half past nineteen": "19:30", "five twenty": "05:20",
    "seven thirty": "19:30", "seven-thirty": "19:30", "five oh five": "05:05", "six forty-five p.m.": "18:45",
    "seven thirty in the morning": "07:30", "twenty fifteen": "20:15", "7 30 pm": "19:30",
    "nineteen hundred hours": "19:00", "nineteen thirty hours": "19:30", "oh seven hundred hours": "07:00",
    "oh seven hundred": "07:00", "zero six thirty hours": "06:30", "1900 hours": "19:00", "0715 hours": "07:15",
    "2500 hours": None, "twenty-five o'clock": None, "half past": None, "ten minutes": None, "five percent": None,
    "": None, "noonish": None, "half past sixty": None, "five sixty": None,
}  # fmt: skip


@pytest.mark.parametrize(("text", "value"), FORMS.items())
def test_a_form_means_its_time(text, value):
    if value is None:
        with pytest.raises(SlotError, match="is not a time; expected something like 'half past six'"):
            TimeKind().parse(text, NOW)
    else:
        assert TimeKind().parse(text, NOW) == time.fromisoformat(value)


@pytest.mark.parametrize(
    ("now", "value"),
    [((6, 59), "07:00"), ((7, 0), "19:00"), ((18, 59), "19:00"), ((19, 0), "07:00"), ((23, 30), "07:00")],
)
def test_the_open_half_of_the_day_is_the_next_one(now, value):
    assert TimeKind().parse("seven", datetime(2026, 11, 30, *now)) == time.fromisoformat(value)


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("wake me at half past six please", ["half past six"]),
        ("wake me at five", ["five"]),
        ("i need five eggs by ten", ["ten"]),
        ("turn it up five times", []),
        ("set an alarm for five twenty.", ["five twenty"]),
        ("from 7:30 to 9:45 pm", ["7:30", "9:45 pm"]),
        ("at 20.5 degrees", []),
        ("at ten percent", []),
        ("in five minutes", []),
        ("meet at noon, not at 7 p.m.", ["noon", "7 p.m."]),
        ("at six.", ["six"]),
        ("add twenty five to my list", []),
    ],
)
def test_times_are_found_in_a_sentence(text, spans):
    places = TimeKind().find(text, NOW)
    assert [text[start:end] for start, end, _ in places] == spans
    for start, end, value in places:
        assert TimeKind().parse(text[start:end], NOW) == value


@given(st.times())
def test_a_time_is_read_from_its_words(value):
    value = value.replace(microsecond=0)
    assert TimeKind().parse(time_words(value), NOW) == value
    minute = value.replace(second=0)
    assert TimeKind().parse(time_words(minute), NOW) == minute
