"""The weights of a mixture are those with the least cross-entropy; a sampled softmax tends to the full one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from unspool.layers import FullSoftmax, SampledSoftmax
from unspool.tasks.recommend.counting import Counts
from unspool.tasks.recommend.mixture import NETWORK_ALONE, Mixture, fit_mixture, mixed_scores


def problem(seed=0, rows=80, items=9):
    draw = np.random.default_rng(seed)
    histories = [draw.integers(items, size=draw.integers(1, 6)) for _ in range(rows)]
    flat, offsets = np.concatenate(histories), np.cumsum([0, *map(len, histories)])
    logits = draw.normal(size=(rows, items)).astype(np.float32)
    targets = np.array([draw.choice(np.setdiff1d(np.arange(items), history)) for history in histories])
    logits[np.arange(rows), targets] += 0.7
    return Counts.learn(flat, offsets, items), logits, histories, targets


def cross_entropy(mixture, counts, logits, histories, targets):
    scores = mixed_scores(mixture, counts, logits.copy(), histories, histories)
    return float(F.cross_entropy(torch.from_numpy(scores).double(), torch.from_numpy(targets)))


def test_no_other_weights_have_less_cross_entropy():
    counts, logits, histories, targets = problem()
    mixture, before, after = fit_mixture(counts, logits, histories, histories, targets)
    assert before == pytest.approx(cross_entropy(NETWORK_ALONE, counts, logits, histories, targets), abs=1e-5)
    assert after == pytest.approx(cross_entropy(mixture, counts, logits, histories, targets), abs=1e-5)
    for name in ("network", "chain", "neighbours"):
        for change in (-0.05, 0.05):
            moved = mixture._replace(**{name: max(0.0, getattr(mixture, name) + change)})
            assert cross_entropy(moved, counts, logits, histories, targets) >= after - 1e-6, (name, change)


def test_blocks_of_rows_give_the_same_weights(monkeypatch):
    counts, logits, histories, targets = problem()
    whole = fit_mixture(counts, logits, histories, histories, targets)
    monkeypatch.setattr("unspool.tasks.recommend.mixture.SCORES_IN_MEMORY", 9 * 7)  # 7 of 80 rows
    parts = fit_mixture(counts, logits, histories, histories, targets)
    assert parts[0] == pytest.approx(whole[0], rel=1e-4)
    assert parts[1:] == pytest.approx(whole[1:], rel=1e-5)


def test_weights_are_not_negative():
    counts, logits, histories, targets = problem(seed=4)
    mixture, _, _ = fit_mixture(counts, -logits, histories, histories, targets)
    assert min(mixture[:3]) >= 0


def test_scores_of_a_mixture_by_hand():
    counts, logits, histories, _ = problem(rows=5)
    mixture = Mixture(0.5, 2.0, 3.0, 0.01)
    actual = mixed_scores(mixture, counts, logits.copy(), histories, histories)
    for row, history in enumerate(histories):
        parts = counts.chained([history], ties=False)[0], counts.near([history])[0]
        expected = 0.5 * logits[row].astype(np.float64)
        for weight, part in zip((2.0, 3.0), parts, strict=True):
            part[history] = 0
            expected += weight * np.log(1 + part / max(part.sum(), 1e-12) / 0.01)
        expected[history] = -np.inf
        np.testing.assert_allclose(actual[row], expected, rtol=1e-5)


@pytest.mark.parametrize("width", [4, 6])
def test_a_sampled_softmax_tends_to_the_full_one(width):
    """With many negatives, loss and gradients approach those of the full softmax."""
    torch.manual_seed(0)
    table = torch.nn.Parameter(torch.randn(7, 4))
    full, sampled = FullSoftmax(width, 7, tied=table), SampledSoftmax(width, 7, 100_000, tied=table)
    sampled.load_state_dict(full.state_dict(), strict=False)
    with torch.no_grad():
        for softmax in (full, sampled):
            softmax.bias.copy_(torch.linspace(-1, 1, 7))
    sampled.sample_by(torch.tensor([0, 5, 1, 9, 2, 2, 7]))
    inputs, targets = torch.randn(6, width, requires_grad=True), torch.tensor([1, 2, 3, 4, 6, 5])
    losses, gradients = [], []
    for softmax in (full.train(), sampled.train()):
        loss = softmax.loss(inputs, targets)
        losses.append(loss.item())
        gradients.append(torch.autograd.grad(loss, [inputs, table, softmax.bias]))
    # class 0 has no share of the proposal, so the full softmax must not count it either
    scores = full.logits(inputs)[:, 1:]
    without = F.cross_entropy(scores, targets - 1, reduction="sum")
    expected = torch.autograd.grad(without, [inputs, table, full.bias])
    assert losses[1] == pytest.approx(without.item(), rel=2e-2)
    for actual, wanted in zip(gradients[1], expected, strict=True):
        torch.testing.assert_close(actual, wanted, rtol=0.1, atol=0.05)
    sampled.eval()
    assert sampled.loss(inputs, targets).item() == pytest.approx(full.loss(inputs, targets).item(), rel=1e-6)


def test_the_correction_gives_the_full_gradient_on_average():
    """The mean gradient of few corrected negatives is that of the full softmax; without the correction it is not."""
    torch.manual_seed(2)
    counts = torch.tensor([0, 90, 60, 40, 30, 30, 20, 12, 8, 8])
    table = torch.nn.Parameter(torch.randn(10, 3))
    full, sampled = FullSoftmax(3, 10, tied=table), SampledSoftmax(3, 10, 256, tied=table)
    with torch.no_grad():
        full.bias[0] = -60.0  # padding
        sampled.bias.copy_(full.bias)
    sampled.sample_by(counts)
    inputs, targets = torch.randn(5, 3, requires_grad=True), torch.tensor([1, 2, 4, 8, 9])
    wanted = torch.autograd.grad(full.loss(inputs, targets), [inputs, table])

    def mean_gradient(draws=300):
        parts = [torch.autograd.grad(sampled.loss(inputs, targets), [inputs, table]) for _ in range(draws)]
        return [torch.stack(part).mean(0) for part in zip(*parts, strict=True)]

    def distance(gradients):
        return max(float((one - two).norm() / two.norm()) for one, two in zip(gradients, wanted, strict=True))

    corrected = distance(mean_gradient())
    sampled._log_q = lambda classes: torch.zeros(len(classes))
    assert corrected < 0.03
    assert distance(mean_gradient()) > 0.2
