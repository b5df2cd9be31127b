"""What training tells of its data before it begins, and what it refuses to read."""

import json
import os

import pytest
from command_line import SMALL, write_reviews

from unspool import Classifier
from unspool.errors import UsageError

REVIEWS = "Comment, free text;Sentiment?\n" + "".join(
    f"film number {n} is of the {'best' if n % 2 else 'worst'} kind, all in all;{'fine' if n % 3 else 'dull'}\n"
    for n in range(30)
)


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(REVIEWS)
    return path


def test_columns_labels_lengths_and_examples_are_told(shell, tmp_path, table):
    test = tmp_path / "t.csv"
    test.write_text("Comment, free text;Sentiment?\na film;fine\n")
    done = shell("train", "classify", table, "--test", test, "--out", tmp_path / "m", *SMALL)
    told = done.stderr.splitlines()
    assert any(line.endswith("a.csv: delimiter ';', header line (the first line differs in kind)") for line in told)
    assert "columns: text = 'Comment, free text', label = 'Sentiment?'" in told
    assert "text: 11 to 11 words, median 11" in told
    assert any(line.startswith("2 labels, from 'fine' (") and " to 'dull' (" in line for line in told)
    assert any(line.startswith("e.g. film number") and line.endswith("→ dull") for line in told)
    record = json.loads((tmp_path / "m" / "unspool.json").read_text())
    assert record["data"]["train"]["columns"] == {"text": "Comment, free text", "label": "Sentiment?"}
    assert json.loads((tmp_path / "m" / "vocabulary" / "labels.json").read_text())["labels"] == ["fine", "dull"]
    assert record["data"]["test"]["examples"] == 1
    scores = json.loads(shell("evaluate", tmp_path / "m", test, "--json").stdout)
    assert scores["accuracy"] in (0.0, 1.0)


def test_a_delimiter_on_the_command_line(shell, tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("text:label\n" + "a, b:x\nc, d:y\n" * 9)
    words = ["train", "classify", path, "--out", tmp_path / "m", *SMALL, "--delimiter", ":"]
    assert "delimiter ':'" in shell(*words).stderr
    assert "delimiter = '::': expected one character" in shell.refuses(*words[:-1], "::", code=2)


def test_an_empty_text_names_the_flag(shell, tmp_path):
    path = write_reviews(tmp_path / "a.tsv")
    path.write_text(path.read_text() + "\tgood\n")
    said = shell.refuses("train", "classify", path, "--out", tmp_path / "m", *SMALL, "--quiet")
    assert said.endswith("a.tsv:42: column 'text' is empty; expected a text; --skip-bad leaves such lines out")


@pytest.mark.parametrize("part", ["train", "valid"])
def test_pipes_are_refused_as_training_data(shell, tmp_path, part):
    os.mkfifo(tmp_path / "pipe.tsv")
    table = write_reviews(tmp_path / "a.tsv")
    data = {"train": table, "valid": table, part: tmp_path / "pipe.tsv"}
    words = ["train", "classify", data["train"], "--valid", data["valid"], "--out", tmp_path / "m", *SMALL]
    assert "more than once, which pipes and standard input do not allow; save" in shell.refuses(*words, code=2)
    assert not (tmp_path / "m").exists()
    with pytest.raises(UsageError, match="can be read only once"):
        Classifier().fit(str(data["train"]), valid=str(data["valid"]))
