"""Sentence encoders: bag of words, position encoding, or a recurrent cell."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from unspool.cells import Cell
from unspool.layers import Recurrent

__all__ = ["SentenceEncoder", "position_encoding"]


def position_encoding(lengths: Tensor, words: int, size: int) -> Tensor:
    r"""Return weights per word and feature, so that a weighted sum of words depends on their order.

    .. math:: l_{kj} = (1 - j/J) - (k/d)(1 - 2j/J)

    with word :math:`j` of :math:`J` and feature :math:`k` of :math:`d`, both from 1.

    Source: Sukhbaatar et al. 2015, arXiv:1503.08895, section 4.1.

    Args:
        lengths: Number of words of each sentence, :math:`J`, (sentences,).
        words: Number of rows of the result.
        size: Number of features, :math:`d`.

    Returns:
        Weights, (words, sentences, size), zero past each length.
    """
    j = torch.arange(1, words + 1, device=lengths.device).view(-1, 1, 1)
    share = j / lengths.view(1, -1, 1)  # j / J
    k = torch.arange(1, size + 1, device=lengths.device) / size  # k / d
    weights = (1 - share) - k * (1 - 2 * share)
    return weights.masked_fill(j > lengths.view(1, -1, 1), 0)


class SentenceEncoder(nn.Module):
    """Encode the words of a sentence as one vector.

    Args:
        how: `bag` sums the word vectors. `position` weights them by twice `position_encoding` first, so that the mean
            weight is 1, as in the authors' program. Any other name is a cell, whose last output is the vector.
        size: Width of word and sentence vectors.
    """

    def __init__(self, how: str | type[Cell[Any]], size: int) -> None:
        super().__init__()
        self.how, self.size = how, size
        self.reader = None if how in ("bag", "position") else Recurrent(how, size, size)

    def forward(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """Encode sentences of word vectors, (words, sentences, size), with lengths (sentences,).

        Vectors of several tables, (words, sentences, tables, size), share position weights and mask.

        Returns:
            (sentences, size), or (sentences, tables, size).
        """
        if vectors.ndim == 4:
            return self._from_tables(vectors, lengths)
        if self.reader is not None:
            outputs = self.reader(vectors, lengths).outputs
            last: Tensor = outputs[lengths - 1, torch.arange(outputs.shape[1], device=outputs.device)]
            return last
        if self.how == "position":
            return (vectors * self._positions(vectors, lengths)).sum(0)
        past = torch.arange(len(vectors), device=lengths.device)[:, None] >= lengths
        return vectors.masked_fill(past.unsqueeze(-1), 0).sum(0)

    def _from_tables(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        words, sentences, tables, size = vectors.shape
        if self.reader is not None:  # for a cell, each table is one more batch of sentences
            flat: Tensor = self(vectors.flatten(1, 2), lengths.repeat_interleave(tables))
            return flat.view(sentences, tables, size)
        if self.how == "position":
            return (vectors * self._positions(vectors, lengths).unsqueeze(2)).sum(0)
        past = torch.arange(words, device=lengths.device)[:, None] >= lengths
        return vectors.masked_fill(past[..., None, None], 0).sum(0)

    def _positions(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        return 2 * position_encoding(lengths, len(vectors), self.size).to(vectors.dtype)

    def extra_repr(self) -> str:
        return f"{self.how}, {self.size}" if isinstance(self.how, str) else f"{self.size}"
