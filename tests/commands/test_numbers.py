"""Numbers in words and digits: a table of forms, and samples that must come back."""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.commands.english.numbers import match_number, match_ordinal, number_words, ordinal_words
from unspool.commands.kinds.numbers import IntegerKind, NumberKind
from unspool.commands.tokens import match_whole
from unspool.errors import SlotError

NOW = datetime(2026, 11, 30, 18, 0)
FORMS = {
    "0": 0, "7": 7, "zero": 0, "one": 1, "seven": 7, "eleven": 11, "nineteen": 19, "twenty": 20, "forty": 40,
    "fourty": 40, "twenty-one": 21, "twenty one": 21, "Ninety-Nine": 99, "a hundred": 100, "one hundred": 100,
    "hundred": None, "a hundred and twenty-one": 121, "one hundred twenty one": 121, "two hundred": 200,
    "nine hundred and ninety-nine": 999, "fifteen hundred": 1500, "nineteen hundred": 1900,
    "twenty-five hundred": 2500, "a thousand": 1000, "a thousand and one": 1001,
    "two thousand and twenty-seven": 2027, "ten thousand five hundred": 10500,
    "one hundred and twenty thousand": 120_000, "a million": 10**6, "2 million": 2 * 10**6, "2.5 million": 2_500_000,
    "one million two hundred thousand and five": 1_200_005, "three billion": 3 * 10**9, "half a million": 500_000,
    "1,250": 1250, "12,345,678": 12_345_678, "1250": 1250, "007": 7, "a dozen": 12, "two dozen": 24, "3 dozen": 36,
    "half a dozen": 6, "a couple": 2, "a couple of": 2, "minus three": -3, "negative forty": -40, "-3": -3, "−3": -3,
    "- 3": None, "20.5": 20.5, "0.25": 0.25, ".5": 0.5, "3.0": 3, "twenty point five": 20.5, "20 point 5": 20.5,
    "twenty point 5": 20.5, "zero point two five": 0.25, "point five": 0.5, "three point oh one": 3.01,
    "two point twenty-five": 2.25, "minus two point five": -2.5, "two and a half": 2.5,
    "two and three quarters": 2.75, "six and a quarter": 6.25, "2 1/2": 2.5, "2½": 2.5, "½": 0.5, "half": 0.5,
    "a half": 0.5, "one half": 0.5, "three quarters": 0.75, "a quarter": 0.25, "3/4": 0.75, "20%": 20, "20 %": 20,
    "twenty percent": 20, "5 per cent": 5, "12.5 percent": 12.5, "about ten": 10, "ten, please": 10, "twenty!": 20,
    "twenty thirteen": None, "five hundred hundred": None, "twenty ten": None, "a": None, "point": None, "and": None,
    "ten minutes": None, "many": None, "": None, "two thousand million": None, "3rd": None, "1234567890123456": None,
    "٣": None, "²": None,
}  # fmt: skip


@pytest.mark.parametrize(("text", "value"), FORMS.items())
def test_a_form_means_its_number(text, value):
    number = match_whole(text, match_number)
    assert (None if number is None else number.value) == (None if value is None else Fraction(str(value)))
    if value is None:
        with pytest.raises(SlotError, match="is not a number; expected something like"):
            NumberKind().parse(text, NOW)
    else:
        assert NumberKind().parse(text, NOW) == value


def test_an_integer_is_no_decimal_number():
    assert IntegerKind().parse("three point zero", NOW) == 3
    assert type(IntegerKind().parse("2.5 million", NOW)) is int
    for text in ("two and a half", "20.5", "half"):
        with pytest.raises(SlotError, match="is not an integer"):
            IntegerKind().parse(text, NOW)


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("set the heating to twenty point five degrees", ["twenty point five"]),
        ("dim it to 20 percent, then 30%", ["20 percent", "30%"]),
        ("add 2 and a half cups and 3 eggs", ["2 and a half", "3"]),
        ("at 7:30 on 3/5/2027 or 2027-05-03", []),
        ("the 3rd of may, my 2nd try", []),
        ("turn on this one and that one", []),
        ("play radio one at volume eleven", ["one", "eleven"]),
        ("7pm in room B12", []),
        ("from minus three to -4", ["minus three", "-4"]),
        ("it costs 1,250 or a hundred and ten.", ["1,250", "a hundred and ten"]),
        ("one two three", ["one", "two", "three"]),
        ("half the lights", []),
        ("version 1.2.3", []),
        ("twenty-one, thirty", ["twenty-one", "thirty"]),
    ],
)
def test_numbers_are_found_in_a_sentence(text, spans):
    places = NumberKind().find(text, NOW)
    assert [text[start:end] for start, end, _ in places] == spans
    for start, end, value in places:
        assert NumberKind().parse(text[start:end], NOW) == value


def test_an_integer_is_not_found_inside_a_decimal_number():
    assert IntegerKind().find("heat to 20.5 or twenty point five or two and a half", NOW) == []


@given(st.integers(-(10**15) + 1, 10**15 - 1))
def test_an_integer_is_read_from_its_words(value):
    words = number_words(value)
    assert IntegerKind().parse(words, NOW) == value
    assert IntegerKind().parse(words.replace("-", " "), NOW) == value
    assert IntegerKind().parse(f"{value:,}", NOW) == value


@given(st.decimals(-1000, 1000, places=3, allow_nan=False))
def test_a_number_is_read_from_its_words(value):
    assert NumberKind().parse(number_words(float(value)), NOW) == float(value)
    assert NumberKind().parse(str(value), NOW) == float(value)


def test_the_words_of_thirds_are_read_back():
    assert number_words(11 / 3) == "three and two thirds"
    assert NumberKind().parse("three and two thirds", NOW) == 11 / 3


def test_ordinals_up_to_the_last_day_of_a_month():
    for day in range(1, 32):
        suffix = "th" if day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
        for text in (ordinal_words(day), ordinal_words(day).replace("-", " "), f"{day}{suffix}"):
            assert match_whole(text, match_ordinal) == day
    for text in ("32nd", "thirty second", "0th", "3 rd", "twenty", "fortieth"):
        assert match_whole(text, match_ordinal) is None
