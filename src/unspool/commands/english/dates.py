"""Dates: `tomorrow`, `next friday`, `the 3rd of may`, `in two weeks`, `3/5/2027`, and their words."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import date, timedelta

from unspool.commands.english.numbers import match_cardinal, match_number, match_ordinal, ordinal_words
from unspool.commands.tokens import Match, Token, word_at

__all__ = ["MONTHS", "WEEKDAYS", "add_months", "date_words", "match_date"]

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_WEEKDAYS = {word: number for number, word in enumerate(WEEKDAYS)} | {
    "mon": 0, "tue": 1, "tues": 1, "wed": 2, "weds": 2, "thu": 3, "thur": 3, "thurs": 3, "fri": 4,
}  # fmt: skip
_LOOSE_WEEKDAYS = {"sat": 5, "sun": 6}
_MONTHS = {word: number for number, word in enumerate(MONTHS, 1)} | {
    word[:3]: number for number, word in enumerate(MONTHS, 1)
} | {"sept": 9}  # fmt: skip
_HOLIDAYS = {
    ("christmas", "eve"): (12, 24), ("christmas", "day"): (12, 25), ("boxing", "day"): (12, 26),
    ("christmas",): (12, 25),
    ("new", "year's", "eve"): (12, 31), ("new", "year's", "day"): (1, 1), ("new", "years", "eve"): (12, 31),
    ("new", "years", "day"): (1, 1), ("valentine's", "day"): (2, 14), ("halloween",): (10, 31),
}  # fmt: skip
_UNITS = {"day": 1, "days": 1, "week": 7, "weeks": 7, "fortnight": 14, "fortnights": 14}
_MONTH_UNITS = {"month": 1, "months": 1, "year": 12, "years": 12}
_LAST_YEAR = 9998


def match_date(
    tokens: list[Token], start: int, today: date, *, day_first: bool = True, loose: bool = False
) -> Match[date] | None:
    """Match a date at a token; of several possible ones the first from `today` on.

    Args:
        tokens: Tokens of the text.
        start: Index of the first token.
        today: The day that relative dates count from.
        day_first: Whether 3/5/2027 is the third of May, not the fifth of March.
        loose: Whether `the 3rd`, `3/5`, `sat` and `sun` are dates; in running text they may mean something else.
    """
    try:
        return (
            _match_weekday_and_day(tokens, start, today, loose)
            or _match_offset(tokens, start, today)
            or _match_relative(tokens, start, today)
            or _match_weekday(tokens, start, today, loose)
            or _match_day_of_month(tokens, start, today)
            or _match_numeric(tokens, start, today, day_first, loose)
            or _match_day_alone(tokens, start, today, loose)
        )
    except OverflowError:
        return None


def add_months(day: date, months: int) -> date:
    """Return the same day some months later, or the last day of that month where it is shorter.

    Raises:
        OverflowError: If the year is beyond the calendar.
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if not 1 <= year <= _LAST_YEAR:
        raise OverflowError(f"the year {year} is beyond the calendar")
    return day.replace(year=year, month=month + 1, day=min(day.day, calendar.monthrange(year, month + 1)[1]))


def date_words(value: date) -> str:
    """Return a date in words: `Monday the third of May 2027`."""
    month = MONTHS[value.month - 1].capitalize()
    return f"{WEEKDAYS[value.weekday()].capitalize()} the {ordinal_words(value.day)} of {month} {value.year}"


def _match_relative(tokens: list[Token], start: int, today: date) -> Match[date] | None:
    """Match `today`, `the day after tomorrow`, `next week`, `this weekend`, `christmas`."""
    word, after = word_at(tokens, start), word_at(tokens, start + 1)
    days = {"today": 0, "tonight": 0, "tomorrow": 1, "yesterday": -1}.get(word)
    if days is not None:
        return start + 1, today + timedelta(days)
    index = start + (word == "the")
    words = tuple(word_at(tokens, index + offset) for offset in range(3))
    if words == ("day", "after", "tomorrow"):
        return index + 3, today + timedelta(2)
    if words == ("day", "before", "yesterday"):
        return index + 3, today - timedelta(2)
    if word in ("next", "last"):
        sign = 1 if word == "next" else -1
        if after == "week":
            return start + 2, today + timedelta(7 * sign)
        if after in ("month", "year"):
            return start + 2, add_months(today, sign * _MONTH_UNITS[after])
    if (words[0] in ("this", "next", "coming") and words[1] == "weekend") or words[0] == "weekend":
        saturday = today + timedelta((5 - today.weekday()) % 7)
        return index + 1 + (words[1] == "weekend"), saturday + timedelta(7 * (words[0] == "next"))
    for name, (month, day) in _HOLIDAYS.items():
        if words[: len(name)] == name:
            end = start + len(name)
            year = _match_year(tokens, end)
            if year is not None:
                return year[0], date(year[1], month, day)
            return end, next(_from(today, month, day))
    return None


