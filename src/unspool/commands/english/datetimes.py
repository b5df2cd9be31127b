"""Datetimes: `tomorrow at noon`, `friday half past six`, `in ten minutes`, and their words."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from unspool.commands.english.clock import ClockTime, match_clock, next_time, time_words
from unspool.commands.english.dates import date_words, match_date
from unspool.commands.english.durations import match_duration
from unspool.commands.tokens import Match, Token, word_at

__all__ = ["PARTS_OF_DAY", "datetime_words", "match_datetime"]

PARTS_OF_DAY = {"morning": 9, "afternoon": 15, "evening": 19, "night": 21}
"""Hour that a part of the day without a clock time means."""

_MONTHS = ("month", "months", "year", "years")


def match_datetime(
    tokens: list[Token], start: int, now: datetime, *, day_first: bool = True, loose: bool = False
) -> Match[datetime] | None:
    """Match a datetime at a token; what is left open means the first such moment after `now`.

    A date alone means nine in the morning. On another day than today, an hour without its half of the day lies
    between six in the morning and six in the evening.
    """
    now = now.replace(microsecond=0)
    try:
        return (
            _match_offset(tokens, start, now)
            or _match_day_first(tokens, start, now, day_first, loose)
            or _match_time_first(tokens, start, now, day_first, loose)
        )
    except OverflowError:
        return None


def datetime_words(value: datetime) -> str:
    """Return a datetime in words, to the minute: `Monday the third of May 2027 at six thirty p.m.`."""
    return f"{date_words(value.date())} at {time_words(value.time().replace(second=0, microsecond=0))}"


def _match_offset(tokens: list[Token], start: int, now: datetime) -> Match[datetime] | None:
    """Match `in ten minutes`, `ten minutes from now`, `in a month`; `in two weeks at noon` is a date with a time."""
    begins_in = word_at(tokens, start) == "in"
    duration = match_duration(tokens, start + begins_in)
    if duration is not None:
        end, moment = duration[0], now + duration[1]
    else:
        day = match_date(tokens, start, now.date())
        unit = 0 if day is None else day[0] - (1 if begins_in else 3)
        if day is None or word_at(tokens, unit) not in _MONTHS:
            return None
        end, moment = unit + 1, datetime.combine(day[1], now.timetz())
    if not begins_in:
        return (end + 2, moment) if (word_at(tokens, end), word_at(tokens, end + 1)) == ("from", "now") else None
    is_date = word_at(tokens, end) == "at" and match_date(tokens, start, now.date()) is not None
    return None if is_date else (end, moment)


def _match_day_first(
    tokens: list[Token], start: int, now: datetime, day_first: bool, loose: bool
) -> Match[datetime] | None:
    """Match `tomorrow at noon`, `friday evening`, `tonight at nine`, `2027-05-03T14:30`, `the 3rd of may`."""
    part = ""
    if word_at(tokens, start) == "this" and word_at(tokens, start + 1) in PARTS_OF_DAY:
        end, day, part = start + 2, now.date(), word_at(tokens, start + 1)
    else:
        match = match_date(tokens, start, now.date(), day_first=day_first, loose=loose)
        if match is None:
            return None
        end, day = match
        if word_at(tokens, end - 1) == "tonight":
            part = "night"
        elif word_at(tokens, end) in PARTS_OF_DAY:
            end, part = end + 1, word_at(tokens, end)
    index = end + (word_at(tokens, end) in (",", "t"))
    says_at = word_at(tokens, index) in ("at", "around", "about", "by")
    clock = match_clock(tokens, index + says_at, loose=says_at)
    if clock is not None:
        return clock[0], _in_part(day, clock[1], part, now)
    in_part = word_at(tokens, index) == "in" and word_at(tokens, index + 1) == "the"
    if in_part and word_at(tokens, index + 2) in PARTS_OF_DAY:
        end, part = index + 3, word_at(tokens, index + 2)
    return end, _combine(day, time(PARTS_OF_DAY[part or "morning"]), now)


def _match_time_first(
    tokens: list[Token], start: int, now: datetime, day_first: bool, loose: bool
) -> Match[datetime] | None:
    """Match `at noon tomorrow`, `7pm on friday`, `eight tonight`, `half past six`."""
    begins_at = word_at(tokens, start) == "at"
    match = match_clock(tokens, start + begins_at, loose=True)
    if match is None:
        return None
    end, clock = match
    index = end + (word_at(tokens, end) in ("on", ","))
    if word_at(tokens, index) == "this" and word_at(tokens, index + 1) in PARTS_OF_DAY:
        return index + 2, _in_part(now.date(), clock, tokens[index + 1].text, now)
    day = match_date(tokens, index, now.date(), day_first=day_first, loose=index > end)
    if day is not None:
        after = day[0]
        part = "night" if word_at(tokens, after - 1) == "tonight" else ""
        if word_at(tokens, after) in PARTS_OF_DAY:
            part, after = word_at(tokens, after), after + 1
        return after, _in_part(day[1], clock, part, now)
    strict = match_clock(tokens, start + begins_at, loose=loose)
    return None if strict is None else (strict[0], next_time(strict[1], now))


def _in_part(day: date, clock: ClockTime, part: str, now: datetime) -> datetime:
    """Return a clock time in a part of a day, or of any part; the night of a day goes on until six."""
    if not part:
        return _at(day, clock, now)
    clock = clock.in_part(part)
    return _combine(day + timedelta(days=part == "night" and clock.hour < 6), clock.at, now)


def _at(day: date, clock: ClockTime, now: datetime) -> datetime:
    """Return a clock time on a day; today, of two possible ones, the first still to come."""
    if day == now.date() and clock.twelve_hours:
        early, late = (_combine(day, clock._replace(hour=clock.hour + hours).at, now) for hours in (0, 12))
        return early if early > now else late
    return _combine(day, clock.on_a_day(), now)


def _combine(day: date, at: time, now: datetime) -> datetime:
    return datetime.combine(day, at, tzinfo=now.tzinfo)
