"""Questions and answers from tables, JSON lines and YAML: columns, errors with their place, and what is joined."""

from __future__ import annotations

import builtins
import gzip
import io
import sys
from itertools import pairwise
from types import SimpleNamespace

import pytest

from unspool.data import Question, extend_questions, merge_questions, read_questions, shared_wordings
from unspool.errors import DataError, MissingExtraError


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        data = content.encode() if isinstance(content, str) else content
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return str(path)

    return write


def sides(reader):
    return [(each.wordings, each.answers) for each in reader]


def refusal(paths, **options):
    with pytest.raises(DataError) as caught:
        list(read_questions(paths, **options))
    return str(caught.value)


WANTED = [(["who?"], ["me, of course"]), (["why ?"], ["so"])]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", "who?\tme, of course\nwhy ?\tso\n"),
        ("a.tsv", "  who?\tme,  of\u00a0course\tfrom a book\nwhy ?\tso \tfrom a song\n"),
        ("a.tab", "\ufeffquestion\tanswer\r\nwho?\tme, of course\r\nwhy ?\tso\r\n"),
        ("a.tsv", "id\tAnswer\tQuestion\n1\tme, of course\twho?\n2\tso\twhy ?\n"),
        ("a.tsv", "output\twording\nme, of course\twho?\nso\twhy ?\n"),
        ("a.tsv", "wording\tquery\nme, of course\twho?\nso\twhy ?\n"),
        ("a.csv", 'who?,"me, of course"\nwhy ?,so\n'),
        ("a.csv", 'response,input\n"me, of course",who?\nso,why ?\n'),
        ("a.jsonl", '{"question": "who?", "answer": "me, of course"}\n\n{"answer": "so", "question": "why ?"}\n'),
        ("a.jsonl", '{"q": ["who?"], "a": ["me, of course", " "]}\n{"q": "why ?", "a": "so", "n": 3}\n'),
        ("a.jsonl", '{"answers": ["me, of course"], "said": "who?"}\n{"answers": ["so"], "said": "why ?"}\n'),
        ("a.json.gz", '{"query": "who?", "output": "me, of course"}\n{"query": "why ?", "output": "so"}\n'),
        ("a.yml", '- - "who?"\n  - me, of course\n- ["why ?", so]\n'),
        ("a.YAML", 'categories: [x]\nconversations:\n- - who?\n  - me, of course\n- - why ?\n  - "so"\n'),
        ("a.yaml.gz", "questions:\n- question: who?\n  answers: [ 'me, of course']\n- {answer: so, question: why ?}\n"),
    ],
    ids=str,
)
def test_every_form_and_its_columns_found(write, name, content):
    path = write(name, content)
    reader = read_questions(path)
    assert sides(reader) == WANTED
    assert sides(reader) == WANTED  # and again
    assert all(each.where.startswith(f"{path}:") for each in reader)


def test_paraphrases_and_several_answers(write):
    path = write("a.jsonl", '{"question": "a", "paraphrases": ["b", "", "c"], "answers": ["1", "2"], "topic": "x"}\n')
    assert sides(read_questions(path)) == [(["a", "b", "c"], ["1", "2"])]
    path = write(
        "b.jsonl", '{"paraphrases": ["b"], "it": "a", "said": "1"}\n{"it": "c", "said": "2", "paraphrases": null}\n'
    )
    assert sides(read_questions(path)) == [(["a", "b"], ["1"]), (["c"], ["2"])]
    path = write("c.yml", "- question: [a, b]\n  paraphrases: c\n  answers:\n  - 1\n  - 2\n- [[d, e], f, [g, h]]\n")
    assert sides(read_questions(path)) == [(["a", "b", "c"], ["1", "2"]), (["d", "e"], ["f", "g", "h"])]


