import os
from pathlib import Path

import numpy as np
import pytest
import torch

from unspool.errors import DataError
from unspool.tasks.classify.ngram_baseline import NgramClassifier, _Bags, _fit, _log_count_ratios
from unspool.tasks.parts.majority_baseline import MajorityClass

DATA = Path(os.environ.get("UNSPOOL_DATA", Path(__file__).parents[4] / "shared" / "data"))


def test_majority_of_one_label():
    found = MajorityClass.learn([2, 0, 2, 1], 4)
    assert found.predict(3).tolist() == [2, 2, 2]
    assert found.evaluate([2, 2, 0, 2]) == pytest.approx({"accuracy": 0.75, "macro_f1": (6 / 7 + 0) / 2})


def test_majority_of_several_labels_is_the_commonest_set():
    found = MajorityClass.learn([[1, 0, 1], [0, 1, 0], [1, 0, 1]], 3)
    assert found.predict(2).tolist() == [[1, 0, 1], [1, 0, 1]]
    assert found.evaluate([[1, 0, 0], [1, 0, 1]])["exact_match"] == 0.5


def test_majority_needs_examples():
    with pytest.raises(DataError, match="no examples"):
        MajorityClass.learn([], 2)


def sparse_problem(several):
    """Twelve examples over seven features, one of which nothing has, and their dense matrix."""
    rng = np.random.default_rng(11)
    dense = (rng.random((12, 7)) < 0.4).astype(np.float32)
    dense[:, 5] = 0
    dense[3] = 0
    rows, columns = dense.nonzero()
    bags = _Bags(torch.from_numpy(columns), torch.from_numpy(np.searchsorted(rows, np.arange(12))))
    ids = torch.from_numpy(rng.integers(3, size=12))
    targets = torch.from_numpy((rng.random((12, 3)) < 0.5).astype(np.float32)) if several else torch.eye(3)[ids]
    return torch.from_numpy(dense), bags, targets


def test_sparse_sums_agree_with_the_dense_matrix():
    dense, bags, targets = sparse_problem(several=False)
    rows = torch.randn(7, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(bags.sum(rows), dense @ rows)
    torch.testing.assert_close(bags.transposed(7).sum(targets), dense.T @ targets)


@pytest.mark.parametrize("several", [False, True])
def test_training_ends_where_the_gradient_of_the_loss_is_zero(several):
    dense, bags, targets = sparse_problem(several)
    by_feature = bags.transposed(7)
    scale = _log_count_ratios(by_feature.sum(targets), targets.sum(dim=0), 12, by_feature)
    inside, outside = dense.T @ targets + 1, dense.T @ (1 - targets) + 1
    torch.testing.assert_close(scale, (inside / inside.sum(0)).log() - (outside / outside.sum(0)).log())

    scaled, bias = _fit(bags, targets, 7, several, l2=0.5, iterations=200)
    weights = (scaled / scale).nan_to_num().requires_grad_()
    bias.requires_grad_()
    logits = dense @ (weights * scale) + bias
    if several:
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
    else:
        loss = torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
    (loss + 0.25 * weights.square().sum()).backward()
    assert weights.detach().abs().max() > 0.1
    torch.testing.assert_close(weights.grad, torch.zeros(7, 3), atol=2e-3, rtol=0)
    torch.testing.assert_close(bias.grad, torch.zeros(3), atol=2e-3, rtol=0)


def mirrored(count, seed):
    """The class is whether `a` stands before `b`: single words tell nothing, pairs everything."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=count)
    fill = [[f"w{i}" for i in rng.integers(30, size=4)] for _ in range(count)]
    return [[*f[:2], *("ab" if label else "ba"), *f[2:]] for f, label in zip(fill, labels, strict=True)], labels


def test_pairs_of_words_tell_what_single_words_can_not():
    texts, labels = mirrored(400, seed=1)
    held_out, expected = mirrored(200, seed=2)
    by_pairs = NgramClassifier.learn(texts, labels, 2)
    assert by_pairs.evaluate(held_out, expected)["accuracy"] == 1
    assert by_pairs.note == "linear bag of 1- to 2-grams"
    by_words = NgramClassifier.learn(texts, labels, 2, orders=1)
    assert by_words.evaluate(held_out, expected)["accuracy"] < 0.65


def test_several_labels_are_told_apart():
    rng = np.random.default_rng(3)
    gold = (rng.random((300, 3)) < 0.4).astype(np.int64)
    texts = [["the", *(f"word{label}" for label in range(3) if row[label])] for row in gold]
    model = NgramClassifier.learn(texts, gold, 3)
    assert model.evaluate(texts, gold)["exact_match"] == 1
    assert model.probabilities(texts).shape == (300, 3)


def test_settings_bound_the_work_and_the_note_says_so():
    texts, labels = mirrored(400, seed=4)
    part = NgramClassifier.learn(texts, labels, 2, max_examples=50, max_weights=20)
    assert part.note == "linear bag of 1- to 2-grams, trained on 50 of 400 examples"
    assert len(part._weights) == 10
    strong, weak = (NgramClassifier.learn(texts, labels, 2, l2=l2)._weights.abs().sum() for l2 in (30, 0.3))
    assert strong < 0.6 * weak
    one = NgramClassifier.learn(texts, labels, 2, iterations=1)
    assert not torch.equal(one._weights, NgramClassifier.learn(texts, labels, 2)._weights)


def test_empty_texts_get_an_answer_and_no_texts_an_error():
    model = NgramClassifier.learn([[], ["a"], ["a"]], [0, 1, 1], 2)
    assert model.predict([[], ["never", "seen"], ["A"]]).tolist()[-1] == 1
    assert NgramClassifier.learn([[], []], [1, 1], 2).predict([[]]).tolist() == [1]
    with pytest.raises(DataError, match="0 texts with 0 targets"):
        NgramClassifier.learn([], [], 2)
    with pytest.raises(DataError, match="1 texts with 2 targets"):
        NgramClassifier.learn([["a"]], [0, 1], 2)


def test_stanford_sentiment_is_as_well_as_linear_models_do():
    folder = DATA / "sst2"
    if not folder.exists():
        pytest.skip(f"needs {folder}; set UNSPOOL_DATA")
    parts = {}
    for name in ("train", "dev"):
        rows = [line.split("\t") for line in (folder / f"{name}.tsv").read_text(encoding="utf-8").splitlines()]
        parts[name] = [text.split() for _, text in rows], [int(label) for label, _ in rows]
    found = NgramClassifier.learn(*parts["train"], 2).evaluate(*parts["dev"])
    assert 0.79 < found["accuracy"] < 0.83
