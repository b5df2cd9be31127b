"""The result of a comparison of networks: scores of every run, and over seeds means, intervals and differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, NamedTuple

from unspool.errors import UsageError
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
    """On the held-out data that the comparison is about; empty if the training failed."""
    weights: int
    updates: int
    seconds: float
    """Of training, its validations included."""
    tokens_per_second: float
    failure: str | None = None
    """Why the training failed, if it did."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Comparison:
    """What `compare` found: every run, and over the seeds means, 95 % intervals and paired differences.

    Printed, it is a table. An interval is that of the mean over the seeds, by Student's t. A difference between two
    networks is the mean of the differences at each seed, and so is its interval.
    """

    task: str
    scored_on: str
    """`test`, or `valid` where there are no test data."""
    metric: str
    """The score that networks are ranked by."""
    higher_is_better: bool
    networks: tuple[str, ...]
    seeds: tuple[int, ...]
    runs: tuple[Run, ...]
    baselines: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Scores of simple methods on the same data, with the first seed."""

    @property
    def failures(self) -> tuple[Run, ...]:
        """The runs that failed."""
        return tuple(run for run in self.runs if run.failure is not None)

    @property
    def best(self) -> str | None:
        """The network with the best mean of `metric`; None if no run has it."""
        means = {name: self.interval(name) for name in self.networks}
        known = {name: each.mean for name, each in means.items() if each is not None and math.isfinite(each.mean)}
        return (max if self.higher_is_better else min)(known, key=known.__getitem__) if known else None

    def scores(self, network: str, metric: str | None = None) -> dict[int, float]:
        """A network's score by seed, of the runs that have it.

        Args:
            network: Its name in the table.
            metric: Name of the score; the one that networks are ranked by if omitted.

        Raises:
            UsageError: If there is no such network or score.
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
        """Mean and interval of a network's score over the seeds; None if no run has it."""
        scores = self.scores(network, metric)
        return mean_interval(list(scores.values())) if scores else None

    def difference(self, network: str, reference: str | None = None, metric: str | None = None) -> Interval | None:
        """A network's score less that of another at the same seed, as mean and interval over the seeds of both.

        Args:
            network: Name of the one.
            reference: Name of the other; the best network if omitted.
            metric: As in `scores`.

        Returns:
            The difference; None if the two have no seed in common.
        """
        reference = reference or self.best
        if reference is None:
            return None
        ours, theirs = self.scores(network, metric), self.scores(reference, metric)
        pairs = [value - theirs[seed] for seed, value in ours.items() if seed in theirs]
        return mean_interval(pairs) if pairs else None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Each network as plain data: means, half widths of intervals, runs by seed."""
        return [self._row(network) for network in self.networks]

    def record(self) -> dict[str, Any]:
        """All there is, as a JSON object; a number that is not finite is None."""
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

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Head and rows of the table, as text."""
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
        """How to read the table; empty where each network has one run."""
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
        """Names of all scores, in the order of the table."""
        scored = [*(run.scores for run in self.runs), *self.baselines.values()]
        return list(dict.fromkeys(name for scores in scored for name in scores))

    def _of(self, network: str) -> list[Run]:
        return [run for run in self.runs if run.network == network]

    def _successes(self, network: str) -> list[Run]:
        return [run for run in self._of(network) if run.failure is None]

    def _row(self, network: str) -> dict[str, Any]:
        runs, successes = self._of(network), self._successes(network)
        intervals = {name: self.interval(network, name) for name in self.score_names()}
        known = {name: each for name, each in intervals.items() if each is not None}
        difference = self.difference(network)
        return {
            "network": network,
            "scores": {name: each.mean for name, each in known.items()},
            "half_widths": {name: each.half_width for name, each in known.items()},
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
    """The mean, a whole number where all values are the same one; None of nothing."""
    if not values:
        return None
    return values[0] if len(set(values)) == 1 else round(fmean(values), 1)


def _finite(value: Any) -> Any:
    """Plain values for JSON."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value
