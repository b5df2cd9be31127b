"""Search for what to write: greedy, beam and sampling, over a batch whose finished sequences leave it.

A search is one loop for all three. In each step every row (a beginning that is still followed) is read by the model,
the rules strike out what may not follow, a chooser takes candidates (a row and a unit), those at their end become
hypotheses, and the state keeps the rows that live on. Rows stand in order of their sequence, the best of each first.
Choosing between the few candidates of each row is done in NumPy, in double precision; what is as large as the
vocabulary stays on the model's device.
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
    r"""Write an output, or the best few, for every sequence of a batch.

    Hypotheses are scored by

    .. math::
        s(Y, X) = \log P(Y \mid X) / lp(Y) + cp(X; Y)

    Source: Wu et al. 2016, arXiv:1609.08144, equation 14. Beginnings of equal length are compared by their
    log-probability alone, equals by their place and then by the lower unit. A beam follows `beam` beginnings; one that
    comes to its end leaves its place empty, so that a beam of 1 is the greedy search. A sequence is done once its beam
    is empty, or no beginning left could come to an end with a better score than the `best` it has, or at its greatest
    length. What a sequence gets does not hang on the others in the batch, with sampling neither: each draws from a
    stream of its own, seeded from `generator`.

    Args:
        model: What predicts the next unit; nobody but the caller sets it to evaluation.
        state: Begun by the model, a row for each sequence.
        settings: Which search, and how; a `max_length` there replaces `max_lengths`.
        max_lengths: Most units of each sequence, the end counted as one, int64 (batch,), at least 1.
        begin: The first unit that the model reads.
        end: The unit that ends a sequence.
        forbidden: Units that are never written, bool (vocabulary,).
        prefix: Units that each sequence is forced to begin with, even forbidden ones.
        source_lengths: Real units of each source, int64 (batch,), where the attention is padded: attention is cut to
            it, and coverage counts no padding.
        generator: Where the chance of sampling comes from.

    Returns:
        For each sequence its hypotheses, at most `best`, at least one: those that came to their end first, each kind
        by falling score. Those of a beam are distinct; draws may repeat.

    Raises:
        SettingError: If a prefix or `forbidden` does not fit, or coverage is penalised without attention.
        DecodingError: If a log-probability is not a number.
    """
    limits = np.asarray(max_lengths.cpu(), dtype=np.int64)
    if settings.max_length is not None:
        limits = np.full_like(limits, settings.max_length)
    if len(limits) == 0:
        return []
    if limits.min() < 1:
        raise SettingError(f"a greatest length of {limits.min()}: expected 1 or more")
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


class _Found(NamedTuple):
    """A hypothesis, before it is read back from the trail."""

    row: int  # its place before its last step, or after all its steps if there is no last
    steps: int  # without the last
    last: tuple[int, float] | None
    score: float
    log_probability: float
    finished: bool


class _Search:
    """The rows of a batch while they are written, and what has come of it."""

    def __init__(
        self, settings: DecodingSettings, limits: Ints, sources: Ints | None, end: int, state: CarriedState
    ) -> None:
        self._settings, self._limits, self._sources, self._end, self._state = settings, limits, sources, end, state
        self._owners: Ints = np.arange(len(limits))
        self._totals: Floats = np.zeros(len(limits))
        self._written: Ints | None = None
        self._coverage: NDArray[np.float32] | None = None
        self._trail = Trail()
        self._found: list[list[_Found]] = [[] for _ in range(len(limits))]
        self._to_beat: Floats = np.full(len(limits), -np.inf)  # the score that gets among the best

    def repeat(self, times: int) -> None:
        """Follow every sequence so many times."""
        if times > 1:
            rows = np.repeat(np.arange(len(self._owners)), times)
            self._totals = self._totals[rows]
            self._keep(rows)

    def run(self, model: StepModel, rules: Rules, chooser: Chooser, begin: int) -> None:
        """Write until no row is left."""
        units = np.full(len(self._owners), begin, dtype=np.int64)
        if rules.needs_history:
            self._written = np.zeros((len(self._owners), 0), dtype=np.int64)
        while len(self._owners):
            step = len(self._trail)
            ids = torch.from_numpy(units).to(self._state.device)
            alone = bool((self._owners[1:] != self._owners[:-1]).all())
            log_probabilities = self._state.advance(model, ids, alone=alone).float()
            coverage = self._look()
            scores = rules.apply(log_probabilities, step, self._owners, self._written)
            candidates = chooser.choose(scores, step, self._owners, self._totals)
            self._cut_stuck(candidates, step)
            units = self._go_on(candidates, step, coverage, chooser)

    def results(self) -> list[list[Hypothesis]]:
        """The best of every sequence."""
        best = self._settings.best
        return [
            [
                self._trail.hypothesis(
                    **found._asdict(), source=None if self._sources is None else int(self._sources[owner])
                )
                for found in sorted(all_found, key=lambda found: (not found.finished, -found.score))[:best]
            ]
            for owner, all_found in enumerate(self._found)
        ]

    def _look(self) -> NDArray[np.float32] | None:
        """Keep where the rows look; what their coverage is with it, (rows, source), where that is penalised."""
        attention = self._state.attention
        if attention is None:
            if self._settings.coverage_penalty:
                raise SettingError(
                    f"coverage_penalty = {self._settings.coverage_penalty} needs a model with attention: say "
                    f"{option('coverage_penalty', 0)}"
                )
            return None
        looked = attention.float().cpu().numpy()
        self._trail.look(looked)
        if not self._settings.coverage_penalty:
            return None
        if self._coverage is None:
            self._coverage = np.zeros_like(looked)
            if self._sources is not None:  # padding counts as covered
                self._coverage += np.arange(looked.shape[1]) >= self._sources[self._owners][:, None]
        coverage: NDArray[np.float32] = self._coverage + looked
        return coverage

    def _cut_stuck(self, candidates: Candidates, step: int) -> None:
        """Rows that nothing may follow are cut where they stand."""
        for row in np.flatnonzero(candidates.stuck).tolist():
            score = self._scores(self._totals[row], step, None if self._coverage is None else self._coverage[row])
            found = _Found(row, step, None, float(score), float(self._totals[row]), finished=False)
            self._found[self._owners[row]].append(found)

    def _go_on(self, candidates: Candidates, step: int, coverage: NDArray[np.float32] | None, chooser: Chooser) -> Ints:
        """Put away what has ended, keep what lives on; the units it wrote."""
        rows, units, nats = candidates.rows, candidates.units, candidates.nats
        owners, totals = self._owners[rows], self._totals[rows] + nats
        ended = units == self._end
        over = ended | (self._limits[owners] == step + 1)
        places = np.flatnonzero(over)
        if len(places):
            seen = None if coverage is None else coverage[rows[places]]
            scores = self._scores(totals[places], step + 1, seen)
            for place, score in zip(places.tolist(), scores.tolist(), strict=True):
                last = int(units[place]), float(nats[place])
                found = _Found(int(rows[place]), step, last, score, float(totals[place]), bool(ended[place]))
                self._found[owners[place]].append(found)
        live = ~over
        if chooser.stops_early:
            self._raise_bar(owners[ended])
            if (self._to_beat > -np.inf).any():
                live &= self._may_win(owners, totals, live)
        kept = np.flatnonzero(live)
        chooser.follow(rows[kept], owners[ended])
        self._totals = totals[kept]
        self._coverage = None if coverage is None else coverage[rows[kept]]
        if self._written is not None:
            self._written = np.concatenate([self._written[rows[kept]], units[kept][:, None]], axis=1)
        self._trail.write(rows[kept], units[kept], nats[kept])
        self._keep(rows[kept])
        return units[kept]

    def _keep(self, rows: Ints) -> None:
        """Let the state and the owners follow."""
        before, self._owners = self._owners, self._owners[rows]
        if not len(rows) or np.array_equal(rows, np.arange(len(before))):
            return
        index = torch.from_numpy(rows).to(self._state.device)
        self._state.select(index, same_sequences=np.array_equal(before, self._owners))

    def _scores(self, totals: Any, length: int, coverage: NDArray[np.float32] | None) -> Any:
        scores = totals / length_penalty(length, self._settings.length_penalty)
        return scores if coverage is None else scores + coverage_penalty(coverage, self._settings.coverage_penalty)

    def _raise_bar(self, owners: Ints) -> None:
        """Note the worst score among the best, of sequences that found as many as are asked for."""
        best = self._settings.best
        for owner in set(owners.tolist()):
            scores = sorted((found.score for found in self._found[owner] if found.finished), reverse=True)
            if len(scores) >= best:
                self._to_beat[owner] = scores[best - 1]

    def _may_win(self, owners: Ints, totals: Floats, live: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether any live candidate of the same sequence could still end better than what was found.

        From here on log-probabilities only fall, and coverage takes away 0 at best: no end scores more than the
        likeliest beginning over the penalty of the greatest length.
        """
        likeliest = np.full(len(self._limits), -np.inf)
        np.maximum.at(likeliest, owners[live], totals[live])
        bound = likeliest / length_penalty(self._limits, self._settings.length_penalty)
        hopeless = (bound <= self._to_beat) & (self._to_beat > -np.inf)
        may_win: NDArray[np.bool_] = ~hopeless[owners]
        return may_win
