"""The assistant from files to replies, scores and folder, on a few questions that nobody could mistake."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import unspool
from pair_samples import MEMORY, SILENT, TOPICS, entries
from pair_samples import SMALL_ASSISTANT as SMALL
from pair_samples import write_entries as write
from unspool import Assistant, load
from unspool.data import Question
from unspool.errors import DataError, ModelFolderError, SettingError, UsageError, for_command_line
from unspool.training import Reporter

# ---- from files to replies -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["memory", "both"])
def test_what_was_told_is_answered_with_certainty(folder, name):
    task = load(folder / name, Assistant)
    for each in task.questions:
        for wording in each.wordings:
            for asked in (wording, f"  {wording.upper()}"):
                reply = task.ask(asked)
                assert (reply.question, reply.confidence, reply.known) == (asked, 1.0, True)
                assert reply.answers == each.answers
                assert reply.answer in each.answers
                assert (reply.sources[0].question, reply.sources[0].answer) == (each.wordings[0], each.answers[0])
    assert [reply.answers for reply in task.predict(["quit vim, please explain"] * 2)] == [
        ["Type :q! and press enter."]
    ] * 2
    assert task.predict([]) == []


@pytest.mark.parametrize("name", ["memory", "both"])
def test_paraphrases_find_their_question_and_strangers_find_none(folder, name):
    task = load(folder / name, Assistant)
    for topic, answer in TOPICS.items():
        reply = task.ask(f"is there somebody who can {topic}", threshold=0.0)
        assert reply.answers[0] == answer
    assert task.ask("how to quit vim").confidence > 0.5
    stranger = task.ask("which senator wore a zebra costume")
    assert stranger.confidence < 0.01
    assert (stranger.known, stranger.answer) == (False, "I don't know.")
    assert stranger.answers  # what it would have said
    assert stranger.source_line().startswith(f"{stranger.confidence:.0%} sure, below {stranger.threshold:.0%}; the nea")


def test_a_reply_says_where_it_comes_from_and_writes_itself(memory):
    reply = memory.ask("How do I quit vim?")
    assert reply.line() == "Type :q! and press enter."
    assert reply.source_line() == "100% sure, from: How do I quit vim?"
    record = json.loads(json.dumps(reply.record()))
    assert list(record) == ["question", "answer", "confidence", "known", "threshold", "answers", "sources"]
    assert [list(source) for source in record["sources"]] == [["question", "answer", "share"]] * 5
    shares = [source.share for source in reply.sources]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) <= 1.001
    assert len({source.question for source in reply.sources}) == 5


def test_the_threshold_is_chosen_set_or_given(memory):
    asked = "somebody explain how ducks are fed"
    chosen = memory.matcher.confidence.threshold
    assert 0 < chosen <= 1
    assert memory.ask(asked).threshold == chosen
    assert memory.ask(asked, threshold=0.0).known
    assert memory.ask("zebra costume", threshold=0.0).known
    assert not memory.ask(asked, threshold=1.0).known
    assert memory.ask("feed ducks, please explain", threshold=1.0).known
    memory.settings = memory.settings.replace(threshold=0.25, unknown="No idea.")
    assert memory.ask(asked).threshold == 0.25
    assert memory.ask("zebra costume").answer == "No idea."
    assert memory.ask(asked, threshold=0.5).threshold == 0.5
    assert "answers from a confidence of 25%" in memory.introduction()


def test_without_a_generator_the_first_answer_is_said(memory):
    assert memory.ask("How do I bake bread?").answer == "Mix flour, water and salt."


def test_the_memory_stays_where_it_is_fastest(both, monkeypatch):
    moved = []
    monkeypatch.setattr(both.model.retriever, "cpu", lambda: moved.append(True))
    both.ask("How do I quit vim?")
    assert moved


# ---- scores --------------------------------------------------------------------------------------------------------


def test_scores_are_counted_by_hand(folder, memory, both, tmp_path):
    path = tmp_path / "test.tsv"
    path.write_text(
        "please do bake some bread\tAsk grandmother.\n"  # any of its answers is right
        "zebra costume\tNo.\n"
        "the way to feed ducks\tOats, never crusts.\n"
        "THE WAY to feed ducks \tOats, never crusts.\n"  # the same wording counts once
        "the way to quit vim\tStand still at dawn.\n"
    )
    memory.settings = memory.settings.replace(threshold=0.3)
    assert memory.evaluate(path) == {"first": 0.5, "correct": 0.25, "answered": 0.75}
    memory.settings = memory.settings.replace(threshold=None)
    found = both.evaluate(path)
    assert list(found) == ["first", "correct", "answered", "perplexity"]
    assert 1 < found["perplexity"] < 1000
    assert both.record.metrics["valid"]["first"] == 1.0
    assert list(both.record.baselines) == ["tf–idf"]
    assert both.record.baselines["tf–idf"]["first"] == 1.0
    assert both.metric == ("perplexity", False)
    assert memory.metric == ("first", True)


# ---- held-out wordings ---------------------------------------------------------------------------------------------


def test_wordings_are_held_out_never_a_question(folder):
    task = Assistant(**MEMORY)
    examples = task._read(folder / "train.jsonl")
    kept, held = examples.divide(0.2, 0)
    assert [each.wordings[0] for each in kept] == [each.wordings[0] for each in examples]
    assert sum(len(each.wordings) for each in held) == 6
    answers = {each.wordings[0]: each.answers for each in examples}
    assert [each.answers for each in kept] == list(answers.values())
    together: dict[str, list[str]] = {}
    for each in (*kept, *held):
        together.setdefault(each.answers[0], []).extend(each.wordings)
    assert {answer: sorted(wordings) for answer, wordings in together.items()} == {
        each.answers[0]: sorted(each.wordings) for each in examples
    }
    assert examples.divide(0.2, 0) == (kept, held)
    assert examples.divide(0.2, 7) != (kept, held)
    kept, held = examples.divide(0.999, 0)
    assert all(len(each.wordings) == 1 for each in kept)
    assert sum(len(each.wordings) for each in held) == 30
    assert sum(len(each.wordings) for each in examples.divide(0.001, 0)[1]) == 1


def test_what_was_held_out_is_known_in_the_end(folder, memory, both, tmp_path):
    everything = memory._read(folder / "train.jsonl")
    for task in (memory, both):
        kept, held = everything.divide(0.1, 0)
        assert sum(len(each.wordings) for each in held) == 3
        later = {each.where: each.wordings for each in held}
        expected = [[*each.wordings, *later.get(each.where, [])] for each in kept]
        assert [each.wordings for each in task.questions] == expected
        assert [each.answers for each in task.questions] == [each.answers for each in everything]
        for wording in (wording for each in held for wording in each.wordings):
            assert task.ask(wording).confidence == 1.0
    # data of its own for validation stay strangers
    write(tmp_path / "valid.jsonl", [{**entries()[0], "paraphrases": ["loaf making"]}])
    apart = Assistant(**MEMORY).fit(folder / "train.jsonl", valid=tmp_path / "valid.jsonl", reporter=SILENT)
    assert apart.ask("loaf making").confidence < 1.0


def test_nothing_is_held_out_where_there_are_no_paraphrases(tmp_path):
    path = write(tmp_path / "a.jsonl", [{"q": each["question"], "a": each["answers"]} for each in entries()])
    task = Assistant(**MEMORY)
    examples = task._read(path)
    assert examples.divide(0.5, 0) == (examples, None)
    task.fit(path, reporter=SILENT)
    assert task.record.metrics == {}
    assert list(task.record.data) == ["train"]
    assert task.ask("How do I quit vim?").confidence == 1.0
    assert 0 < task.matcher.confidence.threshold <= 1


def test_the_memory_learns_without_what_its_threshold_is_chosen_by(folder):
    task = Assistant(**MEMORY)
    examples = task._read(folder / "train.jsonl")
    task._learn(examples)
    lesson = task.fitted.lesson
    assert len(lesson.held.asked) == 6
    assert sum(len(each.wordings) for each in lesson.held.kept) == 34
    sentences = round(lesson.bags.answer_weight * 34)
    assert sum(batch.size for batch in task._source(examples).epoch(0)) == 34 + min(sentences, 12)
    assert task.fitted.lesson is lesson
    task._learn(examples[:5])
    assert len(task.fitted.lesson.bags) == 5


# ---- folders -------------------------------------------------------------------------------------------------------

ASKED = [
    "How do I quit vim?",
    "who could feed some ducks",
    "zebra",
    "",
    "bake bread",
    "the polish of shoes",
    "trout dawn",
]


@pytest.mark.parametrize("name", ["memory", "both"])
def test_a_folder_gives_equal_replies(folder, name, tmp_path):
    task = Assistant(**{**SMALL, "generator": name == "both"})
    task.fit(folder / "train.jsonl", out=tmp_path / "m", reporter=SILENT)
    again = load(tmp_path / "m", Assistant)
    assert again.predict(ASKED) == task.predict(ASKED) == load(folder / name, Assistant).predict(ASKED)
    assert again.evaluate(folder / "train.jsonl") == task.evaluate(folder / "train.jsonl")
    assert again.introduction() == task.introduction()
    assert again.questions == [
        Question(str(tmp_path / "m/vocabulary/questions.json"), each.wordings, each.answers) for each in task.questions
    ]
    again.save(tmp_path / "other")
    assert load(tmp_path / "other", Assistant).predict(ASKED) == task.predict(ASKED)


def replies(task: Assistant, asked: list[str]) -> list[Any]:
    return [task.ask(each) for each in asked]


@pytest.mark.parametrize("name", ["memory", "both"])
def test_pairs_are_added_and_found_at_once_and_after_loading(folder, name, tmp_path):
    task = load(folder / name, Assistant)
    before = task.ask("How do I boil an egg?")
    path = tmp_path / "more.jsonl"
    write(
        path,
        [
            {"question": "Where do pelicans nest?", "answers": "On quiet islands."},
            {"question": "how do i QUIT vim?", "paraphrases": ["exit that modal editor"], "answer": "Press ZZ."},
        ],
    )
    assert task.add(path) == 1
    assert task.add([("Who painted guernica?", "Picasso."), (" who painted  Guernica? ", "Pablo did.")]) == 1
    assert (
        task.add([("How do I boil an egg?", "Four minutes for soft."), ("How do I boil an egg?", before.answers[0])])
        == 0
    )
    assert len(task.questions) == 12
    assert task.ask("Where do pelicans nest?").answers == ["On quiet islands."]
    assert task.ask("nesting pelicans", threshold=0.0).answers == ["On quiet islands."]
    assert task.ask("guernica", threshold=0.0).answers == ["Picasso.", "Pablo did."]
    assert task.ask("How do I quit vim?").answers == ["Type :q! and press enter.", "Press ZZ."]
    assert task.ask("Exit that modal editor").confidence == 1.0
    assert task.ask("leave that modal editor", threshold=0.0).answers[1] == "Press ZZ."
    assert task.ask("how do I boil an egg?").answers == ["Six minutes in hot water.", "Four minutes for soft."]
    assert "12 questions" in task.introduction()
    asked = [*ASKED, "guernica", "modal editor", "nest", "exit that modal editor", "boil"]
    said = replies(task, asked)
    task.save(tmp_path / "m")
    again = load(tmp_path / "m", Assistant)
    assert replies(again, asked) == said
    assert again.record.network["weights"] == sum(weight.numel() for weight in again.model.parameters())
    assert again.add([("Who is Ada?", "A countess.")]) == 1  # and on from there
    assert again.ask("who is ada").answer == "A countess."
    assert again.ask("How do I catch trout?").answer == "Stand still at dawn."


def test_a_pair_that_shares_wordings_with_two_questions_joins_the_one_it_asks(memory, tmp_path):
    joined = {"question": "How do I feed ducks?", "paraphrases": ["How do I catch trout?", "water"], "answer": "Both."}
    assert memory.add(write(tmp_path / "a.jsonl", [joined, {"question": "new", "answer": "yes"}])) == 1
    assert len(memory.questions) == 11
    assert memory.ask("How do I feed ducks?").answers == ["Oats, never crusts.", "Both."]
    assert memory.ask("water").answers == ["Oats, never crusts.", "Both."]
    trout = memory.ask("How do I catch trout?")
    assert trout.answers == ["Stand still at dawn."]
    assert [source.question for source in trout.sources[:2]] == ["How do I catch trout?", "How do I feed ducks?"]
    assert memory.ask("new").answer == "yes"
    for topic, answer in TOPICS.items():
        assert memory.ask(f"How do I {topic}?").answers[0] == answer


@pytest.mark.parametrize("pair", [("", "a"), ("a", " \n")])
def test_half_a_pair_is_refused_and_nothing_is_learned(memory, pair):
    with pytest.raises(DataError, match=f"^the {'answer' if pair[0] else 'question'} is empty"):
        memory.add([("fine", "too"), pair])
    assert len(memory.questions) == 10


@pytest.mark.parametrize("name", ["train.jsonl", Path("train.jsonl"), ["train.jsonl"]], ids=repr)
def test_files_to_add_are_named_in_any_way(memory, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, *rest = entries()
    more = {**first, "paraphrases": [*first["paraphrases"], "loaf making"]}
    write(tmp_path / "train.jsonl", [more, *rest])
    assert memory.add(name) == 0
    assert sum(len(each.wordings) for each in memory.questions) == 41
    assert memory.ask("loaf making").confidence == 1.0


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("questions.json", None),
        ("questions.json", b"[{"),
        ("questions.json", b"\xff"),
        ("questions.json", b"[]"),
        ("questions.json", b'{"wordings": ["a"], "answers": ["b"]}'),
        ("questions.json", b'[{"wordings": [], "answers": ["b"]}]'),
        ("questions.json", b'[{"wordings": ["a"], "answers": []}]'),
        ("questions.json", b'[{"wordings": ["a"]}]'),
        ("questions.json", b'[{"wordings": ["a", 3], "answers": ["b"]}]'),
        ("ngrams.json", None),
        ("ngrams.json", b"{}"),
        ("matching.json", None),
        ("matching.json", b'{"confidence": 3}'),
    ],
    ids=repr,
)
def test_a_damaged_folder_is_refused(folder, tmp_path, name, change):
    shutil.copytree(folder / "memory", tmp_path / "m")
    path = tmp_path / "m" / "vocabulary" / name
    path.unlink() if change is None else path.write_bytes(change)
    with pytest.raises(ModelFolderError, match=name):
        unspool.load(tmp_path / "m")


def test_resumed_training_ends_with_the_same_bits(folder, tmp_path):
    settings = {**SMALL, "epochs": 3, "dropout": 0.2, "training.batch_size": 8, "memory.batch_size": 8}

    class Stop(Reporter):
        def validated(self, progress: Any, metrics: Any, improved: Any) -> None:
            if progress.epoch >= 2:
                raise RuntimeError("power cut")

    whole = Assistant(**settings).fit(folder / "train.jsonl", out=tmp_path / "whole", baselines=False, reporter=SILENT)
    with pytest.raises(RuntimeError, match="power cut"):
        Assistant(**settings).fit(folder / "train.jsonl", out=tmp_path / "cut", baselines=False, reporter=Stop())
    cut = Assistant(**settings)
    cut.fit(folder / "train.jsonl", out=tmp_path / "cut", resume=True, baselines=False, reporter=SILENT)
    names = ("model.safetensors", "vocabulary/matching.json", "vocabulary/questions.json", "vocabulary/ngrams.json")
    for name in names:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes(), name
    assert cut.predict(ASKED) == whole.predict(ASKED)


def test_an_assistant_is_trained_anew_on_other_questions(folder, memory, tmp_path):
    other = write(tmp_path / "a.jsonl", entries()[:4])
    memory.fit(other, out=tmp_path / "again", reporter=SILENT)
    fresh = Assistant(memory.settings).fit(other, reporter=SILENT)
    assert memory.predict(ASKED) == fresh.predict(ASKED) == load(tmp_path / "again", Assistant).predict(ASKED)


# ---- writing and looking -------------------------------------------------------------------------------------------


def test_a_trace_without_a_generator_says_which_words_counted(memory):
    trace = memory.trace("kindly quit VIM !")
    assert trace.tokens == ("kindly", "quit", "vim", "!")
    assert list(trace.arrays) == ["memory / counts"]
    counts = trace.arrays["memory / counts"][:, 0]
    assert min(counts[1], counts[2]) > max(counts[0], counts[3])
    pair = next(place for place, each in enumerate(memory.questions) if each.wordings[0] == "How do I quit vim?")
    for left_out in range(4):  # it says how much lower the score would be
        rest = " ".join(word for place, word in enumerate(trace.tokens) if place != left_out)
        scores = [
            {match.pair: match.score for match in memory.matcher.rank(text, top=10).matches}[pair]
            for text in (rest, "kindly quit vim !")
        ]
        assert counts[left_out] == pytest.approx(scores[1] - scores[0], abs=1e-5)
    reply = memory.ask("kindly quit VIM !")
    assert trace.prediction["answer"] == reply.answer
    assert trace.prediction["confidence"] == reply.confidence
    assert trace.prediction["sources"][0] == reply.sources[0]._asdict()


def test_a_trace_with_a_generator_shows_its_attention(both):
    trace = both.trace("the way to quit vim")
    assert "".join(trace.tokens).replace(" ", "") == "thewaytoquitvim"
    counted = both.trace("vim to quit vim").prediction["words that counted"]
    assert [word for word, _ in counted] == ["vim", "to", "quit", "vim"]
    assert counted[2][1] == max(count for _, count in counted)
    assert trace.maps["attention"].values.shape == (len(trace.written.tokens), len(trace.tokens))
    assert "".join(trace.written.tokens) == "Type :q! and press enter."
    stranger = both.trace("zebra costume")
    assert stranger.prediction["answer"] == "I don't know."
    assert "".join(stranger.written.tokens) == both.ask("zebra costume").answers[0]


@pytest.mark.parametrize("name", ["memory", "both"])
@pytest.mark.parametrize("text", ["", " \n\t", "\u200b"], ids=repr)
def test_there_is_nothing_to_trace_without_a_word(folder, name, text):
    task = load(folder / name, Assistant)
    if text == "\u200b":
        assert task.trace(text).tokens
        return
    with pytest.raises(DataError, match="there is no word in it"):
        task.trace(text)


# ---- what is awkward -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["memory", "both"])
@pytest.mark.parametrize(
    "asked",
    ["", " ", "\n", "???", "¿ ¡", "\u200b", "🦊", "\0", "a\ud800".encode("utf-8", "replace").decode()],
    ids=repr,
)
def test_a_question_without_a_word_is_not_known(folder, name, asked):
    task = load(folder / name, Assistant)
    reply = task.ask(asked)
    assert (reply.known, reply.answer) == (False, "I don't know.")
    assert 0 <= reply.confidence < 0.5
    json.dumps(reply.record(), allow_nan=False)
    assert task.ask(asked, threshold=0.0).known


def test_a_megabyte_is_read_as_far_as_it_is_read(both):
    for huge in ("quit vim " + "zebra " * 170_000, "x" * 1_000_000, "?" * 1_000_000):
        assert both.ask(huge, threshold=0.0).known
    head = "How do I quit vim? " + "so " * 1_400
    assert both.ask(head + "bake bread " * 90_000).sources == both.ask(head + "feed ducks " * 90_000).sources


def test_a_question_repeated_a_thousand_times(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text(
        "Same again?\tYes.\n" * 1000 + "Another?\tNo.\n" + "".join(f"same  AGAIN?\tx{n}\n" for n in range(1000))
    )
    task = Assistant(**MEMORY).fit(path, reporter=SILENT)
    assert [len(each.answers) for each in task.questions] == [1001, 1]
    assert [each.wordings for each in task.questions] == [["Same again?"], ["Another?"]]
    assert task.ask("same again").answer == "Yes."
    assert task.ask("another").answer == "No."


def test_one_question_only_is_refused(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("Same again?\tYes.\n" * 1000)
    for generator in (False, True):
        with pytest.raises(DataError, match="one question only: expected at least two"):
            Assistant(**{**SMALL, "generator": generator}).fit(path, out=tmp_path / "m", reporter=SILENT)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("content", ["a\tb\nc\td\n", "?\tb\n!\td\n", "a\tb\na !\tb\n", "木\t火\n水\t土\n"], ids=repr)
@pytest.mark.parametrize("generator", [False, True])
def test_two_questions_are_enough(tmp_path, content, generator):
    path = tmp_path / "a.tsv"
    path.write_text(content)
    task = Assistant(**{**SMALL, "generator": generator}).fit(path, reporter=SILENT)
    for line in content.splitlines():
        asked, _, said = line.partition("\t")
        assert task.ask(asked).answer == said


def test_a_task_that_was_not_trained_says_so():
    for use in (
        lambda task: task.ask("a"),
        lambda task: task.add([("a", "b")]),
        lambda task: task.write("a"),
        lambda task: task.trace("a"),
        lambda task: task.introduction(),
    ):
        with pytest.raises(UsageError, match="this Assistant has not been trained"):
            use(Assistant())


# ---- settings ------------------------------------------------------------------------------------------------------


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(SettingError, match="shortest = 5 is more than longest = 4"):
        Assistant(**{"memory.shortest": 5})


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (MEMORY, ["smaller vectors (memory.size, now 4)"]),
        (
            SMALL,
            ["no generator (--no-generator), which is what takes the time", "a smaller network (--hidden N, now 6)"],
        ),
    ],
)
def test_what_would_shorten_a_training(settings, expected):
    assert [for_command_line(way) for way in Assistant(**settings)._shorter()] == expected
