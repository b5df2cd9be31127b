"""Numbers beside units and symbols: their masks, and the arguments that they become."""

from datetime import datetime, timedelta
from typing import Literal

import pytest

from unspool.commands import CommandSet, command
from unspool.data import SlotSpan
from unspool.tasks.command.masking import ValueMasks
from unspool.tasks.command.resolution import resolve
from unspool.tasks.command.spacing import Spacing

NOW = datetime(2026, 6, 3, 10, 0)
Unit = Literal["pounds", "cups", "miles", "km"]


@command(
    "convert {amount} {unit} to {target}",
    synonyms={"unit": {"pounds": ["lb"], "cups": "cup"}, "target": {"pounds": ["lb"], "cups": "cup"}},
)
def convert(amount: float, unit: Unit, target: Unit) -> None: ...


@command(
    "{first} {operation} {second}",
    synonyms={"operation": {"plus": ["+"], "minus": ["-"], "times": ["*", "x"], "over": ["/"]}},
)
def calculate(first: float, operation: Literal["plus", "minus", "times", "over"], second: float) -> None: ...


@command("dim a {device} to {level}", "count {count} {device}")
def dim(device: Literal["light", "fan"], level: int, count: int = 1) -> None: ...


@command("note {text}", "write {text} in my notes", "wait {length}")
def note(text: str = "", length: timedelta = timedelta(0)) -> None: ...


@command("put {items} on the list", "list {items}")
def add(items: list[str]) -> None: ...


COMMANDS = CommandSet.of([convert, calculate, dim, note, add])
MASKS = ValueMasks.of(COMMANDS)


def arguments(name, text, /, **tagged):
    spans = [SlotSpan(slot, text.index(part), text.index(part) + len(part)) for slot, part in tagged.items()]
    found = resolve(COMMANDS[name], text, spans, NOW)
    assert all(each.text == text[each.start : each.end] for each in found.values())
    return {slot: each.value for slot, each in found.items()}


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("a mile to km", 1),
        ("half a mile to km", 0.5),
        ("a quarter of a mile to km", 0.25),
        ("three quarters of a mile to km", 0.75),
        ("a mile and a half to km", 1.5),
        ("two miles and a half to km", 2.5),
        ("two and a half miles to km", 2.5),
        ("7miles to km", 7),
        ("7.5 miles to km", 7.5),
    ],
)
def test_a_unit_gives_or_changes_its_number(text, amount):
    unit = "miles" if "miles" in text else "mile"
    assert arguments("convert", text, unit=unit, target="km") == {"amount": amount, "unit": "miles", "target": "km"}


def test_a_unit_gives_no_number_without_a_template_that_has_both():
    assert arguments("dim", "dim a light", device="light") == {"device": "light", "count": 1}
    assert arguments("dim", "dim half a light", device="light") == {"device": "light"}  # no int
    assert "amount" not in arguments("convert", "miles to km", unit="miles", target="km")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("6 + 9", (6, "plus", 9)),
        ("6+9", (6, "plus", 9)),
        ("1000 - 337 =", (1000, "minus", 337)),
        ("8-3", (8, "minus", 3)),
        ("8 -3", (8, "minus", 3)),
        ("-8 - 3", (-8, "minus", 3)),
        ("2.5*4?", (2.5, "times", 4)),
        ("7x8", (7, "times", 8)),
        ("12/4", (12, "over", 4)),
        ("five minus three", (5, "minus", 3)),
        ("minus five minus three", (-5, "minus", 3)),
    ],
)
def test_symbols_between_numbers(text, values):
    first, operation, second = values
    found = arguments("calculate", text)
    assert found == {"first": first, "operation": operation, "second": second}
    masked = MASKS.mask(text).text.split()
    assert masked[0] == masked[2].rstrip("?") == "numbervalue"


@pytest.mark.parametrize("text", ["3/5/2027", "555-123-99", "7:30", "the b52s", "1/2", "covid-19", "2-3-4"])
def test_dates_and_telephone_numbers_stay_as_they_are(text):
    assert Spacing.of(COMMANDS).apart(text).text == text


def test_masks_and_spaces_lead_back_to_the_text():
    text = "half a cup, 5km and 7x8 in two miles and a half"
    moved = MASKS.mask(text)
    assert moved.text == "numbervalue cup, numbervalue km and numbervalue x numbervalue in numbervalue miles"
    parts, index = [], 0
    for word in moved.text.split():
        index = moved.text.index(word, index)
        start, end = moved.old(index, index + len(word))
        parts.append(text[start:end])
        index += len(word)
    assert parts == [
        "half a", "cup,", "5", "km", "and", "7", "x", "8", "in", "two", "miles and a half"
    ]  # fmt: skip
    start = text.index("km")
    assert moved.text[slice(*moved.new(start, start + 2))].strip() == "km"


def test_free_text_goes_on_to_the_end_of_the_sentence():
    text = "note the flight leaves from gate 12, please"
    assert arguments("note", text, text="the flight") == {"text": "the flight leaves from gate 12"}
    assert arguments("note", "write gate 12 in my notes", text="gate 12") == {"text": "gate 12"}
    text = "note the flight and wait ten minutes"
    assert arguments("note", text, text="the flight", length="ten minutes")["text"] == "the flight"


@pytest.mark.parametrize(
    ("text", "span", "items"),
    [
        ("list plus honey", "plus honey", ["honey"]),
        ("put oranges added to the list", "oranges added to", ["oranges"]),
        ("put a coat and gloves down on the list", "a coat and gloves down", ["a coat", "gloves"]),
        ("put lemons limes and mint on the list", "lemons limes and mint", ["lemons", "limes", "mint"]),
        (
            "put two bananas oat milk and tea on the list",
            "two bananas oat milk and tea",
            ["two bananas", "oat milk", "tea"],
        ),
        ("put eggs for dad and tea on the list", "eggs for dad and tea", ["eggs for dad", "tea"]),
        ("whack a bag of ice and salt on the list", "whack a bag of ice and salt", ["a bag of ice", "salt"]),
        ("put book a table and tea on the list", "book a table and tea", ["book a table", "tea"]),
        ("put washing-up liquid on the list", "washing-", ["washing-up"]),
        ("put tea and semi-skimmed milk on the list", "tea and semi", ["tea", "semi-skimmed"]),
        ("put glass noodles on the list", "glass noodles", ["glass noodles"]),
        ("put glass noodles on the list", "noodles", ["glass noodles"]),
        ("bung light bulbs on the list", "bulbs", ["light bulbs"]),  # the first word may be a verb
        ("kindly put a rye bread on the list", "bread", ["rye bread"]),
        ("put rye, dark bread on the list", "bread", ["dark bread"]),
        ("put beans bread, and tea on the list", "beans bread, and tea", ["beans bread", "tea"]),
    ],
)
def test_items_of_a_list(text, span, items):
    assert arguments("add", text, items=span) == {"items": items}
