"""Decoding of a batch: greedy search, beam search and sampling. Finished sequences leave the batch.

All three share one loop. A row is an unfinished hypothesis. In each step the model reads every row, the rules mask
forbidden units, and a chooser takes candidates: a row and its next unit. Finished candidates become hypotheses; the
others become the next rows, in order of their sequence, the best first. Candidates are compared in NumPy, in double
precision; tensors as large as the vocabulary stay on the model's device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unspool.data import END
from unspool.decoding.choosers import Candidates, Chooser, Draws, Likeliest, Widths
from unspool.decoding.hypotheses import Hypothesis, Trail, coverage_penalty, length_penalty
from unspool.decoding.rules import Rules
from unspool.decoding.settings import DecodingSettings
from unspool.decoding.states import CarriedState, StepModel
from unspool.errors import SettingError, option

__all__ = ["decode"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@torch.no_grad()
def decode(
    model: StepModel,
    state: Any,
    *,
    settings: DecodingSettings,
    max_lengths: Tensor,
    begin: int = END,
    end: int = END,
    forbidden: Tensor | None = None,
    prefix: Sequence[Sequence[int]] | None = None,
    source_lengths: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> list[list[Hypothesis]]:
    r"""Decode a batch: return the best hypotheses of every sequence.

    The score of a hypothesis is

    .. math::
        s(Y, X) = \log P(Y \mid X) / lp(Y) + cp(X; Y)

    Source: Wu et al. 2016, arXiv:1609.08144, equation 14. Unfinished hypotheses of equal length are compared by their
    log-probability alone; ties go to the earlier row, then to the lower unit. A beam keeps `beam` hypotheses. Each
    finished one reduces it by one, so that a beam of 1 is the greedy search. A sequence ends once its beam is empty, no
    unfinished hypothesis can beat its `best` finished ones, or at its maximum length. The output of a sequence does not
    depend on the other sequences of the batch. This holds for sampling too: each sequence has a random stream of its
    own, seeded from `generator`.

    Args:
        model: Predicts the next unit; the caller sets it to evaluation mode.
        state: State of the model, one row per sequence.
        settings: The search and its settings; a `max_length` there replaces `max_lengths`.
        max_lengths: Maximum number of units of each sequence, the end included, int64 (batch,), at least 1.
        begin: The first unit that the model reads.
        end: The unit that ends a sequence.
        forbidden: Units that never occur, bool (vocabulary,).
        prefix: Units that each sequence must begin with, even forbidden ones.
        source_lengths: Number of units of each source, int64 (batch,), if sources are padded: attention is cut to it,
            and coverage ignores padding.
        generator: Random number generator for sampling.

    Returns:
        The hypotheses of each sequence, between 1 and `best`: finished ones first, each group by descending score.
        Those of a beam are distinct; samples may repeat.

    Raises:
        SettingError: If a prefix or `forbidden` does not fit, or `coverage_penalty` is set without attention.
        DecodingError: If a log-probability is NaN.
    """
    limits = np.asarray(max_lengths.cpu(), dtype=np.int64)
    if settings.max_length is not None:
        limits = np.full_like(limits, settings.max_length)
    if len(limits) == 0:
        return []
    if limits.min() < 1:
        raise SettingError(f"max_lengths has {limits.min()}: expected 1 or more")
    rules = Rules(settings, limits, end=end, forbidden=forbidden, prefix=prefix)
    sources = None if source_lengths is None else np.asarray(source_lengths.cpu(), dtype=np.int64)
    search = _Search(settings, limits, sources, end, CarriedState(state))
    chooser: Chooser
    if settings.search == "sample":
        chooser = Draws(settings, len(limits), generator)
        search.repeat(settings.best)
    else:
        chooser = Widths(len(limits), settings.beam) if settings.search == "beam" else Likeliest()
    search.run(model, rules, chooser, begin)
    return search.results()


class _Entry(NamedTuple):
    """A hypothesis before backtracking."""

    row: int  # its row before its last unit, or after all its steps without a last unit
    steps: int  # without the last unit
    last: tuple[int, float] | None
    score: float
    log_probability: float
    finished: bool


class _Search:
    """The rows of a batch during a search, and its finished hypotheses."""

    def __init__(
        self, settings: DecodingSettings, limits: Ints, sources: Ints | None, end: int, state: CarriedState
    ) -> None:
        self._settings, self._limits, self._sources, self._end, self._state = settings, limits, sources, end, state
        self._owners: Ints = np.arange(len(limits))
        self._totals: Floats = np.zeros(len(limits))
        self._history: Ints | None = None
        self._coverage: NDArray[np.float32] | None = None
        self._trail = Trail()
        self._entries: list[list[_Entry]] = [[] for _ in range(len(limits))]
        self._to_beat: Floats = np.full(len(limits), -np.inf)  # worst score among the best

    def repeat(self, times: int) -> None:
        """Repeat every sequence as several rows."""
        if times > 1:
            rows = np.repeat(np.arange(len(self._owners)), times)
            self._totals = self._totals[rows]
            self._keep(rows)

    def run(self, model: StepModel, rules: Rules, chooser: Chooser, begin: int) -> None:
        """Search until no row is left."""
        units = np.full(len(self._owners), begin, dtype=np.int64)
        if rules.needs_history:
            self._history = np.zeros((len(self._owners), 0), dtype=np.int64)
        while len(self._owners):
            step = len(self._trail)
            ids = torch.from_numpy(units).to(self._state.device)
            alone = bool((self._owners[1:] != self._owners[:-1]).all())
            log_probabilities = self._state.advance(model, ids, alone=alone).float()
            coverage = self._look()
            scores = rules.apply(log_probabilities, step, self._owners, self._history)
            candidates = chooser.choose(scores, step, self._owners, self._totals)
            self._cut_stuck(candidates, step)
            units = self._go_on(candidates, step, coverage, chooser)

    def results(self) -> list[list[Hypothesis]]:
        """Return the best hypotheses of every sequence."""
        best = self._settings.best
        return [
            [
                self._trail.hypothesis(
                    **entry._asdict(), source=None if self._sources is None else int(self._sources[owner])
                )
                for entry in sorted(entries, key=lambda entry: (not entry.finished, -entry.score))[:best]
            ]
            for owner, entries in enumerate(self._entries)
        ]

    def _look(self) -> NDArray[np.float32] | None:
        """Store the attention of all rows; return their new coverage, (rows, source), if there is a penalty on it."""
        attention = self._state.attention
        if attention is None:
            if self._settings.coverage_penalty:
                raise SettingError(
                    f"coverage_penalty = {self._settings.coverage_penalty} needs a model with attention: say "
                    f"{option('coverage_penalty', 0)}"
                )
            return None
        weights = attention.float().cpu().numpy()
        self._trail.look(weights)
        if not self._settings.coverage_penalty:
            return None
        if self._coverage is None:
            self._coverage = np.zeros_like(weights)
            if self._sources is not None:  # padding counts as covered
                self._coverage += np.arange(weights.shape[1]) >= self._sources[self._owners][:, None]
        coverage: NDArray[np.float32] = self._coverage + weights
        return coverage

    def _cut_stuck(self, candidates: Candidates, step: int) -> None:
        """Turn rows that no unit may follow into unfinished hypotheses."""
        for row in np.flatnonzero(candidates.stuck).tolist():
            score = self._scores(self._totals[row], step, None if self._coverage is None else self._coverage[row])
            entry = _Entry(row, step, None, float(score), float(self._totals[row]), finished=False)
            self._entries[self._owners[row]].append(entry)

    def _go_on(self, candidates: Candidates, step: int, coverage: NDArray[np.float32] | None, chooser: Chooser) -> Ints:
        """Store finished candidates, keep the others as rows, and return their units."""
        rows, units, nats = candidates.rows, candidates.units, candidates.nats
        owners, totals = self._owners[rows], self._totals[rows] + nats
        finished = units == self._end
        over = finished | (self._limits[owners] == step + 1)
        places = np.flatnonzero(over)
        if len(places):
            attention = None if coverage is None else coverage[rows[places]]
            scores = self._scores(totals[places], step + 1, attention)
            for place, score in zip(places.tolist(), scores.tolist(), strict=True):
                last = int(units[place]), float(nats[place])
                entry = _Entry(int(rows[place]), step, last, score, float(totals[place]), bool(finished[place]))
                self._entries[owners[place]].append(entry)
        live = ~over
        if chooser.stops_early:
            self._raise_bar(owners[finished])
            if (self._to_beat > -np.inf).any():
                live &= self._may_win(owners, totals, live)
        rest = np.flatnonzero(live)
        chooser.follow(rows[rest], owners[finished])
        self._totals = totals[rest]
        self._coverage = None if coverage is None else coverage[rows[rest]]
        if self._history is not None:
            self._history = np.concatenate([self._history[rows[rest]], units[rest][:, None]], axis=1)
        self._trail.write(rows[rest], units[rest], nats[rest])
        self._keep(rows[rest])
        return units[rest]

    def _keep(self, rows: Ints) -> None:
        """Select rows of the state and of the owners."""
        before, self._owners = self._owners, self._owners[rows]
        if not len(rows) or np.array_equal(rows, np.arange(len(before))):
            return
        index = torch.from_numpy(rows).to(self._state.device)
        self._state.select(index, same_sequences=np.array_equal(before, self._owners))

    def _scores(self, totals: Any, length: int, coverage: NDArray[np.float32] | None) -> Any:
        scores = totals / length_penalty(length, self._settings.length_penalty)
        return scores if coverage is None else scores + coverage_penalty(coverage, self._settings.coverage_penalty)

    def _raise_bar(self, owners: Ints) -> None:
        """Update the worst score among the best, for sequences with enough finished hypotheses."""
        best = self._settings.best
        for owner in set(owners.tolist()):
            scores = sorted((entry.score for entry in self._entries[owner] if entry.finished), reverse=True)
            if len(scores) >= best:
                self._to_beat[owner] = scores[best - 1]

    def _may_win(self, owners: Ints, totals: Floats, live: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return, for each candidate, whether its sequence can still improve its best hypotheses.

        Log-probabilities only fall from here on, and the coverage penalty is at most 0. So the best score is at most
        that of the most likely candidate, divided by the length penalty of the maximum length.
        """
        likeliest = np.full(len(self._limits), -np.inf)
        np.maximum.at(likeliest, owners[live], totals[live])
        bound = likeliest / length_penalty(self._limits, self._settings.length_penalty)
        hopeless = (bound <= self._to_beat) & (self._to_beat > -np.inf)
        may_win: NDArray[np.bool_] = ~hopeless[owners]
        return may_win
