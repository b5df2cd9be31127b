"""`Tuning`, the result of `tune`: all trials with their settings and scores, as a table and as plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from unspool.errors import UsageError
from unspool.settings import read_recipe
from unspool.tasks.tables import figure, table
from unspool.tuning.lengths import Lengths
from unspool.tuning.spaces import short_names

if TYPE_CHECKING:
    from unspool.tasks.task import Task

__all__ = ["BEST", "RECIPE", "Training", "Trial", "Tuning", "settings_line"]

BEST, RECIPE = "best", "recipe.toml"
"""Names of the best model folder, and of the recipe, inside the folder of a tuning."""

_SHOWN = 5  # trials in the table, besides the default
_WIDTH = 79


class Training(NamedTuple):
    """One training of a trial."""

    rung: int
    """Number of its length, from 0."""
    score: float
    """The score that the search improves."""
    scores: Mapping[str, float]
    """All scores on the validation data by name."""
    seconds: float
    """Elapsed time, with reading and scoring."""
    stopped: str
    """Reason for the end of training: done, patience, minutes or reporter."""


class Trial(NamedTuple):
    """One choice of settings, trained at one length or several."""

    number: int
    """0 is the trial of the default settings."""
    settings: Mapping[str, Any]
    """Values of the tuned settings by dotted name."""
    trainings: tuple[Training, ...]
    """From the shortest to the longest."""
    state: Literal["running", "complete", "stopped", "failed"]
    """complete: trained at full length; stopped: a shorter training was not among the best, or time was short."""
    failure: str | None = None
    """Reason if the trial failed; None otherwise."""

    @property
    def last(self) -> Training | None:
        """The longest training; None before the first."""
        return self.trainings[-1] if self.trainings else None


@dataclass(frozen=True, kw_only=True, repr=False)
class Tuning:
    """Result of `tune`: all trials, the best one beside the default, and the importance of the settings.

    A tuning prints as a table. `folder` holds the best model in `best`, and its settings in `recipe.toml`.
    """

    task: str
    folder: Path
    metric: str
    """Name of the score that the search improves."""
    higher_is_better: bool
    main_metric: str
    """Name of the score by which results are compared with others; it may be the same."""
    lengths: Lengths
    settings: tuple[str, ...]
    """Dotted names of the tuned settings."""
    trials: tuple[Trial, ...]
    baselines: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Scores of the baselines on the validation data."""
    test: Mapping[str, float] = field(default_factory=dict)
    """Scores of the best model on the test data; empty without test data, and before the end."""
    importance: Mapping[str, float] = field(default_factory=dict)
    """Share of each tuned setting in what decides the score of a trial; empty with too few trials."""
    seconds: float = 0.0
    """Elapsed time, earlier sessions included."""
    files: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Files of the data: train and valid; empty for data in memory."""

    @property
    def default(self) -> Trial | None:
        """The trial of the default settings; None before it began."""
        return next((trial for trial in self.trials if trial.number == 0), None)

    @property
    def ranking(self) -> list[Trial]:
        """All trials with a score, best first; longer trainings rank before shorter ones."""
        scored = [trial for trial in self.trials if trial.last is not None and math.isfinite(trial.last.score)]
        sign = -1 if self.higher_is_better else 1
        return sorted(scored, key=lambda trial: (-trial.last.rung, sign * trial.last.score))  # type: ignore[union-attr]

    @property
    def best(self) -> Trial | None:
        """The best trial of the longest training; None before the first score."""
        ranking = self.ranking
        return ranking[0] if ranking else None

    @property
    def recipe(self) -> dict[str, object]:
        """All settings of the best trial by dotted name, as in `recipe.toml`; with them, `fit` repeats its training.

        Raises:
            UsageError: If no trial has a score yet.
        """
        if self.best is None:
            raise UsageError(f"{self.folder} holds no recipe yet: no training has ended")
        return read_recipe(self.folder / RECIPE)

    def load(self) -> Task[Any, Any]:
        """Load the best model.

        Raises:
            UsageError: If no trial has a score yet.
            ModelFolderError: If the folder is damaged, or needs a custom cell; see `unspool.load`.
        """
        from unspool.tasks import load

        if self.best is None:
            raise UsageError(f"{self.folder} holds no model yet: no training has ended")
        return load(self.folder / BEST)

    def line(self, number: int) -> str:
        """Describe a trial in at most 79 characters: number, score, best so far, length, settings."""
        trial = next(trial for trial in self.trials if trial.number == number)
        if trial.last is None:
            return _cut(f"#{number:<3} failed: {trial.failure or 'without a score'}")
        best = self.best
        leading = ""
        if best is not None and best.last is not None:
            leading = f"  best {figure(best.last.score)} (#{best.number})"
        length = "" if trial.state == "complete" else f"  {self.lengths.title(trial.last.rung)}"
        settings = "default" if number == 0 else settings_line(trial.settings)
        return _cut(f"#{number:<3} {self.metric} {figure(trial.last.score)}{leading}{length}  {settings}")

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the header and the rows of the table: the best trials, the default and the baselines."""
        names = list(dict.fromkeys((self.metric, self.main_metric)))
        shorts = short_names(self.settings)
        head = ["on valid", *names, *shorts.values(), "seconds"]
        shown = self.ranking[:_SHOWN]
        default = self.default
        if default is not None and default.last is not None and default not in shown:
            shown.append(default)
        rows = [self._row(trial, names) for trial in shown]
        empty = [""] * (len(shorts) + 1)
        rows += [
            [name, *(figure(scores.get(each)) for each in names), *empty] for name, scores in self.baselines.items()
        ]
        return head, rows

    def note(self) -> str:
        """Return what the table leaves out: numbers of trials, test scores, important settings, failures."""
        states = [trial.state for trial in self.trials]
        counts = [f"{states.count('complete')} of {len(states)} trials had the full length of {self._full}"]
        stopped = states.count("stopped")
        counts += [f"{stopped} {'was' if stopped == 1 else 'were'} stopped earlier"] * bool(stopped)
        counts += [f"{states.count('failed')} failed"] * bool(states.count("failed"))
        lines = ["; ".join(counts)]
        if self.test:
            scores = "  ".join(f"{name} {figure(value)}" for name, value in self.test.items())
            lines.append(f"best model on test: {scores}")
        if self.importance:
            shorts = short_names(self.settings)
            shares = ", ".join(f"{shorts[name]} {share:.0%}" for name, share in self.importance.items())
            lines.append(f"what decides the score at {self.lengths.title(0)}: {shares}")
        return "\n".join(lines)

    def record(self) -> dict[str, Any]:
        """Return all results as plain data: texts, numbers, lists and dictionaries."""
        best = self.best
        return {
            "task": self.task,
            "folder": str(self.folder),
            "metric": self.metric,
            "higher_is_better": self.higher_is_better,
            "lengths": {self.lengths.unit: list(self.lengths.values)},
            "best": None if best is None else best.number,
            "trials": [_plain(trial) for trial in self.trials],
            "baselines": {name: dict(scores) for name, scores in self.baselines.items()},
            "test": dict(self.test),
            "importance": dict(self.importance),
            "seconds": round(self.seconds, 1),
        }

    def __str__(self) -> str:
        return "\n".join((table(*self.table()), self.note()))

    __repr__ = __str__

    @property
    def _full(self) -> str:
        return self.lengths.title(self.lengths.last)

    def _row(self, trial: Trial, names: list[str]) -> list[str]:
        assert trial.last is not None
        title = f"#{trial.number}" + (" default" if trial.number == 0 else "")
        if trial.state != "complete":
            title += f" ({self.lengths.title(trial.last.rung)})"
        scores = {self.metric: trial.last.score, **trial.last.scores}
        values = [_value(trial.settings.get(name)) for name in self.settings]
        return [title, *(figure(scores.get(name)) for name in names), *values, f"{trial.last.seconds:.1f}"]


def settings_line(settings: Mapping[str, Any]) -> str:
    """Format settings in one line, by short names: learning_rate=0.0032 hidden=64."""
    shorts = short_names(settings)
    values = {name: f"{value:.2g}" if isinstance(value, float) else str(value) for name, value in settings.items()}
    return " ".join(f"{shorts[name]}={value}" for name, value in values.items())


def _value(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _cut(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"


def _plain(trial: Trial) -> dict[str, Any]:
    trainings = [{**training._asdict(), "scores": dict(training.scores)} for training in trial.trainings]
    return {**trial._asdict(), "settings": dict(trial.settings), "trainings": trainings}
