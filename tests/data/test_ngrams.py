"""Bags of words and pieces of words: what they hold, what it weighs, and what comes back from a file."""

from __future__ import annotations

import json
import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unspool.data import LONGEST_TEXT, Bags, NgramVocabulary, split_words
from unspool.errors import DataError, ModelFolderError

ASKED = [["How do I reset it?", "reset it now"], ["Where is it?"], ["do cats purr"]]
ANSWERED = [["Press the red button.", "Red one."], ["On the red shelf."], ["Cats do."]]


@pytest.fixture
def vocabulary():
    return NgramVocabulary.learn(ASKED, ANSWERED)


def test_words_are_folded_and_marks_stand_alone():
    assert split_words("Don’t STRASSE straße ﬁne, C++?") == ["don't", "strasse", "strasse", "fine", ",", "c", *"++?"]
    assert split_words("") == []
    assert split_words(" \n\t") == []


def test_entries_are_words_and_pieces_inside_their_boundaries():
    entries = NgramVocabulary.learn([["reset to I"]], [["x"]]).entries
    short = [" i", "<i>", " to", "<to", "to>", "<to>"]
    assert entries == sorted([*short, " reset", "<re", "res", "ese", "set", "et>", "<res", "rese", "eset", "set>"])


def test_answers_add_only_what_two_pairs_have(vocabulary):
    assert {" red", "<re", " the"} <= set(vocabulary.entries)
    assert not {" button", " shelf", " press"} & set(vocabulary.entries)
    assert " cats" in vocabulary.entries


def test_the_weight_of_an_entry(vocabulary):
    def weight(asked, held):
        return math.sqrt((1 + math.log(4 / (1 + asked))) * (1 + math.log(4 / (1 + held))))

    weights = dict(zip(vocabulary.entries, vocabulary.weights.tolist(), strict=True))
    assert weights[" it"] == pytest.approx(weight(2, 2))
    assert weights[" reset"] == pytest.approx(weight(1, 1))
    assert weights[" red"] == pytest.approx(weight(0, 2))
    assert weights[" do"] == pytest.approx(weight(2, 2))
    assert weights[" is"] == pytest.approx(weight(1, 1))


def test_the_bag_of_a_text(vocabulary):
    bag = vocabulary.bag("it zzz IT it zzz")
    found = {vocabulary.entries[id]: value for id, value in zip(bag.ids, bag.values, strict=True)}
    weights = dict(zip(vocabulary.entries, vocabulary.weights.tolist(), strict=True))
    assert set(found) == {" it", "<it", "it>", "<it>"}
    assert found[" it"] == pytest.approx((1 + math.log(3)) * weights[" it"])
    lost = {" zzz", "<zz", "zzz", "zz>", "<zzz", "zzz>"}
    assert bag.unknown == pytest.approx(len(lost) * ((1 + math.log(2)) * (1 + math.log(4))) ** 2)
    assert bag.length == pytest.approx(math.sqrt(sum(value**2 for value in found.values()) + bag.unknown))
    assert (np.diff(bag.ids) > 0).all()


def test_a_bag_does_not_hang_on_the_order_of_words(vocabulary):
    one, other = vocabulary.bag("reset it where cats"), vocabulary.bag(["cats", "where", "it", "reset"])
    assert np.array_equal(one.ids, other.ids)
    assert np.array_equal(one.values, other.values)


def test_nothing_known_and_nothing_at_all(vocabulary):
    assert len(vocabulary.bag("").ids) == 0
    assert vocabulary.bag("").length == 0
    bag = vocabulary.bag("qqq")
    assert len(bag.ids) == 0
    assert bag.unknown > 0


@pytest.mark.parametrize("text", ["how do I " * 120_000, "x" * 1_000_000, "\ufdfa" * 500_000, "? " * 500_000])
def test_a_text_of_a_million_characters_is_cut(vocabulary, text):
    begun = time.perf_counter()
    bag = vocabulary.bag(text)
    assert time.perf_counter() - begun < 2
    assert len(split_words(text)) <= LONGEST_TEXT
    assert np.array_equal(bag.values, vocabulary.bag(text[:LONGEST_TEXT]).values)


