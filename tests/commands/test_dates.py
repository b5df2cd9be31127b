"""Dates and datetimes: tables of forms on a Monday evening, the first from now on, and words that must come back."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.commands.english.dates import add_months, date_words
from unspool.commands.english.datetimes import datetime_words
from unspool.commands.kinds.moments import DateKind, DatetimeKind
from unspool.errors import SlotError

NOW = datetime(2026, 11, 30, 18, 0)  # a Monday
DATES = {
    "today": "2026-11-30", "tonight": "2026-11-30", "tomorrow": "2026-12-01", "yesterday": "2026-11-29",
    "the day after tomorrow": "2026-12-02", "day after tomorrow": "2026-12-02",
    "the day before yesterday": "2026-11-28", "friday": "2026-12-04", "Friday": "2026-12-04",
    "on friday": "2026-12-04", "fri": "2026-12-04", "sat": "2026-12-05", "this friday": "2026-12-04",
    "this coming friday": "2026-12-04", "next friday": "2026-12-11", "last friday": "2026-11-27",
    "friday next week": "2026-12-11", "monday": "2026-12-07", "this monday": "2026-11-30",
    "next monday": "2026-12-07", "last monday": "2026-11-23", "next week": "2026-12-07", "last week": "2026-11-23",
    "next month": "2026-12-30", "next year": "2027-11-30", "this weekend": "2026-12-05", "the weekend": "2026-12-05",
    "next weekend": "2026-12-12", "in two weeks": "2026-12-14", "in 3 days": "2026-12-03", "in a day": "2026-12-01",
    "in a couple of days": "2026-12-02", "in a month": "2026-12-30", "in three months": "2027-02-28",
    "in a year": "2027-11-30", "in a fortnight": "2026-12-14", "ten days from now": "2026-12-10",
    "a week from today": "2026-12-07", "a week from friday": "2026-12-11", "two weeks after tomorrow": "2026-12-15",
    "three days ago": "2026-11-27", "a year ago": "2025-11-30", "the 3rd of may": "2027-05-03",
    "the third of may": "2027-05-03", "3rd of May": "2027-05-03", "3 may": "2027-05-03", "may 3": "2027-05-03",
    "may 3rd": "2027-05-03", "may the third": "2027-05-03", "May 3rd, 2028": "2028-05-03", "3 May 2028": "2028-05-03",
    "the third of may twenty twenty-eight": "2028-05-03", "may third twenty thirty": "2030-05-03",
    "the 1st of may two thousand and thirty": "2030-05-01", "december 1": "2026-12-01", "november 30": "2026-11-30",
    "november 29": "2027-11-29", "29 february": "2028-02-29", "Sept. 5": "2027-09-05", "sep 5": "2027-09-05",
    "friday the 3rd of may": "2030-05-03", "Monday the third of May 2027": "2027-05-03",
    "monday, may 3 2027": "2027-05-03", "the 3rd": "2026-12-03", "the 30th": "2026-11-30", "the 31st": "2026-12-31",
    "the twenty-first": "2026-12-21", "2027-05-03": "2027-05-03", "3/5/2027": "2027-05-03",
    "03.05.2027": "2027-05-03", "3-5-2027": "2027-05-03", "3/5/27": "2027-05-03", "13/5/2027": "2027-05-13",
    "5/13/2027": "2027-05-13", "3/5": "2027-05-03", "christmas": "2026-12-25", "christmas eve": "2026-12-24",
    "new year's eve": "2026-12-31", "new year's day": "2027-01-01", "halloween 2030": "2030-10-31",
    "31 february": None, "the 32nd": None, "30/2/2027": None, "29/2/2027": None, "13/13/2027": None,
    "2027-13-01": None, "Tuesday the third of May 2027": None, "may": None, "five": None, "": None,
    "in five minutes": None, "soon": None, "in 99999999 days": None, "in 50000 years": None, "1/2/3/4": None,
    "monday tuesday": None,
}  # fmt: skip
DATETIMES = {
    "tomorrow at noon": "2026-12-01 12:00", "at noon tomorrow": "2026-12-01 12:00",
    "tomorrow at 6": "2026-12-01 06:00", "tomorrow at 3": "2026-12-01 15:00", "tomorrow at 12": "2026-12-01 12:00",
    "tomorrow, 7:30": "2026-12-01 07:30", "tomorrow 7 pm": "2026-12-01 19:00",
    "friday half past six": "2026-12-04 06:30", "friday at half past six pm": "2026-12-04 18:30",
    "on friday at 18:30": "2026-12-04 18:30", "7pm on friday": "2026-12-04 19:00",
    "at five on friday": "2026-12-04 17:00", "in ten minutes": "2026-11-30 18:10",
    "in an hour and a half": "2026-11-30 19:30", "in half an hour": "2026-11-30 18:30",
    "ten minutes from now": "2026-11-30 18:10", "in two days": "2026-12-02 18:00",
    "in two days at noon": "2026-12-02 12:00", "in a month": "2026-12-30 18:00",
    "in a month at 9": "2026-12-30 09:00", "half past six": "2026-11-30 18:30", "at 5": "2026-12-01 05:00",
    "noon": "2026-12-01 12:00", "18:00": "2026-12-01 18:00", "today at 7": "2026-11-30 19:00",
    "today at 7 am": "2026-11-30 07:00", "tonight": "2026-11-30 21:00", "tonight at nine": "2026-11-30 21:00",
    "nine tonight": "2026-11-30 21:00", "tonight at one": "2026-12-01 01:00", "midnight tonight": "2026-12-01 00:00",
    "this evening": "2026-11-30 19:00", "8 this evening": "2026-11-30 20:00", "tomorrow": "2026-12-01 09:00",
    "tomorrow morning": "2026-12-01 09:00", "tomorrow afternoon": "2026-12-01 15:00",
    "tomorrow evening at 7": "2026-12-01 19:00", "five tomorrow morning": "2026-12-01 05:00",
    "friday in the afternoon": "2026-12-04 15:00", "friday night": "2026-12-04 21:00",
    "next friday at 10": "2026-12-11 10:00", "may 3 at 5pm": "2027-05-03 17:00",
    "on the 3rd of may 2027 at 7:30": "2027-05-03 07:30", "the 3rd at noon": "2026-12-03 12:00",
    "2027-05-03 14:30": "2027-05-03 14:30", "2027-05-03T14:30": "2027-05-03 14:30",
    "3/5/2027 14:30": "2027-05-03 14:30", "3.5.2027, 14:30": "2027-05-03 14:30",
    "noon on christmas": "2026-12-25 12:00", "tomorrow at 25": None, "at": None, "ten minutes": None, "": None,
    "2027-05-03 at night at day": None,
}  # fmt: skip


@pytest.mark.parametrize(("text", "value"), DATES.items())
def test_a_form_means_its_date(text, value):
    if value is None:
        with pytest.raises(SlotError, match="is not a date; expected something like 'the 3rd of May'"):
            DateKind().parse(text, NOW)
    else:
        assert DateKind().parse(text, NOW) == date.fromisoformat(value)


@pytest.mark.parametrize(("text", "value"), DATETIMES.items())
def test_a_form_means_its_moment(text, value):
    if value is None:
        with pytest.raises(SlotError, match="is not a datetime; expected something like 'tomorrow at noon'"):
            DatetimeKind().parse(text, NOW)
    else:
        assert DatetimeKind().parse(text, NOW) == datetime.fromisoformat(value)


def test_the_order_of_day_and_month_is_a_setting():
    assert DateKind(day_first=False).parse("3/5/2027", NOW) == date(2027, 3, 5)
    assert DateKind(day_first=False).parse("3/5", NOW) == date(2027, 3, 5)
    assert DatetimeKind(day_first=False).parse("3/5/2027 at noon", NOW) == datetime(2027, 3, 5, 12)
    assert DateKind(day_first=False).parse("13/5/2027", NOW) == date(2027, 5, 13)


@pytest.mark.parametrize("weekday", range(7))
def test_a_weekday_is_within_the_next_seven_days_and_never_today(weekday):
    now = datetime(2026, 11, 30 - weekday, 9)
    for name in ("monday", "thursday", "sunday"):
        assert 1 <= (DateKind().parse(name, now) - now.date()).days <= 7
        assert 0 <= (DateKind().parse(f"this {name}", now) - now.date()).days <= 6
        monday = DateKind().parse("next monday", now)
        assert 0 <= (DateKind().parse(f"next {name}", now) - monday).days <= 6


def test_a_moment_keeps_the_time_zone_of_now():
    value = DatetimeKind().parse("tomorrow at noon", NOW.replace(tzinfo=UTC))
    assert value == datetime(2026, 12, 1, 12, tzinfo=UTC)
    later = DatetimeKind().parse("in ten minutes", NOW.replace(tzinfo=UTC))
    assert later == datetime(2026, 11, 30, 18, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "text", "spans"),
    [
        (DateKind(), "book a table on the 3rd for two", ["the 3rd"]),
        (DateKind(), "delete the 3rd entry", []),
        (DateKind(), "on friday, the 3rd of may, not on monday", ["friday, the 3rd of may", "monday"]),
        (DateKind(), "you may go, the sun sat on 3/5", []),
        (DateKind(), "from 1/2/2027 to 3/2/2027.", ["1/2/2027", "3/2/2027"]),
        (DateKind(), "what about may 3.", ["may 3"]),
        (DatetimeKind(), "remind me tomorrow at noon to eat", ["tomorrow at noon"]),
        (DatetimeKind(), "remind me to eat at noon tomorrow", ["at noon tomorrow"]),
        (DatetimeKind(), "call at half past six", ["half past six"]),
        (DatetimeKind(), "remind me in ten minutes to stir", ["in ten minutes"]),
        (DatetimeKind(), "a timer of ten minutes", []),
        (DatetimeKind(), "i have five eggs", []),
    ],
)
def test_dates_and_moments_are_found_in_a_sentence(kind, text, spans):
    places = kind.find(text, NOW)
    assert [text[start:end].removeprefix("at ") for start, end, _ in places] == [
        span.removeprefix("at ") for span in spans
    ]
    for start, end, value in places:
        assert kind.parse(text[start:end], NOW) == value


@given(st.dates(date(1900, 1, 1), date(2999, 12, 31)))
def test_a_date_is_read_from_its_words(value):
    assert DateKind().parse(date_words(value), NOW) == value
    assert DateKind().parse(value.isoformat(), NOW) == value


@given(st.datetimes(datetime(1900, 1, 1), datetime(2999, 12, 31)))
def test_a_moment_is_read_from_its_words(value):
    minute = value.replace(second=0, microsecond=0)
    assert DatetimeKind().parse(datetime_words(value), NOW) == minute


def test_months_are_added_as_the_calendar_has_them():
    assert add_months(date(2027, 1, 31), 1) == date(2027, 2, 28)
    assert add_months(date(2027, 1, 31), -11) == date(2026, 2, 28)
    with pytest.raises(OverflowError):
        add_months(date(9998, 12, 1), 1)
