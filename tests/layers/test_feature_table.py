"""Vectors with features: sums by hand, gradients, what training hides, and the softmax over them."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from unspool.errors import SettingError
from unspool.layers import Bags, FeatureTable, FullSoftmax, SampledSoftmax

ROWS = [[], [0, 2], [], [1], [0, 1, 3], [3]]  # row 0 is padding; rows 6 and 7 come after the bags
WEIGHTS = [0.5, -2.0, 1.5, 0.25, 3.0, -1.0, 0.75]


def table(dropout=0.0, size=3, seed=1):
    torch.manual_seed(seed)
    lengths = torch.tensor([len(row) for row in ROWS])
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    bags = Bags(offsets, torch.tensor([feature for row in ROWS for feature in row]), torch.tensor(WEIGHTS), 4)
    made = FeatureTable(8, size, bags, dropout=dropout).double()
    with torch.no_grad():
        made.features.copy_(torch.randn_like(made.features))
    return made


def by_hand(made):
    rows, weights = [made.weight[place] for place in range(8)], iter(WEIGHTS)
    for place, features in enumerate(ROWS):
        for feature in features:
            rows[place] = rows[place] + next(weights) * made.features[feature]
    return torch.stack(rows)


def test_vectors_are_sums_of_their_own_and_of_their_features():
    made = table()
    ids = torch.tensor([[4, 0, 7], [1, 4, 3]])
    expected = by_hand(made)
    assert_close(made(ids), expected[ids])
    assert_close(made.whole(), expected)
    cotangent = torch.randn(2, 3, 3, dtype=torch.float64)
    wanted = torch.autograd.grad((expected[ids] * cotangent).sum(), (made.weight, made.features))
    wanted[0][0] = 0  # padding learns nothing
    for way in (made(ids), torch.nn.functional.embedding(ids, made.whole(), padding_idx=0)):
        gradients = torch.autograd.grad((way * cotangent).sum(), (made.weight, made.features))
        for actual, right in zip(gradients, wanted, strict=True):
            assert_close(actual, right)


def test_the_whole_table_is_new_after_a_change():
    made = table().eval()
    with torch.no_grad():
        before = made.whole()
        assert made.whole() is before
        made.features[1] += 1
        assert_close(made.whole(), by_hand(made))
        assert made.whole() is not before


def test_training_hides_own_vectors_of_rows_with_features_alone():
    made = table(dropout=0.5)
    with torch.no_grad():
        full, bare = by_hand(made), by_hand(made) - made.weight
        seen = torch.stack([made.whole() for _ in range(200)])
        own = torch.isclose(seen, full).all(-1)
        assert (torch.isclose(seen, full) | torch.isclose(seen, bare)).all()
        assert own[:, [0, 2, 6, 7]].all()
        assert ((own[:, [1, 3, 4, 5]].double().mean(0) - 0.5).abs() < 0.15).all()
        made.eval()
        assert_close(made.whole(), full)
    with pytest.raises(SettingError, match="feature_dropout = 1"):
        table(dropout=1)


@pytest.mark.parametrize("kind", ["full", "sampled"])
def test_a_softmax_over_them_leaves_classes_out_that_training_lacks(kind):
    made = table(size=5)
    with torch.no_grad():
        made.weight.mul_(0.5)
    if kind == "full":
        softmax = FullSoftmax(5, 6, tied=made, trained=4).double()
    else:
        softmax = SampledSoftmax(5, 6, 60_000, tied=made, trained=4).double()
        softmax.sample_by(torch.tensor([0, 3, 9, 1, 0, 0]))
    torch.manual_seed(4)
    inputs, targets = torch.randn(7, 5, dtype=torch.float64), torch.tensor([1, 2, 3, 2, 1, 1, 2])
    with torch.no_grad():
        softmax.bias.copy_(torch.randn(6))
        softmax.bias[0] = -60.0  # padding, which is never drawn
    scores = inputs @ by_hand(made)[:4].T + softmax.bias[:4]
    expected = torch.nn.functional.cross_entropy(scores, targets, reduction="sum")
    actual = softmax.loss(inputs, targets)
    close = {"rtol": 1e-6, "atol": 1e-6} if kind == "full" else {"rtol": 0.02, "atol": 0.02}
    assert_close(actual.double(), expected, **close)
    parts = (made.weight, made.features, softmax.bias)
    for gradient, right in zip(torch.autograd.grad(actual, parts), torch.autograd.grad(expected, parts), strict=True):
        assert_close(gradient, right, rtol=close["rtol"], atol=5 * close["atol"])
    assert torch.autograd.grad(softmax.loss(inputs, targets), softmax.bias)[0][4:].abs().max() == 0
    assert_close(softmax.logits(inputs), inputs @ by_hand(made)[:6].T + softmax.bias)
