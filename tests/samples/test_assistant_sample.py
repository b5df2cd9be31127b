"""The sample assistant: its six commands do what they say, and its pairs are a training file."""

import json
import time
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from unspool.commands import CommandSet, call
from unspool.commands.grammar import spoken_words
from unspool.data import read_pairs
from unspool.samples.assistant import source_files

NAMES = ("set_timer", "add_to_list", "calculate", "convert", "switch_light", "take_note")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("assistant")
    for name, content in source_files().items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def commands(folder):
    return CommandSet.load(folder / "commands.py")


def said(commands, name, **values):
    outcome = call(commands[name], values)
    assert outcome.error is None
    return outcome.text


def test_each_command_has_many_sentences(commands):
    assert commands.names == NAMES
    counts = Counter(each.intents[0] for each in commands.utterances(most=3600))
    assert min(counts[name] for name in NAMES) >= 400


def test_every_value_of_a_sentence_can_be_read(commands):
    for each in commands.utterances(most=1200, seed=5):
        command = commands[each.intents[0]]
        for span in each.slots:
            kind = command.slot(span.slot).kind
            value = kind.parse(each.text[span.start : span.end], datetime(2026, 6, 3))
            assert kind.parse(kind.speak(value), datetime(2026, 6, 3)) == value


def test_the_file_is_short_and_commented():
    lines = source_files()["commands.py"].decode().splitlines()
    assert len(lines) <= 210
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize(
    ("first", "operation", "second", "answer"),
    [
        (7.0, "times", 6.0, "7 times 6 is 42."),
        (3.0, "minus", 3.0, "3 minus 3 is 0."),
        (0.1, "plus", 0.2, "0.1 plus 0.2 is 0.3."),
        (1.0, "divided by", 3.0, "1 divided by 3 is 0.3333."),
        (0.0, "divided by", 4.0, "0 divided by 4 is 0."),
        (5.0, "divided by", 0.0, "Nothing can be divided by zero."),
        (1250.0, "times", 4.0, "1,250 times 4 is 5,000."),
    ],
)
def test_calculate(commands, first, operation, second, answer):
    assert said(commands, "calculate", first=first, operation=operation, second=second) == answer


@pytest.mark.parametrize(
    ("amount", "unit", "target", "answer"),
    [
        (100.0, "celsius", "fahrenheit", "100 celsius is 212 fahrenheit."),
        (-40.0, "fahrenheit", "celsius", "-40 fahrenheit is -40 celsius."),
        (32.0, "fahrenheit", "celsius", "32 fahrenheit is 0 celsius."),
        (20.0, "celsius", "celsius", "20 celsius is 20 celsius."),
        (5.0, "miles", "kilometres", "5 miles is 8.0467 kilometres."),
        (6.0, "feet", "inches", "6 feet is 72 inches."),
        (2.0, "pounds", "ounces", "2 pounds is 32 ounces."),
        (3.0, "kilograms", "pounds", "3 kilograms is 6.6139 pounds."),
        (1.0, "litres", "cups", "1 litres is 4.2268 cups."),
        (5.0, "kilograms", "miles", "I can't turn kilograms into miles: they measure different things."),
        (5.0, "celsius", "cups", "I can't turn celsius into cups: they measure different things."),
    ],
)
def test_convert(commands, amount, unit, target, answer):
    assert said(commands, "convert", amount=amount, unit=unit, target=target) == answer


def test_lists_and_notes_stay(folder, commands):
    said(commands, "add_to_list", items="eggs, oat milk and bread")
    said(commands, "add_to_list", items=["socks"], list_name="packing")
    assert said(commands, "add_to_list", items=["tea"]) == "Your shopping list: eggs, oat milk, bread, tea."
    assert json.loads((folder / "lists.json").read_text("utf-8")) == {
        "shopping": ["eggs", "oat milk", "bread", "tea"],
        "packing": ["socks"],
    }
    assert said(commands, "take_note", text="größe 7") == "Noted: größe 7."
    said(commands, "take_note", text="two")
    assert [line.partition(" ")[2] for line in (folder / "notes.txt").read_text("utf-8").splitlines()] == [
        "größe 7",
        "two",
    ]
    assert {path.name for path in folder.iterdir()} - {"__pycache__"} == {
        *source_files(),
        "lists.json",
        "notes.txt",
    }


def test_lights_remember_their_state(commands):
    assert said(commands, "switch_light", state="on") == "Light on (living room)."
    assert said(commands, "switch_light", state="on", room="hall") == "Light on (hall)."
    assert said(commands, "switch_light", state="on") == "Light on (living room, as before)."
    assert said(commands, "switch_light", state="off") == "Light off (living room)."


def test_a_timer_prints_when_it_is_over(commands, capsys):
    text = said(commands, "set_timer", length=timedelta(milliseconds=100), label="the eggs")
    assert text.startswith("Your timer for the eggs is running")
    until = time.monotonic() + 20
    printed = ""
    while "is over" not in printed and time.monotonic() < until:
        time.sleep(0.02)
        printed += capsys.readouterr().out
    assert "Your timer for the eggs is over: zero point one seconds." in printed


def test_the_pairs_have_two_wordings_each(folder):
    pairs = list(read_pairs([str(folder / "pairs.tsv")]))
    assert len(pairs) == 80
    lines = [line.split("\t") for line in source_files()["pairs.tsv"].decode().splitlines()[1:]]
    assert len({spoken_words(question) for question, _ in lines}) == 80
    assert set(Counter(answer for _, answer in lines).values()) == {2}
    assert all(one[1] == two[1] for one, two in list(pairwise(lines))[::2])
