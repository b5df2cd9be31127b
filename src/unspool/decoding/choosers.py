"""Choosers: which unit each row writes next, by rank among the rows of its sequence, or by chance."""

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
_MEMBERS, _LARGE = 16, 4096  # units looked at together, and the vocabulary from which on that pays


class Candidates(NamedTuple):
    """Rows that may go on, in order of their sequences, the best of each first."""

    rows: Ints  # which row goes on; a row may come several times, with different units
    units: Ints  # what it writes
    nats: NDArray[np.float32]  # its log-probability
    stuck: NDArray[np.bool_]  # for every row: whether nothing may follow it


class Chooser(Protocol):
    """A way of choosing."""

    stops_early: bool
    """Whether what can't get among the best need not be followed."""

    def choose(self, scores: Tensor, step: int, owners: Ints, totals: Floats) -> Candidates:
        """Choose from log-probabilities, (rows, vocabulary), -inf where a unit may not be written."""

    def follow(self, rows: Ints, ended: Ints) -> None:
        """Hear which rows live on, (rows,), and the sequence of each candidate that came to its end."""


class Likeliest:
    """The likeliest unit of each row: the greedy search, the same as `Widths` of 1."""

    stops_early = True

    def follow(self, rows: Ints, ended: Ints) -> None:
        """Nothing to keep."""

    def choose(self, scores: Tensor, step: int, owners: Ints, totals: Floats) -> Candidates:
        found = scores.max(-1)  # of equals the lowest unit
        values = found.values.cpu().numpy()
        check_numbers(values, step)
        stuck = values == -np.inf
        rows = np.flatnonzero(~stuck)
        return Candidates(rows, found.indices.cpu().numpy()[rows], values[rows], stuck)


class Widths:
    """The likeliest candidates of each sequence, as many as its beam is wide.

    Args:
        sequences: How many there are.
        width: Candidates of each; every end makes its sequence's beam narrower by one.
    """

    stops_early = True

    def __init__(self, sequences: int, width: int) -> None:
        self._widths: Ints = np.full(sequences, width)

    def follow(self, rows: Ints, ended: Ints) -> None:
        np.subtract.at(self._widths, ended, 1)

    def choose(self, scores: Tensor, step: int, owners: Ints, totals: Floats) -> Candidates:
        widths = self._widths[owners]
        values, units = top(scores, int(widths.max()))
        check_numbers(values[:, 0], step)
        possible = values > -np.inf
        rows, columns = np.nonzero(possible)  # by row, then by falling value
        found = totals[rows] + values[rows, columns]
        order = np.lexsort((-found, owners[rows]))  # stable: equals stay in order of row, then of unit
        rows, columns = rows[order], columns[order]
        sequences = owners[rows]
        ranks = np.arange(len(rows)) - np.searchsorted(sequences, sequences)
        chosen = ranks < widths[rows]
        rows, columns = rows[chosen], columns[chosen]
        return Candidates(rows, units[rows, columns], values[rows, columns], ~possible[:, 0])


class Uniform:
    """Even random numbers from 0 to 1, 1 left out, of one sequence."""

    def __init__(self, generator: torch.Generator | None) -> None:
        device = generator.device if generator is not None else "cpu"
        seed = int(torch.randint(2**63 - 1, (1,), generator=generator, device=device))
        self._numbers = np.random.Generator(np.random.PCG64(seed))

    def take(self, *shape: int) -> NDArray[np.float32]:
        """The next ones."""
        return self._numbers.random(shape, dtype=np.float32)


class Draws:
    """One candidate of each row, drawn by its chance.

    Args:
        settings: Of which `best`, `temperature`, `top_k` and `top_p` are read.
        sequences: How many there are, each with a stream of random numbers of its own.
        generator: What the streams are seeded from.
    """

    stops_early = False

    def __init__(self, settings: DecodingSettings, sequences: int, generator: torch.Generator | None) -> None:
        self._settings = settings
        self._streams = [Uniform(generator) for _ in range(sequences)]
        self._block = np.zeros((sequences, 0, 0), dtype=np.float32)
        self._slots: Ints = np.tile(np.arange(settings.best), sequences)

    def follow(self, rows: Ints, ended: Ints) -> None:
        self._slots = self._slots[rows]

    def choose(self, scores: Tensor, step: int, owners: Ints, totals: Floats) -> Candidates:
        settings = self._settings
        if step % _BLOCK == 0:
            self._block = np.stack([stream.take(_BLOCK, settings.best) for stream in self._streams])
        numbers = torch.from_numpy(self._block[owners, step % _BLOCK, self._slots]).to(scores.device)
        likeliest = scores.amax(-1).cpu().numpy()
        check_numbers(likeliest, step)
        picked = draw(
            chances(scores, temperature=settings.temperature, top_k=settings.top_k, top_p=settings.top_p), numbers
        )
        values = scores.gather(-1, picked.unsqueeze(-1)).squeeze(-1).cpu().numpy()
        stuck = likeliest == -np.inf
        rows = np.flatnonzero(~stuck)
        return Candidates(rows, picked.cpu().numpy()[rows], values[rows], stuck)


def top(scores: Tensor, count: int) -> tuple[NDArray[np.float32], Ints]:
    """The likeliest units of each row, equals by rising unit.

    Args:
        scores: (rows, vocabulary).
        count: How many; all of the vocabulary if it is smaller.

    Returns:
        Their scores, falling, and the units, (rows, count) each.
    """
    size = scores.shape[1]
    count = min(count, size)
    # one more than asked for shows whether there are equals on the edge, among which `topk` would take any
    found, places = _largest(scores, min(count + 1, size))
    values, units = found.cpu().numpy(), places.cpu().numpy()
    equal = (values[:, 1:] == values[:, :-1]) & (values[:, 1:] > -np.inf)
    tied = np.flatnonzero(equal.any(1))
    values, units = values[:, :count], units[:, :count]
    if len(tied):
        ordered = scores[torch.from_numpy(tied).to(scores.device)].sort(dim=-1, descending=True, stable=True)
        values[tied] = ordered.values[:, :count].cpu().numpy()
        units[tied] = ordered.indices[:, :count].cpu().numpy()
    return values, units


def _largest(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """As `topk`; in a large vocabulary only within those groups of units whose best are the largest."""
    rows, size = scores.shape
    groups = size // _MEMBERS
    if size < _LARGE or count > groups:
        found = scores.topk(count, dim=-1)
        return found.values, found.indices
    whole = groups * _MEMBERS
    best = scores[:, :whole].reshape(rows, _MEMBERS, groups).amax(1)  # group g: units g, g + groups ...
    members = groups * torch.arange(_MEMBERS, device=scores.device)
    units = (best.topk(count, dim=-1).indices.unsqueeze(-1) + members).flatten(1)
    left_over = torch.arange(whole, size, device=scores.device).expand(rows, -1)
    units = torch.cat([units, left_over], dim=1)
    found = scores.gather(-1, units).topk(count, dim=-1)
    return found.values, units.gather(-1, found.indices)


def check_numbers(likeliest: NDArray[np.float32], step: int) -> None:
    """Refuse log-probabilities that can't be compared.

    Args:
        likeliest: The greatest of each row, (rows,).
        step: Units written before.

    Raises:
        DecodingError: If one is not a number, or +infinity.
    """
    if not (likeliest < np.inf).all():
        raise DecodingError(
            f"after {step} units the network gave log-probabilities that are not numbers (NaN or +infinity): its "
            "weights are likely not finite; train it again with a lower learning rate"
        )
