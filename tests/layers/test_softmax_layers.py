"""Softmaxes over vocabularies: whole, tied, adaptive."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from cases import TOLERANCE
from unspool.layers import AdaptiveSoftmax, FullSoftmax
from unspool.layers.linear_cross_entropy import linear_cross_entropy

CLOSE = TOLERANCE[torch.float32]


def make(kind: str) -> FullSoftmax | AdaptiveSoftmax:
    table = nn.Parameter(torch.randn(40, 16))
    softmax = {
        "full": lambda: FullSoftmax(16, 40),
        "tied": lambda: FullSoftmax(16, 40, tied=table),
        "tied, narrowed": lambda: FullSoftmax(16, 40, tied=nn.Parameter(torch.randn(40, 9))),
        "adaptive": lambda: AdaptiveSoftmax(16, 40),
        "adaptive, cutoffs": lambda: AdaptiveSoftmax(16, 40, cutoffs=[4, 11, 40, 90]),
    }[kind]()
    with torch.no_grad():
        for parameter in softmax.parameters():
            parameter.normal_(std=0.5)
    return softmax


KINDS = ["full", "tied", "tied, narrowed", "adaptive", "adaptive, cutoffs"]


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_add_up_to_one_and_the_loss_is_their_negative_logarithm(kind):
    softmax = make(kind)
    inputs, targets = torch.randn(7, 3, 16), torch.randint(0, 40, (7, 3))
    logs = softmax.log_probabilities(inputs)
    assert logs.shape == (7, 3, 40)
    assert logs.dtype == torch.float32
    assert_close(logs.exp().sum(-1), torch.ones(7, 3), **CLOSE)
    picked = logs.gather(-1, targets.unsqueeze(-1)).sum()
    loss = softmax.loss(inputs.flatten(0, 1), targets.flatten())
    assert_close(loss, -picked, **CLOSE)
    parameters = list(softmax.parameters())
    gradients = torch.autograd.grad(loss, parameters)
    expected = torch.autograd.grad(-picked, parameters)
    for gradient, right in zip(gradients, expected, strict=True):
        assert_close(gradient, right, **CLOSE)
        assert torch.count_nonzero(gradient) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_inputs_are_scored_in_float32(kind):
    softmax = make(kind)
    inputs, targets = torch.randn(21, 16), torch.randint(0, 40, (21,))
    expected = softmax.loss(inputs, targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = softmax.loss(inputs.bfloat16(), targets)
        logs = softmax.log_probabilities(inputs.bfloat16())
    assert loss.dtype == logs.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=0.01)
    loss.backward()


def test_full_softmax_is_a_linear_map_of_its_weights():
    softmax = make("full")
    inputs = torch.randn(5, 16)
    assert_close(softmax.logits(inputs), inputs @ softmax.weight.T + softmax.bias, **CLOSE)
    assert softmax.project is None
    fresh = FullSoftmax(16, 40)
    assert 0.2 < fresh.weight.abs().max() <= 0.25
    assert torch.count_nonzero(fresh.bias) == 0


def test_tied_weights_are_the_embedding_s():
    table = nn.Embedding(40, 9)
    softmax = FullSoftmax(16, 40, tied=table.weight)
    assert softmax.weight is table.weight
    inputs = torch.randn(5, 16)
    narrow = inputs @ softmax.project.weight.T
    assert_close(softmax.logits(inputs), narrow @ table.weight.T + softmax.bias, **CLOSE)
    softmax.loss(inputs, torch.arange(5)).backward()
    assert table.weight.grad.abs().sum() > 0
    assert FullSoftmax(9, 40, tied=table.weight).project is None


def test_adaptive_cutoffs_are_a_twentieth_and_a_quarter():
    assert AdaptiveSoftmax(16, 1000).softmax.cutoffs == [50, 250, 1000]
    assert AdaptiveSoftmax(16, 1000, cutoffs=[10, 400]).softmax.cutoffs == [10, 400, 1000]


@pytest.mark.parametrize(("input_size", "vocab_size"), [(16, 2), (16, 3), (16, 5), (17, 40)])
def test_adaptive_softmax_takes_small_sizes(input_size, vocab_size):
    softmax = AdaptiveSoftmax(input_size, vocab_size)
    logs = softmax.log_probabilities(torch.randn(6, input_size))
    assert logs.shape == (6, vocab_size)
    assert_close(logs.exp().sum(-1), torch.ones(6), **CLOSE)


@pytest.mark.parametrize("block", [1, 26, 10_000])
def test_the_loss_in_blocks_is_cross_entropy_of_the_scores(block, monkeypatch):
    monkeypatch.setattr("unspool.layers.linear_cross_entropy._BLOCK_SCORES", block)
    generator = torch.Generator().manual_seed(5)
    shapes = ((7, 4), (13, 4), (13,))
    inputs, weight, bias = (
        torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True) for shape in shapes
    )
    targets = torch.randint(0, 13, (7,), generator=generator)
    expected = torch.nn.functional.cross_entropy(inputs @ weight.T + bias, targets, reduction="sum")
    gradients = torch.autograd.grad(3 * expected, (inputs, weight, bias))
    total = linear_cross_entropy(inputs, weight, bias, targets)
    torch.testing.assert_close(total, expected)
    for actual, right in zip(torch.autograd.grad(3 * total, (inputs, weight, bias)), gradients, strict=True):
        torch.testing.assert_close(actual, right)
    assert torch.autograd.gradcheck(lambda *parts: linear_cross_entropy(*parts, targets), (inputs, weight, bias))


def test_an_unlikely_target_costs_what_it_costs():
    scores = torch.tensor([[0.0, -300.0]])
    total = linear_cross_entropy(scores, torch.eye(2), torch.zeros(2), torch.tensor([1]))
    assert float(total) == 300.0
