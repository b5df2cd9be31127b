"""Hypotheses: what was written, how good it is, and the way back through the steps that wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Hypothesis", "Trail", "coverage_penalty", "length_penalty"]

_UNSEEN = 1e-10  # attention below it counts as this much: a source unit never looked at costs 23 β, not infinity

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Hypothesis:
    """One output of a search."""

    ids: list[int]
    """Its units, with the forced ones, without what began it and without the end."""
    score: float
    """What hypotheses are ordered by: `log_probability` over the length penalty, plus the coverage penalty."""
    log_probability: float
    """Of all units and the end, in nats; forced ones count."""
    token_log_probabilities: list[float]
    """Of each unit, in nats, and last of the end where it was reached."""
    attention: NDArray[np.float32] | None
    """Where the model looked, (steps, source), a step for each of `token_log_probabilities`; None without attention."""
    finished: bool
    """Whether it came to its end; if not, it was cut at the greatest length, or where nothing was allowed to follow."""


def length_penalty(length: ArrayLike, alpha: float) -> Any:
    r"""What log-probabilities are divided by.

    .. math::
        lp(Y) = \frac{(5 + |Y|)^\alpha}{(5 + 1)^\alpha}

    Source: Wu et al. 2016, arXiv:1609.08144, equation 14. The length counts the end.
    """
    return ((5 + np.asarray(length, dtype=np.float64)) / 6) ** alpha


def coverage_penalty(coverage: NDArray[Any], beta: float) -> Floats:
    r"""What is added for the source units looked at too little; 0 or less.

    .. math::
        cp(X; Y) = \beta \sum_{i=1}^{|X|} \log \min \Bigl( \sum_{j=1}^{|Y|} p_{i,j}, 1 \Bigr)

    Source: Wu et al. 2016, arXiv:1609.08144, equation 14. Differs: sums below 1e-10 count as that, so it stays finite.

    Args:
        coverage: Attention that each source unit got over all steps, (..., source); 1 or more in the padding.
        beta: Weight.

    Returns:
        The penalty, float64 (...).
    """
    penalty: Floats = beta * np.log(np.clip(coverage, _UNSEEN, 1)).sum(-1, dtype=np.float64)
    return penalty


class _Step(NamedTuple):
    """What the rows that live on after a step wrote in it."""

    parents: Ints  # the row that each goes on from, (rows,)
    units: Ints
    nats: NDArray[np.float32]


class _Way(NamedTuple):
    """One hypothesis, found back."""

    units: list[int]
    nats: list[float]
    rows: list[int]  # which row it was in each step


class Trail:
    """The steps of a search, from which hypotheses are read backwards."""

    def __init__(self) -> None:
        self._steps: list[_Step] = []
        self._attention: list[NDArray[np.float32]] = []

    def __len__(self) -> int:
        return len(self._steps)

    def look(self, attention: NDArray[np.float32]) -> None:
        """Keep where every row looked before it wrote, (rows, source)."""
        self._attention.append(attention)

    def write(self, parents: Ints, units: Ints, nats: NDArray[np.float32]) -> None:
        """Keep what the rows that live on wrote, and which rows they come from, each (rows,)."""
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
        """Read one back.

        Args:
            row: Its place among the rows after `steps` steps.
            steps: Steps kept that it has come through.
            last: What it wrote after these: the unit (the end if finished) and its log-probability.
            score: Its score.
            log_probability: Its log-probability.
            finished: Whether the last unit is the end, which is not kept among its units.
            source: Real units of its source; all columns of the attention if None.
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
            looked = [self._attention[step][row, :width] for step, row in enumerate(way.rows)]
            attention = np.stack(looked) if looked else np.zeros((0, width), dtype=np.float32)
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