def _match_offset(tokens: list[Token], start: int, today: date) -> Match[date] | None:
    """Match `in two weeks`, `ten days from now`, `a week from friday`, `three days ago`."""
    begins_in = word_at(tokens, start) == "in"
    index = start + begins_in
    number = match_number(tokens, index, percent=False)
    if number is not None and number[1].whole:
        end, count = number[0], number[1].integer
        end += word_at(tokens, end) == "of"
    elif word_at(tokens, index) in ("a", "an"):
        end, count = index + 1, 1
    else:
        return None
    unit, end = word_at(tokens, end), end + 1
    if unit not in _UNITS and unit not in _MONTH_UNITS:
        return None
    if not 0 <= count < 100_000:
        return None
    base = today
    if not begins_in:
        follows = word_at(tokens, end)
        if follows == "ago":
            end, count = end + 1, -count
        elif follows in ("from", "after"):
            if word_at(tokens, end + 1) == "now":
                end += 2
            else:
                from_day = _match_relative(tokens, end + 1, today) or _match_weekday(tokens, end + 1, today, False)
                if from_day is None:
                    return None
                end, base = from_day
        else:
            return None
    if unit in _UNITS:
        return end, base + timedelta(count * _UNITS[unit])
    return end, add_months(base, count * _MONTH_UNITS[unit])


def _match_weekday(tokens: list[Token], start: int, today: date, loose: bool) -> Match[date] | None:
    """Match `friday`, `this friday`, `next friday`, `last friday`, `friday next week`."""
    which = word_at(tokens, start) if word_at(tokens, start) in ("this", "next", "last", "coming") else ""
    index = start + bool(which)
    if which == "this" and word_at(tokens, index) == "coming":
        which, index = "coming", index + 1
    weekday = _weekday(tokens, index, loose)
    if weekday is None:
        return None
    end = index + 1
    monday = today - timedelta(today.weekday())
    if which == "next" or (word_at(tokens, end), word_at(tokens, end + 1)) == ("next", "week"):
        return end + 2 * (not which and word_at(tokens, end) == "next"), monday + timedelta(7 + weekday)
    ahead = (weekday - today.weekday()) % 7
    if which == "this":
        return end, today + timedelta(ahead)
    if which == "last":
        return end, today - timedelta((today.weekday() - weekday) % 7 or 7)
    return end, today + timedelta(ahead or 7)


def _match_weekday_and_day(tokens: list[Token], start: int, today: date, loose: bool) -> Match[date] | None:
    """Match `friday the 3rd of may`, `friday, may 3 2027`: a day on that weekday."""
    weekday = _weekday(tokens, start, loose)
    if weekday is None:
        return None
    index = start + 1 + (word_at(tokens, start + 1) in (",", "."))
    part = _match_month_and_day(tokens, index)
    if part is None:
        return None
    end, (month, day, year) = part
    if year is not None:
        fits = _is_date(year, month, day) and date(year, month, day).weekday() == weekday
        return (end, date(year, month, day)) if fits else None
    fitting = (value for value in _from(today, month, day) if value.weekday() == weekday)
    return end, next(fitting)


def _match_day_of_month(tokens: list[Token], start: int, today: date) -> Match[date] | None:
    part = _match_month_and_day(tokens, start)
    if part is None:
        return None
    end, (month, day, year) = part
    if year is None:
        return end, next(_from(today, month, day))
    return (end, date(year, month, day)) if _is_date(year, month, day) else None


def _match_month_and_day(tokens: list[Token], start: int) -> Match[tuple[int, int, int | None]] | None:
    """Match `the 3rd of may 2027`, `3 may`, `May 3rd, 2027`: month, day, and the year if there is one."""
    month = _MONTHS.get(word_at(tokens, start))
    if month is not None:
        index = start + 1 + (word_at(tokens, start + 1) == ".")
        index += word_at(tokens, index) == "the"
        day = match_ordinal(tokens, index) or _match_day_digits(tokens, index)
        if day is None:
            return None
        end = day[0]
    else:
        index = start + (word_at(tokens, start) == "the")
        day = match_ordinal(tokens, index) or _match_day_digits(tokens, index)
        if day is None:
            return None
        index = day[0] + (word_at(tokens, day[0]) == "of")
        month = _MONTHS.get(word_at(tokens, index))
        if month is None:
            return None
        end = index + 1 + (word_at(tokens, index + 1) == "." and _match_year(tokens, index + 2) is not None)
    if not _is_date(2000, month, day[1]):
        return None
    year = _match_year(tokens, end + (word_at(tokens, end) == ","))
    if year is not None:
        return year[0], (month, day[1], year[1])
    return end, (month, day[1], None)


