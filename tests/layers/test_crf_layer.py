"""The conditional random field against the enumeration of all tag sequences."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from cases import TOLERANCE
from unspool.layers import LinearChainCRF

TAGS, TIME = 3, 5
LENGTHS = torch.tensor([5, 1, 3, 2])
CLOSE = TOLERANCE[torch.float32]
CONSTRAINTS = {
    "free": {},
    "constrained": {
        "allowed": torch.tensor([[True, False, True], [True, True, True], [False, True, True]]),
        "allowed_first": torch.tensor([True, False, True]),
        "allowed_last": torch.tensor([True, True, False]),
    },
}


@pytest.fixture(params=CONSTRAINTS)
def crf(request) -> LinearChainCRF:
    layer = LinearChainCRF(TAGS, **CONSTRAINTS[request.param])
    with torch.no_grad():
        for weight in layer.parameters():
            weight.normal_()
    return layer


def draw_emissions() -> Tensor:
    emissions = torch.randn(TIME, len(LENGTHS), TAGS)
    emissions[torch.arange(TIME)[:, None] >= LENGTHS] = float("nan")
    return emissions


def enumerate_paths(crf: LinearChainCRF, emissions: Tensor) -> dict[tuple[int, ...], Tensor]:
    """Every allowed tag sequence of one sentence, (time, tags), with its score."""
    scores = {}
    for path in itertools.product(range(TAGS), repeat=len(emissions)):
        pairs = list(itertools.pairwise(path))
        if crf.forbidden_first[path[0]] or crf.forbidden_last[path[-1]] or any(crf.forbidden[pair] for pair in pairs):
            continue
        score = crf.first[path[0]] + crf.last[path[-1]] + sum(crf.transitions[pair] for pair in pairs)
        scores[path] = score + sum(emissions[t, tag] for t, tag in enumerate(path))
    return scores


def test_partition_marginals_and_best_path_equal_the_enumeration(crf):
    emissions = draw_emissions()
    clean = emissions.nan_to_num(7.0)
    partition = crf.log_partition(clean, LENGTHS)
    marginals, best = crf.marginals(emissions, LENGTHS), crf.decode(emissions, LENGTHS)
    for column, length in enumerate(LENGTHS.tolist()):
        scores = enumerate_paths(crf, emissions[:length, column])
        total = torch.stack(list(scores.values())).logsumexp(0)
        assert_close(partition[column], total, **CLOSE)
        expected = torch.zeros(length, TAGS)
        for path, score in scores.items():
            for t, tag in enumerate(path):
                expected[t, tag] += (score - total).exp().detach()
        assert_close(marginals[:length, column], expected, **CLOSE)
        assert torch.count_nonzero(marginals[length:, column]) == 0
        assert tuple(best[:length, column].tolist()) == max(scores, key=lambda path: scores[path])
        assert torch.count_nonzero(best[length:, column]) == 0


def test_loss_and_its_gradients_equal_the_enumeration(crf):
    emissions = draw_emissions().requires_grad_()
    tags = torch.full((TIME, len(LENGTHS)), -100)
    expected = torch.zeros(())
    for column, length in enumerate(LENGTHS.tolist()):
        scores = enumerate_paths(crf, emissions[:length, column])
        path = sorted(scores)[len(scores) // 2]
        tags[:length, column] = torch.tensor(path)
        expected = expected + torch.stack(list(scores.values())).logsumexp(0) - scores[path]
        assert_close(crf.score(emissions.nan_to_num(7.0), tags.clamp(0), LENGTHS)[column], scores[path], **CLOSE)
    loss = crf.loss(emissions, tags, LENGTHS)
    assert_close(loss, expected, **CLOSE)
    leaves = {"emissions": emissions, **dict(crf.named_parameters())}
    gradients = torch.autograd.grad(loss, list(leaves.values()))
    expected_gradients = torch.autograd.grad(expected, list(leaves.values()))
    for name, gradient, right in zip(leaves, gradients, expected_gradients, strict=True):
        assert_close(gradient, right, **CLOSE, msg=lambda text, name=name: f"{name}: {text}")
    assert gradients[0][-1].abs().sum() > 0


def test_best_path_never_breaks_a_rule():
    crf = LinearChainCRF(TAGS, **CONSTRAINTS["constrained"])
    lengths = torch.randint(1, 13, (200,))
    best = crf.decode(20 * torch.randn(12, 200, TAGS), lengths)
    for column, length in enumerate(lengths.tolist()):
        path = best[:length, column].tolist()
        assert not crf.forbidden_first[path[0]]
        assert not crf.forbidden_last[path[-1]]
        assert not any(crf.forbidden[pair] for pair in itertools.pairwise(path))


def test_constraints_are_saved_with_the_weights():
    crf = LinearChainCRF(TAGS, **CONSTRAINTS["constrained"])
    other = LinearChainCRF(TAGS)
    other.load_state_dict(crf.state_dict())
    assert torch.equal(other.forbidden, ~CONSTRAINTS["constrained"]["allowed"])
    assert torch.equal(other.forbidden_first, torch.tensor([False, True, False]))
    assert torch.equal(other.forbidden_last, torch.tensor([False, False, True]))


class CountElements(TorchDispatchMode):
    """Count the elements of everything that torch computes."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        outcome = func(*args, **(kwargs or {}))
        if isinstance(outcome, torch.Tensor):
            self.elements += outcome.numel()
        return outcome


def test_marginals_take_time_in_proportion_to_the_length():
    crf = LinearChainCRF(3)
    counted = []
    for time in (40, 160):
        with CountElements() as work:
            crf.marginals(torch.randn(time, 1, 3), torch.tensor([time]))
        counted.append(work.elements)
    assert counted[1] < 4.5 * counted[0]
