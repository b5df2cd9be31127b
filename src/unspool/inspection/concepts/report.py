"""Result of a concept finder: scores of all units, controls, ablation, examples, and a verdict in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

from unspool.inspection.columns import Columns
from unspool.inspection.concepts.labellings import Kind
from unspool.inspection.result import Result

__all__ = ["Ablation", "ConceptReport", "Excerpt", "RankedUnit", "Verdict"]

Floats = NDArray[np.float64]
Verdict = Literal["tracks and uses", "correlates, not used", "correlates, use not tested", "nothing"]


class RankedUnit(NamedTuple):
    """One unit with its scores for its best target."""

    array: str
    """Place and part of the state, as in a `Trace`: `layer 1 / c`."""
    unit: int
    """Index of the unit in the array, from 0."""
    target: str
    """The property, or its class."""
    selection: float
    """R² or AUC on the part that selected the unit."""
    score: float
    """R² of the line of that part, or AUC, on the held-out part."""
    low: float
    high: float
    """Ends of the 95 % interval of `score`."""
    p: float
    """p value, corrected for the number of units."""
    direction: int
    """1 if the unit rises with the property, -1 if it falls."""

    @property
    def name(self) -> str:
        """Array and number of the unit, from 1: `layer 1 / c, unit 38`."""
        return f"{self.array}, unit {self.unit + 1}"


class Excerpt(NamedTuple):
    """A token where the unit is highest or lowest, with text around."""

    place: int
    """Index of the token in the data, from 0."""
    value: float
    """The unit after the token."""
    label: float
    """The property after the token."""
    before: str
    token: str
    after: str


@dataclass(frozen=True, eq=False)
class Ablation:
    """Change of the loss when units are clamped at their means, by category of what is predicted, beside random units.

    Arrays over categories have one value each, (categories,), in nats per prediction.
    """

    units: tuple[int, ...]
    """Indices of the units that were clamped together, the best one first."""
    parts: tuple[str, ...]
    """Parts of the state that were clamped."""
    expected: str
    """Category that shows whether the network uses the property."""
    what: str
    """What the categories group, such as the next unit."""
    categories: tuple[str, ...]
    """`all`, then the categories by their counts."""
    counts: NDArray[np.int64]
    """Held-out predictions of each category."""
    loss: Floats
    """Mean loss of the whole network."""
    change: Floats
    """Mean change of the loss when the units are clamped."""
    low: Floats
    high: Floats
    """Ends of the 95 % interval of `change` minus the mean change of random units."""
    random_units: tuple[tuple[int, ...], ...]
    """Indices of random units of the same layer and of similar variance, as many in each draw as units."""
    random_changes: Floats
    """Mean change for each draw, (draws, categories)."""

    @property
    def random_mean(self) -> Floats:
        """Mean change over the draws of random units, (categories,)."""
        mean: Floats = self.random_changes.mean(0)
        return mean

    @property
    def random_high(self) -> Floats:
        """95 % quantile of the changes over the draws of random units, (categories,)."""
        return np.asarray(np.quantile(self.random_changes, 0.95, axis=0), np.float64)

    @property
    def times(self) -> Floats:
        """Change of the unit as a multiple of the mean change of random units; infinite where that is not positive."""
        mean = self.random_mean
        result: Floats = np.where(mean > 0, self.change / np.where(mean > 0, mean, 1), np.inf * np.sign(self.change))
        return result

    @property
    def hurts(self) -> bool:
        """Whether the expected category suffers more than with random units: quantile and interval agree."""
        place = self.categories.index(self.expected)
        return bool(self.change[place] > self.random_high[place] and self.low[place] > 0)

    def record(self) -> dict[str, Any]:
        """Return all fields as JSON values."""
        return {
            "units": [unit + 1 for unit in self.units],
            "parts": list(self.parts),
            "expected": self.expected,
            "hurts": self.hurts,
            "what": self.what,
            "random_units": [[unit + 1 for unit in units] for units in self.random_units],
            "categories": [
                {
                    "category": name,
                    "count": int(self.counts[place]),
                    "loss": float(self.loss[place]),
                    "change": float(self.change[place]),
                    "low": float(self.low[place]),
                    "high": float(self.high[place]),
                    "random_mean": float(self.random_mean[place]),
                    "random_high": float(self.random_high[place]),
                    "random_changes": self.random_changes[:, place].tolist(),
                    "times": float(self.times[place]) if np.isfinite(self.times[place]) else None,
                }
                for place, name in enumerate(self.categories)
            ],
        }


@dataclass(frozen=True, eq=False, repr=False)
class ConceptReport(Result):
    """Which units of a network track a property of the text, whether by chance, and whether the network uses them.

    Print it with a rich console, or `show()` it. Arrays over units hold all units of all arrays, one after another, and
    a column per target: the property, or each class of a categorical one.
    """

    noun = "report"

    concept: str
    """Name of the property."""
    kind: Kind
    """`numeric`: scores are R² of a line. `binary` and `categorical`: scores are AUC, of a class against the rest."""
    targets: tuple[str, ...]
    """The property, or its classes."""
    model: str
    """One line that describes the network."""
    tokens: tuple[int, int]
    """Tokens with a value of the property, in the part that selects and in the held-out part."""
    arrays: Mapping[str, int]
    """Arrays of units, `place / part of the state`, with their numbers of units."""
    selection: Floats
    """R² or AUC on the part that selects, (units, targets)."""
    scores: Floats
    """R² or AUC on the held-out part, (units, targets)."""
    low: Floats
    high: Floats
    """Ends of the 95 % interval of `scores`, not corrected for the number of units, (units, targets)."""
    p: Floats
    """p values, corrected for all units and targets, (units, targets)."""
    direction: NDArray[np.int8]
    """1 where the unit rises with the target, -1 where it falls, (units, targets)."""
    controls: Mapping[str, float]
    """Held-out scores for the target of the best unit: `token identity`, `position`, and the best unit of `shuffled
    labels`, `control task` and `untrained network`."""
    probe: tuple[RankedUnit, ...]
    """Units of the sparse probe, in the order of choice."""
    probe_score: float
    """R² or AUC of the sparse probe on the held-out part."""
    probe_control: float
    """The same of a probe for the control task, random labels by token; the difference is the selectivity."""
    threshold: float
    """Threshold of the best unit that separates the property best on the selection part; of a numeric property, its
    values above the median from others."""
    threshold_accuracy: float
    """Balanced accuracy of the threshold on the held-out part, between 0 and 1."""
    ablation: Ablation | None
    """Result of the causal test; None if not run."""
    highest: tuple[Excerpt, ...]
    lowest: tuple[Excerpt, ...]
    """Held-out tokens where the best unit is highest and lowest."""
    alpha: float = 0.01
    """Level of the corrected p value."""
    notes: tuple[str, ...] = field(default=())
    """Remarks for the reader."""

    @property
    def best(self) -> RankedUnit:
        """The unit with the best score on the part that selects."""
        return self.ranking(1)[0]

    @property
    def tracking(self) -> int:
        """Number of units with a corrected p value of at most `alpha` for any target."""
        return int((self.p <= self.alpha).any(axis=1).sum())

    @property
    def score_name(self) -> str:
        """`R²` or `AUC`."""
        return "R²" if self.kind == "numeric" else "AUC"

    @property
    def verdict(self) -> Verdict:
        """The verdict in words."""
        if self.best.p > self.alpha or self.best.score <= (0.0 if self.kind == "numeric" else 0.5):
            return "nothing"
        if self.ablation is None:
            return "correlates, use not tested"
        return "tracks and uses" if self.ablation.hurts else "correlates, not used"

    def ranking(self, most: int = 10) -> list[RankedUnit]:
        """Return the units with the best scores on the part that selects, each with its best target."""
        target = self.selection.argmax(1)
        best = self.selection[np.arange(len(target)), target]
        return [self.at(int(unit), int(target[unit])) for unit in np.argsort(-best, kind="stable")[:most]]

    def at(self, row: int, target: int = 0) -> RankedUnit:
        """Return the scores of one row of the arrays."""
        name, unit = self.unit_of(row)
        return RankedUnit(
            array=name,
            unit=unit,
            target=self.targets[target],
            selection=float(self.selection[row, target]),
            score=float(self.scores[row, target]),
            low=float(self.low[row, target]),
            high=float(self.high[row, target]),
            p=float(self.p[row, target]),
            direction=int(self.direction[row, target]),
        )

    def unit_of(self, row: int) -> tuple[str, int]:
        """Return array and index of the unit of one row of the arrays."""
        for name, size in self.arrays.items():
            if row < size:
                return name, row
            row -= size
        raise IndexError(row)

    def sentences(self) -> Iterator[str]:
        """Describe the result in words, with the numbers."""
        best, name = self.best, self.score_name
        if self.verdict == "nothing":
            yield (
                f"No unit tracks {best.target}: the best one, {best.name}, has a held-out {name} of {best.score:.2f}, "
                f"p = {_p(best.p)} over {len(self.scores):,} units (level {self.alpha:g})."
            )
            return
        falls = "" if best.direction > 0 else ", falling"
        yield (
            f"{best.name} follows {best.target}{falls}: held-out {name} {best.score:.2f} (95 %: {best.low:.2f} to "
            f"{best.high:.2f}), p = {_p(best.p)} over {len(self.scores):,} units."
        )
        reached = [control for control, score in self.controls.items() if score >= best.score]
        if reached:
            yield f"No better than: {', '.join(reached)}. The unit may stand for something simpler."
        if self.tracking > 1:
            yield f"{self.tracking:,} of {len(self.scores):,} units track it at p ≤ {self.alpha:g}."
        if self.ablation is not None:
            yield self._use(self.ablation)

    def _use(self, ablation: Ablation) -> str:
        place = ablation.categories.index(ablation.expected)
        what = "" if ablation.expected == "all" else f" at {ablation.expected}"
        times = ablation.times[place]
        ratio = f", {times:.1f} times as much" if np.isfinite(times) and times > 0 else ""
        size = len(ablation.units)
        clamped = "the unit clamped at its mean" if size == 1 else f"the best {size} units clamped at their means"
        others = "random units" if size == 1 else f"draws of {size} random units"
        return (
            f"With {clamped}, the loss{what} changes by {ablation.change[place]:+.4f} nats{ratio}; "
            f"{len(ablation.random_units)} {others} change it by {ablation.random_mean[place]:+.4f} on average, "
            f"95 % of them by at most {ablation.random_high[place]:+.4f}."
        )

    def record(self) -> dict[str, Any]:
        """Return the report as plain JSON values; units count from 1."""
        return {
            "concept": self.concept,
            "kind": self.kind,
            "score": self.score_name,
            "verdict": self.verdict,
            "sentences": list(self.sentences()),
            "model": self.model,
            "tokens": {"selection": self.tokens[0], "held_out": self.tokens[1]},
            "alpha": self.alpha,
            "best": _unit_record(self.best),
            "threshold": {"value": self.threshold, "balanced_accuracy": self.threshold_accuracy},
            "controls": dict(self.controls),
            "probe": {
                "units": [_unit_record(unit) for unit in self.probe],
                "score": self.probe_score,
                "control_task": self.probe_control,
            },
            "ablation": None if self.ablation is None else self.ablation.record(),
            "highest": [{**each._asdict(), "place": each.place + 1} for each in self.highest],
            "lowest": [{**each._asdict(), "place": each.place + 1} for each in self.lowest],
            "notes": list(self.notes),
            "targets": list(self.targets),
            "arrays": dict(self.arrays),
            "units": {
                name: getattr(self, name).tolist() for name in ("selection", "scores", "low", "high", "p", "direction")
            },
        }

    def __repr__(self) -> str:
        best = self.best
        return (
            f"<ConceptReport {self.concept!r}: {self.verdict}; {best.name}, {self.score_name} {best.score:.3f}, "
            f"p = {_p(best.p)}>"
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from unspool.inspection.concepts.view import lines

        yield from lines(self, console, options.max_width)

    def to_columns(self) -> Columns:
        """Return one row per unit and target: array, unit, target, scores, interval, p value and direction."""
        places = [self.unit_of(row) for row in range(len(self.scores))]
        rows, targets = (part.ravel() for part in np.indices(self.scores.shape))
        columns: Columns = {
            "array": [places[row][0] for row in rows],
            "unit": [places[row][1] for row in rows],
            "target": [self.targets[target] for target in targets],
        }
        numbers = ("selection", "scores", "low", "high", "p", "direction")
        return columns | {name: getattr(self, name).ravel() for name in numbers}

    def _drawing(self) -> RenderableType:
        return self


def _unit_record(unit: RankedUnit) -> dict[str, Any]:
    return {**unit._asdict(), "unit": unit.unit + 1}


def _p(p: float) -> str:
    return f"{p:.2g}" if p >= 1e-4 else f"{p:.0e}"
