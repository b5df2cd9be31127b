"""Stories from bAbI files and JSON lines, and the batches they make."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from unspool.data import IGNORED, Story, StoryBatches, StoryExamples, Vocabulary, read_stories, story_words
from unspool.errors import DataError

BABI = """1 Mary moved to the bathroom.
2 John went to the hallway.
3 Where is Mary? \tbathroom\t1
4 Daniel went back to the hallway.
5 Where is John's friend? \tn,w\t4 2
1 The office is empty.
2 Who's there?\tnobody
"""


def write(folder, text, name="qa.txt"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_babi_file_gives_a_story_for_each_question(tmp_path):
    path = write(tmp_path, BABI)
    first, second, third = read_stories(path)
    mary, john, daniel = "Mary moved to the bathroom.", "John went to the hallway.", "Daniel went back to the hallway."
    assert first == Story((mary, john), "Where is Mary?", "bathroom", (0,), f"{path}:3")
    assert second == Story((mary, john, daniel), "Where is John's friend?", "n,w", (2, 1), f"{path}:5")
    assert third == Story(("The office is empty.",), "Who's there?", "nobody", (), f"{path}:7")


def test_json_lines_give_the_same(tmp_path):
    rows = [
        {"story": ["A b.", "C d."], "question": "Where?", "answer": "here", "supports": [2]},
        {"story": ["A b."], "question": "Which way?", "answers": ["n", "w"]},
        {"story": ["A b."], "question": "Unknown?"},
    ]
    path = write(tmp_path, "\n".join(map(json.dumps, rows)), "s.jsonl")
    assert list(read_stories(path)) == [
        Story(("A b.", "C d."), "Where?", "here", (1,), f"{path}:1"),
        Story(("A b.",), "Which way?", "n,w", (), f"{path}:2"),
        Story(("A b.",), "Unknown?", None, (), f"{path}:3"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("Mary moved.\n", 1, "'Mary moved.' does not begin with a number and a blank"),
        ("1 A b.\n3 C d.\n", 2, "line ID 3 follows 1; expected 2, or 1 for a new story"),
        ("1 Where is Mary?\tbathroom\t1\n", 1, "the question comes before any sentence of its story"),
        ("1 A b.\n2 Where?\tx\ty\tz\n", 2, "a question has 4 fields"),
        ("1 A b.\n2 Where?\t\t1\n", 2, "the first two not empty"),
        ("1 A b.\n2 Where?\tx\t7\n", 2, "supporting sentence '7' is none of the sentences above; expected line IDs"),
        ("1 A b.\n2 Where?\tx\tone\n", 2, "supporting sentence 'one' is none"),
        ("1 A b.\n2 Where?\tx\t1\n3 Where?\tx\t2\n", 3, "supporting sentence '2' is none"),  # a question is no sentence
    ],
)
def test_a_broken_babi_line_is_named(tmp_path, text, line, message):
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=re.escape(f"{path}:{line}: ") + ".*" + re.escape(message)):
        list(read_stories(path))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "the line is no JSON"),
        ('["a"]', "expected a JSON object"),
        ('{"story": ["a"], "ask": "b"}', "the fields are story, ask; expected"),
        ('{"story": [], "question": "b"}', "story is not a list of at least one sentence"),
        ('{"story": "a", "question": "b"}', "story is not a list of at least one sentence"),
        ('{"story": ["..."], "question": "b"}', "each with a word in it"),
        ('{"story": ["a"], "question": 3}', "question is not a text"),
        ('{"story": ["a"], "question": "b", "answers": "c"}', "answers is not a list of texts"),
        ('{"story": ["a"], "question": "b", "answer": "c", "supports": [2]}', "supports is [2]; expected numbers of"),
    ],
)
def test_a_broken_json_line_is_named(tmp_path, row, message):
    path = write(tmp_path, row, "s.jsonl")
    with pytest.raises(DataError, match=re.escape(f"{path}:1: ") + ".*" + re.escape(message)):
        list(read_stories(path))


def test_bad_lines_may_be_left_out_and_are_counted(tmp_path):
    reader = read_stories(write(tmp_path, BABI.replace("\t4 2", "\tfour")), skip_bad=True)
    assert [story.answer for story in reader] == ["bathroom", "nobody"]
    assert reader.skipped == 1


def test_bytes_that_are_no_text_are_a_bad_line_too(tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes(b"1 A caf\xe9.\n" + BABI.encode())
    with pytest.raises(DataError, match=re.escape(f"{path}:1: byte 0xE9")):
        list(read_stories(path))
    assert len(list(read_stories(path, skip_bad=True))) == 3


def test_words_are_set_apart_from_punctuation():
    assert story_words("Mary's cat (the old one) won't go: 3 p.m.!") == [
        *("Mary's", "cat", "the", "old", "one", "won't", "go", "3", "p", "m")
    ]


@pytest.fixture
def examples(tmp_path) -> StoryExamples:
    stories = list(read_stories(write(tmp_path, BABI)))
    vocabulary = Vocabulary.learn(
        [story_words(text) for story in stories for text in (*story.sentences, story.question)],
        units="word",
        lowercase=True,
    )
    return StoryExamples.of(stories, vocabulary, [0, 1, IGNORED])


def test_a_batch_spells_each_different_sentence_once(examples):
    assert len(examples.sentences) == 4
    batch = examples.batch(np.array([2, 0, 1]))
    assert batch.lengths.tolist() == [1, 2, 3]
    assert batch.index.shape == (3, 3)
    assert batch.answers.tolist() == [IGNORED, 0, 1]
    assert batch.size == 6
    assert batch.mask.tolist() == [[True, True, True], [False, True, True], [False, False, True]]
    for column, story in enumerate((2, 0, 1)):
        for slot, sentence in enumerate(examples.stories[story]):
            place = batch.index[slot, column]
            length = int(batch.sentences.lengths[place])
            assert batch.sentences.ids[:length, place].tolist() == examples.sentences[int(sentence)].tolist()
        assert batch.questions.ids[: batch.questions.lengths[column], column].tolist() == list(
            examples.questions[story]
        )
    few = examples.batch(np.array([2]))
    assert few.sentences.ids.shape[1] == 1  # sentences of other stories stay out


def test_a_batch_divides_among_processes(examples):
    batch = examples.batch(np.array([2, 0, 1]))
    part = batch.shard(1, 2)
    assert part.index.tolist() == batch.index[:, 1:2].tolist()
    assert part.lengths.tolist() == [2]
    assert part.answers.tolist() == [0]
    assert part.questions.lengths.tolist() == batch.questions.lengths[1:2].tolist()
    assert batch.shard(3, 4) is None


def test_the_oldest_sentences_are_dropped_where_there_are_too_many(tmp_path):
    stories = list(read_stories(write(tmp_path, BABI)))
    vocabulary = Vocabulary.learn([story_words(BABI)], units="word")
    kept = StoryExamples.of(stories, vocabulary, [0, 0, 0], slots=2)
    assert kept.dropped == 1
    assert kept.stories.lengths.tolist() == [2, 2, 1]
    newest = [vocabulary.unit(int(id)) for id in kept.sentences[int(kept.stories[1][-1])]]
    assert newest == ["Daniel", "went", "back", "to", "the", "hallway"]


def test_a_question_without_words_is_refused():
    vocabulary = Vocabulary.learn([["a"]], units="word")
    with pytest.raises(DataError, match=re.escape("file:3: '???' holds no word")):
        StoryExamples.of([Story(("a",), "???", "b", (), "file:3")], vocabulary, [0])


def test_order_is_a_function_of_seed_and_epoch(examples):
    def order(seed, epoch, start=0):
        batches = StoryBatches(examples, batch_size=2, seed=seed).epoch(epoch, start=start)
        return [batch.answers.tolist() for batch in batches]

    assert len(StoryBatches(examples, batch_size=2)) == 2
    assert order(1, 0) == order(1, 0)
    assert len({str(order(seed, epoch)) for seed in range(4) for epoch in range(4)}) > 3
    assert order(1, 3, start=1) == order(1, 3)[1:]
    assert sorted(answer for answers in order(5, 2) for answer in answers) == [IGNORED, 0, 1]


def test_all_real_files_are_read(data):
    files = sorted(data("babi/en").glob("qa*.txt"))
    assert len(files) == 40
    for file in files:
        stories = list(read_stories(file))
        assert 990 <= len(stories) <= 1000, file
        assert all(story.supports for story in stories)


@pytest.mark.parametrize(
    "line", ["9" * 5000 + " Mary went.\n", "1 Mary went.\n2 Where is Mary?\thome\t" + "9" * 5000 + "\n"]
)
def test_line_ids_of_thousands_of_digits_are_bad_lines(tmp_path, line):
    (tmp_path / "a.txt").write_text(line)
    with pytest.raises(DataError, match=r"a\.txt:[12]: "):
        list(read_stories(tmp_path / "a.txt"))
