import gzip
import io
import os
import random
import sys
from types import SimpleNamespace

import pytest

from unspool.data import find_column, find_files, guess_text_and_label, read_lines, read_rows, read_sentences, read_text
from unspool.errors import DataError


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


@pytest.fixture
def stdin(monkeypatch):
    def give(content):
        stream = io.BufferedReader(io.BytesIO(content))
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream))

    return give


def refusal(reader):
    with pytest.raises(DataError) as caught:
        list(reader)
    return str(caught.value)


def values(reader):
    return [row.values for row in reader]


def test_tsv_without_header_numbers_its_columns(write):
    path = write("a.tsv", 'pos\tfine "film\n\nneg\tdull\r\n')
    assert [tuple(row) for row in read_rows(path, names={"text"})] == [
        (f"{path}:1", {"1": "pos", "2": 'fine "film'}),
        (f"{path}:3", {"1": "neg", "2": "dull"}),
    ]


@pytest.mark.parametrize(
    ("header", "names", "first"),
    [
        ("auto", {"label"}, {"Label": "1", "note": "x"}),
        ("auto", {"sentence"}, {"1": "Label", "2": "note"}),
        ("yes", set(), {"Label": "1", "note": "x"}),
        ("no", {"label"}, {"1": "Label", "2": "note"}),
    ],
)
def test_header(write, header, names, first):
    assert next(iter(read_rows(write("a.tsv", "Label\tnote\n1\tx\n"), header=header, names=names))).values == first


def test_byte_order_mark_is_dropped(write):
    assert values(read_rows(write("a.tsv", "\ufefftext\tlabel\na\tb\n"), names={"text"})) == [
        {"text": "a", "label": "b"}
    ]
    assert list(read_text(write("a.txt", "\ufeffab\n"))) == ["ab\n"]


def test_csv_with_line_ends_in_quotes_counts_true_lines(write):
    path = write("a.csv", 'text,label\r\n"two\r\nlines, ""quoted""",1\r\nplain,2\r\n')
    assert [tuple(row) for row in read_rows(path, names={"label"})] == [
        (f"{path}:2", {"text": 'two\nlines, "quoted"', "label": "1"}),
        (f"{path}:4", {"text": "plain", "label": "2"}),
    ]


def test_csv_bad_rows(write):
    path = write("a.csv", b'text,label\nok,1\nlone,\n"a"b,2\nbad\xff,3\nthree,cells,here\nlast,4\n')
    reader = read_rows(path, names={"text"}, skip_bad=True)
    assert [(row.where, row.values["text"]) for row in reader] == [
        (f"{path}:2", "ok"),
        (f"{path}:3", "lone"),
        (f"{path}:7", "last"),
    ]
    assert reader.skipped == 3
    assert refusal(read_rows(path, names={"text"})).startswith(f"{path}:4: not a CSV row")


def test_a_quote_never_closed_is_refused(write):
    path = write("a.csv", 'a,b\nc,"d\ne,f\n')
    assert refusal(read_rows(path)).startswith(f"{path}:2: not a CSV row")


def test_wrong_number_of_cells_says_both(write):
    path = write("a.tsv", "text\tlabel\na\t1\nb\n")
    message = refusal(read_rows(path, names={"text"}))
    assert message.startswith(f"{path}:3: 1 cell, expected 2 as in {path}:1, delimiter tab: 'b'; skip_bad=True ")


def test_a_header_that_names_a_column_twice_is_refused_even_when_skipping(write):
    path = write("a.tsv", "text\ttext\na\t1\n")
    assert "'text' twice" in refusal(read_rows(path, header="yes", skip_bad=True))


def test_json_lines(write):
    path = write("a.jsonl", '{"text": "a", "labels": ["x", "y"]}\n\n[1]\n{"text": \n{"text": "b"}\n')
    reader = read_rows(path, skip_bad=True)
    assert [(row.where[-2:], row.values) for row in reader] == [
        (":1", {"text": "a", "labels": ["x", "y"]}),
        (":5", {"text": "b"}),
    ]
    assert reader.skipped == 2
    assert "expected a JSON object" in refusal(read_rows(path))


