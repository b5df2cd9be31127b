"""Durations: `ten minutes`, `an hour and a half`, `1h30`, `90 secs`, and their words."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

from unspool.commands.english.numbers import match_fraction, match_number, number_words
from unspool.commands.tokens import Match, Token, word_at

__all__ = ["DURATION_UNITS", "duration_words", "match_duration"]

DURATION_UNITS = {
    "week": 604800,
    "day": 86400,
    "hour": 3600,
    "minute": 60,
    "second": 1,
}
"""Seconds of each unit."""

_SECONDS: dict[str, Fraction] = {
    **{word: Fraction(seconds) for word, seconds in DURATION_UNITS.items()},
    **{f"{word}s": Fraction(seconds) for word, seconds in DURATION_UNITS.items()},
    **dict.fromkeys(("millisecond", "milliseconds", "msec", "msecs", "ms"), Fraction(1, 1000)),
    **dict.fromkeys(("sec", "secs"), Fraction(1)),
    **dict.fromkeys(("min", "mins"), Fraction(60)),
    **dict.fromkeys(("hr", "hrs"), Fraction(3600)),
    **dict.fromkeys(("wk", "wks"), Fraction(604800)),
    **dict.fromkeys(("fortnight", "fortnights"), Fraction(1209600)),
}
_LETTERS = {"s": Fraction(1), "m": Fraction(60), "h": Fraction(3600), "d": Fraction(86400), "w": Fraction(604800)}
_HYPHENS = ("-", "‐", "–")
_LARGEST = timedelta.max // timedelta(seconds=1)


def match_duration(tokens: list[Token], start: int) -> Match[timedelta] | None:
    """Match a duration at a token; larger units come first: `2 hours, 10 minutes and 5 seconds`."""
    match = _match_clock(tokens, start) or _match_parts(tokens, start)
    if match is None or match[1] > _LARGEST:
        return None
    end, seconds = match
    return end, timedelta(microseconds=round(seconds * 1_000_000))


def duration_words(value: timedelta) -> str:
    """Return a duration in words: `one hour and thirty minutes`."""
    if value < timedelta(0):
        return f"minus {duration_words(-value)}"
    rest, parts = value, []
    for word, seconds in DURATION_UNITS.items():
        unit = timedelta(seconds=seconds)
        if word == "week" and value % unit:
            continue
        count: float = rest / unit if word == "second" else rest // unit
        rest %= unit
        if count:
            parts.append(f"{number_words(count)} {word}{'' if count == 1 else 's'}")
    if not parts:
        return "zero seconds"
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _match_parts(tokens: list[Token], start: int) -> Match[Fraction] | None:
    part = _match_part(tokens, start)
    if part is None:
        return None
    end, (total, unit) = part
    while True:
        index = end + (word_at(tokens, end) == ",")
        index += word_at(tokens, index) == "and"
        part = _match_part(tokens, index)
        if part is not None and part[1][1] < unit:
            end, unit = part[0], part[1][1]
            total += part[1][0]
            continue
        smaller = _match_bare(tokens, end, unit)
        return (end, total) if smaller is None else (smaller[0], total + smaller[1])


def _match_part(tokens: list[Token], start: int) -> Match[tuple[Fraction, Fraction]] | None:
    """Match a count with its unit: the seconds, and the seconds of one unit."""
    fraction = match_fraction(tokens, start)
    if fraction is not None:  # half an hour, a quarter of an hour, a half hour
        index = fraction[0] + (word_at(tokens, fraction[0]) == "of")
        index += word_at(tokens, index) in ("a", "an", "one")
        unit = _match_unit(tokens, index, fraction[0])
        if unit is not None:
            return unit[0], (fraction[1] * unit[1], unit[1])
    number = match_number(tokens, start, percent=False)
    if number is not None and number[1].value >= 0:
        index = number[0] + (word_at(tokens, number[0]) == "of")
        unit = _match_unit(tokens, index, number[0])
        if unit is None:
            return None
        return _with_fraction(tokens, unit[0], number[1].value, unit[1])
    if word_at(tokens, start) in ("a", "an"):
        unit = _match_unit(tokens, start + 1, start + 1)
        if unit is not None:
            return _with_fraction(tokens, unit[0], Fraction(1), unit[1])
    elif (unit := _match_unit(tokens, start, start)) is not None:  # hour and a half
        whole = _with_fraction(tokens, unit[0], Fraction(1), unit[1])
        return whole if whole[0] > unit[0] else None
    return None


def _match_unit(tokens: list[Token], index: int, after: int) -> Match[Fraction] | None:
    """Match a unit; a single letter only after digits, a hyphen only before a whole word."""
    if word_at(tokens, index) in _HYPHENS and tokens[index].glued:
        index += 1
    word = word_at(tokens, index)
    if word in _SECONDS:
        return index + 1, _SECONDS[word]
    if index == after and word in _LETTERS and word_at(tokens, index - 1).isdigit():
        return index + 1, _LETTERS[word]
    return None


def _with_fraction(tokens: list[Token], end: int, count: Fraction, unit: Fraction) -> Match[tuple[Fraction, Fraction]]:
    """Add `and a half` after a unit: `an hour and a half`."""
    if word_at(tokens, end) == "and" and (fraction := match_fraction(tokens, end + 1)) is not None:
        index = fraction[0] + (word_at(tokens, fraction[0]) == "of")
        index += word_at(tokens, index) in ("a", "an", "one")
        if _match_unit(tokens, index, 0) is None:  # not `an hour and half a minute`
            return fraction[0], ((count + fraction[1]) * unit, unit)
    return end, (count * unit, unit)


def _match_bare(tokens: list[Token], index: int, unit: Fraction) -> Match[Fraction] | None:
    """Match the smaller unit's number without its unit: `1h30`, `one hour thirty`, `an hour ten`."""
    if unit not in (3600, 60) or word_at(tokens, index) in _HYPHENS:
        return None
    number = match_number(tokens, index, percent=False)
    if number is None or not number[1].whole or not 1 <= number[1].value < 60:
        return None
    is_digits = word_at(tokens, index).isdigit()
    if is_digits and not tokens[index].glued:
        return None
    if word_at(tokens, number[0]) in ("o'clock", "am", "pm", "times", "percent", "%", ":"):
        return None
    return number[0], number[1].value * (unit / 60)


def _match_clock(tokens: list[Token], start: int) -> Match[Fraction] | None:
    """Match `h:mm:ss`."""
    parts = [word_at(tokens, start + offset) for offset in range(5)]
    if len(tokens) < start + 5 or parts[1] != ":" or parts[3] != ":":
        return None
    hours, minutes, seconds = parts[::2]
    if not (hours.isdigit() and minutes.isdigit() and seconds.isdigit() and len(hours) <= 4):
        return None
    if len(minutes) != 2 or len(seconds) != 2 or not all(token.glued for token in tokens[start + 1 : start + 5]):
        return None
    if int(minutes) > 59 or int(seconds) > 59:
        return None
    return start + 5, Fraction(int(hours) * 3600 + int(minutes) * 60 + int(seconds))
