import json
import re
from collections import Counter
from functools import cache
from importlib.resources import files

import pytest
from click.testing import CliRunner

from unspool.cells import CELLS
from unspool.cli.main import VERBS, unspool
from unspool.data import read_rows
from unspool.samples import everyday
from unspool.tasks.catalog import TASKS

TOPICS = {"bicycle", "cleaning", "computer", "cooking", "garden", "habits", "measures", "money", "talk", "unspool"}
PAIRS, UNSEEN = everyday.pairs(), everyday.unseen()
NEW_WORDINGS = [each for each in UNSEEN if each.same_as is not None]
UNKNOWN = [each for each in UNSEEN if each.same_as is None]
ANSWERS = [answer for pair in PAIRS for answer in pair.answers]


def letters_of(text: str) -> str:
    """Words in lower case, without punctuation."""
    return " ".join(re.sub(r"[^\w\s]", " ", text.casefold()).split())


@cache
def helps() -> str:
    """What every verb and every task says to --help."""
    calls = [[verb, "--help"] for verb in VERBS] + [["train", task, "--help"] for task in TASKS]
    results = [CliRunner().invoke(unspool, call) for call in calls]
    assert all(result.exit_code == 0 for result in results)
    return "\n".join(result.output for result in results)


def test_there_are_enough_questions_of_every_kind():
    assert len(PAIRS) >= 180
    assert len(NEW_WORDINGS) >= 120
    assert len(UNKNOWN) >= 80
    topics = Counter(pair.topic for pair in PAIRS)
    assert set(topics) == TOPICS
    assert min(topics.values()) >= 12
    assert topics["unspool"] >= 40


def test_every_question_has_paraphrases_and_answers():
    for pair in PAIRS:
        assert 4 <= len(pair.paraphrases) <= 7, pair.question
        assert 1 <= len(pair.answers) <= 3, pair.question
        assert pair.wordings == (pair.question, *pair.paraphrases)


def test_texts_are_tidy():
    for text in [*(text for pair in PAIRS for text in pair.wordings), *ANSWERS, *(each.question for each in UNSEEN)]:
        assert letters_of(text)
        assert text == " ".join(text.split())
        assert text.isascii(), text
    for answer in ANSWERS:
        assert answer[0].isupper() or answer.startswith(("unspool", "import unspool", "elman")), answer
        assert answer[-1] in ".?!", answer
        assert len(answer) <= 280, answer


def test_no_wording_stands_twice_in_either_file():
    wordings = [text for pair in PAIRS for text in pair.wordings] + [each.question for each in UNSEEN]
    counts = Counter(map(letters_of, wordings))
    assert [text for text, count in counts.items() if count > 1] == []


def test_no_answer_stands_twice():
    counts = Counter(map(letters_of, ANSWERS))
    assert [text for text, count in counts.items() if count > 1] == []


def test_paraphrases_of_a_question_differ_by_more_than_a_word_or_its_order():
    for pair in PAIRS:
        words = [frozenset(letters_of(text).split()) for text in pair.wordings]
        for place, one in enumerate(words):
            for other in words[place + 1 :]:
                assert len(one & other) < 0.75 * len(one | other), (pair.question, one, other)


def test_new_wordings_belong_to_known_questions_of_every_topic():
    topics = {pair.question: pair.topic for pair in PAIRS}
    assert len(topics) == len(PAIRS)
    assert {each.same_as for each in NEW_WORDINGS} <= set(topics)
    assert min(Counter(topics[each.same_as] for each in NEW_WORDINGS).values()) >= 8


def test_some_unknown_questions_look_like_known_ones():
    words = [set(letters_of(text).split()) for pair in PAIRS for text in pair.wordings]
    near = [
        each.question
        for each in UNKNOWN
        if any(len(own & known) >= 3 for own in [set(letters_of(each.question).split())] for known in words)
    ]
    assert "How do I fix a flat roof?" in near
    assert 20 <= len(near) < len(UNKNOWN)


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("everyday.jsonl", {"question", "paraphrases", "answers", "topic"}),
        ("everyday_unseen.jsonl", {"question", "same_as"}),
    ],
)
def test_lines_have_these_columns_and_no_others(name, columns):
    raw = files("unspool.samples").joinpath(name).read_bytes()
    assert raw.endswith(b"}\n")
    assert {frozenset(json.loads(line)) for line in raw.splitlines()} == {frozenset(columns)}


def test_the_file_is_one_that_the_data_room_reads():
    with everyday.path() as path:
        rows = list(read_rows(path))
    assert [row.values["question"] for row in rows] == [pair.question for pair in PAIRS]
    assert [tuple(row.values["answers"]) for row in rows] == [pair.answers for pair in PAIRS]


def test_answers_name_commands_and_tasks_that_exist():
    text = "\n".join(ANSWERS)
    verbs = set(re.findall(r"\bunspool ([a-z]+)", text))
    assert verbs <= {*VERBS, "chat"}
    assert verbs >= {"train", "chat", "inspect", "compare", "predict", "generate", "evaluate", "info", "doctor", "demo"}
    assert set(re.findall(r"\bunspool train ([a-z]+)", text)) == {"classify", "tag", "write", "answer"}
    assert {"classify", "tag", "write"} <= set(TASKS)


def test_answers_name_flags_that_exist():
    flags = {flag for answer in ANSWERS for flag in re.findall(r"--[a-z_-]+", answer)} - {"--nproc_per_node"}
    assert len(flags) > 15
    assert [flag for flag in sorted(flags) if not re.search(rf"{flag}\b", helps())] == []


def test_the_answer_about_cells_names_cells_that_exist():
    answer = next(pair.answers[0] for pair in PAIRS if pair.question == "Which cells does Unspool have?")
    names = set(re.findall(r"[a-z][a-z-]*", answer.partition(";")[0])) - {"and", "with", "variants", "such", "as"}
    assert len(names) >= 9
    assert names <= set(CELLS)