def test_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = str(tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": ["a", "b"], "label": [3, 4]}), path)
    assert [tuple(row) for row in read_rows(path)] == [
        (f"{path}:1", {"text": "a", "label": 3}),
        (f"{path}:2", {"text": "b", "label": 4}),
    ]


def test_damaged_parquet(write):
    pytest.importorskip("pyarrow")
    assert "not a readable Parquet file" in refusal(read_rows(write("a.parquet", "PAR1 no")))


def test_gzip_and_stdin(write, stdin):
    assert values(read_rows(write("a.TSV.gz", gzip.compress(b"a\tb\n")))) == [{"1": "a", "2": "b"}]
    stdin(b'{"n": 1}\n')
    reader = read_rows("-", format="jsonl")
    assert [tuple(row) for row in reader] == [("standard input:1", {"n": 1})]
    assert "only once" in refusal(reader)


def test_damaged_gzip(write):
    noise = "\t".join(map(str, random.Random(5).choices(range(10**9), k=5000))) + "\n"
    path = write("a.tsv.gz", gzip.compress(noise.encode())[:-2000])
    assert "compressed file is damaged" in refusal(read_rows(path))
    assert "compressed file is damaged" in refusal(read_rows(write("b.tsv.gz", "not gzip")))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a\tb\ncaf\xe9\tc\n", "2: byte 0xE9 at position 4"),
        ("a\tb\n".encode("utf-16"), "1: the text looks like UTF-16"),
    ],
)
def test_not_utf8(write, content, told):
    path = write("a.tsv", content)
    assert f"{path}:{told}" in refusal(read_rows(path))
    assert f"{path}:{told}" in refusal(read_text(path))
    assert f"{path}:{told}" in refusal(read_lines(path))


def test_text_without_end_stops_at_its_first_nul(write, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\n")
    os.truncate(path, 1 << 36)
    assert f"{path}:3: a NUL character; expected text in UTF-8" in refusal(read_text(path))
    assert "a NUL character" in refusal(read_text("/dev/zero"))
    assert "UTF-16" in refusal(read_text(write("b.txt", "abc".encode("utf-16-le"))))


def test_missing_empty_and_unknown(write, tmp_path):
    write("train.tsv", "a\tb\n")
    with pytest.raises(DataError, match=r"trian\.tsv: no such file \(did you mean 'train\.tsv'\?\)"):
        read_rows(str(tmp_path / "trian.tsv"))
    with pytest.raises(DataError, match="the file is empty"):
        read_rows(write("empty.tsv", ""))
    with pytest.raises(DataError, match=r"the form is unclear from the name.*\.tsv"):
        read_rows(write("a.xls", "x"))
    with pytest.raises(DataError, match="did you mean 'jsonl'"):
        read_rows(write("a.txt", "x"), format="jsonnl")
    with pytest.raises(DataError, match="no file matches"):
        read_rows(str(tmp_path / "*.nothing"))
    assert "nothing to read" in refusal(read_rows(write("h.tsv", "text\tlabel\n"), header="yes"))
    assert "nothing to read" in refusal(read_sentences(write("b.conll", "\n \n")))


def test_folders_and_globs(write, tmp_path):
    b, a = write("in/b.txt", "b"), write("in/deep/a.txt", "a\n")
    write("in/.hidden", "x")
    write("in/empty.txt", "")
    assert find_files(tmp_path / "in") == [b, a]
    assert find_files(str(tmp_path / "in" / "**" / "*.txt")) == [b, a]
    assert "".join(read_text(tmp_path / "in")) == "b\na\n"


def test_find_column():
    assert find_column(["id", "Text"], "text") == "Text"
    assert find_column(["id", "Text"], 2) == "Text"
    assert find_column(["2", "1"], "1") == "1"
    with pytest.raises(DataError, match=r"no column 'txt'; the columns are id, text \(did you mean 'text'\?\)"):
        find_column(["id", "text"], "txt")


@pytest.mark.parametrize(("line", "guess"), [("{label}\t{text}", ("2", "1")), ("{n}\t{text}\t{label}", ("2", "3"))])
def test_guess_text_and_label(write, line, guess):
    lines = [line.format(n=n, text=f"some words of number {n * n}", label=["good", "bad"][n % 2]) for n in range(40)]
    assert guess_text_and_label(list(read_rows(write("a.tsv", "\n".join(lines))))) == guess


def test_guess_refuses_ids(write):
    rows = list(read_rows(write("a.tsv", "\n".join(f"{n}\ttext number {n}" for n in range(40)))))
    with pytest.raises(DataError, match="can't tell which column is the label"):
        guess_text_and_label(rows)


CONLL = "-DOCSTART- -X- O O\n\nEU NNP I-ORG\nrejects VBZ O\n \n. . O\n"


@pytest.mark.parametrize("name", ["a.conll", "eng.train", "a.txt"])
def test_conll(write, name):
    path = write(name, CONLL)
    assert [sentence[:2] for sentence in read_sentences(path)] == [
        (f"{path}:3", {"1": ["EU", "rejects"], "2": ["NNP", "VBZ"], "3": ["I-ORG", "O"]}),
        (f"{path}:6", {"1": ["."], "2": ["."], "3": ["O"]}),
    ]


def test_conll_by_tabs_keeps_blanks_inside_cells(write):
    path = write("a.conll", "New York\tLOC\n1 000\tNUM\n")
    assert next(iter(read_sentences(path))).columns == {"1": ["New York", "1 000"], "2": ["LOC", "NUM"]}


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("rejects", "1 column, expected 3, separated by blanks"),
        ("a b c d", "4 columns, expected 3"),
        ("caf\udce9 b c", "not UTF-8"),
    ],
)
def test_a_bad_conll_line_makes_its_sentence_bad(write, bad, told):
    content = f"EU NNP O\n\nGerman JJ O\n{bad}\ncall NN O\n\n. . O\n".encode(errors="surrogateescape")
    path = write("a.conll", content)
    message = refusal(read_sentences(path))
    assert message.startswith(f"{path}:4: ")
    assert told in message
    reader = read_sentences(path, skip_bad=True)
    assert [sentence.columns["1"] for sentence in reader] == [["EU"], ["."]]
    assert reader.skipped == 1


