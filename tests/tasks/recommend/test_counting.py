"""Recommenders that only count agree with their definitions, written as loops, and with figures on real data."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from unspool.inputs.items.fitted import FittedItems
from unspool.tasks.recommend.counting import Counts, SparseRows
from unspool.tasks.recommend.data import Histories, open_data
from unspool.tasks.recommend.fitted import FittedRecommender, counted_histories
from unspool.tasks.recommend.ranking import Queries, rank_by
from unspool.tasks.recommend.scores import Ranked, rank_of_targets, ranking_scores
from unspool.tasks.recommend.settings import RecommenderSettings

HISTORIES = [[0, 3, 1, 3, 2], [2, 0], [4, 3, 0, 1], [1], [3, 1, 0, 4, 2, 1, 0]]
SIZE = 6  # item 5 never occurs


def counts():
    offsets = np.cumsum([0, *map(len, HISTORIES)])
    return Counts.learn(np.concatenate(HISTORIES), offsets, SIZE)


def dense(rows):
    return np.stack([rows.sums(np.array([row]), np.ones(1), np.zeros(1, np.int64), 1)[0] for row in range(SIZE)])


def test_the_chain_counts_what_follows_at_once():
    expected = np.zeros((SIZE, SIZE))
    for history in HISTORIES:
        for one, next_one in pairwise(history):
            expected[one, next_one] += 1
    np.testing.assert_array_equal(dense(counts().chain), expected)


def cosines():
    users = np.array([[item in history for item in range(SIZE)] for history in HISTORIES], np.float64)
    both = users.T @ users
    expected = both / np.sqrt(np.maximum(np.outer(users.sum(0), users.sum(0)), 1))
    np.fill_diagonal(expected, 0)
    return expected


def test_neighbours_are_cosines_of_users():
    np.testing.assert_allclose(dense(counts().neighbours), cosines(), rtol=1e-6)


@pytest.mark.parametrize("limit", [0, 7])
def test_large_catalogues_are_counted_alike(limit, monkeypatch):
    """Tables that do not fit into memory are counted in blocks and sorted."""
    monkeypatch.setattr("unspool.tasks.recommend.counting._DENSE", 0)
    monkeypatch.setattr("unspool.tasks.recommend.counting._BLOCK", limit)
    np.testing.assert_allclose(dense(counts().neighbours), cosines(), rtol=1e-6)


def test_scores_decay_with_age():
    learned, histories = counts(), [np.array([0, 3, 1]), np.array([2]), np.array([], np.int64)]
    chain, near = dense(learned.chain), cosines()
    expected = chain[1] + 0.8 * chain[3] + 0.64 * chain[0]
    np.testing.assert_allclose(learned.chained(histories, ties=False)[0], expected)
    np.testing.assert_allclose(learned.chained(histories, last=2, ties=False)[0], chain[1] + 0.8 * chain[3])
    np.testing.assert_allclose(learned.near(histories)[0], near[1] + 0.8 * near[3] + 0.64 * near[0], rtol=1e-6)
    np.testing.assert_allclose(learned.near(histories)[1], near[2], rtol=1e-6)
    assert not learned.near(histories)[2].any()
    ties = learned.chained(histories)[2]
    assert list(np.argsort(-ties, kind="stable")) == list(np.argsort(-learned.popularity, kind="stable"))


def test_trimming_keeps_the_nearest():
    whole, trimmed = dense(counts().neighbours), dense(counts().trimmed(2).neighbours)
    for row, kept in zip(whole, trimmed, strict=True):
        assert sorted(kept[kept > 0]) == sorted(row[row > 0])[-2:]


def test_arrays_of_a_stranger_are_checked():
    rows = counts().chain
    assert rows.is_sound(SIZE)
    assert not rows.is_sound(SIZE - 1)
    assert not rows._replace(columns=rows.columns + 2).is_sound(SIZE)
    assert not rows._replace(offsets=rows.offsets[::-1].copy()).is_sound(SIZE)
    assert not rows._replace(values=rows.values * np.nan).is_sound(SIZE)
    assert SparseRows.of(np.empty(0, np.int64), np.empty(0), 3).is_sound(3)


def test_ties_are_pessimistic_and_hidden_targets_are_missed():
    scores = np.array([[3.0, 1, 3, 2], [1, 1, 1, 1], [-np.inf, 5, 4, 3], [1, 2, 3, 4]])
    assert list(rank_of_targets(scores, np.array([0, 1, 0, -1]))) == [2, 4, np.inf, np.inf]


def test_scores_of_rankings_by_hand():
    ranked = Ranked(np.array([1, 2, 5, np.inf]), np.array([[0, 1], [1, 0], [2, 3], [2, 9]]), np.array([2, 2, 2, 1]))
    scores = ranking_scores(ranked, items=10)
    assert scores == {
        "hr@2": 0.5,
        "ndcg@2": pytest.approx((1 + 1 / np.log2(3)) / 4),
        "mrr": pytest.approx((1 + 1 / 2 + 1 / 5) / 4),
        "coverage": 0.4,  # of the last list only the first item counts
        "distinct_lists": 0.75,  # the first two lists have the same items
    }


FIGURES = {  # HR@10 and NDCG@10 on the test items; counted on the training items alone
    "movielens_100k/u.data": {"popular": (0.084, 0.043), "chained": (0.180, 0.093), "near": (0.165, 0.093)},
    "lastfm/LastFM.txt": {"popular": (0.0385, 0.0180), "chained": (0.0532, 0.0282), "near": (0.0881, 0.0450)},
    "amazon_beauty/Beauty.txt": {"popular": (0.0110, 0.0053), "chained": (0.0724, 0.0439), "near": (0.0638, 0.0383)},
}


@pytest.mark.slow
@pytest.mark.parametrize("file", FIGURES)
def test_figures_on_real_data(file, data):
    settings = RecommenderSettings()
    whole = Histories.of(open_data(settings, str(data(file))))
    rest, test = whole.divide(0.1, 0)
    train, _ = rest.divide(0.1, 0)
    items = FittedRecommender.learn(train, settings.replace(mix=False)).items
    learned, queries = counted_histories(items, train), Queries.of(items, test)
    digits = 3 if file.startswith("movielens") else 4
    for name, figures in FIGURES[file].items():
        ranked = rank_by(queries, getattr(learned, name), len(items), 10, hide=True)
        scores = ranking_scores(ranked, len(items))
        assert (scores["hr@10"], scores["ndcg@10"]) == pytest.approx(figures, abs=0.51 * 10**-digits), name


def test_queries_have_what_came_before():
    items = FittedItems(["a", "b", "c"], [3, 2, 1], ["", "", ""])
    histories = Histories(
        ["ann", "bob"], ["c", "x", "a", "b"], np.array([0, 1, 2, 3, 2, 2, 0], np.int32), np.array([0, 4, 7]),
        np.array([2, 2]),
    )  # fmt: skip
    queries = Queries.of(items, histories)
    assert [history.tolist() for history in queries.histories] == [[2], [2, 0], [0, 0]]  # x was not in training
    assert queries.targets.tolist() == [0, 1, 2]
    assert len(Queries.of(items, histories, most=2)) == 2
