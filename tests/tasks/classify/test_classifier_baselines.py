import json
import math
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from unspool.data.ngrams import Bag, Bags
from unspool.errors import DataError, ModelFolderError
from unspool.tasks.parts.majority_baseline import MajorityClass
from unspool.tasks.parts.ngram_classifier import (
    NgramClassifier,
    NgramFeatures,
    _entries,
    _minimise,
    _sum,
    _transposed,
)

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
    """Twelve texts over seven entries, one of which no text has, and their dense matrix of weights."""
    rng = np.random.default_rng(11)
    dense = ((rng.random((12, 7)) < 0.4) * rng.uniform(0.2, 2, (12, 7))).astype(np.float32)
    dense[:, 5] = 0
    dense[3] = 0
    bags = Bags.of([Bag(row.nonzero()[0], row[row.nonzero()], 0.0) for row in dense])
    ids = torch.from_numpy(rng.integers(3, size=12))
    targets = torch.from_numpy((rng.random((12, 3)) < 0.5).astype(np.float32)) if several else torch.eye(3)[ids]
    return torch.from_numpy(dense), bags, targets


def test_sparse_sums_agree_with_the_dense_matrix():
    dense, bags, targets = sparse_problem(several=False)
    rows = torch.randn(7, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(_sum(bags, rows), dense @ rows)
    torch.testing.assert_close(_sum(_transposed(bags, 7), targets), dense.T @ targets)
    some = torch.tensor([True, False, True, True] * 3)
    torch.testing.assert_close(_sum(bags.take(some), rows), dense[some] @ rows)


@pytest.mark.parametrize("several", [False, True])
def test_training_ends_where_the_gradient_of_the_loss_is_zero(several):
    dense, bags, targets = sparse_problem(several)
    weights, bias = torch.zeros(7, 3), torch.zeros(3)
    _minimise(bags, targets, weights, bias, 2.0, 200, several=several)
    weights.requires_grad_()
    bias.requires_grad_()
    logits = dense @ weights + bias
    if several:
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
    else:
        loss = torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
    (loss + 0.25 * weights.square().sum()).backward()
    assert weights.detach().abs().max() > 0.1
    torch.testing.assert_close(weights.grad, torch.zeros(7, 3), atol=2e-3, rtol=0)
    torch.testing.assert_close(bias.grad, torch.zeros(3), atol=2e-3, rtol=0)


def test_entries_are_words_pairs_and_pieces_with_their_counts():
    found = Counter(_entries(["Ab", "ab", "a"], 2, 3))
    assert found == {
        " ab": 2, " a": 1, " ab ab": 1, " ab a": 1, "<a": 3, "ab": 2, "b>": 2, "<ab": 2, "ab>": 2, "a>": 1, "<a>": 1,
    }  # fmt: skip
    assert set(_entries(["Ab", "ab"], 1, 0)) == {" ab"}


def test_weights_are_those_of_tf_idf():
    features = NgramFeatures.learn([["a", "b"], ["a", "a", "c"], ["b"]], longest=0)
    bag = features.bag(["a", "a", "b", "unseen"])
    found = dict(zip([features.entries[id] for id in bag.ids], bag.values.tolist(), strict=True))
    # of three texts two have a, two have b, one has "a a", one has "a b"
    common, rare = 1 + math.log(4 / 3), 1 + math.log(4 / 2)
    raw = {" a": (1 + math.log(2)) * common, " b": common, " a a": rare, " a b": rare}
    norm = math.sqrt(sum(value**2 for value in raw.values()))
    assert found == pytest.approx({entry: value / norm for entry, value in raw.items()})


def test_words_and_pieces_have_a_norm_of_one_each():
    features = NgramFeatures.learn([["ab", "cd"], ["ab", "ce"]])
    bag = features.bag(["ab", "ab", "ce"])
    words = np.array([features.entries[id].startswith(" ") for id in bag.ids])
    assert np.square(bag.values[words]).sum() == pytest.approx(1)
    assert np.square(bag.values[~words]).sum() == pytest.approx(1)
    assert len(features.bag(["zz"]).ids) == 0


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
    assert by_pairs.evaluate(held_out, expected)["accuracy"] > 0.97
    by_words = NgramClassifier.learn(texts, labels, 2, orders=1)
    assert by_words.evaluate(held_out, expected)["accuracy"] < 0.65


def test_several_labels_are_told_apart():
    rng = np.random.default_rng(3)
    gold = (rng.random((300, 3)) < 0.4).astype(np.int64)
    texts = [["the", *(f"word{label}" for label in range(3) if row[label])] for row in gold]
    model = NgramClassifier.learn(texts, gold, 3)
    assert model.evaluate(texts, gold)["exact_match"] == 1
    assert len(set(model.bias.tolist())) == 3
    assert model.probabilities(texts).shape == (300, 3)


def test_settings_bound_the_work():
    texts, labels = mirrored(400, seed=4)
    part = NgramClassifier.learn(texts, labels, 2, max_examples=50, max_weights=20)
    assert part.features.texts == 50
    assert part.weights.shape == (10, 2)
    weak, strong = (NgramClassifier.learn(texts, labels, 2, strengths=[c]).weights.abs().sum() for c in (30, 0.3))
    assert strong < 0.6 * weak
    one = NgramClassifier.learn(texts, labels, 2, iterations=1)
    assert not torch.equal(one.weights, NgramClassifier.learn(texts, labels, 2).weights)


def test_the_strength_of_the_penalty_is_chosen_by_held_out_texts():
    rng = np.random.default_rng(8)
    labels = rng.integers(2, size=400)
    noise = [[f"n{word}" for word in rng.integers(3000, size=12)] for _ in labels]
    texts = [[*words, "yes" if label ^ (rng.random() < 0.25) else "no"] for words, label in zip(noise, labels)]  # noqa: B905
    chosen = NgramClassifier.learn(texts, labels, 2)
    strict, loose = (NgramClassifier.learn(texts, labels, 2, strengths=[c]) for c in (1, 100))
    assert torch.allclose(chosen.weights, strict.weights, atol=2e-3)
    assert loose.weights.abs().sum() > 2 * chosen.weights.abs().sum()


def test_a_saved_classifier_answers_alike(tmp_path):
    texts, labels = mirrored(120, seed=9)
    model = NgramClassifier.learn(texts, labels, 2)
    model.save(tmp_path)
    loaded = NgramClassifier.load(tmp_path, 2, several=False)
    assert np.array_equal(loaded.probabilities(texts), model.probabilities(texts))
    assert NgramClassifier.load(tmp_path / "nowhere", 2, several=False) is None
    record = json.loads((tmp_path / "ngrams.json").read_text())
    for damage in ({"entries": record["entries"][1:]}, {"entries": [*record["entries"][1:], record["entries"][1]]}):
        (tmp_path / "ngrams.json").write_text(json.dumps(record | damage))
        with pytest.raises(ModelFolderError, match="the n-grams are damaged"):
            NgramClassifier.load(tmp_path, 2, several=False)
    (tmp_path / "ngrams.json").write_text(json.dumps(record))
    with pytest.raises(ModelFolderError, match=r"do not fit \d+ n-grams and 3 labels"):
        NgramClassifier.load(tmp_path, 3, several=False)
    short = {name: record[name][1:] for name in ("entries", "counts")}
    (tmp_path / "ngrams.json").write_text(json.dumps(record | short))
    with pytest.raises(ModelFolderError, match="do not fit"):
        NgramClassifier.load(tmp_path, 2, several=False)
    (tmp_path / "ngrams.json").write_text(json.dumps(record | {"format": 9}))
    with pytest.raises(ModelFolderError, match="newer Unspool"):
        NgramClassifier.load(tmp_path, 2, several=False)


def test_empty_texts_get_an_answer_and_no_texts_an_error():
    model = NgramClassifier.learn([[], ["a"], ["a"]], [0, 1, 1], 2)
    assert model.predict([[], ["never", "seen"], ["A"]]).tolist()[-1] == 1
    assert NgramClassifier.learn([[], []], [1, 1], 2).predict([[]]).tolist() == [1]
    with pytest.raises(DataError, match="0 texts with 0 targets"):
        NgramClassifier.learn([], [], 2)
    with pytest.raises(DataError, match="1 texts with 2 targets"):
        NgramClassifier.learn([["a"]], [0, 1], 2)


@pytest.mark.slow
def test_stanford_sentiment_is_as_well_as_linear_models_do():
    folder = DATA / "sst2"
    if not folder.exists():
        pytest.skip(f"needs {folder}; set UNSPOOL_DATA")
    parts = {}
    for name in ("train", "dev"):
        rows = [line.split("\t") for line in (folder / f"{name}.tsv").read_text(encoding="utf-8").splitlines()]
        parts[name] = [text.split() for _, text in rows], [int(label) for label, _ in rows]
    found = NgramClassifier.learn(*parts["train"], 2).evaluate(*parts["dev"])
    assert 0.80 < found["accuracy"] < 0.83
