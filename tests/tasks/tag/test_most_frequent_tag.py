import pytest

from unspool.errors import DataError
from unspool.tasks.tag.most_frequent_tag_baseline import MostFrequentTag

TRAIN = [
    (["the", "saw", "cuts"], ["DET", "NOUN", "VERB"]),
    (["the", "saw", "rusts"], ["DET", "NOUN", "VERB"]),
    (["he", "saw", "Rome"], ["PRON", "VERB", "PROPN"]),
]


def test_each_word_has_its_tag_and_new_words_that_of_rare_ones():
    found = MostFrequentTag.learn(TRAIN)
    assert found.predict(["the", "saw", "he", "zzz"]) == ["DET", "NOUN", "PRON", "VERB"]
    gold = [(["he", "saw", "the"], ["PRON", "VERB", "DET"])]
    assert found.evaluate(gold) == pytest.approx({"accuracy": 2 / 3})


def test_ties_do_not_depend_on_the_order_of_the_data():
    pair = [(["a"], ["X"]), (["a"], ["B"])]
    assert MostFrequentTag.learn(pair).predict(["a", "b"]) == MostFrequentTag.learn(pair[::-1]).predict(["a", "b"])


def test_spans_are_scored_as_spans():
    found = MostFrequentTag.learn([(["New", "York", "is", "big"], ["B-LOC", "I-LOC", "O", "O"])])
    gold = [(["New", "York", "is"], ["B-LOC", "I-LOC", "O"]), (["New", "is"], ["B-LOC", "O"]), (["York"], ["O"])]
    expected = {"accuracy": 5 / 6, "precision": 2 / 3, "recall": 1, "f1": 4 / 5}
    assert found.evaluate(gold) == pytest.approx(expected)


def test_needs_words():
    with pytest.raises(DataError, match="no tagged words"):
        MostFrequentTag.learn([([], [])])
