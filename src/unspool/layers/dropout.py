"""Dropout in its forms: ordinary, variational, on weights, and of whole words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from unspool.cells import Cell
from unspool.errors import SettingError
from unspool.layers.residual import dropped
from unspool.randomness import dropout, generator_on

__all__ = ["Dropout", "SequenceDropout", "WordDropout", "dropped_weights"]


class Dropout(nn.Dropout):
    """`nn.Dropout`, drawn from the random numbers of the training run."""

    def forward(self, input: Tensor) -> Tensor:
        """Drop, and scale up what stays; nothing in evaluation mode."""
        return dropout(input, self.p) if self.training else input


class SequenceDropout(nn.Module):
    """Dropout over sequences, (time, batch, features).

    Args:
        rate: Share of values set to zero, from 0 up to but not 1.
        variational: Whether a feature is dropped at all steps of a sequence or at none (one mask per sequence; Gal and
            Ghahramani 2016, arXiv:1512.05287) instead of at each step anew.
    """

    def __init__(self, rate: float, *, variational: bool = False) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise SettingError(f"dropout = {rate}: expected at least 0 and less than 1")
        self.rate, self.variational = rate, variational

    def forward(self, inputs: Tensor) -> Tensor:
        """Drop, and scale up what stays; nothing in evaluation mode."""
        if not self.training or self.rate == 0:
            return inputs
        return inputs * _mask(inputs[:1], self.rate) if self.variational else dropped(inputs, self.rate)

    def extra_repr(self) -> str:
        return f"{self.rate}" + (", variational" if self.variational else "")


class WordDropout(nn.Module):
    """Replace words by the unknown word in training, so that the network learns to do without.

    Args:
        rate: Share of tokens replaced, from 0 up to but not 1.
        unknown: The unknown word's number.
        padding: The number of padding, which stays.
        counts: How often each unit occurs in the training data, (vocabulary,). With counts, `rate` is the α of
            Kiperwasser and Goldberg 2016, arXiv:1603.04351: a word seen n times is replaced with chance α / (α + n).
    """

    rates: Tensor | None

    def __init__(self, rate: float, *, unknown: int, padding: int = 0, counts: Tensor | None = None) -> None:
        super().__init__()
        self.rate, self.unknown, self.padding = rate, unknown, padding
        rates = None if counts is None else rate / (rate + counts.float())
        self.register_buffer("rates", rates, persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Replace some of the ids, any shape; nothing in evaluation mode."""
        if not self.training or self.rate == 0:
            return ids
        chance = self.rate if self.rates is None else self.rates[ids]
        drawn = torch.rand(ids.shape, device=ids.device, generator=generator_on(ids.device))
        dropped = (drawn < chance) & (ids != self.padding)
        return ids.masked_fill(dropped, self.unknown)

    def extra_repr(self) -> str:
        return f"{self.rate}" + ("" if self.rates is None else " / (rate + count)")


@contextmanager
def dropped_weights(cell: Cell[Any], rate: float) -> Iterator[None]:
    """Run a cell with some of its recurrent weights at zero: one mask for all steps and sequences (DropConnect).

    Applies to the parameters whose name begins with `weight_hh`. Source: Merity, Keskar and Socher 2017,
    arXiv:1708.02182, section 2.
    """
    if rate == 0 or not cell.training:
        yield
        return
    parameters = dict(cell._parameters)
    thinned = [name for name in parameters if name.startswith("weight_hh")]
    for name in thinned:
        weight = cell._parameters.pop(name)
        assert weight is not None
        object.__setattr__(cell, name, weight * _mask(weight, rate))
    try:
        yield
    finally:
        for name in thinned:
            object.__delattr__(cell, name)
        cell._parameters.clear()  # the order of parameters stays as it was
        cell._parameters.update(parameters)


def _mask(like: Tensor, rate: float) -> Tensor:
    """Zeros at the rate, and elsewhere what keeps the mean; cheaper on a CPU than `F.dropout`."""
    drawn = torch.empty_like(like, dtype=torch.float32).uniform_(generator=generator_on(like.device))
    return (drawn >= rate).to(like.dtype) / (1 - rate)
