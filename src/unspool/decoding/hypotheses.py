"""Hypotheses of a search: units, scores, penalties of length and coverage, and backtracking through the steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Hypothesis", "Trail", "coverage_penalty", "length_penalty"]

_UNSEEN = 1e-10  # lower bound of attention sums: a source unit without attention costs 23 β, not infinity

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Hypothesis:
    """One output of a search."""

    ids: list[int]
    """Units, forced ones included, without the begin unit and the end unit."""
    score: float
    """Score that orders hypotheses: `log_probability` over the length penalty, plus the coverage penalty."""
    log_probability: float
    """Sum over all units and the end, in nats; forced units count."""
    token_log_probabilities: list[float]
    """Log-probability of each unit, and of the end if it was reached, in nats."""
    attention: NDArray[np.float32] | None
    """Attention weights, (steps, source), one step per `token_log_probabilities`; None without attention."""
    finished: bool
    """Whether the end was reached; else it was cut at the maximum length, or where no unit was allowed."""


def length_penalty(length: ArrayLike, alpha: float) -> Any:
    r"""Return the length penalty, the divisor of log-probabilities.

    .. math::
        lp(Y) = \frac{(5 + |Y|)^\alpha}{(5 + 1)^\alpha}

    Source: Wu et al. 2016, arXiv:1609.08144, equation 14. The length counts the end.
    """
    return ((5 + np.asarray(length, dtype=np.float64)) / 6) ** alpha


def coverage_penalty(coverage: NDArray[Any], beta: float) -> Floats:
    r"""Return the coverage penalty for source units with little attention; 0 or less.

    .. math::
        cp(X; Y) = \beta \sum_{i=1}^{|X|} \log \min \Bigl( \sum_{j=1}^{|Y|} p_{i,j}, 1 \Bigr)

    Source: Wu et al. 2016, arXiv:1609.08144, equation 14. Differs: sums are at least 1e-10, so it stays finite.

    Args:
        coverage: Attention of each source unit, summed over all steps, (..., source); at least 1 in the padding.
        beta: Weight of the penalty.

    Returns:
        The penalty, float64 (...).
    """
    penalty: Floats = beta * np.log(np.clip(coverage, _UNSEEN, 1)).sum(-1, dtype=np.float64)
    return penalty


class _Step(NamedTuple):
    """Units of one step, for the rows that continue after it."""

    parents: Ints  # row before the step, (rows,)
    units: Ints
    nats: NDArray[np.float32]


class _Way(NamedTuple):
    """One hypothesis after backtracking."""

    units: list[int]
    nats: list[float]
    rows: list[int]  # its row in each step


class Trail:
    """Record of all steps of a search, for backtracking."""

    def __init__(self) -> None:
        self._steps: list[_Step] = []
        self._attention: list[NDArray[np.float32]] = []

    def __len__(self) -> int:
        return len(self._steps)

    def look(self, attention: NDArray[np.float32]) -> None:
        """Store the attention of every row, (rows, source)."""
        self._attention.append(attention)

    def write(self, parents: Ints, units: Ints, nats: NDArray[np.float32]) -> None:
        """Store parents, units and log-probabilities of the rows that continue, each (rows,)."""
        self._steps.append(_Step(parents, units, nats))

    def hypothesis(
        self,
        row: int,
        steps: int,
        last: tuple[int, float] | None,
        *,
        score: float,
        log_probability: float,
        finished: bool,
        source: int | None,
    ) -> Hypothesis:
        """Backtrack one hypothesis.

        Args:
            row: Its row after `steps` steps.
            steps: Number of stored steps that it went through.
            last: Unit after those steps (the end if finished) and its log-probability; None if there is none.
            score: Its score.
            log_probability: Its log-probability.
            finished: Whether the last unit is the end, which its units omit.
            source: Number of source units; all columns of the attention if None.
        """
        way = self._back(row, steps)
        if last is not None:
            way.units.append(last[0])
            way.nats.append(last[1])
            way.rows.append(row)
        ids = way.units[:-1] if finished else way.units
        attention = None
        if self._attention:
            width = self._attention[0].shape[1] if source is None else source
            rows = [self._attention[step][row, :width] for step, row in enumerate(way.rows)]
            attention = np.stack(rows) if rows else np.zeros((0, width), dtype=np.float32)
        return Hypothesis(ids, score, log_probability, way.nats, attention, finished)

    def _back(self, row: int, steps: int) -> _Way:
        way = _Way([], [], [])
        for step in reversed(self._steps[:steps]):
            way.units.append(int(step.units[row]))
            way.nats.append(float(step.nats[row]))
            row = int(step.parents[row])
            way.rows.append(row)
        for part in way:
            part.reverse()
        return way
