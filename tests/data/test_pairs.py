"""Pairs from tables and from parallel files: columns, blanks, and what is wrong said with its place."""

from __future__ import annotations

import gzip
import io
import sys
from types import SimpleNamespace

import pytest

from unspool.data import read_pairs
from unspool.errors import DataError


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        data = content.encode() if isinstance(content, str) else content
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return str(path)

    return write


@pytest.fixture
def stdin(monkeypatch):
    def give(content):
        stream = io.BufferedReader(io.BytesIO(content.encode()))
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream))

    return give


def texts(reader):
    return [(pair.source, pair.target) for pair in reader]


def refusal(paths, **options):
    with pytest.raises(DataError) as caught:
        list(read_pairs(paths, **options))
    return str(caught.value)


WANTED = [("a b", "x"), ("c", "y z")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", "a b\tx\nc\ty z\n"),
        ("a.tsv", "a b\tx\tfrom a book\nc\ty z\tfrom a song\n"),
        ("a.tab", "\ufeffsource\ttarget\r\na b\tx\r\nc\ty z\r\n"),
        ("a.tsv", "id\tTgt\tsrc\n1\tx\ta b\n2\ty z\tc\n"),
        ("a.tsv", "Answer\tId\tQuestion\nx\t1\ta b\ny z\t2\tc\n"),
        ("a.tsv", "output\tEnglish\nx\ta b\ny z\tc\n"),
        ("a.tsv", "French\tinput\nx\ta b\ny z\tc\n"),
        ("a.csv", '"a b",x\nc,"y z"\n'),
        ("a.csv", 'input,output\n"a b",x\nc,"y z"\n'),
        ("a.jsonl", '{"source": "a b", "target": "x"}\n\n{"target": "y z", "source": "c"}\n'),
        ("a.jsonl", '{"en": "a b", "fr": "x"}\n{"fr": "y z", "en": "c"}\n'),
        ("a.jsonl", '{"id": 7, "question": "a b", "answer": "x"}\n{"id": 8, "question": "c", "answer": "y z"}\n'),
        ("a.ndjson.gz", '{"src": "a b", "tgt": "x"}\n{"src": "c", "tgt": "y z"}\n'),
        ("a.TSV.gz", "a b\tx\nc\ty z\n"),
    ],
    ids=str,
)
def test_every_form_of_a_table_and_its_columns_found(write, name, content):
    path = write(name, content)
    reader = read_pairs(path)
    assert texts(reader) == WANTED
    assert texts(reader) == WANTED  # and again
    lines = [number for number, line in enumerate(content.splitlines(), 1) if line.strip()]
    assert [pair.where for pair in reader] == [f"{path}:{number}" for number in lines[-2:]]


def test_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"answer": ["x", "y z"], "question": ["a b", "c"]}), tmp_path / "a.parquet")
    assert texts(read_pairs(tmp_path / "a.parquet")) == WANTED


@pytest.mark.parametrize(
    ("options", "first"),
    [
        ({"source": "en", "target": "de"}, ("one", "eins")),
        ({"source": "FR", "target": "1"}, ("un", "one")),
        ({"source": "2", "target": "3"}, ("un", "eins")),
        ({"source": "de"}, ("eins", "one")),
        ({"target": "en"}, ("un", "one")),
        ({"target": "de"}, ("one", "eins")),
    ],
    ids=str,
)
def test_columns_by_name_and_by_number(write, options, first):
    path = write("a.tsv", "en\tfr\tde\none\tun\teins\n")
    assert texts(read_pairs(path, header="yes", **options)) == [first]


def test_a_header_is_one_where_a_wanted_name_stands_in_it(write):
    path = write("a.tsv", "Hallo\tTarget\na\tb\n")
    assert texts(read_pairs(path)) == [("a", "b")]
    assert texts(read_pairs(path, header="no")) == [("Hallo", "Target"), ("a", "b")]
    other = write("b.tsv", "en\tfr\na\tb\n")
    assert texts(read_pairs(other)) == [("en", "fr"), ("a", "b")]
    assert texts(read_pairs(other, header="yes")) == [("a", "b")]
    assert texts(read_pairs(other, source="fr")) == [("b", "a")]
    numbers = write("c.tsv", "1\t2\n3\t4\n")
    assert texts(read_pairs(numbers)) == [("1", "2"), ("3", "4")]


def test_no_break_blanks_are_blanks(write):
    path = write("a.tsv", "\u00a0Qui\u202f?\tWho\u2007is it?\u00a0 \n")
    assert texts(read_pairs(path)) == [("Qui ?", "Who is it?")]


