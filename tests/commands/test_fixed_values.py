"""Places of a template that allow some words only: `{operation=sum}`."""

from typing import Literal

import pytest

from unspool.commands import CommandSet, command, command_of
from unspool.errors import CommandError

SYNONYMS = {"operation": {"plus": ["sum", "add"], "times": ["product"]}}


@command(
    "the {operation=sum | product} of {first} and {second}",
    "{operation=add} {first} and {second}",
    synonyms=SYNONYMS,
)
def calculate(first: int, operation: Literal["plus", "times"], second: int) -> None: ...


def values_of(utterance):
    return {span.slot: utterance.text[span.start : span.end].lower() for span in utterance.slots}


def test_only_these_words_take_the_place():
    utterances = CommandSet.of([calculate]).utterances(most=300)
    assert {values_of(each)["operation"] for each in utterances} == {"sum", "product", "add"}
    for each in utterances:
        operation = values_of(each)["operation"]
        assert (operation == "add") == (f"{operation} of" not in each.text.lower())


def test_the_grammar_has_these_words_only():
    grammar = CommandSet.of([calculate]).grammar()
    assert grammar.accepts("the sum of two and three")
    assert grammar.accepts("the product of two and three")
    assert not grammar.accepts("the plus of two and three")
    assert not grammar.accepts("the add of two and three")


def test_a_record_keeps_them():
    commands = CommandSet.of([calculate])
    assert CommandSet.from_record(commands.record()).utterances(most=50) == commands.utterances(most=50)


def test_free_text_in_fixed_words_is_in_the_grammar():
    @command("note {text=that i was here|this}")
    def note(text: str) -> None: ...

    grammar = CommandSet.of([note]).grammar()
    assert grammar.accepts("note that i was here")
    assert not grammar.accepts("note the weather")


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("{operation=adding} {first}", "'adding' is not one of plus, sum, add, times, product"),
        ("{operation=} {first}", "expected {operation=the words of its value}"),
        ("{operation=sum|} {first}", "expected {operation=the words of its value}"),
        ("{first=seven} {operation=sum} {first=eight}", "holds {first} twice"),
    ],
)
def test_a_bad_value_is_refused(template, complaint):
    def function(first: int, operation: Literal["plus", "times"]) -> None: ...

    with pytest.raises(CommandError) as error:
        command(template, synonyms=SYNONYMS)(function)
    assert complaint.split(",")[0] in str(error.value)
    assert "function" in str(error.value) or "template" in str(error.value)


def test_an_alternative_of_a_place_is_one_of_the_command_s_sentences():
    assert [template.count for template in command_of(calculate).parsed_templates] == [2, 1]
