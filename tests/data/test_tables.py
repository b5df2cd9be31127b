"""Delimiters and header lines by content; pipes, endless lines and odd values in files."""

import gzip
import os
import threading

import pytest

from unspool.data import (
    Layout,
    read_lines,
    read_pairs,
    read_questions,
    read_rows,
    read_sentences,
    read_stories,
)
from unspool.data.tables import find_delimiter, has_header
from unspool.errors import DataError, for_command_line
from unspool.inputs import labelled_rows, read_labelled


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


def refusal(reader):
    with pytest.raises(DataError) as caught:
        list(reader)
    return str(caught.value)


ROWS = [["good film, all in all", "positive"], ["dull, too long", "negative"]] * 4


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt", "a.data"])
@pytest.mark.parametrize("mark", ["\t", ";", "|"])
def test_the_delimiter_is_found_by_content(write, name, mark):
    path = write(name, "".join(mark.join(row) + "\n" for row in [["Comment, free text", "Sentiment?"], *ROWS]))
    reader = read_labelled(path)
    assert [(each.value, each.labels) for each in reader] == [(text, (label,)) for text, label in ROWS]
    assert reader.layout.columns == {"text": "Comment, free text", "label": "Sentiment?"}
    assert "header line (" in reader.layout.files[path]
    assert ("tab" if mark == "\t" else f"'{mark}'") in reader.layout.files[path]


def test_commas_in_a_file_named_tsv_and_quotes_that_hold_delimiters(write):
    path = write("a.tsv", 'note,kind\n"one, two",x\n"three ""four""",y\n')
    assert [row.values for row in read_rows(path, names={"note"})] == [
        {"note": "one, two", "kind": "x"},
        {"note": 'three "four"', "kind": "y"},
    ]


def test_the_usual_delimiter_stays_where_it_parts_evenly_or_nothing_does():
    assert find_delimiter(["a;b,c", "d;e,f"], ",", quotes=True) == ","
    assert find_delimiter(["one text", "another, with a comma"], "\t", quotes=False) == "\t"
    assert find_delimiter(["a, b;c", "d, e;f"], ",", quotes=True) == ";"
    assert find_delimiter(["a, b", "d, e"], ",", quotes=True) == ","
    assert find_delimiter(["price;text", "1,5;a", "2,5;b"], ",", quotes=True) == ";"
    assert find_delimiter(["once upon a time", "there was, it is said, a file"], None, quotes=True) is None


def test_a_delimiter_that_was_asked_for(write):
    path = write("a.csv", "a:b,c\nd:e,f\n")
    assert [list(row.values.values()) for row in read_rows(path, delimiter=":")] == [["a", "b,c"], ["d", "e,f"]]
    tabs = write("b.csv", "a\tb,c\n")
    assert [list(row.values.values()) for row in read_rows(tabs, delimiter="tab")] == [["a", "b,c"]]
    assert [list(row.values.values()) for row in read_rows(tabs, delimiter="\\t")] == [["a", "b,c"]]
    for bad in ("", ";;", "x", '"', "\n"):
        with pytest.raises(DataError, match="expected one character"):
            read_rows(path, delimiter=bad)


SENTENCES = [[f"This is the sentence of number {n}.", f"Ez itt a mondat, amely a {n}."] for n in range(60)]
LABELS = [[f"some words of number {n}", ["yes", "no", "perhaps"][n % 3]] for n in range(30)]
NAMES = [["Anna", "f"], ["Ben", "m"], ["Clara", "f"], ["David", "m"], ["Emil", "m"], ["Franka", "f"]] * 2


@pytest.mark.parametrize(
    ("first", "rest"),
    [
        (["Utterance", "Kind"], LABELS),
        (["Megjegyzés", "Érzés"], LABELS),
        (["Kérdés", "Válasz"], SENTENCES),
        (["Name", "Gender"], NAMES),
        (["Date", "Value"], [[f"2020-{n:02}", str(n * n)] for n in range(1, 5)]),
        (["", "comment", "grade"], [[str(n), f"text number {n * n}", "abc"[n % 3]] for n in range(12)]),
        (["Comment", "Sentiment"], [["one good thing here", "x"], ["one bad thing", "y"]]),
    ],
)
def test_a_header_is_seen(first, rest):
    assert has_header([first, *rest]).header


@pytest.mark.parametrize(
    "rows",
    [
        LABELS,
        SENTENCES,
        NAMES,
        [["Go.", "Va !"], *SENTENCES],
        [["Hello", "Hi"], *[[f"how is the number {n}", f"it is {n} as ever"] for n in range(9)]],
        [["a b", "x"]],
        [["a b", "x"], ["c d", "y"]],
        [["good", "positive"], *[[f"bad in the way {n}", "negative"] for n in range(20)]],
        [["cat", "chat"], ["dog", "chien"], ["name", "nom"]],
        [["7", "8"], ["1", "2"]],
        [["dull film", "negative"], ["fine film", "positive"], ["grim film", "negative"], ["so so", "negative"]],
    ],
)
def test_a_first_row_like_the_others_is_no_header(rows):
    assert not has_header(rows).header


def test_no_class_is_made_of_a_header(write):
    path = write("a.csv", "Comment, free text;Sentiment?\n" + "".join(f"{a};{b}\n" for a, b in LABELS))
    assert {each.labels for each in read_labelled(path)} == {("yes",), ("no",), ("perhaps",)}


def test_other_data_are_read_from_the_columns_of_the_training(write):
    small = write("v.csv", "Sentiment?;Comment\nyes;it was\n")
    before = Layout(columns={"text": "Comment", "label": "Sentiment?"}, input="text", values=("Comment",))
    reader = read_labelled(small, before=before)
    assert [(each.value, each.labels) for each in reader] == [("it was", ("yes",))]


