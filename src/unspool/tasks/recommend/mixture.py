r"""Sum of a network's logits and the scores of recommenders that count.

.. math::
    z_j = w_0\, l_j + w_1 \log(1 + p_{\mathrm{chain}}(j) / \epsilon) + w_2 \log(1 + p_{\mathrm{near}}(j) / \epsilon)

:math:`l` are the logits, and :math:`p` the scores of `Counts`, divided by their sum over the items that may be
recommended. The weights minimise the cross-entropy of the validation targets, which is convex in them; ε is the one of
a few with the least cross-entropy. A product of experts (Hinton 1999, "Products of experts"): it keeps what the network
ranks low at the bottom, which a sum of probabilities does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from unspool.tasks.recommend.counting import Counts
from unspool.tasks.recommend.ranking import SCORES_IN_MEMORY

__all__ = ["NETWORK_ALONE", "Mixture", "fit_mixture", "mixed_scores"]

_EPSILONS = (1e-2, 1e-3, 1e-4)
_HIDDEN = -1e4  # logit of an item that must not be recommended
_STEPS = 25  # of Newton's method
_ENOUGH = 1e-5  # nats
_RIDGE = 1e-6


class Mixture(NamedTuple):
    """Weights of the network, of the chain and of the neighbours."""

    network: float = 1.0
    chain: float = 0.0
    neighbours: float = 0.0
    epsilon: float = 1e-3

    @property
    def counts(self) -> bool:
        """Whether a recommender that counts has a weight."""
        return bool(self.chain or self.neighbours)


NETWORK_ALONE = Mixture()


def mixed_scores(
    mixture: Mixture,
    counts: Counts | None,
    logits: NDArray[np.float32],
    histories: Sequence[NDArray[Any]],
    hidden: Sequence[NDArray[Any]],
    alike: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """Return the scores of all items after some histories, minus infinity for hidden items, (histories, items).

    Args:
        mixture: The weights.
        counts: Counts of the training data; None for the network alone.
        logits: Those of the network, (histories, items); the result replaces them.
        histories: Known items of each history, oldest first, from 0.
        hidden: Items that must not be recommended, for each history.
        alike: For each new item, the last ones, the items whose mean counts it takes, (new, items).
    """
    scores = logits
    if counts is not None and mixture.counts:
        scores *= np.float32(mixture.network)
        both = _shares(counts, histories, hidden, alike)
        for weight, shares in zip((mixture.chain, mixture.neighbours), both, strict=True):
            cells = np.nonzero(shares)  # few: the items that follow or accompany those of the history
            logs = np.log1p(shares[cells].astype(np.float32) / np.float32(mixture.epsilon))
            scores[cells] += logs * np.float32(weight)
    for row, items in enumerate(hidden):
        scores[row, items] = -np.inf
    return scores


def fit_mixture(
    counts: Counts,
    logits: NDArray[np.float32],
    histories: Sequence[NDArray[Any]],
    hidden: Sequence[NDArray[Any]],
    targets: NDArray[np.int64],
    alike: NDArray[np.int64] | None = None,
) -> tuple[Mixture, float, float]:
    """Fit the weights to validation data.

    Args:
        counts: Counts of the training data.
        logits: Those of the network, (histories, items).
        histories: See `mixed_scores`.
        hidden: See `mixed_scores`; none of them a target.
        targets: The item after each history, (histories,).
        alike: See `mixed_scores`.

    Returns:
        The weights, and the cross-entropy before and after, in nats.
    """
    mask = np.zeros(logits.shape, np.float32)
    for row, items in enumerate(hidden):
        mask[row, items] = _HIDDEN
    closed, network = torch.from_numpy(mask), torch.from_numpy(np.where(mask == 0, logits, np.float32(0)))
    right = torch.from_numpy(targets)
    shares = [torch.from_numpy(part.astype(np.float32)) for part in _shares(counts, histories, hidden, alike)]
    before = float(F.cross_entropy(network + closed, right))
    best, least = NETWORK_ALONE, before
    start = torch.tensor([1.0, 0.1, 0.1], dtype=torch.float64)
    for epsilon in _EPSILONS:
        parts = [network, *((part / epsilon).log1p_() for part in shares)]
        weights, nats = _least_cross_entropy(parts, closed, right, start)
        if nats < least:
            network_weight, chain, near = weights.tolist()
            best, least = Mixture(network_weight, chain, near, epsilon), nats
    return best, before, least


def _least_cross_entropy(
    parts: Sequence[Tensor], hidden: Tensor, targets: Tensor, weights: Tensor
) -> tuple[Tensor, float]:
    """Minimise the cross-entropy of a weighted sum of logits by Newton's method; return the weights and the minimum."""
    best, least = weights, float("inf")
    for _ in range(_STEPS):
        nats, gradient, hessian = _derivatives(parts, hidden, targets, weights)
        if nats < least - _ENOUGH:
            best, least = weights, nats
            ridge = _RIDGE * hessian.diagonal().mean() * torch.eye(len(weights), dtype=torch.float64)
            step = torch.linalg.solve(hessian + ridge, gradient)
        elif float(step.abs().max()) < _ENOUGH or nats <= least:
            break
        else:
            step = step / 4
        weights = (best - step).clamp(min=0)
    return best, least


