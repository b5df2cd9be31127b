"""Slots of durations, clock times, dates and datetimes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import partial
from random import Random
from typing import Any, ClassVar, TypeVar

from unspool.commands import languages
from unspool.commands.english import samples, spoken
from unspool.commands.english.clock import match_time, time_words
from unspool.commands.english.dates import date_words, match_date
from unspool.commands.english.datetimes import datetime_words, match_datetime
from unspool.commands.english.durations import duration_words, match_duration
from unspool.commands.grammar import Node
from unspool.commands.kinds.base import SlotKind
from unspool.commands.kinds.numbers import NumberKind
from unspool.commands.tokens import find_matches, match_whole
from unspool.errors import SlotError

__all__ = ["DateKind", "DatetimeKind", "DurationKind", "TimeKind"]


M = TypeVar("M", time, date, datetime)

_ISO: dict[type, str] = {time: "07:30:00", date: "2027-05-03", datetime: "2027-05-03T07:30:00"}


@dataclass(frozen=True)
class DurationKind(SlotKind):
    """`timedelta`: `ten minutes`, `an hour and a half`, `1h30`, `90 secs`, `1:30:00`."""

    name: ClassVar[str] = "duration"
    example: ClassVar[str] = "ten minutes"

    def parse(self, text: str, now: datetime) -> timedelta:
        value = match_whole(text, match_duration)
        if value is None:
            raise self._refuse(text)
        return value

    def find(self, text: str, now: datetime) -> list[tuple[int, int, timedelta]]:
        return list(find_matches(text, match_duration))

    def sample(self, random: Random) -> str:
        return samples.sample_duration(random)[0]

    def speak(self, value: Any) -> str:
        return duration_words(value)

    def question(self, slot: str) -> str:
        return "How long?"

    def to_json(self, value: Any) -> float:
        if not isinstance(value, timedelta):
            raise SlotError(f"{value!r} is not a timedelta")
        return value.total_seconds()

    def from_json(self, value: Any) -> timedelta:
        try:
            return timedelta(seconds=NumberKind().to_json(value))
        except OverflowError:
            raise SlotError(f"{value!r} seconds are too many") from None

    def grammar(self) -> Node:
        return spoken.DURATION


@dataclass(frozen=True)
class _Moment(SlotKind):
    """What times, dates and datetimes share: a language."""

    language: str = "en"
    """Language of the texts, as `en` or `de`; other languages than English need the extra `dates`."""

    def __post_init__(self) -> None:
        if not self.is_english:
            languages.require(self.language)

    @property
    def is_english(self) -> bool:
        """Whether the own parsers read the texts."""
        return self.language.lower().partition("-")[0] == "en"

    def record(self) -> dict[str, Any]:
        return super().record() | ({} if self.language == "en" else {"language": self.language})


@dataclass(frozen=True)
class TimeKind(_Moment):
    """`time`: `half past six`, `quarter to 9 pm`, `7:30`, `noon`, `nineteen hundred hours`.

    Where the half of the day is open, the value is the next such time after `now`.
    """

    name: ClassVar[str] = "time"
    example: ClassVar[str] = "half past six"

    def parse(self, text: str, now: datetime) -> time:
        if not self.is_english:
            return languages.parse(text, self.language, now, self.name).time()
        value = match_whole(text, partial(match_time, now=now, loose=True))
        if value is None:
            raise self._refuse(text)
        return value

    def find(self, text: str, now: datetime) -> list[tuple[int, int, time]]:
        if not self.is_english:
            return [(start, end, value.time()) for start, end, value in languages.find(text, self.language, now)]
        return list(find_matches(text, partial(match_time, now=now)))

    def sample(self, random: Random) -> str:
        return samples.sample_time(random)[0] if self.is_english else languages.sample_time(random)

    def speak(self, value: Any) -> str:
        return time_words(value) if self.is_english else value.strftime("%H:%M")

    def question(self, slot: str) -> str:
        return "At what time?"

    def to_json(self, value: Any) -> str:
        if not isinstance(value, time):
            raise SlotError(f"{value!r} is not a time")
        return value.isoformat()

    def from_json(self, value: Any) -> time:
        return _from_iso(value, time)

    def grammar(self) -> Node | None:
        return spoken.TIME if self.is_english else None


@dataclass(frozen=True)
class DateKind(_Moment):
    """`date`: `tomorrow`, `next friday`, `the 3rd of may`, `in two weeks`, `3/5/2027`.

    A date without a year is the next one from today on; so is a weekday, but it is never today. `next friday` is the
    Friday of the week after this one, which begins on Monday.
    """

    name: ClassVar[str] = "date"
    example: ClassVar[str] = "the 3rd of May"

    day_first: bool = True
    """Whether 3/5/2027 is the third of May, not the fifth of March."""

    def parse(self, text: str, now: datetime) -> date:
        if not self.is_english:
            return languages.parse(text, self.language, now, self.name, day_first=self.day_first).date()
        value = match_whole(text, partial(match_date, today=now.date(), day_first=self.day_first, loose=True))
        if value is None:
            raise self._refuse(text)
        return value

    def find(self, text: str, now: datetime) -> list[tuple[int, int, date]]:
        if not self.is_english:
            places = languages.find(text, self.language, now, day_first=self.day_first)
            return [(start, end, value.date()) for start, end, value in places]
        return list(find_matches(text, partial(match_date, today=now.date(), day_first=self.day_first)))

    def sample(self, random: Random) -> str:
        return samples.sample_date(random) if self.is_english else languages.sample_date(random)

    def speak(self, value: Any) -> str:
        return date_words(value) if self.is_english else value.isoformat()

    def question(self, slot: str) -> str:
        return "On which day?"

    def to_json(self, value: Any) -> str:
        if not isinstance(value, date) or isinstance(value, datetime):
            raise SlotError(f"{value!r} is not a date")
        return value.isoformat()

    def from_json(self, value: Any) -> date:
        return _from_iso(value, date)

    def grammar(self) -> Node | None:
        return spoken.DATE if self.is_english else None

    def record(self) -> dict[str, Any]:
        return super().record() | ({} if self.day_first else {"day_first": False})


@dataclass(frozen=True)
class DatetimeKind(_Moment):
    """`datetime`: `tomorrow at noon`, `friday half past six`, `in ten minutes`; also a date or a time alone.

    The value is the first such moment after `now`. A date alone means nine in the morning.
    """

    name: ClassVar[str] = "datetime"
    example: ClassVar[str] = "tomorrow at noon"

    day_first: bool = True
    """Whether 3/5/2027 is the third of May, not the fifth of March."""

    def parse(self, text: str, now: datetime) -> datetime:
        if not self.is_english:
            return languages.parse(text, self.language, now, self.name, day_first=self.day_first)
        value = match_whole(text, partial(match_datetime, now=now, day_first=self.day_first, loose=True))
        if value is None:
            raise self._refuse(text)
        return value

    def find(self, text: str, now: datetime) -> list[tuple[int, int, datetime]]:
        if not self.is_english:
            return languages.find(text, self.language, now, day_first=self.day_first)
        return list(find_matches(text, partial(match_datetime, now=now, day_first=self.day_first)))

    def sample(self, random: Random) -> str:
        return samples.sample_datetime(random) if self.is_english else languages.sample_datetime(random)

    def speak(self, value: Any) -> str:
        return datetime_words(value) if self.is_english else value.strftime("%Y-%m-%d %H:%M")

    def question(self, slot: str) -> str:
        return "When?"

    def to_json(self, value: Any) -> str:
        if not isinstance(value, datetime):
            raise SlotError(f"{value!r} is not a datetime")
        return value.isoformat()

    def from_json(self, value: Any) -> datetime:
        return _from_iso(value, datetime)

    def grammar(self) -> Node | None:
        return spoken.DATETIME if self.is_english else None

    def record(self) -> dict[str, Any]:
        return super().record() | ({} if self.day_first else {"day_first": False})


def _from_iso(value: Any, kind: type[M]) -> M:
    try:
        return kind.fromisoformat(value)
    except (TypeError, ValueError):
        raise SlotError(f"{value!r} is not a {kind.__name__} such as {_ISO[kind]}") from None
