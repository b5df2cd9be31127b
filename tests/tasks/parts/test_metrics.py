import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.errors import DataError
from unspool.tasks.parts import metrics

GOLD = [0, 0, 0, 1, 1, 2, 2, 2, 2]
GIVEN = [0, 0, 1, 1, 2, 2, 2, 2, 0]


def test_confusion_matrix_has_gold_in_rows():
    expected = [[2, 1, 0, 0], [0, 1, 1, 0], [1, 0, 3, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(metrics.confusion_matrix(GOLD, GIVEN, 4), expected)


def test_per_class_figures_by_hand():
    first, second, third, absent = metrics.per_class(metrics.confusion_matrix(GOLD, GIVEN, 4))
    assert first == pytest.approx((2 / 3, 2 / 3, 2 / 3, 3))
    assert second == pytest.approx((1 / 2, 1 / 2, 1 / 2, 2))
    assert third == pytest.approx((3 / 4, 3 / 4, 3 / 4, 4))
    assert absent == (0, 0, 0, 0)


def test_classification_scores_leave_out_a_class_that_never_comes():
    found = metrics.classification_scores(GOLD, GIVEN, 4)
    assert found == pytest.approx({"accuracy": 6 / 9, "macro_f1": (2 / 3 + 1 / 2 + 3 / 4) / 3})


def test_a_class_given_but_never_right_counts_as_zero():
    assert metrics.classification_scores([0, 0], [0, 1], 3)["macro_f1"] == pytest.approx((2 / 3 + 0) / 2)


def test_precision_and_recall_are_not_swapped():
    found = metrics.scores(correct=3, predicted=4, gold=10)
    assert found == pytest.approx((0.75, 0.3, 2 * 0.75 * 0.3 / 1.05, 10))


def test_accuracy_of_strings_and_of_tables():
    assert metrics.accuracy(["a", "b", "c"], ["a", "c", "c"]) == pytest.approx(2 / 3)
    assert metrics.accuracy(np.eye(3), np.ones((3, 3))) == pytest.approx(1 / 3)


def test_average_precision_by_hand_and_with_ties():
    # ranks 1, 2, 3, 4 of which 1, 3 and 4 are right: (1/1 + 2/3 + 3/4) / 3
    assert metrics.average_precision([1, 0, 1, 1], [0.9, 0.8, 0.3, 0.2]) == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert metrics.average_precision([0, 1, 1, 0], [0.5, 0.5, 0.5, 0.5]) == pytest.approx(0.5)  # no ranking at all
    assert metrics.average_precision([0, 0], [0.1, 0.2]) == 0


def test_average_precisions_are_those_of_scikit_learn():
    judge = pytest.importorskip("sklearn.metrics")
    chance = np.random.default_rng(4)
    gold, confidences = chance.random((57, 6)) < 0.3, chance.random((57, 6)).round(1)  # with ties
    found = metrics.average_precisions(gold, confidences)
    for average in ("micro", "macro"):
        assert found[f"{average}_ap"] == pytest.approx(
            judge.average_precision_score(gold, confidences, average=average)
        )
    with_rare = np.column_stack([gold, np.zeros(57, bool)])
    found = metrics.average_precisions(with_rare, np.column_stack([confidences, np.ones(57)]))
    assert found["macro_ap"] == pytest.approx(judge.average_precision_score(gold, confidences, average="macro"))


def test_multilabel_scores_by_hand():
    gold = [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    predicted = [[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
    found = metrics.multilabel_scores(gold, predicted)
    assert found == pytest.approx(
        {
            "micro_precision": 2 / 4,
            "micro_recall": 2 / 3,
            "micro_f1": 4 / 7,
            "macro_f1": (1 + 2 / 3 + 0) / 3,  # the last label never comes
            "exact_match": 1 / 3,
        }
    )


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_micro_f1_of_one_label_each_is_accuracy(pairs):
    gold, predicted = np.array(pairs).T
    micro = metrics.multilabel_scores(np.eye(5)[gold], np.eye(5)[predicted])["micro_f1"]
    found = metrics.classification_scores(gold, predicted, 5)
    assert found["accuracy"] == pytest.approx(micro)
    assert found["accuracy"] == pytest.approx(metrics.accuracy(gold, predicted))


def test_uniform_guessing_costs_the_size_of_the_vocabulary():
    nats = 7 * math.log(50)
    assert metrics.perplexity(nats, 7) == pytest.approx(50)
    assert metrics.bits(7 * math.log(8), 7) == pytest.approx(3)
    found = metrics.language_model_scores(nats, 7, characters=28)
    assert found == pytest.approx({"nats": math.log(50), "perplexity": 50, "bits_per_character": math.log2(50) / 4})


def test_a_model_gone_astray_has_infinite_perplexity_not_an_overflow():
    assert metrics.perplexity(1e6, 1) == math.inf


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: metrics.accuracy([], []), "nothing to score"),
        (lambda: metrics.accuracy([1, 2], [1]), "can't be compared"),
        (lambda: metrics.confusion_matrix([0, 3], [0, 1], 3), "gold class ids .* 0 to 2, not 0 to 3"),
        (lambda: metrics.confusion_matrix([0, 1], [0, -100], 3), "predicted class ids .* not -100 to 0"),
        (lambda: metrics.confusion_matrix(["a"], ["b"], 3), "gold class ids"),
        (lambda: metrics.multilabel_scores([1, 0], [1, 0]), "examples, labels"),
        (lambda: metrics.perplexity(0.0, 0), "no target"),
    ],
)
def test_bad_input_is_a_sentence(call, says):
    with pytest.raises(DataError, match=says):
        call()
