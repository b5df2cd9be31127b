import re
from datetime import timedelta
from importlib.resources import files
from typing import Literal

import pytest

from unspool.commands import CommandSet, command
from unspool.commands.background import _ASKED, _TOLD, _UNDO, _Meaning, background, corrupted, everyday_sentences
from unspool.commands.grammar import spoken_words


@command("(set|start) a timer [for {length}]", "stop", "who are you", examples=("boil the eggs for ten minutes",))
def timer(length: timedelta = timedelta(minutes=1)) -> None: ...


@command("turn {state} the lights [in the {room}]", "{first} with the lights")
def lights(state: Literal["on", "off"], room: Literal["kitchen", "hall"] = "hall", first: str = "") -> None: ...


COMMANDS = CommandSet.of([timer, lights])


TOLD = (*_TOLD, *_ASKED)


def words_of(utterances):
    return {spoken_words(each.text) for each in utterances}


def drawn(sentence, commands=COMMANDS):
    """Whether a sentence is drawn, without politeness around it at least once."""
    return spoken_words(sentence) in words_of(background(commands, most=8000, seed=3))


def test_the_everyday_sentences_are_many_and_distinct():
    lines = files("unspool.commands").joinpath("background.txt").read_text("utf-8").splitlines()
    assert tuple(lines) == everyday_sentences()
    assert len({spoken_words(line) for line in lines}) == len(lines) >= 700
    assert not [line for line in lines if line != line.strip() or line != line.lower() or line[-1] in ".?!"]


@pytest.mark.parametrize(
    ("sentence", "why"),
    [
        ("stop", "a template"),
        ("who are you", "a template of stop words"),
        ("the kitchen", "a value of a choice"),
        ("minutes", "a word of an example"),
        ("start again from the beginning", None),
        ("the traffic light was red", None),
        ("turn on the radio", None),
        ("the hall is full of boxes", None),
        ("what", None),
    ],
)
def test_a_sentence_that_a_command_may_mean_is_left_out(sentence, why):
    assert sentence in everyday_sentences()
    assert drawn(sentence) == (why is None)


def test_a_sentence_with_a_command_s_beginning_and_one_more_of_its_words_is_left_out():
    @command("turn the music to {state}")
    def volume(state: Literal["loud", "quiet"]) -> None: ...

    assert drawn("turn the music off")
    assert not drawn("turn the music off", CommandSet.of([volume]))
    assert drawn("stop the music", CommandSet.of([volume]))


def test_the_background_is_varied_distinct_and_out_of_scope():
    utterances = background(COMMANDS, most=1800, seed=3)
    texts = [each.text for each in utterances]
    assert len(set(texts)) == len(texts) == 1800
    assert {(each.intents, each.slots, each.where) for each in utterances} == {((), (), "background")}
    assert any(text[0].isupper() for text in texts)
    assert any(text[-1] == "?" for text in texts)
    assert sum(text in everyday_sentences() for text in texts) > 300
    assert len({re.sub(r"^(please|hey|okay|ok),? ", "", text.lower()) for text in texts}) > 900


def test_the_same_seed_draws_the_same():
    assert background(COMMANDS, most=50, seed=1) == background(COMMANDS, most=50, seed=1)
    assert background(COMMANDS, most=50, seed=1) != background(COMMANDS, most=50, seed=2)
    utterances = COMMANDS.utterances(most=100)
    assert corrupted(utterances, most=50, seed=1) == corrupted(utterances, most=50, seed=1)
    assert corrupted(utterances, most=50, seed=1) != corrupted(utterances, most=50, seed=2)
    assert background(COMMANDS, most=0, seed=1) == corrupted(utterances, most=0, seed=1) == []


def test_near_misses_have_no_word_of_a_command_but_values_and_stop_words():
    utterances = COMMANDS.utterances(most=400, seed=2)
    misses = corrupted(utterances, most=300, seed=2)
    assert len({each.text for each in misses}) == len(misses) == 300
    assert {(each.intents, each.slots) for each in misses} == {((), ())}
    assert not words_of(misses) & words_of(utterances)
    literal = {"set", "start", "timer", "lights", "turn", "kitchen", "hall", "boil", "stop"}
    free = {each.text[span.start : span.end] for each in utterances for span in each.slots if span.slot == "first"}
    told = [miss for miss in misses if miss.text.lower().startswith((*TOLD, *_UNDO))]
    assert 20 < len(told) < 180  # `did you set a timer`, `cancel a timer`, checked below
    for miss in misses:
        if miss in told:
            continue
        words = " ".join(spoken_words(miss.text))
        for value in sorted(free, key=len, reverse=True):
            words = words.replace(" ".join(spoken_words(value)), "")
        assert not literal & set(words.split()), miss.text


def test_a_near_miss_keeps_values_and_is_sometimes_a_value_alone():
    utterances = [each for each in COMMANDS.utterances(most=400, seed=2) if each.intents == ("timer",)]
    values = {each.text[span.start : span.end] for each in utterances for span in each.slots}
    misses = corrupted(utterances, most=200, seed=2)
    alone = [each for each in misses if each.text in values]
    assert 15 < len(alone) < 80
    assert sum(any(value in each.text for value in values) for each in misses) > 100


def test_near_misses_tell_of_requests_only():
    utterances = COMMANDS.utterances(most=400, seed=2)
    requests = {each.text.lower() for each in utterances}
    told = [miss.text for miss in corrupted(utterances, most=300, seed=2) if miss.text.startswith(TOLD)]
    for text in told:
        rests = [text.removeprefix(opening).lower() for opening in TOLD if text.startswith(opening)]
        request = next(rest for rest in rests if rest in requests)
        assert request.split()[0].lower().strip(".,!?") not in ("please", "could", "can", "would", "who")


@command("(add|put) {items} (to|on) my list", "(pay|send) {amount} to {name}", "take {items} with me")
def keep(items: list[str], amount: int, name: str = "") -> None: ...


def test_near_misses_ask_for_the_opposite_of_a_command():
    utterances = CommandSet.of([keep, timer, lights]).utterances(most=600, seed=2)
    misses = [miss.text for miss in corrupted(utterances, most=400, seed=2)]
    opposites = [text for text in misses if text.lower().split()[0] in _UNDO]
    assert len(opposites) > 25
    for text in opposites:
        assert not re.search(r" (to|on) my list", text), text
    assert any(re.search(r"^(delete|remove|cross) .* (from|off) my list", text) for text in opposites)
    assert any(re.search(r"^(delete|cancel|undo) a timer for ", text) for text in opposites)
    assert not [text for text in opposites if text.startswith("take") and "list" in text]  # a word of the command
    assert not [text for text in opposites if re.search(r"(on|off) the lights", text)]  # the state says what to do


def test_a_question_about_a_state_is_no_command_unless_a_template_begins_so():
    assert "are the lights on in the kitchen" not in everyday_sentences()
    meaning = _Meaning(COMMANDS.commands[1])
    assert meaning.may_be(("lights", "on"))
    assert not meaning.may_be(("are", "the", "lights", "on"))
    assert _Meaning(COMMANDS.commands[0]).may_be(("who", "are", "you"))


def test_nothing_comes_of_sentences_out_of_scope():
    assert corrupted(background(COMMANDS, most=20, seed=1), most=10, seed=1) == []
