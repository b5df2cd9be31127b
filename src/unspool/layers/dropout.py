"""Dropout: of values, variational, of recurrent weights (DropConnect), and of words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from unspool.cells import Cell
from unspool.errors import SettingError
from unspool.layers.residual import drop_values
from unspool.randomness import dropout, generator_on

__all__ = ["Dropout", "SequenceDropout", "WordDropout", "drop_weights"]


class Dropout(nn.Dropout):
    """`nn.Dropout` that draws from the generator of the training run."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply dropout; the identity in evaluation mode."""
        return dropout(input, self.p) if self.training else input


class SequenceDropout(nn.Module):
    """Dropout over sequences, (time, batch, features).

    Args:
        rate: Dropout rate, at least 0 and less than 1.
        variational: Whether to use one mask for all steps of a sequence (Gal and Ghahramani 2016, arXiv:1512.05287).
    """

    def __init__(self, rate: float, *, variational: bool = False) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise SettingError(f"dropout = {rate}: expected at least 0 and less than 1")
        self.rate, self.variational = rate, variational

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply dropout; the identity in evaluation mode."""
        if not self.training or self.rate == 0:
            return inputs
        return inputs * _mask(inputs[:1], self.rate) if self.variational else drop_values(inputs, self.rate)

    def extra_repr(self) -> str:
        return f"{self.rate}" + (", variational" if self.variational else "")


class WordDropout(nn.Module):
    """Replace random words by the unknown word in training.

    Args:
        rate: Fraction of tokens to replace, at least 0 and less than 1.
        unknown: Id of the unknown word.
        padding: Id of padding, which is never replaced.
        counts: Number of occurrences of each unit in the training data, (vocabulary,). With counts, `rate` is α of
            Kiperwasser and Goldberg 2016, arXiv:1603.04351: a word with n occurrences is replaced with probability
            α / (α + n).
    """

    rates: Tensor | None

    def __init__(self, rate: float, *, unknown: int, padding: int = 0, counts: Tensor | None = None) -> None:
        super().__init__()
        self.rate, self.unknown, self.padding = rate, unknown, padding
        rates = None if counts is None else rate / (rate + counts.float())
        self.register_buffer("rates", rates, persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Replace some of the ids, of any shape; the identity in evaluation mode."""
        if not self.training or self.rate == 0:
            return ids
        chance = self.rate if self.rates is None else self.rates[ids]
        numbers = torch.rand(ids.shape, device=ids.device, generator=generator_on(ids.device))
        hits = (numbers < chance) & (ids != self.padding)
        return ids.masked_fill(hits, self.unknown)

    def extra_repr(self) -> str:
        return f"{self.rate}" + ("" if self.rates is None else " / (rate + count)")


@contextmanager
def drop_weights(cell: Cell[Any], rate: float) -> Iterator[None]:
    """Apply DropConnect to the recurrent weights of a cell inside the context, with one mask for all steps.

    Applies to parameters whose name begins with `weight_hh`. Source: Merity, Keskar and Socher 2017,
    arXiv:1708.02182, section 2.
    """
    if rate == 0 or not cell.training:
        yield
        return
    parameters = dict(cell._parameters)
    names = [name for name in parameters if name.startswith("weight_hh")]
    for name in names:
        weight = cell._parameters.pop(name)
        assert weight is not None
        object.__setattr__(cell, name, weight * _mask(weight, rate))
    try:
        yield
    finally:
        for name in names:
            object.__delattr__(cell, name)
        cell._parameters.clear()  # restores the order of parameters
        cell._parameters.update(parameters)


def _mask(like: Tensor, rate: float) -> Tensor:
    """Return a dropout mask, 0 or 1 / (1 - rate); faster on a CPU than `F.dropout`."""
    numbers = torch.empty_like(like, dtype=torch.float32).uniform_(generator=generator_on(like.device))
    return (numbers >= rate).to(like.dtype) / (1 - rate)
