"""Labellings: the value of a property at every token, and the targets that scores need."""

from __future__ import annotations

import numpy as np
import pytest

from unspool.data.brackets import comments
from unspool.errors import DataError, UsageError
from unspool.inspection.concepts import Passage, brushed, column, function, property_named, regex
from unspool.inspection.concepts.labellings import Labelling, targets_of, usable_targets


def characters(text: str, **fields) -> Passage:
    starts = np.arange(len(text))
    return Passage(text, np.stack([starts, starts + 1], axis=1), **fields)


def words(text: str, **fields) -> Passage:
    spans, begin = [], 0
    for word in text.split(" "):
        spans.append((begin, begin + len(word)))
        begin += len(word) + 1
    return Passage(text, np.array(spans), **fields)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("depth", "a(b[c])d", "01122100"),
        ("code-depth", 'f("(")/*(*/{', "011110000001"),
        ("code-parentheses", "f(a[(b)]{c})", "011122111110"),
        ("code-braces", "f(a){b[c]{}}", "000011111210"),
        ("quotes", 'a "b\\" c" d', "00111111000"),
        ("comment", "a/*b*/c//d\ne", "001110001100"),
        ("line-position", "ab\ncd\n\ne", "12312311"),
    ],
)
def test_a_property_of_characters(name, text, expected):
    values = property_named(name).values(characters(text))
    assert "".join(str(int(value)) for value in values) == expected


def test_a_comment_in_a_string_is_none():
    assert not comments('x = "/* no */"; \'"\'').any()


def test_words_take_the_value_after_their_last_character():
    assert property_named("depth").values(words("a (b c) d(")).tolist() == [0, 1, 0, 1]


def test_positions_in_lines_of_words_count_tokens():
    passage = Passage("a bc\nd e", np.array([(0, 1), (2, 4), (4, 5), (5, 6), (7, 8)]))
    assert property_named("line-position").values(passage).tolist() == [1, 2, 3, 1, 2]


def test_regex_and_brushed_ranges():
    assert regex(r"\d+").values(characters("a12b3")).tolist() == [False, True, True, False, True]
    assert brushed([(1, 3)]).values(characters("abcd")).tolist() == [False, True, True, False]


def test_a_column_of_a_tag_file_belongs_to_each_token_of_the_word():
    passage = characters("ab c", words=np.array([(0, 2), (3, 4)]), columns={"upos": ["NOUN", "VERB"]})
    assert column("upos").values(passage).tolist() == ["NOUN", "NOUN", None, "VERB"]


def test_a_column_of_a_table_belongs_to_the_last_token_or_to_all():
    passage = words("a b c", values={"label": "good"})
    assert column("label").values(passage).tolist() == [None, None, "good"]
    assert column("label", everywhere=True).values(passage).tolist() == ["good"] * 3


def test_a_function_may_label_characters_or_tokens():
    assert function(lambda text: [sign == "b" for sign in text]).values(words("ab ba")).tolist() == [True, False]
    assert function(lambda text: range(len(text.split()))).values(words("ab ba")).tolist() == [0, 1]
    with pytest.raises(UsageError, match="returned 1 values for a text of 5 characters and 2 tokens"):
        function(lambda text: [1]).values(words("ab ba"))


def test_kinds_follow_from_the_values():
    passages = [characters("abcab")]
    assert targets_of(function(lambda text: [1.5, 2, 3, 1, 2]), passages).kind == "numeric"
    binary = targets_of(function(lambda text: [0, 1, 0, 0, 1], "mark"), passages)
    assert (binary.kind, binary.names, binary.values[:, 0].tolist()) == ("binary", ("mark",), [0, 1, 0, 0, 1])
    classes = targets_of(Labelling("sign", lambda passage: np.array(list(passage.text))), passages)
    assert (classes.kind, classes.names) == ("categorical", ("sign = a", "sign = b", "sign = c"))
    assert classes.values[:, 1].tolist() == [0, 1, 0, 0, 1]


def test_undefined_places_are_nan():
    values = targets_of(function(lambda text: ["x", None, "y", "x", "y"]), [characters("abcde")]).values[:, 0]
    assert np.isnan(values).tolist() == [False, True, False, False, False]


def test_a_property_with_one_value_is_refused():
    with pytest.raises(DataError, match="only the value 1"):
        targets_of(function(lambda text: [1] * len(text)), [characters("abc")])


def test_rare_classes_are_left_out_and_all_rare_refused():
    text = "a" * 60 + "b" * 60 + "c" * 3
    targets = targets_of(Labelling("sign", lambda passage: np.array(list(passage.text))), [characters(text)])
    parts = (np.arange(len(text)) % 2).astype(np.int8)
    assert usable_targets(targets, parts).names == ("sign = a", "sign = b")
    with pytest.raises(DataError, match="too rare in these data"):
        usable_targets(targets, np.zeros_like(parts))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: property_named("depht"), "did you mean 'depth'"),
        (lambda: regex("("), "is no regular expression"),
        (lambda: brushed([(3, 3)]), "expected pairs of tokens"),
        (lambda: brushed([]), "expected pairs of tokens"),
        (lambda: column("x").values(words("a b", values={"label": "y"})), "no column 'x'; there are label"),
    ],
)
def test_wrong_arguments_are_refused(call, message):
    with pytest.raises((UsageError, DataError), match=message):
        call()
