"""Sentences to say: every word of the grammar, every command, no sentence twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import pytest

from unspool.commands import CommandSet, command
from unspool.errors import CommandError
from unspool.voice.sentences import draw_sentences, missing_words


@command("set a timer for {length}")
def set_timer(length: timedelta) -> None: ...


@command("(paint|colour) it {colour}")
def paint(colour: Literal["red", "green", "blue", "yellow", "black", "white"]) -> None: ...


@command("note {text}")
def note(text: str) -> None: ...


HOUSE = CommandSet.of([set_timer, paint, note])


def test_sentences_are_different_and_of_the_grammar():
    sentences = draw_sentences(HOUSE, 12, seed=3)
    assert len(set(sentences)) == len(sentences) == 24
    assert sentences == draw_sentences(HOUSE, 12, seed=3) != draw_sentences(HOUSE, 12, seed=4)
    grammar = HOUSE.grammar()
    assert all(grammar.accepts(sentence) for sentence in sentences)
    of_paint = [sentence for sentence in sentences if HOUSE.grammar(["paint"]).accepts(sentence)]
    assert len(of_paint) == 12


def test_rare_words_come_first():
    few = CommandSet.of([paint])
    sentences = draw_sentences(few, 8)
    colours = {"red", "green", "blue", "yellow", "black", "white"}
    assert colours <= {word for sentence in sentences for word in sentence.split()}
    assert missing_words(few, sentences) == sorted(few.grammar().vocabulary() - set(" ".join(sentences).split()))
    assert "paint" in missing_words(few, ["colour it red"])


def test_sentences_that_were_used_do_not_come_again():
    first = draw_sentences(HOUSE, 10, seed=1)
    assert not set(first) & set(draw_sentences(HOUSE, 10, seed=1, without=first))


def test_free_text_alone_has_no_sentences():
    with pytest.raises(CommandError, match="free text"):
        draw_sentences(CommandSet.of([note]), 3)
