"""Grammars: what they accept, list and draw."""

from __future__ import annotations

import random

from unspool.commands.grammar import (
    Alternatives,
    Capture,
    Grammar,
    Optional,
    Sequence,
    Word,
    any_of,
    children,
    phrase,
    sequence,
    spoken_words,
)


def test_words_are_as_a_speech_recogniser_writes_them():
    assert spoken_words("Turn  on, the TV's 2nd light (20%)!") == (
        "turn", "on", "the", "tv's", "two", "nd", "light", "twenty", "percent",
    )  # fmt: skip
    assert spoken_words("twenty-one o’clock") == ("twenty", "one", "o'clock")
    assert spoken_words("...") == ()


def test_nodes():
    assert phrase("stop") == Word("stop")
    assert phrase("stop now") == Sequence((Word("stop"), Word("now")))
    assert any_of("a", "b", "a") == Alternatives((Word("a"), Word("b")))
    assert any_of("a") == Word("a")
    assert children(Capture("x", Word("a"))) == (Word("a"),)
    assert len({sequence("a", "b"), sequence("a", "b"), Optional(Word("a"))}) == 2


def test_a_grammar_of_all_nodes():
    node = sequence(
        "go",
        Optional(any_of("very", sequence("not", "so"))),
        Capture("way", any_of("up", "down")),
        Optional(Word("please")),
    )
    grammar = Grammar(node)
    expected = {
        " ".join(filter(None, ("go", how, way, end)))
        for how in ("", "very", "not so")
        for way in ("up", "down")
        for end in ("", "please")
    }
    assert set(grammar.sentences(100)) == expected
    assert grammar.sentences(3) == ["go up", "go up please", "go down"]
    assert all(grammar.accepts(sentence) for sentence in expected)
    assert grammar.accepts(["go", "very", "up"])
    for words in ("go", "go so up", "go up please please", "up", ""):
        assert not grammar.accepts(words)
    assert grammar.vocabulary() == frozenset(["go", "very", "not", "so", "up", "down", "please"])
    draw = random.Random(1)
    assert {grammar.sample(draw) for _ in range(500)} == expected


def test_a_grammar_of_many_sentences_accepts_in_short_time():
    node = sequence(*[Optional(any_of("a", "b", sequence("a", "b")))] * 60)
    assert Grammar(node).accepts(["a", "b"] * 40)
    assert not Grammar(node).accepts(["a", "b"] * 40 + ["c"])
    assert len(Grammar(node).sentences(50)) == 50
