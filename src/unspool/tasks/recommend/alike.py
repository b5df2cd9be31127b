r"""New items by the counts of those that their features make most alike.

Nobody has a new item, so a recommender that counts gives it nothing. It takes the mean score of the ten items of the
training data with the most similar features, by the cosine of the weighted features, each times :math:`\log(N / n)` for
n of N items with it (Spärck Jones 1972, doi:10.1108/eb026526).
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unspool.inputs.items.features import Entries
from unspool.tasks.recommend.ranking import SCORES_IN_MEMORY

__all__ = ["most_alike"]

_MOST = 10
_COMPARED = 50_000  # of the items of the training data, the most frequent


def most_alike(entries: Entries, features: int, trained: int) -> NDArray[np.int64]:
    """Return the items of the training data with the most similar features for each new item, (new, most).

    Args:
        entries: Features of all items; those of the training data come first, the most frequent first.
        features: Number of features.
        trained: Number of items in the training data.
    """
    compared = min(trained, _COMPARED)
    counts = np.bincount(entries.features[: entries.offsets[trained]], minlength=features)
    rarity = torch.from_numpy(np.log((1 + trained) / np.maximum(1, counts)))
    matrix = _rows(entries, rarity, 0, compared)
    size, new = max(1, SCORES_IN_MEMORY // max(compared, features)), len(entries.offsets) - 1 - trained
    parts = [np.empty((0, min(_MOST, compared)), np.int64)]
    for begin in range(0, new, size):
        block = _rows(entries, rarity, trained + begin, trained + min(new, begin + size)).to_dense()
        parts.append((matrix @ block.T).T.topk(min(_MOST, compared)).indices.numpy())
    return np.concatenate(parts)


def _rows(entries: Entries, rarity: Tensor, begin: int, end: int) -> Tensor:
    """Return the features of some items as a sparse matrix with rows of length 1, (items, features)."""
    offsets = entries.offsets[begin : end + 1]
    chosen = slice(offsets[0], offsets[-1])
    columns, owners = entries.features[chosen], np.repeat(np.arange(end - begin), np.diff(offsets))
    values = entries.weights[chosen] * rarity.numpy()[columns]
    lengths = np.sqrt(np.bincount(owners, weights=values**2, minlength=end - begin))
    values = (values / np.maximum(lengths[owners], 1e-12)).astype(np.float32)
    order = np.lexsort((columns, owners))
    with warnings.catch_warnings():  # torch says that its sparse matrices are in beta
        warnings.simplefilter("ignore", UserWarning)
        return torch.sparse_csr_tensor(
            torch.from_numpy(offsets - offsets[0]),
            torch.from_numpy(columns[order]),
            torch.from_numpy(values[order]),
            (end - begin, len(rarity)),
        )
