"""Templates: what brackets mean, sentences of each choice, and errors with their place."""

from __future__ import annotations

import random
import re

import pytest

from unspool.commands.grammar import Grammar, phrase
from unspool.commands.template import Place, parse_example, parse_template
from unspool.errors import CommandError


def sentences(source, **values):
    template = parse_template(source)
    rendered = [
        template.render(row, lambda place: values.get(place.slot, place.slot.upper())) for row in template.choices()
    ]
    return ["".join(text for text, _ in segments) for segments in rendered]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("stop", ["stop"]),
        ("set a timer for {length}", ["set a timer for LENGTH"]),
        ("turn it [right] off", ["turn it right off", "turn it off"]),
        ("[please] stop [now]", ["please stop now", "stop now", "please stop", "stop"]),
        ("(a|b) c", ["a c", "b c"]),
        ("(a|b|)c", ["ac", "bc", "c"]),
        ("[in the (big|small) {room}] go", ["in the big ROOM go", "in the small ROOM go", "go"]),
        ("light(s|)", ["lights", "light"]),
        ("go [to|towards] {place}", ["go to PLACE", "go towards PLACE", "go PLACE"]),
        (r"say \[x\] \{y\} \(a\|b\)", ["say [x] {y} (a|b)"]),
        ("well , {what} [ , please ] !", ["well, WHAT, please!", "well, WHAT!"]),
        ("{n}% of {m}", ["N% of M"]),
        ("  a\t b\n", ["a b"]),
        ("{length:duration} timer", ["LENGTH timer"]),
        ("timer[,|:|for|of] {n}", ["timer, N", "timer: N", "timer for N", "timer of N", "timer N"]),
        ("timer[for|with] {n}", ["timer for N", "timer with N", "timer N"]),
        ("note(:|{n}|that {n})", ["note:", "note N", "note that N"]),
        ("in[to] a light[s]", ["into a lights", "in a lights", "into a light", "in a light"]),
        ("log[in|off]", ["login", "logoff", "log"]),
        ("user('s|-name|s)", ["user's", "user-name", "users"]),
    ],
)
def test_the_sentences_of_a_template(source, expected):
    assert sentences(source) == expected
    template = parse_template(source)
    assert template.count == len(expected)
    draw = random.Random(1)
    drawn = {"".join(t for t, _ in template.render(template.draw(draw), lambda p: p.slot.upper())) for _ in range(200)}
    assert drawn == set(expected)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("turn {state the light", "template 'turn {state the light', character 6: '{' is not closed"),
        ("turn [on the light", "character 6: '[' is not closed"),
        ("turn (on|off the light", "character 6: '(' is not closed"),
        ("turn (on] light", "character 6: '(' is not closed"),
        ("turn on] light", "character 8: ']' without a bracket before it"),
        ("on|off", "character 3: '|' without a bracket before it; write alternatives as (a|b)"),
        ("turn state} it", "character 11: '}' without '{' before it"),
        ("set {} now", "'{}' holds no name of an argument; write {length}"),
        ("set {a b} now", "'{a b}' holds no name"),
        ("set {2x} now", "'{2x}' holds no name"),
        ("set {a=} now", "'{a=}': expected {a=the words of its value}"),
        ("", "has no words"),
        (" [?] ", "has no words"),
        ("(" * 14 + "a" + ")" * 14, "brackets inside more than 12 others"),
        ("a" * 1001, "a template of 1,001 characters; expected at most 1,000"),
    ],
)
def test_a_malformed_template_is_refused_with_its_place(source, message):
    with pytest.raises(CommandError, match=re.escape(message)):
        parse_template(source)


def test_a_template_of_many_choices_is_counted_and_drawn_without_expanding():
    template = parse_template("go " + "[very] (a|b|c) " * 30)
    assert template.count == 6**30
    assert len(template.draw(random.Random(2))) >= 30


def test_a_value_does_not_repeat_the_word_before_its_place():
    assert sentences("wake me in {when}", when="in ten minutes") == ["wake me in ten minutes"]
    assert sentences("call me at {when}", when="at noon") == ["call me at noon"]
    assert sentences("in {when}", when="in") == ["in in"]


def test_an_example_holds_marked_values_and_plain_brackets():
    example = parse_example("put {item=oat milk} (two) on my list [really]")
    assert [part for part in example.parts if isinstance(part, Place)] == [Place("item", "oat milk")]
    segments = example.render(next(example.choices()), lambda place: place.value)
    assert segments == [("put ", None), ("oat milk", "item"), (" (two) on my list [really]", None)]
    for source, message in (
        ("put {item}", r"expected {item=the words of its value}"),
        ("put {item=}", "expected {item="),
    ):
        with pytest.raises(CommandError, match=re.escape(message)):
            parse_example(source)


def test_the_grammar_of_a_template():
    template = parse_template("turn (on|off) [the {device}|it] [with {note}] light(s|), 2 times")
    grammar = Grammar(template.grammar({"device": phrase("floor lamp"), "note": None}))
    assert grammar.accepts("turn on the floor lamp lights two times")
    assert grammar.accepts("turn off it light two times")
    assert grammar.accepts("turn off light two times")
    for text in ("turn the floor lamp", "turn on with x light two times", "turn on light s two times", ""):
        assert not grammar.accepts(text)
    assert parse_template("say {note}").grammar({"note": None}) is None
    assert parse_template("(say {note}|stop)").grammar({"note": None}) == phrase("stop")
