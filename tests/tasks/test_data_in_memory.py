"""Every task learns from examples in memory as from a file with the same examples, and is scored on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unspool
from unspool import Algorithm, Assistant, Classifier, LanguageModel, Reader, Tagger, Translator
from unspool.errors import DataError, UsageError
from unspool.training import Reporter

SILENT = Reporter()
TINY: dict[str, Any] = {"hidden": 5, "embedding": 6, "epochs": 2, "dropout": 0.1, "batch_tokens": 40, "threads": 1}
TEXTS = ["a joy to see", "dull from end to end", "warm and funny", "two hours wasted"] * 6
LABELS = ["pos", "neg", "pos", "neg"] * 6
WORDS = [["Ann", "runs"], ["Bo", "sees", "Cid"], ["eats"]] * 6
TAGS = [["NN", "VB"], ["NN", "VB", "NN"], ["VB"]] * 6
PAIRS = [("I see", "je vois"), ("you see", "tu vois"), ("I go", "je vais")] * 6
FAQ = [("how are you", ["fine", "well"]), (["what is up", "what is above"], "the sky"), ("where is it", "here")]
STORIES = [
    (["Mary went home.", "John left."], "Where is Mary?", "home"),
    (["John went out.", "Mary sat."], "Where is John?", "out"),
] * 6
SONG = ["the cat sat on the mat\nand slept\n" * 9, "the dog ran\n" * 9]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_text(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


CASES: dict[str, tuple[Any, dict[str, Any], Any, Any, Any]] = {
    # task, settings, data, labels, the same as a file
    "classify": (
        Classifier,
        TINY,
        TEXTS,
        LABELS,
        lambda folder: write_rows(
            folder / "d.jsonl", [{"text": t, "label": y} for t, y in zip(TEXTS, LABELS, strict=True)]
        ),
    ),
    "tag": (
        Tagger,
        TINY,
        WORDS,
        TAGS,
        lambda folder: write_rows(
            folder / "d.jsonl", [{"tokens": w, "tags": t} for w, t in zip(WORDS, TAGS, strict=True)]
        ),
    ),
    "translate": (
        Translator,
        {**TINY, "units": "word"},
        PAIRS,
        None,
        lambda folder: write_rows(folder / "d.jsonl", [{"source": s, "target": t} for s, t in PAIRS]),
    ),
    "answer": (
        Assistant,
        {"generator": False, "epochs": 2, "threads": 1},
        FAQ,
        None,
        lambda folder: write_rows(folder / "d.jsonl", [{"question": q, "answer": a} for q, a in FAQ]),
    ),
    "read": (
        Reader,
        {"embedding": 6, "epochs": 2, "threads": 1},
        STORIES,
        None,
        lambda folder: write_rows(
            folder / "d.jsonl", [{"story": s, "question": q, "answer": a} for s, q, a in STORIES]
        ),
    ),
    "write": (
        LanguageModel,
        {**TINY, "steps": 8, "batch_size": 2},
        SONG,
        None,
        lambda folder: write_text(folder / "song.txt", "".join(SONG)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_same_examples_in_memory_and_in_a_file_give_the_same_model_to_the_bit(name, tmp_path):
    task, settings, data, labels, write = CASES[name]
    file = write(tmp_path)
    task(**settings).fit(file, valid=file, baselines=False, out=tmp_path / "file", reporter=SILENT)
    if labels is None:
        valid = (each for each in data)
    else:
        valid = list(zip(data, labels, strict=True))
    model = task(**settings).fit(data, labels, valid=valid, baselines=False, out=tmp_path / "memory", reporter=SILENT)
    bits = [(tmp_path / place / "model.safetensors").read_bytes() for place in ("file", "memory")]
    assert bits[0] == bits[1]
    assert model.evaluate(data, labels) == model.evaluate(file) == model.record.metrics["valid"]
    for part in ("train", "valid"):
        facts = model.record.data[part]
        assert (facts["paths"], facts["in_memory"]) == ([], True)
        assert facts["sha256"] == model.record.data["train"]["sha256"]
    assert "in memory (sha256 `" in (tmp_path / "memory" / "README.md").read_text()


def test_a_language_model_learns_from_one_text():
    settings = {**TINY, "steps": 8, "batch_size": 2}
    model = LanguageModel(**settings).fit(SONG[0], baselines=False, reporter=SILENT)
    assert model.record is not None
    assert model.record.data["train"]["characters"] + model.record.data["valid"]["characters"] == len(SONG[0])
    assert model.evaluate(SONG[0]) == model.evaluate([SONG[0]])
    with pytest.raises(
        DataError, match=r"a cat sat: no such file; a text of one line goes in a list, as fit\(\[text\]\)"
    ):
        model.evaluate("a cat sat")
    with pytest.raises(UsageError, match="a language model learns from texts alone, and labels came"):
        LanguageModel(**settings).fit(SONG, ["a", "b"], reporter=SILENT)
    with pytest.raises(DataError, match="example 2: the text is empty"):
        model.evaluate(["a b", ""])
    with pytest.raises(DataError, match="example 1: int came; expected a text"):
        model.evaluate([3, 4])


def test_texts_in_memory_stand_like_files_one_after_the_other(tmp_path):
    from unspool.tasks.write.corpus import Corpus

    texts = ["one\r\ntwo", "three\n", "four"]
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.txt").write_text(text, newline="")
    files = Corpus.of(tuple(str(path) for path in sorted(tmp_path.iterdir())), whole_lines=True)
    memory = Corpus.of_texts(texts, whole_lines=True)
    assert "".join(memory.pieces()) == "".join(files.pieces()) == "one\ntwo\nthree\nfour"
    parts = [part for corpus in (files, memory) for part in corpus.divide(0.4, 0)]
    assert ["".join(part.pieces()) for part in parts] == ["one\ntwo\nthree\n", "four"] * 2
    assert len({*parts}) == 4


def test_long_texts_in_memory_come_in_pieces_that_end_at_a_line_end(monkeypatch):
    from unspool.tasks.write.corpus import Corpus

    monkeypatch.setattr("unspool.tasks.write.corpus._PIECE", 10)
    pieces = list(Corpus.of_texts(["one two\nthree\n", "x" * 25]).pieces())
    assert pieces == ["one two\n", "three\n", "x" * 10, "x" * 10, "x" * 5]


@pytest.mark.parametrize("labels", [LABELS, np.array(LABELS)])
def test_resume_needs_the_same_examples(labels, tmp_path):
    class StopAtOne(Reporter):
        def validated(self, progress: Any, metrics: Any, improved: Any) -> None:
            raise RuntimeError("power cut")

    def fit(texts: Any, labels: Any, place: str, **options: Any) -> Classifier:
        return Classifier(**TINY).fit(texts, labels, baselines=False, out=tmp_path / place, **options)

    fit(TEXTS, LABELS, "whole", reporter=SILENT)
    with pytest.raises(RuntimeError, match="power cut"):
        fit(TEXTS, LABELS, "cut", reporter=StopAtOne())
    with pytest.raises(DataError, match=r"the train data are not those .*; resume needs the same examples, or train"):
        fit(TEXTS, LABELS[::-1], "cut", resume=True, reporter=SILENT)
    fit(np.array(TEXTS), labels, "cut", resume=True, reporter=SILENT)
    bits = [(tmp_path / place / "model.safetensors").read_bytes() for place in ("whole", "cut")]
    assert bits[0] == bits[1]


def test_examples_in_memory_are_checked_like_those_of_a_file():
    faults = {
        "example 2: column 'text' is empty; expected a text": (["a", " ", "b"], ["x", "y", "x"]),
        "example 3: column 'label' is empty; expected a label": (["a", "b", "c"], ["x", "y", None]),
        "example 1: column 'label' holds a list of labels; train with several=True": (["a", "b"], [["x"], ["y"]]),
    }
    for message, data in faults.items():
        with pytest.raises(DataError) as caught:
            Classifier(**TINY).fit(*data, reporter=SILENT)
        assert str(caught.value).startswith(message)
    model = Classifier(**TINY, skip_bad=True)
    model.fit([*TEXTS, "", "b"], [*LABELS, "pos", float("nan")], reporter=SILENT)
    assert model.skipped == 2
    with pytest.raises(DataError, match="test example 1: the lists differ in length: tokens has 1, tags has 2"):
        Tagger(**TINY).fit(WORDS, TAGS, test=[(["a"], ["NN", "VB"])], reporter=SILENT)
    with pytest.raises(
        DataError, match="example 1: tokens is str 'Ann runs'; expected a list with one member for each"
    ):
        Tagger(**TINY).fit(["Ann runs"], [["NN", "VB"]], reporter=SILENT)
    with pytest.raises(DataError, match="example 1: column 'target' holds int 3, expected text"):
        Translator(**TINY).fit(["I see"], [3], reporter=SILENT)
    with pytest.raises(DataError, match="example 2: the answer is empty"):
        Assistant(generator=False).fit([("why", "so"), ("how", "  ")], reporter=SILENT)
    with pytest.raises(DataError, match="example 1: story is not a list of at least one sentence"):
        Reader().fit([("Mary went home.", "Where is Mary?", "home")], reporter=SILENT)


def test_columns_of_dictionaries_are_found_by_the_settings():
    rows = [{"body": text, "kind": label, "id": n} for n, (text, label) in enumerate(zip(TEXTS, LABELS, strict=True))]
    model = Classifier(**TINY, text="body", label="kind").fit(rows, baselines=False, reporter=SILENT)
    assert set(model.classes_) == {"pos", "neg"}
    assert model.evaluate(TEXTS, LABELS) == model.evaluate(rows)
    with pytest.raises(DataError, match="example 1: there is no column 'bodi'; the columns are body, kind, id"):
        Classifier(**TINY, text="bodi").fit(rows, reporter=SILENT)


@pytest.mark.parametrize(
    ("data", "labels", "error", "message"),
    [
        (["a text", "another"], None, UsageError, r"example 1 is a text without label \('a text'\): pass a list of"),
        (["good", "bad"], None, DataError, "good: no such file; a list of strings without labels names files"),
        (
            "train.en",
            "train.de",
            UsageError,
            "'train.de' is no collection of examples: data files hold their own labels",
        ),
        (Path("d.tsv"), LABELS, UsageError, "d.tsv is no collection of examples: data files hold their own labels"),
        ("a text", ["pos"], UsageError, r"one text \('a text'\) came, expected a collection of examples"),
    ],
    ids=str,
)
def test_data_without_labels_are_answered_with_a_sentence(data, labels, error, message):
    with pytest.raises(error, match=message):
        Classifier(**TINY).fit(data, labels, reporter=SILENT)


@pytest.mark.parametrize(("data", "labels"), [([("0 1", "1 0")], None), ("copy", ["x"]), ([], None), (3, None)])
def test_an_algorithm_takes_no_examples(data, labels):
    with pytest.raises(
        UsageError, match=r"the exercises of an algorithm are generated: name one of copy, .*fit\('copy'\)"
    ):
        Algorithm().fit(data, labels, reporter=SILENT)


def test_scores_beside_evaluate_take_the_same_data():
    tags = [["B-PER", "O"], ["B-PER", "O", "B-PER"], ["O"]] * 6
    tagger = Tagger(**TINY).fit(WORDS, tags, baselines=False, reporter=SILENT)
    assert tagger.score_types(WORDS, tags).keys() == {"PER"}
    translator = Translator(**TINY, units="word").fit(PAIRS, baselines=False, reporter=SILENT)
    assert translator.score_notes([pair[0] for pair in PAIRS], [pair[1] for pair in PAIRS])[0].startswith("BLEU as")
    reader = Reader(embedding=6, epochs=1).fit(STORIES, baselines=False, reporter=SILENT)
    assert reader.score_notes([(["Mary went."], "Where is Mary?", "moon")]) == [
        "1 answers were never seen in training and count as wrong: 'moon'"
    ]


def test_a_folder_trained_from_memory_loads(tmp_path):
    model = Classifier(**TINY).fit(TEXTS, LABELS, out=tmp_path / "m", reporter=SILENT)
    assert unspool.load(tmp_path / "m").predict(TEXTS) == model.predict(TEXTS)