def test_blanks_do_not_separate_where_tabs_did(write):
    path = write("a.conll", "a\tO\nb O\n")
    assert refusal(read_sentences(path)).startswith(f"{path}:2: 1 column, expected 2, separated by tabs")


def test_an_empty_cell_is_refused(write):
    path = write("a.conll", "a\tO\n\tO\n")
    assert refusal(read_sentences(path)).startswith(f"{path}:2: column 1 is empty")


def conllu(id, form, tag):
    return "\t".join([id, form, "_", tag, "_", "_", "_", "_", "_", "_"]) + "\n"


CONLLU = (
    "# text = don't go\n" + conllu("1-2", "don't", "_") + conllu("1", "do", "AUX") + conllu("2", "n't", "PART")
    + conllu("2.1", "elided", "VERB") + conllu("3", "#", "VERB") + "\n# only a comment\n\n" + conllu("1", "yes", "INTJ")
)  # fmt: skip


@pytest.mark.parametrize("name", ["a.conllu", "unknown"])
def test_conllu(write, name):
    path = write(name, CONLLU)
    first, second = read_sentences(path)
    assert (first.where, second.where) == (f"{path}:3", f"{path}:10")
    assert first.columns["form"] == ["do", "n't", "#"]
    assert first.columns["upos"] == ["AUX", "PART", "VERB"]
    assert second.columns["id"] == ["1"]


@pytest.mark.parametrize(("bad", "told"), [("1\tsad\tX\n", "3 columns"), (conllu("x1", "sad", "X"), "token's number")])
def test_bad_conllu(write, bad, told):
    path = write("a.conllu", conllu("1", "fine", "ADJ") + "\n" + bad)
    assert refusal(read_sentences(path)).startswith(f"{path}:3: ")
    assert told in refusal(read_sentences(path))


def test_sentences_in_json_lines(write):
    path = write(
        "a.jsonl", '{"tokens": ["a", "b"], "tags": [0, 1], "id": 7}\n{"tokens": ["a"], "tags": [], "n": [1]}\n'
    )
    reader = read_sentences(path, columns=["tokens", "tags"], skip_bad=True)
    assert [sentence.columns for sentence in reader] == [{"tokens": ["a", "b"], "tags": ["0", "1"]}]
    assert "tokens has 1, tags has 0" in refusal(read_sentences(path, columns=["tokens", "tags"]))
    assert "expected lists" in refusal(read_sentences(path, columns=["words"]))


def test_prose_is_not_taken_for_sentences(write):
    path = write("a.txt", "once upon a time\nthere was\n\na file\n")
    assert "format='conll'" in refusal(read_sentences(path))


def test_lines_keep_blank_ones_and_unicode_line_separators(write):
    path = write("a.txt", "one\u2028two\r\n\nthree")
    assert [tuple(line) for line in read_lines(path)] == [
        (f"{path}:1", "one\u2028two"),
        (f"{path}:2", ""),
        (f"{path}:3", "three"),
    ]


def test_text_comes_in_pieces_that_make_up_the_whole(write, monkeypatch):
    monkeypatch.setattr("unspool.data.forms.plain._BLOCK", 7)
    monkeypatch.setattr("unspool.data.forms.plain._LONGEST_LINE", 21)
    for content in ("a\r\nbc\n\nd", "é" * 40, "word " * 30 + "\nend\n", "𝄞x" * 30):
        pieces = list(read_text(write("a.txt", content)))
        assert "".join(pieces) == content.replace("\r\n", "\n")
        assert max(map(len, pieces)) <= 28
    bad = write("b.txt", b"one\ntwo\nthree\nfo\xffur\nfive\n")
    assert refusal(read_text(bad)).startswith(f"{bad}:4: byte 0xFF at position 3")
