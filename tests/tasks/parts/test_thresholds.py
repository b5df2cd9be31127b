"""Thresholds of multi-label classifiers: the best F1 of each label, found by trying every threshold."""

from __future__ import annotations

import numpy as np
import pytest

from unspool.errors import ModelFolderError
from unspool.tasks.parts.metrics import multilabel_scores
from unspool.tasks.parts.thresholds import choose_thresholds, load_thresholds, save_thresholds


def problem(seed: int, examples: int = 100) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    targets = generator.random((examples, 3)) < [0.5, 0.3, 0.05]
    shares = (0.25 * targets + 0.6 * generator.random((examples, 3))).round(2)  # with ties
    return shares, targets.astype(np.float32)


def f1(shares: np.ndarray, targets: np.ndarray, threshold: float) -> float:
    predicted, gold = shares >= threshold, targets.astype(bool)
    return float(2 * (predicted & gold).sum() / (predicted.sum() + gold.sum()))


@pytest.mark.parametrize("seed", range(10))
def test_no_other_threshold_has_a_better_f1(seed):
    shares, targets = problem(seed)
    assert (targets.sum(0)[:2] >= 10).all()
    chosen = choose_thresholds(shares, targets)
    every = np.arange(0, 1.001, 0.005)
    for label in range(2):
        best = max(f1(shares[:, label], targets[:, label], each) for each in every)
        assert f1(shares[:, label], targets[:, label], chosen[label]) == pytest.approx(best)
    assert (
        multilabel_scores(targets[:, :2], shares[:, :2] >= chosen[:2])["macro_f1"]
        >= multilabel_scores(targets[:, :2], shares[:, :2] >= 0.5)["macro_f1"]
    )


def test_rare_labels_take_the_threshold_with_the_best_micro_f1():
    shares, targets = problem(1)
    assert targets[:, 2].sum() < 10
    chosen = choose_thresholds(shares, targets)
    best = max(f1(shares, targets, each) for each in np.arange(0, 1.001, 0.005))
    assert f1(shares, targets, chosen[2]) == pytest.approx(best)


def test_without_gold_labels_half_is_the_threshold():
    assert choose_thresholds(np.array([[0.3], [0.9]]), np.zeros((2, 1))).tolist() == [0.5]


def test_thresholds_are_stored_and_damage_is_refused(tmp_path):
    assert load_thresholds(tmp_path, 3) is None
    thresholds = choose_thresholds(*problem(2))
    save_thresholds(thresholds, tmp_path)
    assert load_thresholds(tmp_path, 3).tolist() == thresholds.tolist()
    for content, message in (("[0.1, 0.2]", "2 thresholds for 3 labels"), ("[0.1, 2, 0.3]", "thresholds.json")):
        (tmp_path / "thresholds.json").write_text(content)
        with pytest.raises(ModelFolderError, match=message):
            load_thresholds(tmp_path, 3)
    save_thresholds(None, tmp_path)
    assert load_thresholds(tmp_path, 3) is None
