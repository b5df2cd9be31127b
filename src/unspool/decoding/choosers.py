"""Choosers of the next unit: greedy, beam search by rank within a sequence, and sampling."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unspool.decoding.sampling import chances, draw
from unspool.decoding.settings import DecodingSettings
from unspool.errors import DecodingError

__all__ = ["Candidates", "Chooser", "Draws", "Likeliest", "Uniform", "Widths", "check_numbers", "top"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_BLOCK = 64  # steps for which a sequence's random numbers are drawn at once
_MEMBERS, _LARGE = 16, 4096  # units per group, and the vocabulary size from which grouping pays


class Candidates(NamedTuple):
    """Candidates of one step, in order of their sequences, the best of each sequence first."""

    rows: Ints  # row that each candidate extends; a row may have several candidates
    units: Ints  # next unit
    nats: NDArray[np.float32]  # its log-probability
    stuck: NDArray[np.bool_]  # for every row: whether no unit may follow it


class Chooser(Protocol):
    """Interface of a way to choose the next units."""

    stops_early: bool
    """Whether the search may drop hypotheses that can't get among the best."""

    def choose(self, scores: Tensor, step: int, owners: Ints, totals: Floats) -> Candidates:
        """Choose from log-probabilities, (rows, vocabulary), -inf at forbidden units."""

    def follow(self, rows: Ints, finished: Ints) -> None:
        """Receive the rows that continue, (rows,), and the sequence of each finished candidate."""


class Likeliest:
    """Greedy search: the most likely unit of each row; equal to `Widths` with a width of 1."""

    stops_early = True

    def follow(self, rows: Ints, finished: Ints) -> None:
        """Do nothing."""

    def choose(self, scores: Tensor, step: int, owners: Ints, totals: Floats) -> Candidates:
        best = scores.max(-1)  # ties: the lowest unit
        values = best.values.cpu().numpy()
        check_numbers(values, step)
        stuck = values == -np.inf
        rows = np.flatnonzero(~stuck)
        return Candidates(rows, best.indices.cpu().numpy()[rows], values[rows], stuck)


class Widths:
    """Beam search: the most likely candidates of each sequence, up to its beam width.

    Args:
        sequences: Number of sequences.
        width: Beam width of each; every finished candidate reduces it by one.
    """

    stops_early = True

    def __init__(self, sequences: int, width: int) -> None:
        self._widths: Ints = np.full(sequences, width)

    def follow(self, rows: Ints, finished: Ints) -> None:
        np.subtract.at(self._widths, finished, 1)

    def choose(self, scores: Tensor, step: int, owners: Ints, totals: Floats) -> Candidates:
        widths = self._widths[owners]
        values, units = top(scores, int(widths.max()))
        check_numbers(values[:, 0], step)
        possible = values > -np.inf
        rows, columns = np.nonzero(possible)  # by row, then by falling value
        sums = totals[rows] + values[rows, columns]
        order = np.lexsort((-sums, owners[rows]))  # stable: ties in order of row, then of unit
        rows, columns = rows[order], columns[order]
        sequences = owners[rows]
        ranks = np.arange(len(rows)) - np.searchsorted(sequences, sequences)
        mask = ranks < widths[rows]
        rows, columns = rows[mask], columns[mask]
        return Candidates(rows, units[rows, columns], values[rows, columns], ~possible[:, 0])


class Uniform:
    """Stream of uniform random numbers in [0, 1) for one sequence, seeded from a generator."""

    def __init__(self, generator: torch.Generator | None) -> None:
        device = generator.device if generator is not None else "cpu"
        seed = int(torch.randint(2**63 - 1, (1,), generator=generator, device=device))
        self._numbers = np.random.Generator(np.random.PCG64(seed))

    def take(self, *shape: int) -> NDArray[np.float32]:
        """Return the next numbers."""
        return self._numbers.random(shape, dtype=np.float32)


