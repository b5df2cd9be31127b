"""What all kinds of slots promise, and what is special in choices, texts and lists."""

from __future__ import annotations

import random
from datetime import datetime
from enum import Enum

import pytest

from unspool.commands.annotations import read_annotation
from unspool.commands.grammar import Grammar
from unspool.commands.kinds.choice import BooleanKind, Choice, ChoiceKind, make_choices
from unspool.commands.kinds.lists import ListKind
from unspool.commands.kinds.moments import DateKind, DatetimeKind, DurationKind, TimeKind
from unspool.commands.kinds.numbers import IntegerKind, NumberKind
from unspool.commands.kinds.text import TextKind
from unspool.commands.phrases import TOPICS, sample_phrase, topic_of
from unspool.commands.records import kind_from_record
from unspool.errors import CommandError, SlotError

NOW = datetime(2026, 11, 30, 18, 0)
LAMPS = ChoiceKind((Choice("light", ("light", "floor lamp"), "light"), Choice("fan", ("fan",), "fan")))
KINDS = (IntegerKind(), NumberKind(), DurationKind(), TimeKind(), DateKind(), DatetimeKind(), BooleanKind(), LAMPS)


def id_of(kind):
    return kind.name


@pytest.mark.parametrize("kind", KINDS, ids=id_of)
def test_a_sample_is_read_and_found_where_it_was_written(kind):
    draw = random.Random(11)
    samples = [kind.sample(draw) for _ in range(500)]
    again = random.Random(11)
    assert samples == [kind.sample(again) for _ in samples]
    assert len(set(samples)) > (2 if isinstance(kind, ChoiceKind) else 60)
    for text in samples:
        value = kind.parse(text, NOW)
        for before, after in (
            ("", ""),
            ("Set it to ", "."),
            ("timer, ", " please"),
            ("remind me ", " to water plants"),
        ):
            found = kind.find(f"{before}{text}{after}", NOW)
            assert found == [(len(before), len(before) + len(text), value)], f"{before}{text}{after}"


@pytest.mark.parametrize("kind", KINDS, ids=id_of)
def test_what_is_spoken_is_read_back(kind):
    draw = random.Random(12)
    for _ in range(300):
        value = kind.parse(kind.sample(draw), NOW)
        again = kind.parse(kind.speak(value), NOW)
        assert again == (value.replace(second=0, microsecond=0) if isinstance(kind, DatetimeKind) else value)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.grammar()], ids=id_of)
def test_every_sentence_of_the_grammar_is_read(kind):
    grammar = Grammar(kind.grammar())
    draw = random.Random(13)
    for _ in range(1000):
        text = grammar.sample(draw)
        kind.parse(text, NOW)
        assert grammar.accepts(text)
    assert not any("-" in word or word[0].isdigit() for word in grammar.vocabulary())


@pytest.mark.parametrize("kind", KINDS, ids=id_of)
def test_hostile_texts_are_refused_in_one_short_sentence(kind):
    hostile = (
        "",
        " ",
        "\x00",
        "9" * 5000,
        "a " * 5000,
        "-",
        "½" * 50,
        "1:1:1:1",
        "٣٤",
        "🦊",
        "\ud800",
        "{x}",
        "İ" * 99,
    )
    for text in hostile:
        with pytest.raises(SlotError) as raised:
            kind.parse(text, NOW)
        assert len(str(raised.value)) < 250
        kind.find(text, NOW)


def test_offsets_hold_where_lower_case_is_longer():
    text = "İİ set a timer for TEN Minutes"
    ((start, end, value),) = DurationKind().find(text, NOW)
    assert text[start:end] == "TEN Minutes"
    assert value.total_seconds() == 600


# ---- choices ---------------------------------------------------------------------------------------------------


def test_a_choice_is_read_in_any_case_and_number():
    for text in ("light", "Light", "LIGHTS", "the light", "floor lamps", "Floor Lamp", "light, please"):
        assert LAMPS.parse(text, NOW) == "light"
    assert LAMPS.find("Fans and floor lamps and lightning", NOW) == [(0, 4, "fan"), (9, 20, "light")]


def test_a_choice_that_does_not_exist_is_named_with_the_nearest():
    with pytest.raises(SlotError) as raised:
        LAMPS.parse("lihgt", NOW)
    assert str(raised.value) == "'lihgt' is not one of light, fan (did you mean 'light'?)"


def test_singular_and_plural_stay_apart_where_both_are_choices():
    kind = ChoiceKind((Choice("one", ("lamp",), 1), Choice("all", ("lamps",), 2)))
    assert kind.parse("lamp", NOW) == 1
    assert kind.parse("lamps", NOW) == 2


def test_a_symbol_means_a_choice_but_is_not_spoken():
    kind = ChoiceKind((Choice("plus", ("+", "plus"), 1), Choice("minus", ("minus", "-"), 2)))
    assert [kind.parse(text, NOW) for text in ("+", "-", "Plus")] == [1, 2, 1]
    assert kind.find("6 + 9 - 3", NOW) == [(2, 3, 1), (6, 7, 2)]
    assert kind.speak(1) == "plus"
    assert kind.question("operation") == "Which operation: plus or minus?"
    assert kind.spoken_forms == ("plus", "minus")
    assert Grammar(kind.grammar()).sentences(9) == ["plus", "minus"]
    assert kind_from_record(kind.record()).forms == kind.forms


