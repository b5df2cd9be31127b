"""Random numbers, durations, times, dates and datetimes as people write and say them, for training sentences.

Each function returns a text; those whose value depends on no date return the value too.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from fractions import Fraction
from random import Random

from unspool.commands.english.clock import ClockTime
from unspool.commands.english.dates import MONTHS, WEEKDAYS
from unspool.commands.english.numbers import number_words, ordinal_words

__all__ = [
    "sample_date",
    "sample_datetime",
    "sample_duration",
    "sample_integer",
    "sample_number",
    "sample_time",
]


def sample_integer(random: Random) -> tuple[str, int]:
    """Draw an integer, mostly a small one, in digits or words."""
    kind = random.random()
    if kind < 0.06:
        return random.choice([("a dozen", 12), ("a hundred", 100), ("a couple of", 2), ("half a dozen", 6)])
    most = random.choice((10, 20, 100, 100, 1000, 5000))
    value = random.randint(1, most) if random.random() < 0.9 else 5 * random.randint(0, 60)
    if random.random() < 0.04:
        value = -value
    if random.random() < 0.5:
        return (f"{value:,}" if random.random() < 0.3 else str(value)), value
    return _words(value, random), value


def sample_number(random: Random) -> tuple[str, Fraction]:
    """Draw a number, in half of all cases with decimals or a fraction."""
    if random.random() < 0.5:
        text, integer = sample_integer(random)
        return text, Fraction(integer)
    whole = random.choice((random.randint(0, 9), random.randint(0, 30), random.randint(0, 250)))
    if random.random() < 0.2 and whole:
        name, part = random.choice([("half", Fraction(1, 2)), ("quarter", Fraction(1, 4))])
        return f"{_count(whole, random)} and a {name}", whole + part
    digits = str(random.randint(1, 9)) if random.random() < 0.75 else f"{random.randint(1, 99):02d}"
    value = Fraction(f"{whole}.{digits}")
    form = random.random()
    if form < 0.45:
        return f"{whole}.{digits}", value
    spoken = " ".join(number_words(int(digit)) for digit in digits)
    if form < 0.85:
        return f"{_words(whole, random)} point {spoken}", value
    return f"{whole} point {digits if random.random() < 0.5 else spoken}", value


def sample_duration(random: Random) -> tuple[str, timedelta]:
    """Draw a duration of seconds to days."""
    form = random.random()
    if form < 0.12:
        return random.choice(_FIXED_DURATIONS)
    unit, most = random.choice(
        [
            ("second", 90),
            ("minute", 60),
            ("minute", 60),
            ("minute", 60),
            ("hour", 24),
            ("hour", 5),
            ("day", 14),
            ("week", 4),
        ]
    )
    count = random.choice((random.randint(1, most), min(most, 5 * random.randint(1, 12))))
    length = timedelta(**{f"{unit}s": count})
    if form < 0.62:
        if count == 1 and random.random() < 0.6:
            return f"{'an' if unit == 'hour' else 'a'} {unit}", length
        return f"{_count(count, random)} {unit}{'' if count == 1 else 's'}", length
    if form < 0.72 and unit in _SHORT:
        return f"{count}{random.choice(_SHORT[unit])}", length
    if form < 0.80:
        return f"{_count(count, random)} and a half {unit}s", length * (2 * count + 1) / (2 * count)
    smaller = {"minute": "second", "hour": "minute", "day": "hour"}.get(unit, "")
    if not smaller:
        return f"{_count(count, random)} {unit}{'' if count == 1 else 's'}", length
    rest = random.randint(2, 23 if smaller == "hour" else 59)
    length += timedelta(**{f"{smaller}s": rest})
    if unit == "hour" and random.random() < 0.3:
        return random.choice((f"{count}h{rest:02d}", f"{count} h {rest} min", f"{count}h {rest}m")), length
    in_words = random.random() < 0.5
    first, second = (_words(value, random) if in_words else str(value) for value in (count, rest))
    link = random.choice((" and ", " and ", " ", ", "))
    return f"{first} {unit}{'' if count == 1 else 's'}{link}{second} {smaller}s", length


def sample_time(random: Random) -> tuple[str, ClockTime]:
    """Draw a clock time; the value says whether the half of the day is open."""
    form = random.random()
    if form < 0.06:
        name, hour = random.choice([("noon", 12), ("midnight", 0), ("midday", 12)])
        return name, ClockTime(hour, 0)
    minute = random.choice((0, 15, 30, 45, 5 * random.randint(0, 11), random.randint(0, 59)))
    if form < 0.16:
        hour = random.randint(0, 23)
        return f"{hour:02d}:{minute:02d}", _open(hour, minute, fixed=hour < 10)
    if form < 0.20:
        hour = random.randint(10, 23)
        spoken = "hundred" if minute < 10 else number_words(minute)
        return f"{number_words(hour)} {spoken} hours", ClockTime(hour, minute if minute >= 10 else 0)
    hour = random.randint(1, 12)
    text, clock = _twelve_hour_form(hour, minute, random)
    if random.random() < 0.45:
        part = random.choice(("am", "pm", "pm", "a.m.", "p.m.", "in the morning", "in the afternoon", "in the evening"))
        glue = "" if text[-1].isdigit() and part in ("am", "pm") and random.random() < 0.5 else " "
        return f"{text}{glue}{part}", clock.in_part(part.replace(".", "").split()[-1])
    if text.isdigit() or text == number_words(hour):
        text += " o'clock"
    return text, clock


def sample_date(random: Random) -> str:
    """Draw a date, relative or absolute."""
    return random.choices(_DATE_FORMS, (4, 4, 3, 4, 3, 2))[0](random)


def sample_datetime(random: Random) -> str:
    """Draw a datetime: a time on a day, or a time from now."""
    form = random.random()
    if form < 0.25:
        return f"in {sample_duration(random)[0]}"
    day = sample_date(random)
    if form < 0.35:
        return random.choice(
            ("tomorrow", "today", "tonight", "this evening", "tomorrow morning", "friday evening", day)
        )
    while (
        "/" in day or "-" in day.replace("twenty-", "").replace("thirty-", "") or day.endswith(("2026", "2027", "2028"))
    ):
        day = sample_date(random)  # digits of a date before those of a time can be read in two ways
    at = sample_time(random)[0]
    if form < 0.75:
        return f"{day} at {at}"
    if form < 0.85 and day.split()[0] in ("today", "tomorrow", *WEEKDAYS):
        return f"at {at} {'on ' if day.split()[0] in WEEKDAYS else ''}{day}"
    return at if random.random() < 0.5 else f"at {at}"


def _twelve_hour_form(hour: int, minute: int, random: Random) -> tuple[str, ClockTime]:
    words, clock = number_words(hour), _open(hour, minute)
    if random.random() < 0.4:
        return (f"{hour}:{minute:02d}" if minute or random.random() < 0.5 else str(hour)), clock
    if minute == 0:
        return random.choice((words, str(hour))), clock
    relative = {15: "quarter", 30: "half"}.get(minute)
    if random.random() < 0.6 and minute % 5 == 0:
        if minute <= 30:
            article = "a " if minute == 15 and random.random() < 0.4 else ""
            return f"{article}{relative or number_words(minute)} past {words}", clock
        before = "quarter" if minute == 45 else number_words(60 - minute)
        return f"{before} to {number_words(hour % 12 + 1)}", clock
    spoken = f"oh {number_words(minute)}" if minute < 10 else _words(minute, random)
    return f"{words} {spoken}", clock


def _open(hour: int, minute: int, *, fixed: bool = False) -> ClockTime:
    if fixed or not 1 <= hour <= 12:
        return ClockTime(hour, minute)
    return ClockTime(hour % 12, minute, twelve_hours=True)


def _near_day(random: Random) -> str:
    return random.choice(("today", "tomorrow", "tomorrow", "the day after tomorrow"))


def _weekday(random: Random) -> str:
    return random.choice(("", "", "next ", "this ")) + random.choice(WEEKDAYS)


def _offset(random: Random) -> str:
    unit, most = random.choice((("day", 20), ("week", 8), ("month", 6)))
    count = random.randint(1, most)
    amount = random.choice(("a", "one")) if count == 1 else _count(count, random)
    return f"in {amount} {unit}{'' if count == 1 else 's'}"


def _day_of_month(random: Random) -> str:
    day, month = random.randint(1, 28), random.choice(MONTHS)
    suffix = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd"}.get(day, "th")
    form = random.choice(
        (
            f"the {day}{suffix} of {month}",
            f"the {ordinal_words(day)} of {month}",
            f"{month} {day}{suffix}",
            f"{month} {ordinal_words(day)}",
            f"{day} {month}",
            f"{month} {day}",
        )
    )
    return form + random.choice(("", "", "", f" {random.randint(2026, 2028)}"))


def _week(random: Random) -> str:
    return random.choice(
        ("next week", "next month", "this weekend", "next weekend", f"{random.choice(WEEKDAYS)} next week")
    )


def _digits(random: Random) -> str:
    year, month, day = random.randint(2026, 2028), random.randint(1, 12), random.randint(1, 28)
    return random.choice((f"{day}/{month}/{year}", f"{day:02d}.{month:02d}.{year}", f"{year}-{month:02d}-{day:02d}"))


_DATE_FORMS: tuple[Callable[[Random], str], ...] = (_near_day, _weekday, _offset, _day_of_month, _week, _digits)

_FIXED_DURATIONS = (
    ("half an hour", timedelta(minutes=30)),
    ("a quarter of an hour", timedelta(minutes=15)),
    ("three quarters of an hour", timedelta(minutes=45)),
    ("an hour and a half", timedelta(minutes=90)),
    ("a couple of minutes", timedelta(minutes=2)),
    ("a minute and a half", timedelta(seconds=90)),
    ("half a minute", timedelta(seconds=30)),
    ("an hour", timedelta(hours=1)),
)

_SHORT = {"second": ("s", " secs", "sec"), "minute": ("m", "min", " mins", " min"), "hour": ("h", "hr", " hrs")}


def _count(value: int, random: Random) -> str:
    return str(value) if random.random() < 0.5 else _words(value, random)


def _words(value: int, random: Random) -> str:
    """Return an integer in words, with or without hyphens and `and`."""
    words = number_words(value)
    if random.random() < 0.5:
        words = words.replace("-", " ")
    return words if random.random() < 0.7 else words.replace("hundred and ", "hundred ")
