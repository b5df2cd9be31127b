"""The catalog of tasks agrees with the classes it speaks of, and what it promises can be done."""

from __future__ import annotations

import shlex
from importlib import import_module

import pytest

import unspool.tasks
from unspool.cells import CELLS
from unspool.cli.compare import compare
from unspool.cli.train import train
from unspool.errors import UsageError
from unspool.settings import describe, make
from unspool.tasks import TASKS, Classification, Reading, Tagging, Task, task_class, task_entry
from unspool.tasks.entry import one_of
from unspool.tasks.parts.spans import Span

ENTRIES = pytest.mark.parametrize("entry", TASKS.values(), ids=list(TASKS))


@ENTRIES
def test_an_entry_agrees_with_its_class(entry):
    kind = task_class(entry.name)
    assert issubclass(kind, Task)
    assert (kind.name, kind.settings_type, kind.__name__) == (entry.name, entry.settings, entry.task)
    assert kind.__module__ == f"unspool.tasks.{entry.path}"
    assert not kind.__abstractmethods__


@ENTRIES
def test_a_task_and_what_it_predicts_are_public(entry):
    answer = getattr(import_module(f"unspool.tasks.{entry.path}"), entry.answer)
    assert {entry.task, entry.answer} <= set(unspool.tasks.__all__)
    assert getattr(unspool.tasks, entry.answer) is answer
    assert getattr(unspool, entry.task) is task_class(entry.name)
    assert callable(answer.line)
    assert callable(answer.record)


@ENTRIES
def test_every_network_of_an_entry_stands_for_settings_of_its_own(entry):
    assert set(entry.usual_networks) <= {*CELLS, *entry.networks}
    assert not set(entry.networks) & set(CELLS)
    made = []
    for network in entry.networks:
        assert network in entry.networks_help
        assert set(entry.network_settings(network)) <= set(describe(entry.settings))
        made.append(make(entry.settings, entry.network_settings(network)))
    assert all(made.count(settings) == 1 for settings in made)


def test_a_name_that_no_entry_has_is_a_cell():
    assert task_entry("classify").network_settings("bag") == {"network.network": "bag"}
    recurrent = {"network.network": "recurrent"}
    assert task_entry("tag").network_settings("my.py:Mine") == {"network.cell": "my.py:Mine", **recurrent}
    assert task_entry("tag").network_settings("bag") == {"network.cell": "bag", **recurrent}
    assert task_entry("classify").compared_settings == {"network.cell", "network.network"}
    assert task_entry("tag").compared_settings == {"network.cell", "network.network"}


def test_a_cell_is_trained_as_one_whatever_a_recipe_says():
    entry = task_entry("classify")
    recipe = make(entry.settings, {"network.network": "bag", "hidden": 7})
    made = make(entry.settings, entry.network_settings("gru"), base=recipe).network
    assert (made.network, made.cell, made.hidden) == ("recurrent", "gru", 7)


@ENTRIES
@pytest.mark.parametrize("verb", ["train", "compare"])
def test_an_example_is_a_command_line(entry, verb):
    group, example = {"train": (train, entry.train_example), "compare": (compare, entry.compare_example)}[verb]
    program, *words = shlex.split(example)
    assert (program, *words[:2]) == ("unspool", verb, entry.name)
    command = group.get_command(group.make_context(verb, words[1:]), entry.name)
    assert command.make_context(entry.name, words[2:]).params["data"]


def test_an_unknown_task_is_named():
    with pytest.raises(
        UsageError, match=r"no task 'clasify' \(did you mean 'classify'\?\); choose one of classify, tag"
    ):
        task_entry("clasify")


@pytest.mark.parametrize(
    ("words", "said"),
    [(["a"], "a"), (["a", "b"], "a or b"), (["a", "b", "c"], "a, b or c"), (["a", "b", "a"], "a or b")],
)
def test_words_as_a_choice(words, said):
    assert one_of(words) == said


def test_what_is_predicted_writes_itself():
    said = Classification("a joy", ("good", "short"), {"good": 0.91239, "short": 0.5, "bad": 0.01})
    assert said.line() == "good,short\t0.912,0.500\ta joy"
    assert said.record() == {"text": "a joy", "labels": ["good", "short"], "probabilities": said.probabilities}
    tagged = Tagging(["in", "Rome"], ["O", "B-LOC"], [0.9, 0.8], [Span(1, 2, "LOC")])
    assert tagged.line() == "in\tO\nRome\tB-LOC\n"
    assert tagged.record()["spans"] == [{"start": 1, "end": 2, "type": "LOC"}]
    assert list(tagged.record()) == ["words", "tags", "probabilities", "spans", "parted"]
    read = Reading("ab", ["a", "b"], [0.5, 1.5], {"c": 0.25})
    assert read.line() == "2.718\tab"
    assert read.record() == {**read._asdict(), "perplexity": pytest.approx(2.718281828)}