class Draws:
    """Sampling: one candidate of each row, drawn by its probability.

    Args:
        settings: `best`, `temperature`, `top_k` and `top_p` apply.
        sequences: Number of sequences; each has its own stream of random numbers.
        generator: Generator that seeds the streams.
    """

    stops_early = False

    def __init__(self, settings: DecodingSettings, sequences: int, generator: torch.Generator | None) -> None:
        self._settings = settings
        self._streams = [Uniform(generator) for _ in range(sequences)]
        self._block = np.zeros((sequences, 0, 0), dtype=np.float32)
        self._slots: Ints = np.tile(np.arange(settings.best), sequences)

    def follow(self, rows: Ints, finished: Ints) -> None:
        self._slots = self._slots[rows]

    def choose(self, scores: Tensor, step: int, owners: Ints, totals: Floats) -> Candidates:
        settings = self._settings
        if step % _BLOCK == 0:
            self._block = np.stack([stream.take(_BLOCK, settings.best) for stream in self._streams])
        numbers = torch.from_numpy(self._block[owners, step % _BLOCK, self._slots]).to(scores.device)
        likeliest = scores.amax(-1).cpu().numpy()
        check_numbers(likeliest, step)
        units = draw(
            chances(scores, temperature=settings.temperature, top_k=settings.top_k, top_p=settings.top_p), numbers
        )
        values = scores.gather(-1, units.unsqueeze(-1)).squeeze(-1).cpu().numpy()
        stuck = likeliest == -np.inf
        rows = np.flatnonzero(~stuck)
        return Candidates(rows, units.cpu().numpy()[rows], values[rows], stuck)


def top(scores: Tensor, count: int) -> tuple[NDArray[np.float32], Ints]:
    """Return the most likely units of each row; ties in ascending order of units.

    Args:
        scores: (rows, vocabulary).
        count: Number of units, at most the size of the vocabulary.

    Returns:
        Scores in descending order, and units, (rows, count) each.
    """
    size = scores.shape[1]
    count = min(count, size)
    # one more than needed reveals ties at the edge, where `topk` would take any unit
    largest, places = _largest(scores, min(count + 1, size))
    values, units = largest.cpu().numpy(), places.cpu().numpy()
    equal = (values[:, 1:] == values[:, :-1]) & (values[:, 1:] > -np.inf)
    tied = np.flatnonzero(equal.any(1))
    values, units = values[:, :count], units[:, :count]
    if len(tied):
        ordered = scores[torch.from_numpy(tied).to(scores.device)].sort(dim=-1, descending=True, stable=True)
        values[tied] = ordered.values[:, :count].cpu().numpy()
        units[tied] = ordered.indices[:, :count].cpu().numpy()
    return values, units


def _largest(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Like `topk`; in a large vocabulary, search only the groups of units with the largest maxima."""
    rows, size = scores.shape
    groups = size // _MEMBERS
    if size < _LARGE or count > groups:
        largest = scores.topk(count, dim=-1)
        return largest.values, largest.indices
    whole = groups * _MEMBERS
    maxima = scores[:, :whole].reshape(rows, _MEMBERS, groups).amax(1)  # group g: units g, g + groups ...
    members = groups * torch.arange(_MEMBERS, device=scores.device)
    units = (maxima.topk(count, dim=-1).indices.unsqueeze(-1) + members).flatten(1)
    left_over = torch.arange(whole, size, device=scores.device).expand(rows, -1)
    units = torch.cat([units, left_over], dim=1)
    largest = scores.gather(-1, units).topk(count, dim=-1)
    return largest.values, units.gather(-1, largest.indices)


def check_numbers(likeliest: NDArray[np.float32], step: int) -> None:
    """Refuse log-probabilities of NaN or +infinity.

    Args:
        likeliest: Maximum of each row, (rows,).
        step: Number of units before.

    Raises:
        DecodingError: If a maximum is NaN or +infinity.
    """
    if not (likeliest < np.inf).all():
        raise DecodingError(
            f"after {step} units the network gave log-probabilities that are not numbers (NaN or +infinity): its "
            "weights are likely not finite; train it again with a lower learning rate"
        )