def _derivatives(
    parts: Sequence[Tensor], hidden: Tensor, targets: Tensor, weights: Tensor
) -> tuple[float, Tensor, Tensor]:
    """Return the mean cross-entropy, its gradient, (parts,), and its Hessian, (parts, parts), in the weights."""
    count, size = len(targets), max(1, SCORES_IN_MEMORY // hidden.shape[1])
    nats = torch.zeros((), dtype=torch.float64)
    gradient = torch.zeros(len(parts), dtype=torch.float64)
    hessian = torch.zeros(len(parts), len(parts), dtype=torch.float64)
    for begin in range(0, count, size):
        block = slice(begin, begin + size)
        sums = _sums([part[block] for part in parts], hidden[block], targets[block], weights)
        for total, part in zip((nats, gradient, hessian), sums, strict=True):
            total += part / count
    return float(nats), gradient, hessian


def _sums(parts: Sequence[Tensor], hidden: Tensor, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the sums of the cross-entropies of some rows, of their gradients, and of their Hessians."""
    rows = torch.arange(len(targets))
    total = hidden.clone()
    for weight, part in zip(weights.tolist(), parts, strict=True):
        total.add_(part, alpha=weight)
    log_shares = total.log_softmax(1)
    nats, shares = -log_shares[rows, targets].double().sum(), log_shares.exp_()
    right = torch.stack([part[rows, targets] for part in parts], 1).double()
    weighted = [shares * part for part in parts]
    means = torch.stack([each.sum(1) for each in weighted], 1).double()
    hessian = torch.empty(len(parts), len(parts), dtype=torch.float64)
    for one, each in enumerate(weighted):
        for two in range(one, len(parts)):
            products = torch.einsum("ij,ij->", each, parts[two]).double()
            hessian[one, two] = hessian[two, one] = products - (means[:, one] * means[:, two]).sum()
    return nats, (means - right).sum(0), hessian


def _shares(
    counts: Counts,
    histories: Sequence[NDArray[Any]],
    hidden: Sequence[NDArray[Any]],
    alike: NDArray[np.int64] | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the scores of the chain and of the neighbours as shares of the items that are not hidden."""
    both = counts.chained(histories, ties=False), counts.near(histories)
    for scores in both:
        if alike is not None and len(alike):
            scores[:, -len(alike) :] = sum(scores[:, items] for items in alike.T) / alike.shape[1]
        for row, items in enumerate(hidden):
            scores[row, items] = 0.0
        scores /= np.maximum(scores.sum(1, keepdims=True), 1e-12)
    return both
