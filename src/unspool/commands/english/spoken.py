"""Grammars of spoken numbers, durations, clock times, dates and datetimes.

Every sentence of a grammar is one that the parser of the same kind reads. The parsers read more than the grammars hold.
"""

from __future__ import annotations

from calendar import monthrange

from unspool.commands.english.dates import MONTHS, WEEKDAYS
from unspool.commands.english.durations import DURATION_UNITS
from unspool.commands.english.numbers import number_words, ordinal_words
from unspool.commands.grammar import Node, Optional, any_of, sequence

__all__ = ["DATE", "DATETIME", "DURATION", "INTEGER", "NUMBER", "TIME"]

_DIGIT = any_of(*(number_words(value) for value in range(10)))
_TENS = any_of(*(number_words(value) for value in range(20, 100, 10)))
_UNIT = any_of(*(number_words(value) for value in range(1, 10)))
_BELOW_20 = any_of(*(number_words(value) for value in range(1, 20)))
_BELOW_100 = any_of(_BELOW_20, sequence(_TENS, Optional(_UNIT)))
_BELOW_1000 = any_of(
    _BELOW_100, sequence(any_of(_UNIT, "a"), "hundred", Optional(sequence(Optional(any_of("and")), _BELOW_100)))
)
_REST = any_of(_BELOW_100, sequence(_UNIT, "hundred", Optional(sequence(Optional(any_of("and")), _BELOW_100))))
_WHOLE = any_of(
    "zero",
    _BELOW_1000,
    sequence(any_of(_BELOW_1000, "a"), "thousand", Optional(any_of(_REST, sequence("and", _BELOW_100)))),
)
_MINUS = Optional(any_of("minus", "negative"))
_PERCENT = Optional(any_of("percent"))

INTEGER: Node = any_of(sequence(_MINUS, _WHOLE, _PERCENT), "a dozen", "half a dozen", "a couple of")
"""Integers below a million."""

_DECIMALS = sequence("point", _DIGIT, Optional(sequence(_DIGIT, Optional(_DIGIT))))
_FRACTION = sequence("and", any_of("a half", "a quarter", "three quarters", "a third", "two thirds"))

NUMBER: Node = any_of(
    sequence(_MINUS, any_of(sequence(_WHOLE, Optional(_DECIMALS)), sequence(_BELOW_100, _FRACTION)), _PERCENT),
    "a half",
    "a quarter",
    "three quarters",
    "a dozen",
    "half a dozen",
)
"""Numbers below a million with up to three decimals."""


def _duration() -> Node:
    some = any_of(_BELOW_1000, sequence(_BELOW_100, _DECIMALS), sequence(_BELOW_100, "and a half"), "a couple of")
    amounts = {
        unit: any_of(
            sequence(any_of("one", "an" if unit == "hour" else "a"), unit),
            sequence(some, f"{unit}s"),
            sequence("half a", unit),
        )
        for unit in DURATION_UNITS
    }
    small = {
        unit: any_of(sequence(any_of("one", "an" if unit == "hour" else "a"), unit), sequence(_BELOW_100, f"{unit}s"))
        for unit in ("hour", "minute", "second")
    }
    link = Optional(any_of("and"))
    seconds = Optional(sequence(link, small["second"]))
    minutes = Optional(sequence(link, small["minute"]))
    return any_of(
        *amounts.values(),
        "half an hour",
        "a quarter of an hour",
        "three quarters of an hour",
        "a minute and a half",
        "an hour and a half",
        "an hour and a quarter",
        "a day and a half",
        sequence(small["minute"], seconds),
        sequence(small["hour"], any_of(sequence(link, small["minute"], seconds), sequence(link, small["second"]))),
        sequence(sequence(_BELOW_100, any_of("days", "day")), any_of(sequence(link, small["hour"], minutes))),
    )


DURATION: Node = _duration()
"""Durations from a second to weeks."""

_HOUR = any_of(*(number_words(value) for value in range(1, 13)))
_MINUTE = any_of(*(number_words(value) for value in range(10, 60)), sequence("oh", _UNIT))
_PART = any_of("a m", "p m", "am", "pm", "in the morning", "in the afternoon", "in the evening", "at night")
_RELATIVE = any_of(
    "half past",
    sequence(Optional(any_of("a")), "quarter", any_of("past", "to")),
    sequence(
        any_of(*(number_words(value) for value in range(1, 30))), Optional(any_of("minutes")), any_of("past", "to")
    ),
)
_CLOCK: Node = any_of(
    "noon",
    "midday",
    "midnight",
    sequence(any_of(sequence(_RELATIVE, _HOUR), sequence(_HOUR, _MINUTE), sequence(_HOUR, "o'clock")), Optional(_PART)),
    sequence(_HOUR, _PART),
)
_MILITARY = sequence(any_of(*(number_words(value) for value in range(10, 24))), any_of("hundred", _MINUTE), "hours")

TIME: Node = any_of(_CLOCK, _HOUR, _MILITARY)
"""Clock times in twelve and twenty-four hours."""

_WEEKDAY = any_of(*WEEKDAYS)
_YEAR = any_of(
    sequence("twenty", any_of(*(number_words(value) for value in range(20, 100)))),
    sequence("two thousand", Optional(any_of("and")), any_of(*(number_words(value) for value in range(20, 100)))),
)
_NEAR = any_of("today", "tomorrow", "the day after tomorrow")
_SINGLE_UNIT = any_of("day", "week", "month", "year")
_MANY_UNITS = any_of("days", "weeks", "months", "years")
_LATER = sequence(
    "in", any_of(sequence(any_of("a", "one"), _SINGLE_UNIT), sequence(any_of(_BELOW_100, "a couple of"), _MANY_UNITS))
)


def _days_of_months() -> Node:
    forms = []
    the, of = Optional(any_of("the")), Optional(any_of("of"))
    for length in (28, 30, 31):
        month = any_of(*(name for number, name in enumerate(MONTHS, 1) if monthrange(2001, number)[1] == length))
        day = any_of(*(ordinal_words(value) for value in range(1, length + 1)))
        forms += [sequence(the, day, of, month), sequence(month, the, day)]
    return any_of(*forms)


DATE: Node = any_of(
    _NEAR,
    sequence(Optional(any_of("this", "next")), _WEEKDAY),
    any_of("next week", "next month", "next year", "this weekend", "next weekend"),
    sequence(_WEEKDAY, "next week"),
    _LATER,
    sequence(_days_of_months(), Optional(_YEAR)),
    "the twenty-ninth of february",
    "christmas",
    "christmas eve",
)
"""Dates, relative to today or of a month."""

_DATED = any_of(_NEAR, sequence(Optional(any_of("this", "next")), _WEEKDAY), _days_of_months())

DATETIME: Node = any_of(
    sequence("in", DURATION),
    sequence(_DATED, Optional(any_of("at")), _CLOCK),
    sequence(_DATED, "at", any_of(_HOUR, _MILITARY)),
    sequence("at", TIME, any_of(_NEAR, sequence("on", _WEEKDAY))),
    sequence(any_of("tomorrow", _WEEKDAY), any_of("morning", "afternoon", "evening"), Optional(sequence("at", TIME))),
    sequence(any_of("tonight", "this morning", "this afternoon", "this evening"), Optional(sequence("at", TIME))),
    _CLOCK,
    sequence("at", _HOUR),
)
"""A clock time on a day, a part of a day, or a time from now."""