def test_messages_name_the_delimiter_the_columns_and_the_way_out(write):
    path = write("a.csv", "comment;kind\na b;x\nc d\n;y\n")
    assert "1 cell, expected 2 as in" in refusal(read_labelled(path, column="comment"))
    assert f"{path}:1, delimiter ';'" in refusal(read_labelled(path, column="comment"))
    assert "no column 'coment'; the columns are comment, kind (did you mean 'comment'?)" in refusal(
        read_labelled(path, column="coment", header="yes")
    )
    assert "no column 'review'; the columns are 1, 2 (read with delimiter ';', no header line" in refusal(
        read_labelled(path, column="review", header="no")
    )
    empty = write("b.tsv", "text\tlabel\na\tx\n \ty\n")
    with pytest.raises(DataError) as caught:
        list(read_labelled(empty))
    assert (
        str(caught.value) == f"{empty}:3: column 'text' is empty; expected a text; skip_bad=True leaves such lines out"
    )
    assert "--skip-bad leaves" in for_command_line(caught.value.message)
    assert "did you mean 'source'" in refusal(read_pairs(write("p.tsv", "source\ttarget\na\tb\n"), source="sorce"))
    assert "skip_bad" not in refusal(
        read_pairs(write("p.tsv", "source\ttarget\na\tb\n"), source="sorce", skip_bad=True)
    )
    assert "did you mean 'answer'" in refusal(
        read_questions(write("q.tsv", "question\tanswer\na\tb\n"), answer="anser")
    )


@pytest.mark.parametrize("line", ["[" * 100_000, '{"text": ' + "[" * 150 + "]" * 150 + ', "label": "x"}'])
def test_json_without_bottom_is_a_sentence_in_every_reader(write, line):
    path = write("a.jsonl", line + "\n")
    for read in (read_rows, read_sentences, read_stories, read_pairs, read_questions, read_labelled):
        assert f"{path}:1: " in refusal(read(path))
    assert "over 100 levels deep" in refusal(read_rows(write("b.jsonl", '{"a":' * 5000 + "1" + "}" * 5000)))


def test_a_line_without_end_is_refused_in_bounded_memory(write, monkeypatch):
    monkeypatch.setattr("unspool.data.files.LONGEST_LINE", 1 << 20)
    path = write("a.tsv.gz", gzip.compress(b"ab\tc\n" + b"x" * (1 << 22)))
    for read in (read_rows, read_lines):
        assert f"{path}:2: the line is longer than 1 MiB" in refusal(read(path))


def pipe(tmp_path, content):
    path = tmp_path / "pipe.tsv"
    os.mkfifo(path)
    if content is not None:
        threading.Thread(target=path.write_bytes, args=(content,), daemon=True).start()
    return str(path)


def test_a_pipe_is_read_once(tmp_path):
    reader = read_labelled(pipe(tmp_path, b"text\tlabel\na b\tx\n"))
    assert [each.value for each in reader] == ["a b"]
    assert "can be read only once" in refusal(reader)


def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("unspool.reading.PATIENCE", 0.05)
    assert "nothing was written to this pipe in 0.05 seconds" in refusal(read_rows(pipe(tmp_path, None)))


def test_a_compressed_file_that_ends_in_zeros_is_not_read_to_its_end(tmp_path):
    path = tmp_path / "a.tsv.gz"
    path.write_bytes(gzip.compress(b"text\tlabel\na b\tx\n"))
    os.truncate(path, 1 << 36)
    assert "it ends in zeros" in refusal(read_labelled(str(path)))


def test_parquet_with_times_dictionaries_and_bytes(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = str(tmp_path / "a.parquet")
    columns = {
        "text": pa.array(["a", "b", "c"]).dictionary_encode(),
        "when": pa.array([1, 1_600_000_000_123_456_789, None], pa.timestamp("ns")),
        "raw": pa.array([b"caf\xc3\xa9", b"fine", b"ok"], pa.binary()),
    }
    pq.write_table(pa.table(columns), path)
    rows = [row.values for row in read_rows(path)]
    assert [row["text"] for row in rows] == ["a", "b", "c"]
    assert "2020-09-13 12:26:40.123456789" in str(rows[1]["when"])
    assert [row["raw"] for row in rows] == ["café", "fine", "ok"]


def test_parquet_with_broken_text_is_a_bad_row(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = str(tmp_path / "a.parquet")
    broken = pa.Array.from_buffers(pa.string(), 3, pa.array([b"one", b"tw\xff", b"six"], pa.binary()).buffers())
    pq.write_table(pa.table({"text": broken}), path)
    assert f"{path}:2: column 'text': byte 0xFF is not UTF-8" in refusal(read_rows(path))
    reader = read_rows(path, skip_bad=True)
    assert [row.values["text"] for row in reader] == ["one", "six"]
    assert reader.skipped == 1


def test_damaged_parquet_is_a_sentence(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"text {n}" for n in range(50)], "n": list(range(50))}), path)
    whole = path.read_bytes()
    refused = 0
    for place in range(4, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            list(read_rows(str(path), skip_bad=True))
        except DataError as error:
            refused += str(path) in str(error)
    assert refused > 20


def test_labelled_rows_takes_rows_of_any_reader(write):
    rows = read_rows(write("a.tsv", "kind\tnote\nx\ta b\n"), header="yes")
    assert [each.value for each in labelled_rows(rows, column="note", label="kind")] == ["a b"]
