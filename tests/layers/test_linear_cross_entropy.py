"""Label smoothing as a divergence, against torch's own losses; what is computed where no gradient is wanted."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from unspool.layers.linear_cross_entropy import linear_cross_entropy

SMOOTHINGS = [0.1, 0.35, 0.9]


def problem(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    parts = [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in ((7, 4), (13, 4), 13)]
    inputs, weight, bias = (part.requires_grad_() for part in parts)
    return inputs, weight, bias, torch.randint(0, 13, (7,), generator=generator)


def smoothed(targets: Tensor, classes: int, smoothing: float) -> Tensor:
    return (1 - smoothing) * F.one_hot(targets, classes).double() + smoothing / classes


@pytest.mark.parametrize("block", [1, 26, 10_000])
@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_smoothing_is_the_divergence_from_the_smoothed_target(smoothing, block, monkeypatch):
    monkeypatch.setattr("unspool.layers.linear_cross_entropy._BLOCK_SCORES", block)
    inputs, weight, bias, targets = problem()
    scores = (inputs @ weight.T + bias).log_softmax(-1)
    goal = smoothed(targets, 13, smoothing)
    divergence = F.kl_div(scores, goal, reduction="sum")
    crossed = F.cross_entropy(scores, targets, label_smoothing=smoothing, reduction="sum")
    entropy = -(goal * goal.log()).sum()
    total = linear_cross_entropy(inputs, weight, bias, targets, label_smoothing=smoothing)
    torch.testing.assert_close(total, divergence)
    torch.testing.assert_close(total, crossed - entropy)
    leaves = (inputs, weight, bias)
    expected = torch.autograd.grad(3 * divergence, leaves)
    for actual, right in zip(torch.autograd.grad(3 * total, leaves), expected, strict=True):
        torch.testing.assert_close(actual, right)


def test_gradcheck_with_smoothing():
    *leaves, targets = problem()
    assert torch.autograd.gradcheck(lambda *parts: linear_cross_entropy(*parts, targets, label_smoothing=0.2), leaves)


def test_it_is_nothing_where_the_prediction_is_the_smoothed_target():
    targets = torch.tensor([2, 0, 1])
    scores = smoothed(targets, 5, 0.3).log()
    total = linear_cross_entropy(
        torch.eye(3, dtype=torch.float64), scores.T.contiguous(), torch.zeros(5).double(), targets, label_smoothing=0.3
    )
    assert float(total) == pytest.approx(0, abs=1e-12)
    # two classes, half of one target spread: p = (3/4, 1/4) against q = (1/4, 3/4)
    total = linear_cross_entropy(
        torch.ones(1, 1), torch.tensor([[math.log(3.0)], [0.0]]), torch.zeros(2), torch.tensor([1]), label_smoothing=0.5
    )
    assert float(total) == pytest.approx(0.5 * math.log(3))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_under_autocast_only_the_products_are_rounded(smoothing):
    inputs, weight, bias, targets = problem(torch.float32)
    leaves = (inputs, weight, bias)
    expected = linear_cross_entropy(*leaves, targets, label_smoothing=smoothing)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total = linear_cross_entropy(*leaves, targets, label_smoothing=smoothing)
    scores = F.linear(inputs.bfloat16(), weight.bfloat16(), bias.bfloat16()).float().log_softmax(-1)
    by_hand = F.cross_entropy(scores, targets, label_smoothing=smoothing, reduction="sum")
    goal = smoothed(targets, 13, smoothing).float()
    by_hand = by_hand + (goal * goal.clamp(min=1e-30).log()).sum() * bool(smoothing)
    assert total.dtype == torch.float32
    torch.testing.assert_close(total, by_hand, rtol=1e-5, atol=1e-5)
    for actual, right in zip(torch.autograd.grad(total, leaves), torch.autograd.grad(expected, leaves), strict=True):
        assert actual.dtype == torch.float32
        torch.testing.assert_close(actual, right, rtol=0.05, atol=0.03)


def test_no_gradient_is_computed_where_none_is_wanted(monkeypatch):
    inputs, weight, bias, targets = problem()
    expected = linear_cross_entropy(inputs, weight, bias, targets)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a gradient was begun")

    monkeypatch.setattr(torch, "zeros_like", refuse)
    with torch.no_grad():
        assert torch.equal(linear_cross_entropy(inputs, weight, bias, targets), expected)
    detached = (part.detach() for part in (inputs, weight, bias))
    assert torch.equal(linear_cross_entropy(*detached, targets), expected)
    with pytest.raises(AssertionError, match="was begun"):
        linear_cross_entropy(inputs, weight, bias, targets)