def test_bags_together(vocabulary):
    texts = ["reset it", "", "zzz", "where is it cats"]
    bags = [vocabulary.bag(text) for text in texts]
    together = Bags.of(bags)
    assert len(together) == 4
    assert together.offsets.tolist() == np.cumsum([0, *(len(bag.ids) for bag in bags)]).tolist()
    for row, bag in enumerate(bags):
        assert together.ids[together.rows == row].tolist() == bag.ids.tolist()
        assert together.values[together.rows == row].tolist() == bag.values.tolist()
    assert together.unknown.tolist() == pytest.approx([bag.unknown for bag in bags])
    odd = together.every(2, 1)
    assert torch.equal(odd.ids, Bags.of(bags[1::2]).ids)
    assert torch.equal(odd.values, Bags.of(bags[1::2]).values)
    assert torch.equal(odd.offsets, Bags.of(bags[1::2]).offsets)
    assert torch.equal(odd.unknown, Bags.of(bags[1::2]).unknown)
    assert len(Bags.of([])) == 0


def test_the_largest_size_keeps_what_questions_have_most():
    small = NgramVocabulary.learn([["aa bb"], ["aa cc"], ["aa bb"]], [["x"], ["x"], ["x"]], max_size=4)
    assert small.entries == sorted([" aa", "<aa", "aa>", "<aa>"])


def test_more_pairs_keep_the_numbers_that_entries_have(vocabulary):
    more = vocabulary.extended([["reset the zebra"]], [["red stripes"]])
    assert more.entries[: len(vocabulary)] == vocabulary.entries
    assert {" zebra", "<ze"} <= set(more.entries[len(vocabulary) :])
    assert " stripes" not in more.entries
    assert more.pairs == 4
    again = NgramVocabulary.learn([*ASKED, ["reset the zebra"]], [*ANSWERED, ["red stripes"]])
    weights = dict(zip(again.entries, again.weights.tolist(), strict=True))
    assert {entry: weights[entry] for entry in more.entries} == dict(
        zip(more.entries, more.weights.tolist(), strict=True)
    )


def test_what_is_saved_comes_back(vocabulary, tmp_path):
    vocabulary.save(tmp_path)
    loaded = NgramVocabulary.load(tmp_path)
    assert loaded.entries == vocabulary.entries
    assert np.array_equal(loaded.weights, vocabulary.weights)
    one, other = loaded.bag("reset zzz it"), vocabulary.bag("reset zzz it")
    assert np.array_equal(one.values, other.values)
    assert one.unknown == other.unknown
    again = tmp_path / "again"
    NgramVocabulary.learn(ASKED, ANSWERED).save(again)
    assert (again / "ngrams.json").read_bytes() == (tmp_path / "ngrams.json").read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda record: record.pop("asked"),
        lambda record: record["asked"].pop(),
        lambda record: record["entries"].__setitem__(0, record["entries"][1]),
        lambda record: record.update(other=1),
        lambda record: record.update(format=99),
    ],
)
def test_a_damaged_file_is_refused(vocabulary, tmp_path, damage):
    vocabulary.save(tmp_path)
    record = json.loads((tmp_path / "ngrams.json").read_text())
    damage(record)
    (tmp_path / "ngrams.json").write_text(json.dumps(record))
    with pytest.raises(ModelFolderError, match=r"ngrams\.json"):
        NgramVocabulary.load(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelFolderError, match=r"ngrams\.json: the file is missing"):
        NgramVocabulary.load(tmp_path)


def test_pairs_without_words_are_refused():
    with pytest.raises(DataError, match="no pairs"):
        NgramVocabulary.learn([], [])
    with pytest.raises(DataError, match="no word"):
        NgramVocabulary.learn([[""]], [[" "]])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_has_a_bag(asked, text):
    vocabulary = NgramVocabulary.learn([[asked, "a"]], [["b"]])
    own = vocabulary.bag(asked)
    assert own.unknown == 0
    bag = vocabulary.bag(text)
    assert bag.values.dtype == np.float32
    assert (bag.values > 0).all()
    assert math.isfinite(bag.length)
