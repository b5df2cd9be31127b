"""Dates and times in other languages than English, read by dateparser (the extra `dates`)."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from random import Random
from typing import Any

from unspool.commands.kinds.base import refusal
from unspool.errors import CommandError, MissingExtraError

__all__ = ["find", "parse", "require", "sample_date", "sample_datetime", "sample_time"]


@cache
def require(language: str) -> None:
    """Check that dateparser is installed and knows a language.

    Raises:
        MissingExtraError: If it is not installed.
        CommandError: If it does not know the language.
    """
    try:
        from dateparser.data import languages_info
    except ImportError:
        raise MissingExtraError(f"language={language!r}", "dateparser", "dates") from None
    if language not in languages_info.language_order:
        raise CommandError(f"there is no language {language!r}; expected a code such as 'de', 'fr' or 'es'")


def parse(text: str, language: str, now: datetime, kind: str, *, day_first: bool = True) -> datetime:
    """Return the moment of a text.

    Args:
        text: The words of the value alone.
        language: Code of the language, as `de`.
        now: The moment that relative values count from.
        kind: Name of the kind, for messages.
        day_first: Whether 3/5/2027 is the third of May.

    Raises:
        SlotError: If the text is not a moment.
    """
    import dateparser

    moment: datetime | None = dateparser.parse(text[:200], languages=[language], settings=_settings(now, day_first))
    if moment is None:
        raise refusal(text, kind, "2027-05-03" if kind == "date" else "19:30")
    return moment.replace(microsecond=0)


def find(text: str, language: str, now: datetime, *, day_first: bool = True) -> list[tuple[int, int, datetime]]:
    """Find the moments in a sentence: offsets of start and end, and the value."""
    from dateparser.search import search_dates

    found = search_dates(text[:1000], languages=[language], settings=_settings(now, day_first)) or []
    places, index = [], 0
    for part, moment in found:
        start = text.find(part, index)
        if start >= 0:
            index = start + len(part)
            places.append((start, index, moment.replace(microsecond=0)))
    return places


def sample_time(random: Random) -> str:
    """Draw a clock time in digits."""
    return f"{random.randint(0, 23)}:{random.randint(0, 59):02d}"


def sample_date(random: Random) -> str:
    """Draw a date in digits."""
    return f"{random.randint(1, 28)}.{random.randint(1, 12)}.{random.randint(2026, 2028)}"


def sample_datetime(random: Random) -> str:
    """Draw a datetime in digits."""
    return f"{sample_date(random)} {sample_time(random)}"


def _settings(now: datetime, day_first: bool) -> dict[str, Any]:
    return {
        "RELATIVE_BASE": now.replace(tzinfo=None),
        "PREFER_DATES_FROM": "future",
        "DATE_ORDER": "DMY" if day_first else "MDY",
    }
