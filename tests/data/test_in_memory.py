"""Examples that come as Python objects: every form makes the same rows, and what is none is refused."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from unspool.data import Files, RowsInMemory, are_files, rows_in_memory
from unspool.errors import DataError, UsageError

NAMES = ("text", "label")
TEXTS, LABELS = ["a joy", "dull", "né"], ["pos", "neg", "pos"]
PAIRS = list(zip(TEXTS, LABELS, strict=True))
RECORDS = [{"text": text, "label": label} for text, label in PAIRS]


class Column:
    """A column as pandas has it: iterable, with an index of its own."""

    def __init__(self, values):
        self.values = values

    def __iter__(self):
        return iter(self.values)

    def __getitem__(self, place):
        raise KeyError(place)


class Table:
    """A table as pandas has it: iterating gives the names of its columns."""

    columns = NAMES
    iloc = None

    def __iter__(self):
        return iter(self.columns)

    def to_dict(self, orient):
        assert orient == "records"
        return RECORDS


class NAType:
    """What pandas has for a missing value: it is not equal to itself, and no truth value."""

    def __eq__(self, other):
        raise TypeError("boolean value of NA is ambiguous")

    __hash__ = None


def read(data, labels=None, names=NAMES, **options):
    rows = rows_in_memory(data, labels, names, **options)
    return [(row.where, row.values) for row in rows.reader()]


FORMS = {
    "two lists": lambda: (TEXTS, LABELS),
    "two tuples": lambda: (tuple(TEXTS), tuple(LABELS)),
    "two arrays": lambda: (np.array(TEXTS), np.array(LABELS, dtype=object)),
    "two columns": lambda: (Column(TEXTS), Column(LABELS)),
    "two columns of Arrow": lambda: (pa.array(TEXTS), pa.chunked_array([LABELS[:1], LABELS[1:]])),
    "two generators": lambda: ((text for text in TEXTS), (label for label in LABELS)),
    "pairs": lambda: (PAIRS, None),
    "pairs as lists": lambda: ([list(pair) for pair in PAIRS], None),
    "a generator of pairs": lambda: ((pair for pair in PAIRS), None),
    "an array of pairs": lambda: (np.array(PAIRS), None),
    "a tuple of lists": lambda: ((TEXTS, LABELS), None),
    "a tuple of pairs": lambda: (tuple(PAIRS), None),
    "dictionaries": lambda: (RECORDS, None),
    "dictionaries in another order": lambda: ([dict(reversed(record.items())) for record in RECORDS], None),
    "a dictionary of lists": lambda: ({"text": TEXTS, "label": LABELS}, None),
    "a table of pandas": lambda: (Table(), None),
    "a table of Arrow": lambda: (pa.table({"text": TEXTS, "label": LABELS}), None),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_makes_the_same_rows_and_the_same_hash(form):
    assert read(*FORMS[form]()) == [(f"example {n}", record) for n, record in enumerate(RECORDS, 1)]
    rows = rows_in_memory(*FORMS[form](), NAMES)
    assert rows.sha256 == rows_in_memory(TEXTS, LABELS, NAMES).sha256


def test_two_pairs_in_a_tuple_are_pairs_and_two_lists_columns():
    assert [values["text"] for _, values in read((("a", "b"), ("c", "d")))] == ["a", "c"]
    assert [values["text"] for _, values in read((["a", "b"], ["c", "d"]))] == ["a", "b"]


@pytest.mark.parametrize(
    ("texts", "labels"),
    [(TEXTS, ["pos", "neg", "neg"]), ([*TEXTS[:2], "ne"], LABELS), (TEXTS[::-1], LABELS), (TEXTS[:2], LABELS[:2])],
)
def test_other_examples_have_another_hash(texts, labels):
    assert rows_in_memory(texts, labels, NAMES).sha256 != rows_in_memory(TEXTS, LABELS, NAMES).sha256


def test_values_become_those_that_json_has():
    class Mood(Enum):
        GOOD = "good"

    labels = [np.int64(3), np.str_("x"), np.array(["a", "b"]), torch.tensor(2), float("nan"), NAType(), Mood.GOOD, True]
    plain = [values["label"] for _, values in read([str(n) for n in range(len(labels))], labels)]
    assert plain == [3, "x", ["a", "b"], 2, None, None, "Mood.GOOD", True]
    assert {type(value) for value in plain} == {int, str, list, type(None), bool}


def test_three_columns_and_one():
    names = ("story", "question", "answer")
    stories = [(["A.", "B."], "Who?", "Ann"), (["C."], "Where?", "here")]
    whole = read(stories, names=names)
    assert whole[1] == ("example 2", {"story": ["C."], "question": "Where?", "answer": "here"})
    assert read([story[:2] for story in stories], ["Ann", "here"], names) == whole
    assert read(tuple(list(column) for column in zip(*stories, strict=True)), names=names) == whole
    assert read(["a", "b"], names=("text",)) == [("example 1", {"text": "a"}), ("example 2", {"text": "b"})]


BAD = [("a", "b", "c"), 3, ("\ud800", "x"), (b"bytes", "x")]


def test_a_bad_example_is_named_or_left_out():
    with pytest.raises(
        DataError, match=r"^valid example 2: the example has 3 members; expected 2: text, label; skip_bad=True"
    ):
        read([PAIRS[0], BAD[0]], part="valid")
    with pytest.raises(DataError, match="example 1: the example is int; expected 2"):
        read([3])
    with pytest.raises(DataError, match=r"example 1: character 1 of '\\ud800' is half of a surrogate pair"):
        read([BAD[2]])
    with pytest.raises(DataError, match=r"example 1: bytes came .*; expected text: decode them first"):
        read([BAD[3]])
    reader = rows_in_memory([*BAD, PAIRS[0]], None, NAMES).reader(skip_bad=True)
    assert [row.where for row in reader] == ["example 5"]
    assert reader.skipped == 4
    with pytest.raises(DataError, match="data in memory: there is nothing to read"):
        read([], [])


@pytest.mark.parametrize(
    ("data", "labels", "error", "message"),
    [
        (TEXTS, LABELS[:2], DataError, "3 examples came with 2 labels; expected one label for each"),
        ((TEXTS, LABELS[:2]), None, DataError, "the columns differ in length: 3 of text, 2 of label"),
        ({"text": TEXTS, "label": ["x"]}, None, DataError, "the columns differ in length: 3 of text, 1 of label"),
        ({"a joy": "pos"}, None, UsageError, "a mapping came with values that are no lists"),
        (TEXTS, None, UsageError, "example 1 is a text without label ('a joy'): pass a list of (text, label) tuples"),
        ("a joy\n", None, UsageError, "one text ('a joy\\n') came, expected a collection of examples"),
        (TEXTS, 3, UsageError, "int came, expected a collection"),
    ],
    ids=str,
)
def test_what_is_no_collection_of_examples_is_refused(data, labels, error, message):
    with pytest.raises(error, match=re.escape(message)):
        read(data, labels)


def test_a_mapping_beside_labels_gets_the_label():
    assert read([{"text": "a", "more": 1}], ["x"]) == [("example 1", {"text": "a", "more": 1, "label": "x"})]


def test_paths_are_told_from_texts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one.tsv", "two words"):
        Path(name).write_text("a\tb\n")
    files = [
        "one.tsv",
        "missing",
        "a sentence without a line end",
        Path("missing"),
        ["one.tsv"],
        ["two words", "one.tsv"],
        [Path("one.tsv")],
        ["*.tsv"],
        ["-"],
        Files(["a text"]),
    ]
    texts = [
        "two\nlines",
        ["a text", "another"],
        ["word", "and a text"],
        ["*stars* everywhere"],
        [("a", "b")],
        [["a", "b"]],
        iter(["one.tsv"]),
        np.array(["one.tsv"]),
        {"text": ["a"]},
        RowsInMemory((), ""),
        5,
    ]
    assert [are_files(each) for each in files] == [True] * len(files)
    assert [are_files(each) for each in texts] == [False] * len(texts)
    with pytest.raises(
        DataError, match=r"on\.tsv: no such file \(did you mean 'one.tsv'\?\); a list of strings without"
    ):
        are_files(["on.tsv"])
    with pytest.raises(DataError, match="good: no such file; a list of strings without labels names files"):
        are_files(["good", "bad"])
    with pytest.raises(DataError, match="no file was named"):
        are_files([])
    Path("empty.tsv").touch()
    with pytest.raises(DataError, match=r"^empty\.tsv: the file is empty$"):
        are_files(["empty.tsv"])