@pytest.mark.parametrize(
    ("name", "content", "options", "said"),
    [
        ("a.tsv", "a\tb\nc\t\u00a0 \n", {}, "a.tsv:2: the target is empty"),
        ("a.tsv", "a\tb\n \tc\n", {}, "a.tsv:2: the source is empty"),
        ("a.tsv", "a\nb\n", {}, "a.tsv:1: one column only (1), expected a source and a target"),
        ("a.tsv", "a\tb\nc\n", {}, "a.tsv:2: 1 cell, expected 2"),
        ("a.tsv", "a\tb\n", {"source": "2", "target": "2"}, "a.tsv:1: source and target are both read from column '2'"),
        ("a.tsv", "a\tb\n", {"source": "3"}, "a.tsv:1: there is no column '3'; the columns are 1, 2"),
        ("a.tsv", "en\tfr\nx\ty\n", {"target": "fre", "header": "yes"}, "did you mean 'fr'?"),
        ("a.jsonl", '{"source": "a", "target": "b"}\n{"source": "c", "note": "d"}\n', {}, "a.jsonl:2: there is no col"),
        ("a.jsonl", '{"source": "a", "target": 5}\n', {}, "a.jsonl:1: column 'target' holds int 5, expected text"),
        ("a.jsonl", '{"source": "a", "target": null}\n', {}, "column 'target' holds NoneType None, expected text"),
        ("a.tsv", "a\tb\n", {"format": "paralel"}, "did you mean 'parallel'?"),
        ("a.tsv", "", {}, "a.tsv: the file is empty"),
        ("a.tsv", "source\ttarget\n", {}, "there is nothing to read"),
        ("a.txt", "a\tb\n", {}, "expected parallel files in twos, the source's first; 1 came"),
        ("a.txt", "a\tb\n", {}, "format='tsv'"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_with_its_place(write, name, content, options, said):
    assert said in refusal(write(name, content), **options)


def test_bad_rows_of_a_table_are_left_out_and_counted(write):
    path = write("a.tsv", b"a\tb\nc\t\n\xff\td\ne\nf\tg\n")
    reader = read_pairs(path, skip_bad=True)
    assert texts(reader) == [("a", "b"), ("f", "g")]
    assert reader.skipped == 3
    assert "a.tsv:2: the target is empty" in refusal(path)


def test_the_first_bad_row_does_not_decide_the_columns(write):
    path = write("a.jsonl", '{"text": "alone"}\n{"target": "b", "x": "1", "source": "a"}\n')
    assert texts(read_pairs(path, skip_bad=True)) == [("a", "b")]


def test_every_file_has_columns_of_its_own(write):
    one, other = write("a.jsonl", '{"en": "a", "fr": "b"}\n'), write("b.jsonl", '{"question": "c", "answer": "d"}\n')
    assert texts(read_pairs([one, other])) == [("a", "b"), ("c", "d")]


# ---- parallel files ------------------------------------------------------------------------------------------------


def test_two_files_go_line_by_line(write):
    source, target = write("t.en", "a b\r\nc\n"), write("t.de.gz", "\ufeffx\ny\u00a0z")
    pairs = list(read_pairs([source, target]))
    assert [(pair.source, pair.target) for pair in pairs] == WANTED
    assert [pair.where for pair in pairs] == [f"{source}:1", f"{source}:2"]


def test_tables_by_name_are_parallel_where_that_is_said(write):
    paths = [write("a.tsv", "a\tb\n"), write("b.tsv", "c\td\n")]
    assert texts(read_pairs(paths)) == [("a", "b"), ("c", "d")]
    assert texts(read_pairs(paths, format="parallel")) == [("a\tb", "c\td")]


def test_four_files_are_two_couples_in_their_order(write):
    files = [write(name, content) for name, content in [("b.en", "1\n"), ("b.de", "2\n"), ("a.en", "3\n4\n")]]
    last = write("a.de", "5\n6\n")
    assert texts(read_pairs([*files, last])) == [("1", "2"), ("3", "5"), ("4", "6")]
    assert "; 3 came" in refusal(files)


def test_one_source_may_go_with_two_targets(write):
    source, one, other = write("a.en", "s\n"), write("a.de", "t\n"), write("a.fr", "u\n")
    assert texts(read_pairs([source, one, source, other])) == [("s", "t"), ("s", "u")]


def test_files_of_unequal_length_tell_both_counts_and_where_they_part(write):
    source = write("a.en", "".join(f"line number {i}\n" for i in range(1200)))
    lines = [f"zeile nummer {i}\n" for i in range(1199)]
    target = write("a.de", "".join(lines))
    said = refusal([source, target], skip_bad=True)
    assert said.startswith(f"{source}, {target}: 1,200 lines go with 1,199; parallel files have equally many")
    assert "suspicious" not in said
    lines[41] = "\n"
    lines[99] = "viel " * 30 + "\n"
    assert "the first suspicious pair is line 42" in refusal([source, write("a.de", "".join(lines))])
    lines[41] = "zeile\n"
    assert "the first suspicious pair is line 100" in refusal([source, write("a.de", "".join(lines))])
    with_last = write("b.en", "a\nb"), write("b.de", "c\nd\n")
    assert texts(read_pairs(with_last)) == [("a", "c"), ("b", "d")]


def test_a_bad_line_is_placed_in_its_own_file_and_may_be_left_out(write):
    source, target = write("a.en", b"a\nb\nc\n\xffd\ne\n"), write("a.de", b"1\n\xfe2\n\n4\n5\n")
    assert f"{target}:2: byte 0xFE" in refusal([source, target])
    reader = read_pairs([source, target], skip_bad=True)
    assert texts(reader) == [("a", "1"), ("e", "5")]
    assert reader.skipped == 3
    empty = write("b.de", "1\n2\n\n4\n5\n")
    assert f"{empty}:3: the target is empty" in refusal([source, empty])
    assert f"{source}:1: the source is empty" in refusal([write("a.en", "\n"), write("c.de", "x\n")])


def test_standard_input_is_a_table_or_nothing(stdin):
    stdin("a b\tx\nc\ty z\n")
    reader = read_pairs("-", format="tsv")
    assert texts(reader) == WANTED
    with pytest.raises(DataError, match="standard input: a stream can be read only once"):
        list(reader)
    assert "format='tsv'" in refusal("-")
    assert "twice, which pipes and standard input do not allow; save it to a file" in refusal(["-", __file__])


def test_a_missing_file_and_a_missing_half(write, tmp_path):
    source = write("train.en", "a\n")
    assert "no such file" in refusal([source, tmp_path / "train.de"])
    assert "the file is empty" in refusal([source, write("train.fr", "")])


def test_a_line_without_any_column_is_named(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text("{}\n")
    with pytest.raises(DataError, match=r"pairs\.jsonl:1: no column, expected a source and a target"):
        list(read_pairs(str(path)))
