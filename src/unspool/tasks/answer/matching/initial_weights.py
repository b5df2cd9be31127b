"""Initial weights of the retriever: inverse document frequencies, and latent semantic analysis of the keys."""

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

_LARGEST_SAMPLE = 4_096  # maximum number of pairs for the decomposition
_SPARE = 8  # oversampling of the randomized SVD


def learn_vocabulary(questions: Sequence[Question], *, shortest: int = 3, longest: int = 4) -> NgramVocabulary:
    """Learn the vocabulary of words and character n-grams of pairs.

    Args:
        questions: The pairs.
        shortest: Length of the shortest character n-grams.
        longest: Length of the longest character n-grams.

    Raises:
        DataError: If there are no pairs, or no pair contains a word.
    """
    wordings, answers = [each.wordings for each in questions], [each.answers for each in questions]
    return NgramVocabulary.learn(wordings, answers, shortest=shortest, longest=longest)


def begin_retriever(bags: PairBags, *, size: int = 64, seed: int = 0) -> Retriever:
    """Build a retriever initialised by latent semantic analysis.

    The projection holds the top singular directions of the keys, each divided by the square root of its singular
    value. The division reduces the weight of features that all pairs share.

    Source: Deerwester et al. 1990, doi:10.1002/(SICI)1097-4571(199009)41:6<391::AID-ASI1>3.0.CO;2-9, by the random
    projections of Halko et al. 2011, arXiv:0909.4061. Differs: the scaling of the directions.

    Args:
        bags: Bags of the pairs.
        size: Dimension of the embeddings.
        seed: Random seed of the projections, and of any directions beyond the rank of the keys.
    """
    with seeded(seed):
        retriever = Retriever(len(bags.vocabulary), size)
        directions = torch.randn_like(retriever.projection) * 1e-3
        main = _directions(bags, size)
        directions[:, : main.shape[1]] = main
    retriever.begin_with(directions)
    return retriever


def _directions(bags: PairBags, size: int) -> Tensor:
    """Scaled singular directions of the keys and answers, (entries, at most `size`)."""
    subset = evenly_spread(len(bags), _LARGEST_SAMPLE)
    together = Bags.of([*(bags.key(pair) for pair in subset), *(bags.answers[pair] for pair in subset)])
    rows = together.rows
    lengths = torch.zeros(len(together)).index_add(0, rows, together.values.square()).sqrt().clamp_min(1e-30)
    # torch 2.11 warns if the check is set by an argument
    with torch.sparse.check_sparse_tensor_invariants(False):  # type: ignore[no-untyped-call]
        table = torch.sparse_coo_tensor(
            torch.stack([rows, together.ids]), together.values / lengths[rows], (len(together), len(bags.vocabulary))
        )
    _, strengths, directions = torch.svd_lowrank(table, q=min(size + _SPARE, *table.shape), niter=2)
    rank = int((strengths[:size] > 1e-4 * strengths[0]).sum())
    scaled: Tensor = F.normalize(directions[:, :rank], dim=0) / strengths[:rank].sqrt()
    return scaled
