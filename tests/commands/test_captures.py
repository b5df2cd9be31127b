"""The slots of a spoken sentence, read by the grammar of its command."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from unspool.commands import CommandSet, command


@command("set [a] {label=tea|egg} timer for {length}", "timer {length}")
def set_timer(length: timedelta, label: str = "") -> None: ...


@command("paint (it {colour}|{colour} the {thing})")
def paint(colour: Literal["red", "dark red"], thing: Literal["door", "red door"] = "door") -> None: ...


def test_the_words_of_each_slot():
    grammar = CommandSet.of([set_timer]).grammar()
    words = "please set tea timer for an hour and a half thank you"
    assert grammar.captures(words) == {"label": "tea", "length": "an hour and a half"}
    assert grammar.captures("timer two minutes and ten seconds") == {"length": "two minutes and ten seconds"}
    assert grammar.captures(["timer", "two", "minutes"]) == {"length": "two minutes"}


def test_a_sentence_of_another_grammar_has_none():
    grammar = CommandSet.of([set_timer]).grammar()
    assert grammar.captures("timer two minutes and") is None
    assert grammar.captures("") is None


def test_the_reading_fits_the_whole_sentence():
    grammar = CommandSet.of([paint]).grammar()
    assert grammar.captures("paint dark red the red door") == {"colour": "dark red", "thing": "red door"}
    assert grammar.captures("paint red the door") == {"colour": "red", "thing": "door"}
    assert grammar.captures("paint it dark red") == {"colour": "dark red"}
