"""`CommandSet`: names, commands that are alike, training sentences, grammars, and the functions of another file."""

from __future__ import annotations

import random
import re
from collections import Counter
from datetime import datetime, timedelta
from typing import Literal

import pytest
from house_commands import FUNCTIONS, HOUSE, set_timer

import unspool
from unspool.commands import CommandSet, command, command_of, expansion, variation
from unspool.commands.expansion import marked_example
from unspool.commands.template import parse_example
from unspool.errors import CommandError

NOW = datetime(2026, 11, 30, 18, 0)


def make(*templates, name="other", annotations=None, **options):
    names = dict.fromkeys(re.findall(r"{(\w+)}", " ".join(templates)))
    source = f"def act({', '.join(names)}): ..."
    scope = {}
    exec(source, scope)
    act = scope["act"]
    act.__annotations__ = annotations or {}
    return command(*templates, name=name, **options)(act)


def test_names():
    assert HOUSE.names == ("set_timer", "switch", "add_items", "remind", "heat")
    assert len(HOUSE) == 5
    assert "remind" in HOUSE
    assert [each.name for each in HOUSE] == list(HOUSE.names)
    assert unspool.CommandSet is CommandSet
    with pytest.raises(KeyError, match=re.escape("no command 'settimer' (did you mean 'set_timer'?)")):
        HOUSE["settimer"]
    with pytest.raises(CommandError, match="two commands have the name 'set_timer'"):
        CommandSet.of([set_timer, set_timer])
    with pytest.raises(CommandError, match="there are no commands"):
        CommandSet.of([])


# ---- alike -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "sentence"),
    [
        (("stop",), ("Stop!",), "stop"),
        (("[please] stop",), ("(stop|halt) [now]",), "stop"),
        (("wait {a}", {"a": timedelta}), ("(wait|pause) {b}", {"b": timedelta}), "wait {duration}"),
        (("set {a}", {"a": int}), ("set {b}", {"b": float}), "set {number}"),
        (("add {a}", {"a": str}), ("add {b}", {"b": list[str]}), "add {text}"),
        (("go {a}", {"a": Literal["up", "down"]}), ("go {b}", {"b": Literal["left", "Down"]}), "go {choice}"),
        (("go up",), ("go {b}", {"b": Literal["up", "down"]}), "go up"),
        (("turn on the light",), ("turn {b} the (light|fan)", {"b": bool}), "turn on the light"),
    ],
)
def test_two_commands_with_one_sentence_are_refused(first, second, sentence):
    for one, two in ((first, second), (second, first)):
        functions = [
            make(texts[0], name=name, annotations=texts[1] if len(texts) > 1 else None)
            for name, texts in (("one", one), ("two", two))
        ]
        with pytest.raises(CommandError) as raised:
            CommandSet.of(functions)
        assert f"both understand {sentence!r}; change one of the templates" in str(raised.value)
        assert "'one'" in str(raised.value)
        assert "'two'" in str(raised.value)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("go {a}", {"a": Literal["up", "down"]}), ("go {b}", {"b": Literal["left", "right"]})),
        (("wait {a}", {"a": timedelta}), ("wait {b}", {"b": int})),
        (("add {a} here", {"a": str}), ("add {b} there", {"b": str})),
        (("go left",), ("go {b}", {"b": Literal["up", "down"]})),
    ],
)
def test_commands_with_different_values_or_words_are_not_alike(first, second):
    functions = [
        make(texts[0], name=name, annotations=texts[1] if len(texts) > 1 else None)
        for name, texts in (("one", first), ("two", second))
    ]
    assert len(CommandSet.of(functions)) == 2


# ---- training sentences ----------------------------------------------------------------------------------------


