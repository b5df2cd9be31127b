"""Dates and times in German and French, read by dateparser."""

from __future__ import annotations

import random
from datetime import date, datetime, time

import pytest

from unspool.commands.kinds.moments import DateKind, DatetimeKind, TimeKind
from unspool.commands.records import kind_from_record
from unspool.errors import CommandError, SlotError

pytest.importorskip("dateparser", reason="other languages need the extra `dates`")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:dateparser")
NOW = datetime(2026, 11, 30, 18, 0)


def test_dates_and_times():
    assert DateKind("de").parse("morgen", NOW) == date(2026, 12, 1)
    assert DateKind("de").parse("3. Mai 2027", NOW) == date(2027, 5, 3)
    assert DateKind("fr").parse("demain", NOW) == date(2026, 12, 1)
    assert DateKind("de").parse("3/5/2027", NOW) == date(2027, 5, 3)
    assert DateKind("de", day_first=False).parse("3/5/2027", NOW) == date(2027, 3, 5)
    assert TimeKind("de").parse("19:30", NOW) == time(19, 30)
    assert DatetimeKind("de").parse("in 10 Minuten", NOW) == datetime(2026, 11, 30, 18, 10)


def test_dates_are_found_in_a_sentence():
    text = "erinnere mich am 3. Mai 2027 an den Tee"
    ((start, end, value),) = DateKind("de").find(text, NOW)
    assert "3. Mai 2027" in text[start:end]
    assert value == date(2027, 5, 3)
    assert DateKind("de").find("nichts", NOW) == []


@pytest.mark.parametrize("kind", [DateKind("de"), TimeKind("de"), DatetimeKind("de")], ids=lambda kind: kind.name)
def test_samples_and_spoken_values_are_read_back(kind):
    draw = random.Random(1)
    for _ in range(20):
        value = kind.parse(kind.sample(draw), NOW)
        assert kind.parse(kind.speak(value), NOW) == value
    assert kind.grammar() is None
    assert kind_from_record(kind.record()) == kind


def test_nonsense_and_unknown_languages_are_refused():
    with pytest.raises(SlotError, match="'blau' is not a date"):
        DateKind("de").parse("blau", NOW)
    with pytest.raises(CommandError, match="there is no language 'qq'; expected a code such as 'de'"):
        DateKind("qq")
    assert DateKind("en-GB").parse("tomorrow", NOW) == date(2026, 12, 1)
