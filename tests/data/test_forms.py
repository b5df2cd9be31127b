"""The table of file forms: each form is one file, and every reader finds it there."""

from __future__ import annotations

import gzip

import pytest

from unspool.data import read_lines, read_rows, read_text, read_unlabelled
from unspool.data.forms import all_forms, form_by_suffix, form_named, forms_of, suffixes_of
from unspool.errors import DataError

CUES = """\ufeff1
00:00:01,000 --> 00:00:02,500
Where is <i>everybody</i>?

2
00:01:02.000 --> 00:01:04.000  X1:40 X2:600
{\\an8}Gone home.
All of them.


3
00:02:00,000 --> 00:02:01,000
7
"""


def write(path, text):
    path.write_text(text)
    return path


def test_forms_find_themselves_and_their_names_and_suffixes_are_their_own():
    forms = all_forms()
    assert {"tsv", "csv", "jsonl", "parquet", "yaml", "conll", "conllu", "babi", "text", "srt"} <= {
        f.name for f in forms
    }
    assert len({form.name for form in forms}) == len(forms)
    for kind in ("lines", "rows", "sentences", "stories"):
        suffixes = [suffix for form in forms_of(kind).values() for suffix in form.suffixes]
        assert len(set(suffixes)) == len(suffixes)
    assert all(form.help and suffix.startswith(".") for form in forms for suffix in form.suffixes)


def test_the_form_of_a_name_depends_on_what_is_wanted():
    assert form_by_suffix("a/B.TSV.gz", "rows").name == "tsv"
    assert form_by_suffix("a/B.TSV.gz", "sentences", "rows").name == "conll"
    assert form_by_suffix("film.srt", "rows") is None
    assert suffixes_of("sentences", "rows")[".jsonl"].name == "jsonl"
    assert form_named("parallel", "rows", more=("parallel",)) is None
    with pytest.raises(DataError, match=r"format 'csw' is none of .*csv.*\(did you mean 'csv'\?\)"):
        form_named("csw", "rows")


def test_subtitles_are_lines_of_text(tmp_path):
    path = write(tmp_path / "film.srt", CUES)
    assert list(read_lines(path)) == [
        (f"{path}:3", "Where is everybody?"),
        (f"{path}:7", "Gone home. All of them."),
        (f"{path}:13", "7"),
    ]
    assert "".join(read_text(path)) == "Where is everybody?\nGone home. All of them.\n7\n"
    packed = tmp_path / "film.srt.gz"
    packed.write_bytes(gzip.compress(CUES.encode()))
    assert [line.text for line in read_lines(packed)] == [line.text for line in read_lines(path)]
    plain = write(tmp_path / "film.txt", CUES)
    assert [line.text for line in read_lines(plain, format="srt")] == [line.text for line in read_lines(path)]
    assert [line.text for line in read_lines(path, format="text")][1] == "00:00:01,000 --> 00:00:02,500"


def test_what_is_no_cue_is_named(tmp_path):
    path = write(tmp_path / "a.srt", CUES.replace("1\n00:00:01", "one\n00:00:01", 1))
    with pytest.raises(DataError, match=rf"{path}:1: .*'.?one' stands before the times of a cue"):
        list(read_lines(path))
    with pytest.raises(DataError, match=rf"{path}:1: "):
        list(read_text(path))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", "one two\n\nthree\n", ["one two", "", "three"]),
        ("a.csv", "label,review\ngood,one two\nbad,three\n", ["one two", "three"]),
        ("a.tsv", "text\tlabel\none two\tgood\n", ["one two"]),
        ("a.jsonl", '{"label": "x", "review": "one two"}\n{"text": "three"}\n', ["one two", "three"]),
        ("b.jsonl", '{"text": ["one", "two"]}\n', [["one", "two"]]),
        ("a.conllu", "\t".join(["1", "one", "_", "_", "_", "_", "0", "_", "_", "_"]) + "\n", [["one"]]),
        ("a.yaml", "- {review: one two}\n", ["one two"]),
        ("a.srt", CUES, ["Where is everybody?", "Gone home. All of them.", "7"]),
        ("a.unknown", "one two\n", ["one two"]),
    ],
)
def test_inputs_come_from_every_form(tmp_path, name, content, expected):
    reader = read_unlabelled(write(tmp_path / name, content), columns=("review",), usual=("text",))
    assert [each.value for each in reader] == expected


def test_a_table_without_the_column_is_refused(tmp_path):
    path = write(tmp_path / "a.csv", "one,two\nx,y\n")
    with pytest.raises(DataError, match="there is no column 'review'; the columns are"):
        list(read_unlabelled(path, columns=("review",), usual=("text",)))
    assert [each.value for each in read_unlabelled(path, whole_rows=True, columns=("one",))] == [
        {"one": "x", "two": "y"}
    ]


def test_rows_from_yaml(tmp_path):
    path = write(tmp_path / "a.yml", "- {text: a b, label: x}\n- {text: c, label: y}\n")
    assert [row.values for row in read_rows(path)] == [{"text": "a b", "label": "x"}, {"text": "c", "label": "y"}]