def test_training_sentences_hold_their_values_where_the_spans_are():
    utterances = HOUSE.utterances(most=3000, seed=4)
    assert len(utterances) == 3000
    assert len({utterance.text for utterance in utterances}) == 3000
    for where, text, intents, spans in utterances:
        (intent,) = intents
        slots = {slot.name: slot for slot in HOUSE[intent].slots}
        source = next(
            part for part in (*HOUSE[intent].templates, *HOUSE[intent].examples) if where == f"{intent}: {part!r}"
        )
        assert text == " ".join(text.split())
        end = 0
        for span in spans:
            assert end <= span.start < span.end <= len(text)
            end = span.end
            slots[span.slot].kind.parse(text[span.start : span.end], NOW)
            if slots[span.slot].kind.name in ("duration", "choice", "number"):
                places = slots[span.slot].kind.find(text, NOW)
                assert (span.start, span.end) in [place[:2] for place in places], text
        for slot in slots.values():
            if slot.required and (f"{{{slot.name}" in source or intent == "set_timer"):
                assert slot.name in {span.slot for span in spans}


def test_commands_get_equal_shares_as_far_as_they_have_sentences():
    counts = Counter(utterance.intents[0] for utterance in HOUSE.utterances(most=1000, seed=1))
    assert set(counts.values()) == {200}
    few = CommandSet.of([make("stop"), set_timer])
    counts = Counter(utterance.intents[0] for utterance in few.utterances(most=1500, seed=1))
    assert counts["set_timer"] > 1000
    assert 50 < counts["other"] < 500


def test_training_sentences_depend_on_the_seed_alone():
    first = HOUSE.utterances(most=400, seed=1)
    assert first == CommandSet.of(FUNCTIONS).utterances(most=400, seed=1)
    assert first[:100] == HOUSE.utterances(most=100, seed=1)
    assert first != HOUSE.utterances(most=400, seed=2)


def test_training_sentences_vary_in_politeness_capitals_and_punctuation():
    texts = [utterance.text for utterance in HOUSE.utterances(most=2000, seed=3)]
    for pattern in (
        r"^please,? ",
        r"^(could|can) you ",
        r"^i'd like you to ",
        r"^[Hh]ey",
        r" please$",
        r"^[A-Z].*\.$",
        r"^Is it .*\?$",
    ):
        assert sum(bool(re.search(pattern, text)) for text in texts) > 1, pattern
    assert not any(re.search(r"please.*please", text) for text in texts)
    assert sum(text.endswith((".", "!", "?")) for text in texts) < 800


def test_every_choice_of_a_template_comes_up():
    texts = [
        utterance.text.lower() for utterance in CommandSet.of([make("(a|b|c) [d] (e|f) [g]")]).utterances(most=400)
    ]
    for words in ("a d e g", "a e", "c f", "b d f g", "c d e"):
        assert any(re.search(rf"\b{words}\b", text) for text in texts), words


def test_an_example_is_generalised_by_the_values_that_are_found_in_it():
    spans = {
        utterance.text[span.start : span.end]
        for utterance in HOUSE.utterances(most=500, seed=1)
        if utterance.where == "set_timer: 'timer, ten minutes please'"
        for span in utterance.slots
    }
    assert "ten minutes" in spans
    assert len(spans) > 20
    ambiguous = marked_example(command_of(set_timer), parse_example("ten minutes or two hours"))
    assert ambiguous.slots == ()


# ---- grammars --------------------------------------------------------------------------------------------------


def test_the_grammar_holds_every_command_without_free_text():
    grammar = HOUSE.grammar()
    for text in (
        "set a timer for ten minutes",
        "could you wake me in an hour and a half please",
        "turn on the lamp",
        "please turn off the fan in the living room",
        "set the heating to twenty point five degrees",
        "timer an hour and a half please",
        "is it warm",
        "Is it cold?",
    ):
        assert grammar.accepts(text), text
    for text in ("turn on the", "add eggs to my list", "turn the fan off", "set a timer", "", "is it warm or cold"):
        assert not grammar.accepts(text), text
    assert HOUSE.grammar(["switch"]).accepts("turn on the lamp")
    assert not HOUSE.grammar(["switch"]).accepts("is it warm")
    with pytest.raises(CommandError, match="every template has free text"):
        HOUSE.grammar(["add_items"])


