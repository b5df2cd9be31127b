"""Questions that share paraphrases stay separate: from the file to training, replies, scores and what is added."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import unspool
from pair_samples import MEMORY, SILENT, write_entries
from unspool import Assistant
from unspool.data import Question, shared_wordings
from unspool.tasks.answer.data import Questions
from unspool.tasks.answer.matching import (
    KeyIndex,
    LookupSource,
    PairBags,
    begin_retriever,
    calibrate,
    hold_out,
    learn_vocabulary,
    make_probes,
    targets,
)
from unspool.training import Reporter

SETTINGS = {**MEMORY, "valid_fraction": 0.25, "epochs": 8, "memory.size": 16, "learning_rate": 1e-2}
THINGS = ["invoice", "parcel", "password", "garden", "ticket", "camera", "mattress", "kettle", "bicycle", "passport"]
DEEDS = ["cancel", "return", "replace", "clean", "insure", "rent", "repair", "sell", "store", "share"]


def vague(n: int) -> str:
    """The wording that entries n - 1 and n share."""
    return f"Could I {DEEDS[n - 1]} or {DEEDS[n % len(DEEDS)]} something?"


def chain() -> list[dict[str, Any]]:
    """An FAQ in which each entry but the last shares a vague paraphrase with the next, and has an answer of its own."""
    count = len(THINGS)
    ring = [
        {
            "question": f"How do I {DEEDS[n]} my {THINGS[n]}?",
            "paraphrases": [
                f"{DEEDS[n]} the {THINGS[n]} please",
                f"what is the way to {DEEDS[n]} a {THINGS[n]}",
                f"my {THINGS[n]}, I want to {DEEDS[n]} it",
                vague(n),
                vague((n + 1) % count),
            ],
            "answer": f"Fill in form {n:02} for {THINGS[n]}.",
        }
        for n in range(count)
    ]
    return [*ring, {"question": "When are you open?", "paraphrases": ["opening hours"], "answer": "From nine to five."}]


UNSEEN = [
    (f"is it possible to {deed} one {thing} of mine", n)
    for n, (deed, thing) in enumerate(zip(DEEDS, THINGS, strict=True))
]


def listed(entries: list[dict[str, Any]]) -> Questions:
    return Questions(
        Question(f"faq:{line}", [each["question"], *each["paraphrases"]], [each["answer"]])
        for line, each in enumerate(entries, 1)
    )


class Notes(Reporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("shared")
    write_entries(place / "faq.jsonl", chain())
    write_entries(place / "unseen.jsonl", [{"question": asked, "answer": chain()[n]["answer"]} for asked, n in UNSEEN])
    notes = Notes()
    Assistant(**SETTINGS).fit(place / "faq.jsonl", test=place / "unseen.jsonl", out=place / "model", reporter=notes)
    (place / "notes.txt").write_text("\n".join(notes.lines))
    return place


@pytest.fixture
def assistant(place: Path) -> Assistant:
    loaded = unspool.load(place / "model")
    assert isinstance(loaded, Assistant)
    return loaded


# ---- an FAQ whose entries are linked by shared paraphrases ---------------------------------------------------------


def test_every_entry_of_a_chain_keeps_its_own_answer(assistant):
    assert [each.answers for each in assistant.questions] == [[each["answer"]] for each in chain()]
    right = [assistant.ask(asked).answers == [chain()[n]["answer"]] for asked, n in UNSEEN]
    assert sum(right) >= 9, right


def test_validation_and_test_say_how_often_the_entry_and_its_answer_are_right(assistant):
    metrics = assistant.record.metrics
    assert list(metrics["valid"]) == ["first", "correct", "answered"]
    assert metrics["test"]["first"] >= 0.9
    assert metrics["test"]["correct"] >= 0.9
    assert abs(metrics["valid"]["correct"] - metrics["test"]["correct"]) <= 0.25


def test_a_shared_wording_names_both_entries(assistant):
    for n in range(len(THINGS)):
        reply = assistant.ask(vague(n))
        owners = {chain()[n]["question"], chain()[(n - 1) % len(THINGS)]["question"]}
        assert {source.question for source in reply.sources[:2]} == owners
        assert reply.sources[0].share == reply.sources[1].share > reply.sources[2].share
        assert (reply.confidence, reply.known) == (1.0, True)
        assert reply.source_line() == f"100% sure, from: {reply.sources[0].question}; as likely: " + (
            reply.sources[1].question
        )


def test_all_other_evidence_decides_between_entries_that_share_a_wording(tmp_path):
    entries = [
        {"question": "Where is the old harbour?", "paraphrases": ["the harbour", "boats leave"], "answer": "East."},
        {
            "question": "How deep is the harbour?",
            "paraphrases": ["the harbour"],
            "answer": "The harbour is six metres.",
        },
        {"question": "Who sells maps?", "paraphrases": ["maps"], "answer": "The kiosk."},
    ]
    for order in (entries, entries[::-1]):
        task = Assistant(**SETTINGS).fit(write_entries(tmp_path / "a.jsonl", order), reporter=SILENT)
        assert task.ask("the harbour").answer == "The harbour is six metres."  # more of its key is about the harbour


def test_training_names_the_shared_wordings(place):
    (note,) = [line for line in (place / "notes.txt").read_text().splitlines() if "belong to several" in line]
    assert note.startswith("note: 10 wordings belong to several questions: 'Could I ")
    path = re.escape(str(place / "faq.jsonl"))
    named = re.findall(rf"'([^']+)' \({path}:(\d+), {path}:(\d+)\)", note)
    assert len(named) == note.count("'") / 2 == 3
    for wording, *lines in named:
        assert [str(n) for n, each in enumerate(chain(), 1) if wording in each["paraphrases"]] == lines


def test_nothing_is_noted_where_nothing_is_shared(tmp_path):
    notes = Notes()
    write_entries(tmp_path / "a.jsonl", [{"question": "a b", "answer": "c"}, {"question": "d e", "answer": "f"}])
    Assistant(**SETTINGS).fit(tmp_path / "a.jsonl", reporter=notes)
    assert not [line for line in notes.lines if "belong" in line]


# ---- what scores count ---------------------------------------------------------------------------------------------


def test_the_right_entry_is_the_one_a_wording_was_held_out_of():
    known = [
        Question("f:1", ["a"], ["yes", "no"]),
        Question("f:2", ["b"], ["no"]),
        Question("f:3", ["c"], ["perhaps", "yes"]),
    ]
    found = targets(known, [Question("f:1", ["A1"], ["yes", "no"])])
    assert found == {"a1": ({0, 1}, {"yes", "no"})}  # its own, and one that says nothing else
    held = [Question("f:2", ["w"], ["no"]), Question("f:3", ["w", "v"], ["perhaps", "yes"])]
    assert targets(known, held) == {
        "w": ({1, 2}, {"no", "perhaps", "yes"}),  # a wording of both: either is right
        "v": ({2}, {"perhaps", "yes"}),
    }


def test_in_another_file_an_entry_is_right_that_has_a_right_answer():
    known = [Question("f:1", ["a"], ["yes", "no"]), Question("f:2", ["b"], ["no"]), Question("f:3", ["c"], ["x"])]
    assert targets(known, [Question("g:1", ["q"], ["yes"])]) == {"q": ({0}, {"yes"})}
    assert targets(known, [Question("g:1", ["q"], ["no"])]) == {"q": ({0, 1}, {"no"})}
    assert targets(known, [Question("g:1", ["q"], ["never heard"])]) == {"q": (set(), {"never heard"})}


def test_an_answer_that_is_not_the_one_to_say_is_not_correct(tmp_path):
    write_entries(
        tmp_path / "a.jsonl",
        [{"question": "open it", "answers": ["Turn the key.", "Push."]}, {"question": "shut", "answer": "Pull."}],
    )
    task = Assistant(**SETTINGS).fit(tmp_path / "a.jsonl", reporter=SILENT)
    (tmp_path / "b.tsv").write_text("please open it\tPush.\nopen it now\tTurn the key.\n")
    scores = task.evaluate(tmp_path / "b.tsv")
    assert (scores["first"], scores["correct"]) == (1.0, 0.5)


def test_a_wording_is_held_out_of_all_its_questions_or_of_none():
    examples = listed(chain())
    kept, held = examples.divide(0.5, 0)
    asked = {wording for each in held for wording in each.wordings}
    assert asked & set(map(vague, range(10)))
    assert not asked & {wording for each in kept for wording in each.wordings}
    # the question of another entry is never held out
    first = [{**each, "paraphrases": [chain()[n - 1]["question"]]} for n, each in enumerate(chain())]
    assert listed(first).divide(0.5, 0) == (listed(first), None)


# ---- training and the threshold ------------------------------------------------------------------------------------


def bags_of(questions: list[Question]) -> PairBags:
    return PairBags(questions, learn_vocabulary(questions), answer_weight=0.5)


def test_a_question_is_not_pushed_away_from_others_that_have_the_same_wording():
    questions = listed(chain())
    source = LookupSource(questions, bags_of(questions), batch_size=16, word_dropout=0.0, hold_out=0.0)
    shared = set(shared_wordings(questions))
    texts = {tuple(source.bags.vocabulary.bag(text).ids): text for each in questions for text in each.wordings}
    ignored = 0
    for batch in source.epoch(0):
        for row in range(batch.size):
            text = texts.get(tuple(batch.queries.ids[batch.queries.rows == row].tolist()))
            count = 0 if batch.ignored is None else int(batch.ignored[row].sum())
            assert count == (text is not None and text.casefold() in shared)
            assert batch.ignored is None or not batch.ignored[row, batch.targets[row]]
            ignored += count
    assert ignored == 20
    batch = next(source.epoch(0))
    assert batch.ignored is not None
    model = begin_retriever(source.bags, size=5)
    scores = model.scores(batch.queries, batch.keys) * model.memory.log_scale.exp()
    scores[batch.ignored] = -torch.inf
    expected = torch.nn.functional.cross_entropy(scores, batch.targets, reduction="sum")
    torch.testing.assert_close(model.loss(batch).total, expected)
    parts = [model.loss(batch.shard(rank, 3)).total for rank in range(3)]
    torch.testing.assert_close(sum(parts), expected)


def test_batches_without_shared_wordings_ignore_nothing():
    questions = listed([{**each, "paraphrases": each["paraphrases"][:3]} for each in chain()])
    assert all(batch.ignored is None for batch in LookupSource(questions, bags_of(questions)).epoch(0))


def test_the_threshold_does_not_count_an_entry_that_shares_the_wording_as_wrong():
    questions = listed(chain())
    held = hold_out(questions, 0.5)
    assert not {text for _, text in held.asked} & set(shared_wordings(questions))
    twins = [*questions, *(Question(f"twin:{n}", list(each.wordings), ["No."]) for n, each in enumerate(questions))]
    bags = bags_of(twins)
    probes = make_probes(hold_out(twins), bags)
    assert {(probe.pair, probe.alike) for probe in probes} == {
        (
            pair,
            tuple(
                other for other in range(22) if other != pair and set(each.wordings[:1]) & set(twins[other].wordings)
            ),
        )
        for pair, each in enumerate(twins)
    }
    index = KeyIndex(begin_retriever(bags, size=8), bags.keys())
    counted, blamed = (calibrate(some, index) for some in (probes, [each._replace(alike=()) for each in probes]))
    assert counted.scale > blamed.scale
    right = np.mean([index.scores(probe.bag)[[probe.pair, *probe.alike]].max() for probe in probes])
    assert counted.confidence(right) > blamed.confidence(right)


# ---- what is added -------------------------------------------------------------------------------------------------


def test_what_is_added_joins_the_question_that_it_repeats(assistant):
    before = [list(each.wordings) for each in assistant.questions]
    assert assistant.add([(chain()[3]["question"].upper(), "Wait.")]) == 0  # its question
    assert assistant.questions[3].answers == [chain()[3]["answer"], "Wait."]
    assert assistant.add([("cancel the invoice please", "Call us.")]) == 0  # a wording of one question only
    assert assistant.questions[0].answers == [chain()[0]["answer"], "Call us."]
    assert [each.wordings for each in assistant.questions] == before
    # a wording of two questions becomes one of its own, and is what is then said
    assert assistant.add([(vague(5), "Which one?")]) == 1
    assert [each.wordings for each in assistant.questions] == [*before, [vague(5)]]
    assert assistant.ask(vague(5)).answer == "Which one?"
    assert assistant.add([(vague(5).upper(), "Say more.")]) == 0
    assert assistant.questions[-1].answers == ["Which one?", "Say more."]


def test_adding_the_same_file_again_changes_nothing(assistant, place):
    before = [(each.wordings, each.answers) for each in assistant.questions]
    assert assistant.add(place / "faq.jsonl") == 0
    assert sorted(map(sorted, (wordings for wordings, _ in before))) == sorted(
        sorted(each.wordings) for each in assistant.questions
    )
    assert [each.answers for each in assistant.questions] == [answers for _, answers in before]


def test_what_was_added_is_kept_by_a_training_that_goes_on(place, tmp_path):
    task = Assistant(**{**SETTINGS, "schedule": "constant"})
    task.fit(place / "faq.jsonl", out=tmp_path / "m", reporter=SILENT)
    more = [{"question": "brand new", "paraphrases": [vague(2)], "answer": "Fresh."}]
    write_entries(tmp_path / "more.jsonl", more)
    task.add(tmp_path / "more.jsonl")
    task.add([(vague(7), chain()[1]["answer"]), (chain()[4]["question"], chain()[5]["answer"])])
    task.save(tmp_path / "m")
    expected = [(set(each.wordings), each.answers) for each in task.questions]
    assert len(expected) == 13
    longer = Assistant(**{**SETTINGS, "schedule": "constant", "epochs": 9})
    longer.fit(place / "faq.jsonl", out=tmp_path / "m", resume=True, reporter=SILENT)
    assert [(set(each.wordings), each.answers) for each in longer.questions] == expected
    again = unspool.load(tmp_path / "m")
    assert [(set(each.wordings), each.answers) for each in again.questions] == expected


def test_a_folder_of_merged_questions_still_loads(place, tmp_path, assistant):
    """Folders saved before merged what shares a wording; they stay as they are."""
    assistant.save(tmp_path / "m")
    path = tmp_path / "m" / "vocabulary" / "questions.json"
    kept = json.loads(path.read_text())
    both = {"wordings": [*kept[0]["wordings"], *kept[1]["wordings"]], "answers": [*kept[0]["answers"], "x"]}
    path.write_text(json.dumps([both, *kept[2:]]))
    again = unspool.load(tmp_path / "m")
    assert len(again.questions) == 10
    assert again.ask(vague(1)).answer == chain()[0]["answer"]
