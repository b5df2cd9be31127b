"""`Comparison`, the result of `compare`: scores of every run, with means, confidence intervals and differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, NamedTuple

from unspool.errors import UsageError
from unspool.inspection.columns import Columns
from unspool.inspection.result import Result
from unspool.settings import nearest
from unspool.tasks.intervals import CONFIDENCE, Interval, mean_interval
from unspool.tasks.tables import figure, table

__all__ = ["Comparison", "Run"]

_EFFORT = ("weights", "updates", "seconds", "tokens_per_second")


class Run(NamedTuple):
    """One training of a comparison."""

    network: str
    seed: int
    scores: Mapping[str, float]
    """Scores on the evaluation data by name; empty if the training failed."""
    weights: int
    updates: int
    seconds: float
    """Training time in seconds, including validation."""
    tokens_per_second: float
    failure: str | None = None
    """Reason if the training failed; None otherwise."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Comparison(Result):
    """Result of `compare`: all runs, with means over seeds, 95 % confidence intervals and paired differences.

    A comparison prints as a table. Intervals are those of the mean over seeds, by Student's t. Differences between two
    networks are paired by seed: mean and interval of the differences at each seed.
    """

    noun = "comparison"

    task: str
    scored_on: str
    """`test`, or `valid` without test data."""
    metric: str
    """Name of the ranking score."""
    higher_is_better: bool
    networks: tuple[str, ...]
    seeds: tuple[int, ...]
    runs: tuple[Run, ...]
    baselines: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Scores of the baselines on the same data, with the first seed."""

    @property
    def failures(self) -> tuple[Run, ...]:
        """The failed runs."""
        return tuple(run for run in self.runs if run.failure is not None)

    @property
    def best(self) -> str | None:
        """The network with the best mean of `metric`; None if no run has this score."""
        intervals = {name: self.interval(name) for name in self.networks}
        means = {name: each.mean for name, each in intervals.items() if each is not None and math.isfinite(each.mean)}
        return (max if self.higher_is_better else min)(means, key=means.__getitem__) if means else None

    def scores(self, network: str, metric: str | None = None) -> dict[int, float]:
        """Return the scores of a network by seed.

        Args:
            network: Name of the network in the table.
            metric: Name of the score; the ranking score if omitted.

        Raises:
            UsageError: If the network or the score does not exist.
        """
        metric = metric or self.metric
        if network not in self.networks:
            hint = nearest(network, self.networks)
            raise UsageError(f"there is no network {network!r}{hint}; choose among {', '.join(self.networks)}")
        names = self.score_names()
        if names and metric not in names:
            raise UsageError(f"there is no score {metric!r}{nearest(metric, names)}; choose among {', '.join(names)}")
        return {run.seed: run.scores[metric] for run in self._of(network) if metric in run.scores}

    def interval(self, network: str, metric: str | None = None) -> Interval | None:
        """Return mean and confidence interval of a network's score over seeds; None if no run has this score.

        Raises:
            UsageError: If the network or the score does not exist.
        """
        scores = self.scores(network, metric)
        return mean_interval(list(scores.values())) if scores else None

    def difference(self, network: str, reference: str | None = None, metric: str | None = None) -> Interval | None:
        """Return the paired difference of two networks: score minus reference score at the same seed.

        Args:
            network: Name of the network.
            reference: Name of the reference network; the best network if omitted.
            metric: Name of the score; the ranking score if omitted.

        Returns:
            Mean and interval of the difference over seeds; None if the networks share no seed.

        Raises:
            UsageError: If a network or the score does not exist.
        """
        reference = reference or self.best
        if reference is None:
            return None
        ours, theirs = self.scores(network, metric), self.scores(reference, metric)
        pairs = [value - theirs[seed] for seed, value in ours.items() if seed in theirs]
        return mean_interval(pairs) if pairs else None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Results of each network as a dictionary: means, half widths of intervals, runs by seed."""
        return [self._row(network) for network in self.networks]

    def record(self) -> dict[str, Any]:
        """Return all results as a JSON object; numbers that are not finite become None."""
        whole = {
            "task": self.task,
            "scored_on": self.scored_on,
            "metric": self.metric,
            "higher_is_better": self.higher_is_better,
            "confidence": CONFIDENCE,
            "seeds": list(self.seeds),
            "best": self.best,
            "networks": self.rows,
            "baselines": {name: dict(scores) for name, scores in self.baselines.items()},
        }
        plain: dict[str, Any] = _finite(whole)
        return plain

    def to_columns(self) -> Columns:
        """Return one row per run: network, seed, each score, weights, updates, seconds, speed, and failure."""
        facts = ("network", "seed", *_EFFORT, "failure")
        columns: Columns = {name: [getattr(run, name) for run in self.runs] for name in facts}
        return columns | {name: [run.scores.get(name) for run in self.runs] for name in self.score_names()}

    def _drawing(self) -> str:
        return str(self)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the header and the rows of the table as strings."""
        names, several = self.score_names(), len(self.seeds) > 1
        compared = several and sum(bool(self._successes(network)) for network in self.networks) > 1
        counted = several or bool(self.failures)
        head = [f"on {self.scored_on}", *names, *[f"{self.metric}, to the best"] * compared, *["seeds"] * counted]
        rows = []
        for network in self.networks:
            if not self._of(network):
                continue
            cells = [self._cell(network, name) for name in names]
            cells += [self._compared(network)] * compared + [self._count(network)] * counted
            rows.append([network, *cells, *self._effort(network)])
        empty = [""] * (compared + counted + 4)
        rows += [
            [label, *(figure(scores.get(name)) for name in names), *empty] for label, scores in self.baselines.items()
        ]
        return [*head, "weights", "updates", "seconds", "tokens/s"], rows

    def note(self) -> str:
        """Return an explanation of the table and the failures; empty for single seeds without failures."""
        lines = [f"{run.network}, seed {run.seed}, failed: {run.failure}" for run in self.failures]
        if len(self.seeds) > 1:
            lines.insert(
                0,
                f"mean over seeds ± half the 95 % interval (Student's t); differences to the best, {self.best}, "
                f"are paired by seed",
            )
        return "\n".join(lines)

    def __str__(self) -> str:
        return "\n".join(filter(None, (table(*self.table()), self.note())))

    __repr__ = __str__

    def score_names(self) -> list[str]:
        """Return the names of all scores, in the order of the table."""
        scored = [*(run.scores for run in self.runs), *self.baselines.values()]
        return list(dict.fromkeys(name for scores in scored for name in scores))

    def _of(self, network: str) -> list[Run]:
        return [run for run in self.runs if run.network == network]

    def _successes(self, network: str) -> list[Run]:
        return [run for run in self._of(network) if run.failure is None]

    def _row(self, network: str) -> dict[str, Any]:
        runs, successes = self._of(network), self._successes(network)
        intervals = {name: self.interval(network, name) for name in self.score_names()}
        scores = {name: each for name, each in intervals.items() if each is not None}
        difference = self.difference(network)
        return {
            "network": network,
            "scores": {name: each.mean for name, each in scores.items()},
            "half_widths": {name: each.half_width for name, each in scores.items()},
            "difference_to_best": None if difference is None else difference._asdict(),
            "runs_finished": len(successes),
            "runs_failed": len(runs) - len(successes),
            **{name: _mean([getattr(run, name) for run in successes]) for name in _EFFORT},
            "runs": [{**run._asdict(), "scores": dict(run.scores)} for run in runs],
        }

    def _cell(self, network: str, name: str) -> str:
        interval = self.interval(network, name)
        return "" if interval is None else str(interval)

    def _compared(self, network: str) -> str:
        if network == self.best:
            return "best"
        difference = self.difference(network)
        return "" if difference is None else figure(difference.mean, difference.half_width)

    def _count(self, network: str) -> str:
        runs, finished = len(self._of(network)), len(self._successes(network))
        return f"{finished}" if finished == runs else f"{finished} of {runs}"

    def _effort(self, network: str) -> list[str]:
        means = [_mean([getattr(run, name) for run in self._successes(network)]) for name in _EFFORT]
        forms = ("{:,.0f}", "{:,.0f}", "{:,.1f}", "{:,.0f}")
        return ["" if mean is None else form.format(mean) for form, mean in zip(forms, means, strict=True)]


def _mean(values: Sequence[float]) -> float | None:
    """Return the mean to one decimal, or the value itself if all are equal; None without values."""
    if not values:
        return None
    return values[0] if len(set(values)) == 1 else round(fmean(values), 1)


def _finite(value: Any) -> Any:
    """Replace numbers that are not finite by None, recursively, for JSON."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value