def test_sentences_of_the_grammar_are_words_and_belong_to_it():
    grammar = HOUSE.grammar()
    draw = random.Random(3)
    vocabulary = grammar.vocabulary()
    for sentence in (*grammar.sentences(300), *(grammar.sample(draw) for _ in range(300))):
        assert grammar.accepts(sentence)
        assert set(sentence.split()) <= vocabulary
        assert re.fullmatch(r"[a-z' ]+", sentence)
    assert len(set(grammar.sentences(300))) == 300
    assert len(CommandSet.of([make("stop [now]")]).grammar().sentences(1000)) == 2 * 4 * 13


def test_spoken_training_sentences_are_accepted(monkeypatch):
    """Where the values are words of the grammar, so is the sentence, if it is not reworded: the choices of `switch`."""
    monkeypatch.setattr(expansion, "reword", lambda segments, random: segments)
    monkeypatch.setattr(expansion, "_TOLD_BEFORE", 0)
    monkeypatch.setattr(variation, "_CLAUSES", ("",))
    monkeypatch.setattr(variation, "_ENDINGS", ("",))
    grammar = HOUSE.grammar()
    for utterance in HOUSE.utterances(most=1000, seed=8):
        if utterance.intents == ("switch",) and not re.search(
            r"(?i)^(i need|hey, could|ok\b|okay,? )|for me|thanks", utterance.text
        ):
            assert grammar.accepts(utterance.text), utterance.text


# ---- the functions of another file -----------------------------------------------------------------------------


def test_a_schema_is_bound_to_the_functions_of_a_file():
    schema = CommandSet.from_record(HOUSE.record())
    assert schema["set_timer"].function is None
    bound = schema.bind(HOUSE)
    assert bound["set_timer"].function is set_timer
    assert bound["switch"].slot("room").kind.parse("lounge", NOW).name == "LIVING_ROOM"
    assert schema.differences(HOUSE) == ()


def test_each_difference_is_a_sentence():
    schema = CommandSet.from_record(HOUSE.record())
    others = [
        make("set a timer for {length} [minutes]", name="set_timer", annotations={"length": int}),
        make(
            "turn {state} the {device}", name="switch", annotations={"state": bool, "device": Literal["light", "fan"]}
        ),
        *FUNCTIONS[2:4],
        make("stop", name="halt"),
    ]
    changed = CommandSet.of(others)
    assert sorted(schema.differences(changed)) == [
        "argument 'device' of 'switch' has other values in the file",
        "argument 'length' of 'set_timer' is of the kind integer in the file, not duration",
        "argument 'room' of 'switch' is not in the file",
        "argument 'state' of 'switch' is of the kind boolean in the file, not choice",
        "command 'halt' is new in the file",
        "command 'heat' is not in the file",
        "command 'set_timer' has other examples in the file; train again to learn them",
        "command 'set_timer' has other templates in the file; train again to learn them",
        "command 'switch' has other templates in the file; train again to learn them",
    ]
    with pytest.raises(CommandError) as raised:
        schema.bind(changed)
    assert str(raised.value).startswith("the file does not fit the model: command 'heat' is not in the file; argument ")
    assert "templates" not in str(raised.value)
    assert "halt" not in str(raised.value)


def test_a_file_with_more_commands_and_other_templates_can_be_bound():
    schema = CommandSet.from_record(CommandSet.of([set_timer]).record())
    same = make("timer {length}", name="set_timer", annotations={"length": timedelta}, limit=3, confirm=True)
    bound = schema.bind(CommandSet.of([same, *FUNCTIONS[1:]]))
    assert bound.names == ("set_timer",)
    assert (bound["set_timer"].limit, bound["set_timer"].confirm) == (3, True)
    assert bound["set_timer"].templates == command_of(set_timer).templates
