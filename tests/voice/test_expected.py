"""What a dialogue expects next, as a grammar: answers, values, corrections, and what can't be spelled."""

from __future__ import annotations

from datetime import timedelta
from string import ascii_lowercase
from types import SimpleNamespace
from typing import Literal

from unspool.commands import CommandSet, command
from unspool.commands.grammar import Grammar, Optional, any_of, sequence
from unspool.tasks.dialogue.phrases import SPOKEN, is_again, is_cancel, is_no, is_other, is_yes
from unspool.tasks.dialogue.turn import DialogueState, Pending
from unspool.voice.expected import answers_grammar, expectation_of, expected_grammar, spellable

LETTERS = f"{ascii_lowercase}' "


@command("set a timer for {length}", "note {text}", "turn {state} the {device} [in the {room}]")
def act(
    length: timedelta, text: str, state: Literal["on", "off"], device: Literal["light", "fan"], room: str = "kitchen"
) -> None: ...


HOUSE = CommandSet.of([act])
ACT = HOUSE["act"]


def test_every_phrase_of_small_talk_is_understood():
    meanings = {"yes": is_yes, "no": is_no, "cancel": is_cancel, "again": is_again, "other": is_other}
    assert set(meanings) == set(SPOKEN)
    for meaning, understands in meanings.items():
        assert all(understands(phrase) for phrase in SPOKEN[meaning])
    assert not is_yes("it")
    assert not is_yes("of")


def test_a_value_is_expected_while_a_command_asks():
    grammar = expected_grammar(ACT, "length", LETTERS)
    assert all(map(grammar.accepts, ("ten minutes", "for half an hour please", "cancel", "never mind")))
    assert not any(map(grammar.accepts, ("yes", "light", "turn on the light")))
    assert expected_grammar(ACT, "text", LETTERS) is None


def test_yes_no_and_corrections_are_expected_for_a_confirmation():
    grammar = expected_grammar(ACT, "yes or no", LETTERS)
    assert all(map(grammar.accepts, ("yes please", "no", "cancel", "the other one", "no i meant fan")))
    assert grammar.accepts("fan")
    after = expected_grammar(ACT, "again", LETTERS)
    assert all(map(after.accepts, ("again", "no fan", "make it ten minutes")))
    assert not any(map(after.accepts, ("fan", "yes")))


def test_the_state_of_a_dialogue_says_what_is_expected():
    state = DialogueState()
    dialogue = SimpleNamespace(state=state)
    assert expectation_of(dialogue) is None
    state.last = ACT, {}
    assert expectation_of(dialogue) == ("act", "again")
    state.pending = Pending(ACT, {}, asking="length")
    assert expectation_of(dialogue) == ("act", "length")
    state.pending = Pending(ACT, {})
    assert expectation_of(dialogue) == ("act", "yes or no")


def test_words_of_other_letters_are_left_out():
    root = sequence(any_of("go", "jump"), Optional(any_of("quickly")), any_of("left", "xx"))
    grammar = Grammar(spellable(root, "goleft "))
    assert grammar.sentences(9) == ["go left"]
    assert spellable(any_of("jump", "walk"), "abc") is None
    assert spellable(sequence("go", "jump"), "go") is None


def test_all_answers_are_a_grammar():
    grammar = answers_grammar(HOUSE)
    assert all(map(grammar.accepts, ("yes", "again", "ten minutes", "fan", "the other one")))