def _match_day_alone(tokens: list[Token], start: int, today: date, loose: bool) -> Match[date] | None:
    """Match `the 3rd`: the next one; in running text only after `on`."""
    index = start + (word_at(tokens, start) == "the")
    day = match_ordinal(tokens, index)
    if day is None or not (loose or (index > start and word_at(tokens, start - 1) == "on")):
        return None
    end = day[0]
    first = today.replace(day=1)
    for months in range(13):
        month = add_months(first, months)
        if day[1] <= calendar.monthrange(month.year, month.month)[1] and month.replace(day=day[1]) >= today:
            return end, month.replace(day=day[1])
    return None


def _match_numeric(tokens: list[Token], start: int, today: date, day_first: bool, loose: bool) -> Match[date] | None:
    """Match `2027-05-03`, `3/5/2027`, `3.5.27`, and `3/5` where a date is expected."""
    first, mark, second = (word_at(tokens, start + offset) for offset in range(3))
    if not (_digits(first) and _digits(second) and mark in ("/", ".", "-")):
        return None
    if not (tokens[start + 1].glued and tokens[start + 2].glued):
        return None
    third = word_at(tokens, start + 4)
    has_year = (
        word_at(tokens, start + 3) == mark and _digits(third) and tokens[start + 3].glued and tokens[start + 4].glued
    )
    if len(first) == 4:
        fits = has_year and mark in "-/" and len(third) <= 2 and _is_date(int(first), int(second[:2]), int(third))
        return (start + 5, date(int(first), int(second), int(third))) if fits and len(second) <= 2 else None
    if len(first) > 2 or len(second) > 2 or (has_year and len(third) not in (2, 4)):
        return None
    if not has_year and not (loose and mark == "/" and word_at(tokens, start + 3) != mark):
        return None
    day, month = (int(first), int(second)) if day_first else (int(second), int(first))
    if month > 12 >= day:
        day, month = month, day
    if not has_year:
        return (start + 3, next(_from(today, month, day))) if _is_date(2000, month, day) else None
    year = int(third) + (2000 if len(third) == 2 else 0)
    return (start + 5, date(year, month, day)) if _is_date(year, month, day) else None


def _match_year(tokens: list[Token], start: int) -> Match[int] | None:
    """Match a year from 1900 to 2999: `2027`, `twenty twenty-seven`, `two thousand and one`, `nineteen ninety`."""
    word = word_at(tokens, start)
    if word.isascii() and word.isdigit():
        is_year = len(word) == 4 and 1900 <= int(word) <= 2999 and word_at(tokens, start + 1) not in (":", "hours")
        return (start + 1, int(word)) if is_year else None
    number = match_cardinal(tokens, start)
    if number is None:
        return None
    end, value = number
    if 1900 <= value <= 2999:
        return end, value
    if value in (19, 20, 21):
        if word_at(tokens, end) in ("oh", "o"):
            unit = match_cardinal(tokens, end + 1)
            return (unit[0], 100 * value + unit[1]) if unit is not None and unit[1] < 10 else None
        rest = match_cardinal(tokens, end)
        if rest is not None and 10 <= rest[1] <= 99:
            return rest[0], 100 * value + rest[1]
    return None


def _match_day_digits(tokens: list[Token], start: int) -> Match[int] | None:
    word = word_at(tokens, start)
    is_day = len(word) <= 2 and _digits(word) and 1 <= int(word) <= 31
    if not is_day:
        return None
    follows = word_at(tokens, start + 1)
    if follows in ("h", "am", "pm") or (follows in (":", ".", "/") and word_at(tokens, start + 2).isdigit()):
        return None
    return start + 1, int(word)


def _weekday(tokens: list[Token], index: int, loose: bool) -> int | None:
    word = word_at(tokens, index)
    return _WEEKDAYS.get(word, _LOOSE_WEEKDAYS.get(word) if loose else None)


def _from(today: date, month: int, day: int) -> Iterator[date]:
    """Yield a day of the year in this year if it is still to come, and in those after."""
    for year in range(today.year, min(today.year + 40, _LAST_YEAR)):
        if _is_date(year, month, day) and date(year, month, day) >= today:
            yield date(year, month, day)
    raise OverflowError("no such date within forty years")


def _is_date(year: int, month: int, day: int) -> bool:
    return 1 <= year <= _LAST_YEAR and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]


def _digits(word: str) -> bool:
    return word.isascii() and word.isdigit()
