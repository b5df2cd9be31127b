"""Times of series: parsing, the frequency of a grid of times, calendar features and later times; imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from unspool.errors import DataError

__all__ = [
    "NO_TIMES",
    "Clock",
    "Resolution",
    "Unit",
    "ascending",
    "calendar_features",
    "find_clock",
    "parse_time",
    "season_of",
]

Unit = Literal["second", "business day", "month", "step"]
Resolution = Literal["year", "month", "day", "second", "step"]
Times = NDArray[np.datetime64]

_FORMATS = (
    *("%Y-%m", "%Y/%m/%d", "%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S", "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S"),
    *("%m/%d/%Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%b %Y", "%Y %b", "%YM%m"),
)
_DAY = 86_400
_NAMES = {1: "second", 60: "minute", 3600: "hour", _DAY: "day", 7 * _DAY: "week"}
_SEASONS = {1: 60, 60: 60, 900: 96, 1800: 48, 3600: 24, _DAY: 7, 7 * _DAY: 52}  # usual steps of a season
_CYCLES = ("minute of the hour", "hour", "weekday", "day of the month", "month")


class Clock(NamedTuple):
    """The grid of times that all series of a data set share."""

    unit: Unit
    """Unit of `every`; `step` for data without times, which count from 0."""
    every: int
    """Units between two steps."""
    resolution: Resolution
    """How times are written."""

    @property
    def name(self) -> str:
        """The frequency in words: every hour, every 3 months."""
        count, noun = self.every, self.unit
        if self.unit == "second":
            size = max(size for size in _NAMES if count % size == 0)
            count, noun = count // size, cast(Unit, _NAMES[size])
        elif self.unit == "month" and count % 12 == 0:
            count, noun = count // 12, cast(Unit, "year")
        return f"every {noun}" if count == 1 else f"every {count} {noun}s"

    def steps_between(self, first: np.datetime64, other: np.datetime64) -> int | None:
        """Return the steps from one time to another; None if `other` is not on the grid of `first`."""
        if self.unit == "month":
            months = int((other.astype("M8[M]") - first.astype("M8[M]")).astype(int))
            steps, rest = divmod(months, self.every)
            return steps if not rest and self.later(first, steps) == other else None
        if self.unit == "business day":
            days = _day(first), _day(other)
            whole = np.is_busday(days[1]) and (first - days[0]) == (other - days[1])
            return int(np.busday_count(*days)) if whole else None
        steps, rest = divmod(int((other - first).astype(int)), self.every)
        return None if rest else steps

    def later(self, start: np.datetime64, steps: int) -> np.datetime64:
        """Return the time some steps after another."""
        if self.unit == "month":
            month, rest = start.astype("M8[M]"), start - start.astype("M8[M]").astype("M8[s]")
            at = month + np.timedelta64(steps * self.every, "M")
            if _is_month_end(start):
                return _at(_month_end(at), start)
            return cast(np.datetime64, min(at.astype("M8[s]") + rest, _at(_month_end(at), start)))
        if self.unit == "business day":
            return _at(np.busday_offset(_day(start), steps, roll="forward"), start)
        return start + np.timedelta64(steps * self.every, "s")

    def times(self, start: np.datetime64, first: int, count: int) -> Times:
        """Return the times of some steps from a start, (count,)."""
        if self.unit in ("second", "step"):
            return cast(Times, start + (np.arange(first, first + count) * self.every).astype("m8[s]"))
        return np.array([self.later(start, step) for step in range(first, first + count)], "M8[s]")

    def text(self, time: np.datetime64) -> str:
        """Format a time as the data do: `1949-01`, `2016-07-01 00:00:00`; a number for data without times."""
        if self.resolution == "step":
            return str(int(time.astype("M8[s]").astype(int)))
        codes = {"year": "Y", "month": "M", "day": "D", "second": "s"}
        return str(time.astype(f"M8[{codes[self.resolution]}]")).replace("T", " ")


NO_TIMES = Clock("step", 1, "step")
"""Clock of data without times: the steps count from 0."""


def parse_time(value: Any, where: str | None = None) -> tuple[np.datetime64, str]:
    """Read a time: ISO 8601, a few other forms, a year, or seconds since 1970. Times with an offset become UTC.

    Args:
        value: A text, a number, or a `datetime`.
        where: `file:line`, for messages.

    Returns:
        The time, and its resolution: year, month, day or second.

    Raises:
        DataError: If the value is no time.
    """
    text = str(value).strip()
    if text.isdecimal() and len(text) == 4:
        return np.datetime64(text, "Y").astype("M8[s]"), "year"
    if text.isdecimal() and len(text) >= 9:
        seconds = int(text) // (1000 if len(text) >= 12 else 1)
        return np.datetime64(seconds, "s"), "second"
    time = value if isinstance(value, datetime) else _parsed(text)
    if time is None:
        raise DataError(f"{text!r:.40} is no time; expected one like 2016-07-01 13:00:00 or 2016-07", where)
    if time.tzinfo is not None:
        time = time.astimezone(UTC).replace(tzinfo=None)
    if time.microsecond:
        raise DataError(f"{text!r:.40} has fractions of a second; expected whole seconds", where)
    resolution = "second" if ":" in text else "day"
    if len(text) < 10 and text.count("-") + text.count("/") < 2:
        resolution = "month"
    return np.datetime64(time.isoformat(), "s"), resolution


def _parsed(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    for form in _FORMATS:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    return None


def find_clock(times: Times, resolution: str, where: Sequence[str]) -> Clock:
    """Find the frequency of ascending times: the usual distance between two of them.

    Args:
        times: Times of one series, ascending, datetime64[s] (steps,), at least 2.
        resolution: How times are written.
        where: `file:line` of each time, for messages.

    Raises:
        DataError: If a distance is no multiple of the usual one.
    """
    written = cast(Any, resolution)
    days = times.astype("M8[D]")
    rest = times - days.astype("M8[s]")
    if len(np.unique(rest)) == 1:
        months = np.diff(times.astype("M8[M]")).astype(int)
        same_day = len(np.unique((days - times.astype("M8[M]").astype("M8[D]")).astype(int))) == 1
        if months.min() >= 1 and (same_day or all(map(_is_month_end, times))):
            return Clock("month", int(np.gcd.reduce(months)), written)
        gaps = np.unique(np.diff(days).astype(int))
        if gaps[0] == 1 and np.is_busday(days).all() and len(times) > 5:
            return Clock("business day", 1, written)
    distances = np.diff(times).astype(int)
    values, counts = np.unique(distances, return_counts=True)
    usual = int(values[counts.argmax()])
    odd = np.flatnonzero(distances % usual)
    if len(odd):
        place = int(odd[0]) + 1
        clock = Clock("second", usual, written)
        raise DataError(
            f"{clock.text(times[place])} is {_spelled(int(distances[place - 1]))} after the time before, and most "
            f"times come {clock.name}; expected a multiple, so resample the series first",
            where[place],
        )
    return Clock("second", usual, written)


def _spelled(seconds: int) -> str:
    size = max(size for size in _NAMES if seconds % size == 0)
    count = seconds // size
    return f"{count} {_NAMES[size]}{'s' * (count != 1)}"


def season_of(clock: Clock) -> int | None:
    """Return the usual season of a frequency in steps, such as 24 for hours; None without a usual one."""
    if clock.unit == "business day":
        return 5
    if clock.unit == "month":
        return max(1, 12 // clock.every) if 12 % clock.every == 0 or clock.every % 12 == 0 else 1
    if clock.unit == "second":
        if clock.every in _SEASONS:
            return _SEASONS[clock.every]
        return _DAY // clock.every if clock.every < _DAY and _DAY % clock.every == 0 else None
    return None


def calendar_features(clock: Clock, times: Times) -> dict[str, NDArray[np.float32]]:
    """Return sine and cosine of the calendar's cycles that the frequency makes vary, (steps,) each, by name.

    Args:
        clock: The frequency.
        times: Times, datetime64[s] (steps,).
    """
    if clock.unit == "step":
        return {}
    days = times.astype("M8[D]")
    seconds = (times - days.astype("M8[s]")).astype(int)
    months = times.astype("M8[M]")
    weekday = ((days.astype(int) + 3) % 7).astype(float)
    of_month = (days - months.astype("M8[D]")).astype(int) / _month_lengths(months)
    of_year = (days - times.astype("M8[Y]").astype("M8[D]")).astype(int) / 365.2425
    short = clock.unit in ("second", "business day")
    cycles = {
        "minute of the hour": (seconds % 3600 / 3600, clock.unit == "second" and clock.every < 3600),
        "hour": (seconds / _DAY, clock.unit == "second" and clock.every < _DAY),
        "weekday": (weekday / 7, short and (clock.unit != "second" or clock.every <= _DAY)),
        "day of the month": (of_month, short and (clock.unit != "second" or clock.every <= _DAY)),
        "month": (of_year, clock.unit != "month" or clock.every < 12),
    }
    features: dict[str, NDArray[np.float32]] = {}
    for name in _CYCLES:
        share, varies = cycles[name]
        if varies:
            features[f"sin {name}"] = np.sin(2 * np.pi * share).astype(np.float32)
            features[f"cos {name}"] = np.cos(2 * np.pi * share).astype(np.float32)
    return features


def ascending(times: Times, clock_text: Any, where: Sequence[str], series: str) -> None:
    """Refuse times that do not rise.

    Raises:
        DataError: If a time occurs twice, or is earlier than the one before.
    """
    for place, (one, other) in enumerate(pairwise(times), 1):
        if other <= one:
            of = f" of series {series!r}" * bool(series)
            came = "came twice" if one == other else f"came after {clock_text(one)}"
            raise DataError(
                f"time {clock_text(other)}{of} {came}; expected rising times: sort the rows, drop repeats, or name the "
                f"column that tells series apart (id)",
                where[place],
            )


def _day(time: np.datetime64) -> np.datetime64:
    return cast(np.datetime64, time.astype("M8[D]"))


def _at(day: np.datetime64, time: np.datetime64) -> np.datetime64:
    """Return the time of day of a time on another day."""
    return cast(np.datetime64, day.astype("M8[s]") + (time - _day(time).astype("M8[s]")))


def _month_end(month: np.datetime64) -> np.datetime64:
    return cast(
        np.datetime64, (month.astype("M8[M]") + np.timedelta64(1, "M")).astype("M8[D]") - np.timedelta64(1, "D")
    )


def _is_month_end(time: np.datetime64) -> bool:
    return bool(_day(time) == _month_end(time))


def _month_lengths(months: NDArray[np.datetime64]) -> NDArray[np.int64]:
    following = (months + np.timedelta64(1, "M")).astype("M8[D]")
    return cast(NDArray[np.int64], (following - months.astype("M8[D]")).astype(int))
