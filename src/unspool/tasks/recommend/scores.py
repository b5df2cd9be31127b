"""Scores of ranked lists: hit rate, NDCG, mean reciprocal rank, coverage, distinct lists."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ranked", "rank_of_targets", "ranking_scores"]


class Ranked(NamedTuple):
    """Rankings of all items for some histories."""

    ranks: NDArray[np.float64]
    """Rank of each target, from 1, infinite for an item that can't be recommended, (targets,)."""
    lists: NDArray[np.int64]
    """The first items, best first, (targets, k)."""
    lengths: NDArray[np.int64]
    """Number of items of each list, at most k, (targets,)."""


def rank_of_targets(scores: NDArray[np.floating], targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the rank of each target among all items, from 1, (rows,).

    Ties are pessimistic: of equal scores the target comes last. A target below 0, or with a score of minus infinity,
    has an infinite rank.

    Args:
        scores: Score of each item, (rows, items).
        targets: Index of the target, -1 for an unknown item, (rows,).
    """
    own = scores[np.arange(len(scores)), np.maximum(targets, 0)]
    ranks: NDArray[np.float64] = (scores >= own[:, None]).sum(1).astype(np.float64)
    ranks[(targets < 0) | np.isneginf(own)] = np.inf
    return ranks


def ranking_scores(ranked: Ranked, items: int) -> dict[str, float]:
    r"""Return the scores of rankings; all lie between 0 and 1.

    Hit rate: share of targets in the list of k. NDCG: mean of :math:`1 / \log_2(1 + r)` for ranks r up to k, else 0.
    MRR: mean of :math:`1 / r` over all ranks. Coverage: share of the items in any list. Distinct lists: number of
    different sets of items by number of lists.

    Args:
        ranked: The rankings.
        items: Number of items of the model.
    """
    k = ranked.lists.shape[1]
    hits = ranked.ranks <= k
    gains = np.where(hits, 1 / np.log2(1 + np.where(hits, ranked.ranks, 1.0)), 0.0)
    there = np.arange(k) < ranked.lengths[:, None]
    lists = np.sort(np.where(there, ranked.lists, -1), axis=1)
    return {
        f"hr@{k}": float(hits.mean()),
        f"ndcg@{k}": float(gains.mean()),
        "mrr": float((1 / ranked.ranks).mean()),
        "coverage": len(np.unique(ranked.lists[there])) / items,
        "distinct_lists": len(np.unique(lists, axis=0)) / len(lists),
    }
