"""Where training begins: rare entries count more, and the vectors point where the pairs differ most."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from unspool.data import Bags, NgramVocabulary, Question
from unspool.models import Retriever
from unspool.tasks.answer.matching.keys import PairBags, evenly_spread
from unspool.training.random_state import seeded

__all__ = ["begin_retriever", "learn_vocabulary"]

_LARGEST_SAMPLE = 4_096  # pairs from which directions are taken
_SPARE = 8  # directions that are looked for beyond those wanted, which makes these exact


def learn_vocabulary(questions: Sequence[Question], *, shortest: int = 3, longest: int = 4) -> NgramVocabulary:
    """The vocabulary of pairs.

    Args:
        questions: The pairs.
        shortest: Characters of the shortest piece of a word.
        longest: Characters of the longest.

    Raises:
        DataError: If there are no pairs, or none holds a word.
    """
    asked, answered = [each.wordings for each in questions], [each.answers for each in questions]
    return NgramVocabulary.learn(asked, answered, shortest=shortest, longest=longest)


def begin_retriever(bags: PairBags, *, size: int = 64, seed: int = 0) -> Retriever:
    """An untrained retriever whose vectors are those of latent semantic analysis.

    Its projection holds the main directions of the pairs' keys, each divided by the square root of its strength, so
    that what all pairs have in common does not drown the rest.

    Source: Deerwester et al. 1990, doi:10.1002/(SICI)1097-4571(199009)41:6<391::AID-ASI1>3.0.CO;2-9, by the random
    projections of Halko et al. 2011, arXiv:0909.4061. Differs: directions are weighed as said.

    Args:
        bags: The pairs.
        size: Width of the vectors.
        seed: Decides the random projections, and the directions beyond as many as there are pairs.
    """
    with seeded(seed):
        retriever = Retriever(len(bags.vocabulary), size)
        directions = torch.randn_like(retriever.projection) * 1e-3
        found = _directions(bags, size)
        directions[:, : found.shape[1]] = found
    retriever.begin_with(directions)
    return retriever


def _directions(bags: PairBags, size: int) -> Tensor:
    """Main directions of the keys and of the answers, (entries, at most `size`), weighed."""
    chosen = evenly_spread(len(bags), _LARGEST_SAMPLE)
    together = Bags.of([*(bags.key(pair) for pair in chosen), *(bags.answers[pair] for pair in chosen)])
    rows = together.rows
    lengths = torch.zeros(len(together)).index_add(0, rows, together.values.square()).sqrt().clamp_min(1e-30)
    # torch 2.11 warns where that is an argument
    with torch.sparse.check_sparse_tensor_invariants(False):  # type: ignore[no-untyped-call]
        table = torch.sparse_coo_tensor(
            torch.stack([rows, together.ids]), together.values / lengths[rows], (len(together), len(bags.vocabulary))
        )
    _, strengths, directions = torch.svd_lowrank(table, q=min(size + _SPARE, *table.shape), niter=2)
    kept = int((strengths[:size] > 1e-4 * strengths[0]).sum())
    weighed: Tensor = F.normalize(directions[:, :kept], dim=0) / strengths[:kept].sqrt()
    return weighed