def test_parquet_with_lists(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    table = {"answers": [["1", "2"], ["3"]], "question": ["a", "c"], "paraphrases": [["b"], []]}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    assert sides(read_questions(tmp_path / "a.parquet")) == [(["a", "b"], ["1", "2"]), (["c"], ["3"])]


def test_what_looks_like_a_number_in_yaml_stays_the_text_that_stands_there(write):
    path = write(
        "a.yml", "- [yes, no]\n- [1e-3, 0x1F]\n- [2001-01-01, ~]\n- [007, null]\n- [On, 1_000]\n- ['#', true]\n"
    )
    expected = [("yes", "no"), ("1e-3", "0x1F"), ("2001-01-01", "~"), ("007", "null"), ("On", "1_000"), ("#", "true")]
    assert sides(read_questions(path)) == [([asked], [said]) for asked, said in expected]


def test_lines_of_yaml_are_those_where_a_question_begins(write):
    path = write("a.yml", "# pairs\nconversations:\n\n- - a\n  - b\n- - c\n  - |\n    d\n    e\n- - f\n  - g\n")
    found = list(read_questions(path))
    assert [each.where for each in found] == [f"{path}:{line}" for line in (4, 6, 10)]
    assert found[1].answers == ["d e"]


@pytest.mark.parametrize(
    ("options", "first"),
    [
        ({"question": "en", "answer": "de"}, ("one", "eins")),
        ({"question": "FR", "answer": "1"}, ("un", "one")),
        ({"question": "2"}, ("un", "one")),
        ({"answer": "en"}, ("un", "one")),
        ({"answer": "2"}, ("one", "un")),
        ({"question": "3", "answer": "2"}, ("eins", "un")),
    ],
    ids=str,
)
def test_columns_by_name_and_by_number(write, options, first):
    wanted = [([first[0]], [first[1]])]
    assert sides(read_questions(write("a.tsv", "en\tfr\tde\none\tun\teins\n"), header="yes", **options)) == wanted
    assert sides(read_questions(write("a.jsonl", '{"en": "one", "fr": "un", "de": "eins"}\n'), **options)) == wanted
    assert sides(read_questions(write("a.yml", "- {en: one, fr: un, de: eins}\n"), **options)) == wanted


def test_a_number_may_also_be_what_the_other_side_is_called_without_a_header(write):
    path = write("a.tsv", "one\tun\teins\n")
    assert sides(read_questions(path, question="2")) == [(["un"], ["one"])]
    assert sides(read_questions(path, answer="1")) == [(["un"], ["one"])]


def test_a_header_is_one_where_a_usual_name_stands_in_it(write):
    path = write("a.tsv", "Answer\tx\na\tb\n")
    assert sides(read_questions(path)) == [(["b"], ["a"])]
    assert sides(read_questions(path, header="no")) == [(["Answer"], ["x"]), (["a"], ["b"])]
    assert sides(read_questions(write("b.tsv", "en\tfr\na\tb\n"), question="fr")) == [(["b"], ["a"])]


@pytest.mark.parametrize(
    ("name", "content", "options", "said"),
    [
        ("a.tsv", "a\tb\nc\t\u00a0 \n", {}, "a.tsv:2: the answer is empty; expected a text on both sides"),
        ("a.tsv", "a\tb\n \tc\n", {}, "a.tsv:2: the question is empty"),
        ("a.csv", "a,b\n\n,c\n", {}, "a.csv:3: the question is empty"),
        ("a.tsv", "a\nb\n", {}, "a.tsv:1: one column only (1), expected a question and an answer"),
        ("a.tsv", "a\tb\nc\n", {}, "a.tsv:2: 1 cell, expected 2"),
        ("a.tsv", "a\tb\n", {"question": "2", "answer": "2"}, "question and answer are both read from column '2'"),
        ("a.tsv", "a\tb\n", {"question": "3"}, "a.tsv:1: there is no column '3'; the columns are 1, 2"),
        (
            "a.jsonl",
            '{"question": "a", "answer": "b"}\n{"question": "a", "answers": []}\n',
            {},
            ":2: the answer is empty",
        ),
        ("a.jsonl", '{"question": "a", "answer": 5}\n', {}, "a.jsonl:1: 'answer' holds int 5, expected text or a list"),
        ("a.jsonl", '{"question": "a", "answer": null}\n', {}, "'answer' holds NoneType None, expected text"),
        ("a.jsonl", '{"question": "a", "answer": [["b"]]}\n', {}, "'answer' holds list ['b'], expected text"),
        (
            "a.jsonl",
            '{"question": "a", "paraphrases": "b"}\n',
            {},
            "expected a question and an answer; the columns are q",
        ),
        ("a.jsonl", '{"question": "a", "answer": "b", "paraphrases": [3]}\n', {}, "'paraphrases' holds int 3"),
        ("a.yml", "- [a, b]\n- - c\n  -\n", {}, "a.yml:2: the answer is empty"),
        ("a.yml", "- [a, b]\n- - ''\n  - d\n", {}, "a.yml:2: the question is empty"),
        ("a.yml", "- [a, b]\n- [c]\n", {}, "a.yml:2: the answer is empty"),
        ("a.yml", "- [a, b]\n- []\n", {}, "a.yml:2: the question is empty"),
        ("a.yml", "- [a, b]\n- c\n", {}, "a.yml:2: expected a list: the question, then its answers"),
        ("a.yml", "- [a, {b: c}]\n", {}, "a.yml:1: expected texts and lists of texts"),
        ("a.yml", "- [a, [[b]]]\n", {}, "a.yml:1: expected texts and lists of texts"),
        ("a.yml", "- {question: a}\n", {}, "a.yml:1: one column only (question)"),
        ("a.yml", "- {question: a, answer: {b: c}}\n", {}, "a.yml:1: expected texts and lists of texts"),
        ("a.yml", "- {question: a, answer: b}\n", {"answer": "c"}, "a.yml:1: there is no column 'c'"),
        ("a.yml", "- {? [x] : y, question: a}\n", {}, "a.yml:1: one column only"),
        ("a.yml", "? [a, b]\n: c\n", {}, "a.yml: expected a list of questions, alone or under `conversations:`"),
        ("a.yml", "what: [[a, b]]\n", {}, "a.yml: expected a list of questions"),
        ("a.yml", "# nothing\n", {}, "a.yml: expected a list of questions"),
        ("a.yml", "[]\n", {}, "there is nothing to read"),
        ("a.yml", "- [a, b]\n- [c: d: e]\n", {}, "a.yml:2: not readable YAML: "),
        ("a.yml", "- [a, b]\n- [c, d\n", {}, "not readable YAML: did not find expected ',' or ']'"),
        ("a.yml", "- [a, b]\n--- [c]\n", {}, "a.yml:2: not readable YAML: but found another document"),
        ("a.yml", b"- [a, b]\n- [c, \xff]\n", {}, "a.yml:2: not readable YAML: unacceptable character #x00ff"),
        ("a.yml", "- [a, b]\n\n- [c, d\x07]\n", {}, "a.yml:3: not readable YAML: unacceptable character #x0007"),
        ("a.yml", "- &a [x, *a]\n", {}, "a.yml:1: expected texts and lists of texts"),
        ("a.yml", "- [a, b]\n- " + "[" * 300_000 + "]" * 300_000, {}, "a.yml:2: lists in lists, over 100 levels deep"),
        (
            "a.tsv",
            "a\tb\n",
            {"format": "yml"},
            "format 'yml' is none of coco, csv, jsonl, npy, parquet, snips, ts, tsv, ya",
        ),
        ("a.yml", "", {}, "a.yml: the file is empty"),
        ("a.tsv", "question\tanswer\n", {}, "there is nothing to read"),
        ("a.txt", "a\tb\n", {}, "format='tsv'"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_what_is_wrong_is_said_with_its_place(write, name, content, options, said):
    assert said in refusal(write(name, content), **options)


def test_aliases_do_not_blow_up(write):
    content = "- &a [x, y]\n" + "".join(
        f"- &{new} [*{old}, *{old}, *{old}, *{old}]\n" for old, new in pairwise("abcdefghijk")
    )
    reader = read_questions(write("a.yml", content), skip_bad=True)
    assert sides(reader) == [(["x"], ["y"]), (["x", "y"], ["x", "y"] * 3)]
    assert reader.skipped == 9


def test_bad_entries_are_left_out_and_counted(write):
    table = write("a.tsv", b"a\tb\nc\t\n\xff\td\ne\nf\tg\n")
    listed = write("b.yml", "- [a, b]\n- [c]\n- d\n- [e, {f: g}]\n- [f, g]\n")
    for path, skipped in ((table, 3), (listed, 3)):
        reader = read_questions(path, skip_bad=True)
        assert sides(reader) == [(["a"], ["b"]), (["f"], ["g"])]
        assert reader.skipped == skipped
    assert "not readable YAML" in refusal(write("c.yml", "- [a"), skip_bad=True)


def test_yaml_and_tables_are_read_together(write, tmp_path):
    table, listed = write("a.tsv", "a\tb\n"), write("b.yml", "- [c, d]\n")
    assert sides(read_questions([table, listed])) == [(["a"], ["b"]), (["c"], ["d"])]
    assert sides(read_questions(tmp_path)) == [(["a"], ["b"]), (["c"], ["d"])]
    assert sides(read_questions([listed, listed])) == [(["c"], ["d"])] * 2
    assert sides(read_questions(write("c.txt", "- [c, d]\n"), format="yaml")) == [(["c"], ["d"])]


def test_yaml_from_standard_input(monkeypatch):
    stream = io.BufferedReader(io.BytesIO(b"- [a, b]\n- [c]\n"))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream))
    assert refusal("-", format="yaml").startswith("standard input:2: the answer is empty")


def test_entries_on_one_line_of_yaml_have_places_of_their_own(write):
    path = write("a.yml", "[[a, b], [c, d],\n [e, f]]\n")
    places = [f"{path}:1", f"{path}:1, entry 2", f"{path}:2"]
    assert [each.where for each in read_questions(path)] == places
    path = write("b.yml", "[[a, b], [c]]\n")
    assert refusal(path).startswith(f"{path}:1, entry 2: the answer is empty")


def test_yaml_without_its_library_names_the_extra(write, monkeypatch):
    path, real = write("a.yml", "- [a, b]\n"), builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "yaml":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(
        MissingExtraError, match=r"reading YAML needs the package PyYAML: pip install -c constraints.txt '.\[yaml\]'"
    ):
        list(read_questions(path))


# ---- what belongs together -----------------------------------------------------------------------------------------


def merged(*pairs):
    listed = [Question(f"f:{n}", asked.split("|"), said.split("|")) for n, (asked, said) in enumerate(pairs, 1)]
    before = [(list(each.wordings), list(each.answers)) for each in listed]
    found = merge_questions(listed)
    assert [(each.wordings, each.answers) for each in listed] == before  # what came is left as it was
    assert merge_questions(found) == found
    return [("|".join(each.wordings), "|".join(each.answers), each.where) for each in found]


def test_wordings_in_common_case_and_blanks_set_aside():
    assert merged(("Hi", "1"), ("Who?", "2"), (" hI ", "3"), ("STRASSE", "4"), ("straße", "4")) == [
        ("Hi", "1|3", "f:1"),
        ("Who?", "2", "f:2"),
        ("STRASSE", "4", "f:4"),
    ]


def test_answers_are_kept_in_their_order_and_each_once():
    assert merged(("a", "2|1|2"), ("b", "1"), ("A", "3|1"), ("a", "2")) == [("a", "2|1|3", "f:1"), ("b", "1", "f:2")]


def test_questions_that_share_some_wordings_stay_separate():
    listed = [("a|b", "1"), ("x", "9"), ("b|c", "2"), ("c|d", "1"), ("B| A", "3"), ("a", "4")]
    assert merged(*listed) == [
        ("a|b", "1|3", "f:1"),
        ("x", "9", "f:2"),
        ("b|c", "2", "f:3"),
        ("c|d", "1", "f:4"),
        ("a", "4", "f:6"),
    ]


def test_shared_wordings_name_the_places_of_all_their_questions():
    listed = [Question(f"f:{n}", asked.split("|"), ["x"]) for n, asked in enumerate(["a|b|A", "c", " B|d", "b|c", "a"])]
    assert shared_wordings(listed) == {"a": [0, 4], "b": [0, 2, 3], "c": [1, 3]}
    assert shared_wordings(listed[:2]) == {}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (("C", "9"), ["a|b:1", "b|c:2", "c:3|9", "d|b:4"]),  # the same set of wordings
        (("b|A", "9"), ["a|b:1|9", "b|c:2", "c:3", "d|b:4"]),
        (("D|e", "9"), ["a|b:1", "b|c:2", "c:3", "d|b|e:4|9"]),  # the same first wording
        (("b|e", "9"), ["a|b:1", "b|c|e:2|9", "c:3", "d|b:4"]),
        (("e|b", "9"), ["a|b:1", "b|c:2", "c:3", "d|b:4", "e|b:9"]),  # a new question
        (("c|d", "9"), ["a|b:1", "b|c:2", "c|d:3|9", "d|b:4"]),
    ],
    ids=str,
)
def test_what_is_added_joins_the_question_that_it_repeats(more, expected):
    def question(asked, said):
        return Question(f"f:{asked}", asked.split("|"), said.split("|"))

    known = [question("a|b", "1"), question("b|c", "2"), question("c", "3"), question("d|b", "4")]
    found = extend_questions(known, [question(*more)])
    assert ["|".join(each.wordings) + ":" + "|".join(each.answers) for each in found] == expected
    assert [each.where for each in found[:4]] == [each.where for each in known]
    assert known[0] == question("a|b", "1")
    assert extend_questions(found, [question(*more)]) == found


def test_a_paraphrase_of_one_question_adds_to_it_and_one_of_several_is_new():
    known = [Question("f:1", ["a", "p", "q"], ["1"]), Question("f:2", ["b", "p"], ["2"])]
    found = extend_questions(known, [Question("g:1", ["Q"], ["3"]), Question("g:2", ["P"], ["4"]), known[1]])
    assert [(each.wordings, each.answers) for each in found] == [
        (["a", "p", "q"], ["1", "3"]),
        (["b", "p"], ["2"]),
        (["P"], ["4"]),
    ]


def test_a_question_repeated_very_often_takes_no_time():
    many = [Question(f"f:{n}", ["Same?", f"w{n}"], [f"answer {n}", "again"]) for n in range(20_000)]
    assert len(merge_questions(many)) == 20_000
    assert len(extend_questions(many[:9_000], many)[0].answers) == 11_002
    assert shared_wordings(many) == {"same?": list(range(20_000))}
    (one,) = merge_questions(Question(each.where, ["Same?"], each.answers) for each in many)
    assert len(one.answers) == 20_001