def test_hyphens_between_words_are_skipped():
    kind = ChoiceKind((Choice("to-do", ("to-do",), 1), Choice("shopping", ("shopping",), 2)))
    assert [kind.parse(text, NOW) for text in ("to do", "To-Do", "to‐do")] == [1, 1, 1]
    assert kind.find("my to do list, my to-do list", NOW) == [(3, 8, 1), (18, 23, 1)]
    assert kind.find("to - do", NOW) == []


def test_one_word_for_two_choices_is_refused():
    with pytest.raises(CommandError, match="'Lamp' means both 'a' and 'b'; keep one of them"):
        ChoiceKind((Choice("a", ("lamp",)), Choice("b", ("Lamp",))))
    with pytest.raises(CommandError, match="has no letter or digit"):
        ChoiceKind((Choice("a", ("?!",)),))


class Mode(Enum):
    ECO = "eco mode"
    FAST_COOL = "f1"
    QUICK_COOL = "f1"  # noqa: PIE796


def test_an_enum_has_names_aliases_and_values_that_are_words():
    kind = read_annotation(Mode, "mode", synonyms={"ECO": ["green"]}).kind
    assert kind.forms == ("eco", "green", "eco mode", "fast cool", "quick cool")
    assert kind.parse("Quick Cool", NOW) is Mode.FAST_COOL
    assert kind.to_json(Mode.FAST_COOL) == "FAST_COOL"
    assert kind.speak(Mode.ECO) == "eco"


def test_booleans():
    kind = read_annotation(bool, "power", synonyms={"on": ["up"], "false": "down"}).kind
    words = ("on", "Yes", "true", "up", "off", "no", "down")
    assert [kind.parse(text, NOW) for text in words] == [True] * 4 + [False] * 3
    assert kind.question("power") == "Power: on or off?"
    assert kind.to_json(False) is False


# ---- texts and lists -------------------------------------------------------------------------------------------


def test_a_text_is_taken_as_it_is_without_quotes_around_it():
    assert TextKind().parse("  Oat   Milk, ", NOW) == "Oat Milk"
    assert TextKind().parse("'it is late'", NOW) == "it is late"
    assert TextKind().find("add oat milk", NOW) == []
    with pytest.raises(SlotError, match="is not a text"):
        TextKind().parse(" ,", NOW)


def test_the_name_of_a_slot_chooses_what_training_sentences_fill_in():
    topics = {
        "item": "items",
        "contact_name": "names",
        "reminder": "tasks",
        "to": "names",
        "city": "places",
        "song": "media",
    }
    assert {slot: topic_of(slot) for slot in topics} == topics
    assert topic_of("blob") == "any"
    draw = random.Random(1)
    items = [sample_phrase("items", draw) for _ in range(400)]
    assert len(set(items)) > 150
    assert sum(item in TOPICS["items"] for item in items) > 150
    assert any(item not in {phrase for phrases in TOPICS.values() for phrase in phrases} for item in items)


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("eggs", ["eggs"]),
        ("eggs and oat milk", ["eggs", "oat milk"]),
        ("eggs, milk and bread", ["eggs", "milk", "bread"]),
        ("eggs, milk, and bread", ["eggs", "milk", "bread"]),
        ("eggs & milk plus bread", ["eggs", "milk", "bread"]),
        ("eggs;milk,bread", ["eggs", "milk", "bread"]),
        ("candy And Sand", ["candy", "Sand"]),
    ],
)
def test_a_list_of_texts(text, items):
    assert ListKind(TextKind()).parse(text, NOW) == items


def test_lists_of_other_kinds():
    durations = ListKind(DurationKind())
    assert [value.total_seconds() for value in durations.parse("an hour and ten minutes", NOW)] == [4200]
    assert [value.total_seconds() for value in durations.parse("ten minutes, an hour and two days", NOW)] == [
        600,
        3600,
        172800,
    ]
    numbers = ListKind(IntegerKind())
    assert numbers.parse("1,250 and three", NOW) == [1250, 3]
    text = "press one, two and three, later 4"
    assert numbers.find(text, NOW) == [(6, 24, [1, 2, 3]), (32, 33, [4])]
    assert numbers.speak([1, 2, 3]) == "one, two and three"
    assert ListKind(LAMPS).grammar() is not None
    assert ListKind(TextKind()).grammar() is None
    with pytest.raises(SlotError, match="'x' is not an integer"):
        numbers.parse("1, x", NOW)
    with pytest.raises(SlotError, match="a list of 300 items; expected at most 200"):
        ListKind(TextKind()).parse("a," * 300, NOW)


def test_a_sampled_list_is_read():
    draw = random.Random(5)
    for kind in (ListKind(LAMPS), ListKind(IntegerKind())):
        for _ in range(200):
            assert kind.parse(kind.sample(draw), NOW)


def test_abbreviations_are_written_and_never_spoken():
    synonyms = {"pounds": ["lb", "lbs", "pound"], "celsius": ["°C", "c", "degrees celsius"], "x": []}
    values = [("pounds", "pounds", "pounds"), ("celsius", "celsius", "celsius"), ("x", "x", "x"), ("mph", "mph", "mph")]
    kind = ChoiceKind(make_choices(values, synonyms))
    assert kind.spoken_forms == ("pounds", "pound", "celsius", "degrees celsius", "x", "mph")  # those without a word
    assert not Grammar(kind.grammar()).accepts("lb")
    assert [kind.parse(text, NOW) for text in ("lbs", "°C", "c")] == ["pounds", "celsius", "celsius"]
