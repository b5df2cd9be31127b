"""The masked softmax: torch's softmax over the allowed positions alone, in values and gradients."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from unspool.layers import masked_softmax


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_weights_are_the_softmax_of_the_allowed_scores(dim):
    scores = (3 * torch.randn(4, 5, 6, dtype=torch.float64)).requires_grad_()
    mask = torch.rand(4, 5, 6) < 0.6
    mask.select(dim, 2).fill_(True)
    weights = masked_softmax(scores, mask, dim)
    expected = torch.where(mask, scores.exp(), 0) / torch.where(mask, scores.exp(), 0).sum(dim, keepdim=True)
    assert_close(weights, expected)
    assert (weights[~mask] == 0).all()
    cotangent = torch.randn_like(expected)
    (actual,) = torch.autograd.grad(weights, scores, cotangent)
    assert_close(actual, torch.autograd.grad(expected, scores, cotangent)[0])
    assert (actual[~mask] == 0).all()


def test_without_a_mask_it_is_torch_s_softmax():
    scores = torch.randn(3, 7)
    assert torch.equal(masked_softmax(scores), scores.softmax(-1))
    assert torch.equal(masked_softmax(scores, torch.ones(7, dtype=torch.bool)), scores.softmax(-1))


def test_a_row_without_an_allowed_position_has_weights_and_gradients_of_zero():
    scores = torch.randn(2, 3, requires_grad=True)
    weights = masked_softmax(scores, torch.tensor([[False] * 3, [True, False, True]]))
    assert_close(weights.sum(-1), torch.tensor([0.0, 1.0]))
    (gradient,) = torch.autograd.grad(weights.square().sum(), scores)
    assert (gradient[0] == 0).all()
    assert (gradient[1, [0, 2]] != 0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_half_precision_scores_are_single_precision(dtype):
    scores = torch.tensor([[1.0, -2.0, 60_000.0], [0.5, 0.25, 1.0]]).to(dtype)
    weights = masked_softmax(scores, torch.tensor([True, True, False]))
    assert weights.dtype == torch.float32
    assert_close(weights, torch.cat([scores[:, :2].float().softmax(-1), torch.zeros(2, 1)], 1))
