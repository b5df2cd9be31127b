"""Clock times: `half past six`, `quarter to 9 pm`, `7:30`, `noon`, `nineteen hundred hours`, and their words."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import NamedTuple

from unspool.commands.english.numbers import match_cardinal, match_number, number_words
from unspool.commands.tokens import Match, Token, word_at

__all__ = ["ClockTime", "match_clock", "match_part_of_day", "match_time", "next_time", "time_words"]

_NAMED = {"noon": 12, "midday": 12, "midnight": 0}
_PAST, _TO = ("past", "after"), ("to", "till", "til", "before")
_PREPOSITIONS = ("at", "by", "until", "till", "before", "from", "around", "about")
_PARTS = ("morning", "afternoon", "evening", "night")
_O_CLOCK = ("o'clock", "oclock")


class ClockTime(NamedTuple):
    """A clock time in a text."""

    hour: int
    minute: int
    second: int = 0
    twelve_hours: bool = False
    """Whether the text leaves open which half of the day is meant; the hour is then between 0 and 11."""

    @property
    def at(self) -> time:
        """The clock time; of two possible ones that before noon."""
        return time(self.hour, self.minute, self.second)

    def in_part(self, part: str) -> ClockTime:
        """Return the time in a part of the day: `am`, `pm`, `morning`, `afternoon`, `evening`, `night`."""
        if not self.twelve_hours:
            return self
        late = part in ("pm", "afternoon", "evening") and not (part == "evening" and self.hour == 0)
        late = late or (part == "night" and self.hour >= 6)
        return self._replace(hour=self.hour + 12 * late, twelve_hours=False)

    def on_a_day(self) -> time:
        """Return the time on another day than today: from six in the morning to before six in the evening."""
        return self._replace(hour=self.hour + 12 * (self.twelve_hours and self.hour < 6)).at


def match_time(tokens: list[Token], start: int, now: datetime, *, loose: bool = False) -> Match[time] | None:
    """Match a clock time at a token; where the half of the day is open, the next such time after `now`."""
    match = match_clock(tokens, start, loose=loose)
    if match is None:
        return None
    return match[0], next_time(match[1], now).time()


def next_time(clock: ClockTime, now: datetime) -> datetime:
    """Return the next moment after `now` that a clock shows a time."""
    hours = (clock.hour, clock.hour + 12) if clock.twelve_hours else (clock.hour,)
    today = [now.replace(hour=hour, minute=clock.minute, second=clock.second, microsecond=0) for hour in hours]
    return min(moment if moment > now else moment + timedelta(days=1) for moment in today)


def match_clock(tokens: list[Token], start: int, *, loose: bool = False) -> Match[ClockTime] | None:
    """Match a clock time at a token.

    Args:
        tokens: Tokens of the text.
        start: Index of the first token.
        loose: Whether an hour alone (`five`) or `7.30` is a time. Without it, an hour alone is one after `at` or `by`.
    """
    loose = loose or word_at(tokens, start - 1) in _PREPOSITIONS
    match = (
        _match_named(tokens, start)
        or _match_military(tokens, start)
        or _match_relative(tokens, start)
        or _match_digital(tokens, start, loose)
        or _match_hour(tokens, start, loose)
    )
    if match is None:
        return None
    end, clock = match
    part = match_part_of_day(tokens, end)
    return (part[0], clock.in_part(part[1])) if part is not None else match


def match_part_of_day(tokens: list[Token], start: int) -> Match[str] | None:
    """Match `am`, `p.m.`, `in the evening`, `at night` after a time."""
    word = word_at(tokens, start)
    if word in ("am", "pm"):
        return start + 1, word
    if word in ("a", "p"):
        dotted = word_at(tokens, start + 1) == "." and tokens[start + 1].glued
        index = start + 1 + dotted
        if word_at(tokens, index) == "m":
            end = index + 1
            closes = dotted and word_at(tokens, end) == "." and tokens[end].glued
            return end + closes, f"{word}m"
        return None
    if (word, word_at(tokens, start + 1)) == ("at", "night"):
        return start + 2, "night"
    if word == "in" and word_at(tokens, start + 1) == "the" and word_at(tokens, start + 2) in _PARTS:
        return start + 3, tokens[start + 2].text
    return None


def time_words(value: time) -> str:
    """Return a clock time in words: `six thirty p.m.`, `noon`."""
    if value.second or value.microsecond:
        return value.strftime(f"{value.hour % 12 or 12}:%M:%S {'a.m.' if value.hour < 12 else 'p.m.'}")
    if value.minute == 0 and value.hour in (0, 12):
        return "noon" if value.hour else "midnight"
    hour = number_words(value.hour % 12 or 12)
    minute = f" {'oh ' if value.minute < 10 else ''}{number_words(value.minute)}" if value.minute else ""
    return f"{hour}{minute} {'a.m.' if value.hour < 12 else 'p.m.'}"


def _of_hour(hour: int, minute: int = 0, second: int = 0, *, fixed: bool = False) -> ClockTime | None:
    if not (0 <= hour <= 23 and 0 <= minute <= 59 and 0 <= second <= 59):
        return None
    if fixed or not 1 <= hour <= 12:
        return ClockTime(hour, minute, second)
    return ClockTime(hour % 12, minute, second, twelve_hours=True)


def _match_named(tokens: list[Token], start: int) -> Match[ClockTime] | None:
    index = start + (word_at(tokens, start) in ("12", "twelve"))
    if word_at(tokens, index) in _NAMED:
        return index + 1, ClockTime(_NAMED[tokens[index].text], 0)
    return None


def _match_relative(tokens: list[Token], start: int) -> Match[ClockTime] | None:
    """Match `half past six`, `a quarter to nine`, `ten minutes past five`, `twenty-five to noon`, `half six`."""
    index = start + (word_at(tokens, start) == "a" and word_at(tokens, start + 1) == "quarter")
    word = word_at(tokens, index)
    if word in ("half", "quarter"):
        minutes, index = (30, index + 1) if word == "half" else (15, index + 1)
        if word == "half" and word_at(tokens, index) not in _PAST:
            hour = _match_hour_number(tokens, index)
            if hour is None or _goes_on(tokens, hour[0]):
                return None
            clock = _of_hour(hour[1], 30)
            return (hour[0], clock) if clock and 1 <= hour[1] <= 12 else None
    else:
        number = match_number(tokens, index, percent=False)
        if number is None or not number[1].whole or not 1 <= number[1].value <= 59:
            return None
        minutes, index = number[1].integer, number[0]
        index += word_at(tokens, index) in ("minutes", "minute", "mins")
    relation = word_at(tokens, index)
    if relation not in (*_PAST, *_TO) and not (relation == "of" and word == "quarter"):
        return None
    hour_clock = _match_named(tokens, index + 1)
    if hour_clock is None:
        hour = _match_hour_number(tokens, index + 1)
        clock = _of_hour(hour[1]) if hour else None
        if hour is None or clock is None or _goes_on(tokens, hour[0]):
            return None
        end = hour[0] + (word_at(tokens, hour[0]) in _O_CLOCK)
    else:
        end, clock = hour_clock
    if relation in _PAST:
        return end, clock._replace(minute=minutes)
    period = 12 if clock.twelve_hours else 24
    return end, clock._replace(hour=(clock.hour - 1) % period, minute=60 - minutes)


_NOT_AFTER_HOUR = frozenset((
    "hour", "hours", "minute", "minutes", "second", "seconds", "day", "days", "week", "weeks", "month", "months",
    "year", "years", "percent", "%", "dozen", "hundred", "thousand", "million",
))  # fmt: skip


def _goes_on(tokens: list[Token], index: int) -> bool:
    """Return whether a number before a token is not an hour or minute: a unit follows, or `.5`."""
    word = word_at(tokens, index)
    if word in (".", ":", "/", "-", ","):
        return tokens[index].glued and word_at(tokens, index + 1).isdigit() and tokens[index + 1].glued
    return word in _NOT_AFTER_HOUR


def _match_hour_number(tokens: list[Token], start: int) -> Match[int] | None:
    word = word_at(tokens, start)
    if word.isascii() and word.isdigit():
        return (start + 1, int(word)) if len(word) <= 2 else None
    return match_cardinal(tokens, start)


def _match_digital(tokens: list[Token], start: int, loose: bool) -> Match[ClockTime] | None:
    """Match `7:30`, `19:30:15`, `19h30`, and `7.30` where a time is expected."""
    hour, mark, minute = (word_at(tokens, start + offset) for offset in range(3))
    if not (_two_digits(hour) and len(minute) == 2 and _two_digits(minute)):
        return None
    if not (tokens[start + 1].glued and tokens[start + 2].glued) or mark not in (":", ".", "h"):
        return None
    if word_at(tokens, start - 1) in (":", ".", ",") and tokens[start].glued:
        return None
    end, second = start + 3, "0"
    if mark == ":" and word_at(tokens, end) == ":" and _two_digits(word_at(tokens, end + 1)) and tokens[end].glued:
        second, end = word_at(tokens, end + 1), end + 2
    if mark == "." and not loose and match_part_of_day(tokens, end) is None:
        return None
    if word_at(tokens, end) in ("/", ":", "%") or (
        word_at(tokens, end) == "." and _two_digits(word_at(tokens, end + 1))
    ):
        return None
    clock = _of_hour(int(hour), int(minute), int(second), fixed=mark == "h" or hour.startswith("0"))
    return (end, clock) if clock else None


def _match_hour(tokens: list[Token], start: int, loose: bool) -> Match[ClockTime] | None:
    """Match `9 o'clock`, `7pm`, `five twenty`, `five oh five`, and `five` where a time is expected."""
    hour = _match_hour_number(tokens, start)
    if hour is None or hour[1] > 23:
        return None
    end, value = hour
    if start and word_at(tokens, start - 1) in (":", ".", "/", ",", "-") and tokens[start].glued:
        return None
    if word_at(tokens, end) in _O_CLOCK:
        clock = _of_hour(value)
        return (end + 1, clock) if clock else None
    minutes = _match_minutes(tokens, end, digits=word_at(tokens, start).isdigit())
    if minutes is not None and not _goes_on(tokens, minutes[0]):
        by_words = not word_at(tokens, start).isdigit()
        if by_words or loose or match_part_of_day(tokens, minutes[0]):
            clock = _of_hour(value, minutes[1])
            return (minutes[0], clock) if clock else None
    is_hour = match_part_of_day(tokens, end) is not None or (loose and not _goes_on(tokens, end))
    clock = _of_hour(value)
    return (end, clock) if is_hour and clock else None


def _match_minutes(tokens: list[Token], start: int, *, digits: bool) -> Match[int] | None:
    if digits:
        word = word_at(tokens, start)
        return (start + 1, int(word)) if len(word) == 2 and _two_digits(word) and not tokens[start].glued else None
    if word_at(tokens, start) in ("-", "‐") and tokens[start].glued:
        start += 1
    if word_at(tokens, start) in ("oh", "o", "zero"):
        unit = match_cardinal(tokens, start + 1)
        return unit if unit is not None and 1 <= unit[1] <= 9 else None
    minutes = match_cardinal(tokens, start)
    return minutes if minutes is not None and 10 <= minutes[1] <= 59 and word_at(tokens, start) != "a" else None


def _match_military(tokens: list[Token], start: int) -> Match[ClockTime] | None:
    """Match `nineteen hundred hours`, `oh seven thirty hours`, `1900 hours`."""
    word = word_at(tokens, start)
    if len(word) == 4 and word.isascii() and word.isdigit():
        end, hour, minute = start + 1, int(word[:2]), int(word[2:])
    else:
        leading = word in ("oh", "o", "zero")
        first = match_cardinal(tokens, start + leading)
        if first is None:
            return None
        end, value = first
        hour, minute = (value // 100, 0) if value >= 100 and value % 100 == 0 else (value, -1)
        if minute < 0:
            rest = _match_minutes(tokens, end, digits=False)
            if rest is None:
                return None
            end, minute = rest
        if leading and word_at(tokens, end) not in ("hours", "hrs"):
            return (end, ClockTime(hour, minute)) if hour < 10 and minute < 60 else None
    if word_at(tokens, end) not in ("hours", "hrs", "hour"):
        return None
    clock = _of_hour(hour, minute, fixed=True)
    return (end + 1, clock) if clock else None


def _two_digits(word: str) -> bool:
    return 1 <= len(word) <= 2 and word.isascii() and word.isdigit()
