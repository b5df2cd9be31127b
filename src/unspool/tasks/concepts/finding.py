"""`find_concept`: which unit of a fitted task tracks a property of the text, and whether the network uses it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unspool.errors import UsageError
from unspool.inspection.concepts.controls import best_threshold, control_labels, lookup_score, sparse_probe
from unspool.inspection.concepts.labellings import (
    Labelling,
    Targets,
    function,
    property_named,
    targets_of,
    usable_targets,
)
from unspool.inspection.concepts.report import ConceptReport, Excerpt
from unspool.inspection.concepts.scoring import Floats, Shifts, UnitScores
from unspool.inspection.progress import Progress
from unspool.tasks.concepts.ablating import ablate as run_ablation
from unspool.tasks.concepts.ablating import category_of
from unspool.tasks.concepts.measuring import Labels, Measured, Source, measure
from unspool.tasks.concepts.reading import subject_of
from unspool.tasks.concepts.subjects import HELD_OUT, SELECTION, Subject
from unspool.tasks.task import DataLike, Task
from unspool.training.random_state import seeded

__all__ = ["find_concept"]

_EXCERPTS, _APART, _AROUND = 5, 40, 60
_CONTROLS = 2  # columns of control labels after the targets


def find_concept(
    model: Task[Any, Any],
    data: DataLike,
    labelling: str | Labelling | Callable[[str], Any],
    *,
    tokens: int = 100_000,
    alpha: float = 0.01,
    untrained: bool = True,
    ablate: bool = True,
    ablation_tokens: int = 20_000,
    random_units: int = 20,
    together: int = 1,
    categories: Mapping[str, str] | None = None,
    by: str | None = None,
    expected: str | None = None,
    probe_units: int = 5,
    seed: int = 0,
    progress: Progress | None = None,
) -> ConceptReport:
    """Find the unit that tracks a property of the text, compare it with controls, and test whether the network uses it.

    The text is cut into stretches, or texts, that alternate between two parts. The first part fits and selects; the
    second, held out, gives all scores. Of a language model with a mixture, the network alone is tested.

    Source: the units of Karpathy et al. 2015, arXiv:1506.02078, with the ablation of Lakretz et al. 2019, N19-1002, and
    the control tasks of Hewitt and Liang 2019, arXiv:1909.03368.

    Args:
        model: A language model, a classifier or a tagger with recurrent layers, of any cell.
        data: Files or examples in memory, as `evaluate` takes them; for a language model also tag files.
        labelling: Name of a built-in property (`depth`, `code-depth`, `code-parentheses`, `code-braces`, `quotes`,
            `comment`, `line-position`); a `Labelling`, as from `regex` or `column`; or a function from a text to one
            value per character or token.
        tokens: Most tokens to read. Some 5,000 suffice to detect a strong unit; 200,000 place the 95 % interval of an
            R² of 0.4 within about ±0.05.
        alpha: Level of the corrected p value, between 0 and 1.
        untrained: Whether to run the same network with new weights as a control.
        ablate: Whether to clamp the unit at its mean and compare the loss with that of random units.
        ablation_tokens: Approximate number of held-out tokens for each clamped unit.
        random_units: Number of random units to clamp for comparison, at least 1.
        together: Number of units to clamp together: the best one and the next best of its array. A property that many
            units carry may need several.
        categories: Regular expression of each category of predictions, by name, before the built-in ones.
        by: Column of a classifier's table whose cells are the categories.
        expected: Category that shows whether the network uses the property; by the property if omitted.
        probe_units: Most units of the sparse probe, at least 1.
        seed: Seed of shuffled labels, control task, untrained weights and random units.
        progress: Called with a stage and numbers of steps: done and total.

    Raises:
        DataError: If the data can't be used, or the property is too rare in them.
        UsageError: If the model has no units over tokens, or an argument does not fit.
    """
    numbers = {"tokens": tokens, "random_units": random_units, "probe_units": probe_units, "together": together}
    _check(alpha, {**numbers, "ablation_tokens": ablation_tokens})
    patterns = _patterns(categories)
    chosen = _labelling(labelling)
    report_progress = progress or (lambda stage, done, total: None)
    subject = subject_of(model, data, most=tokens)
    targets = usable_targets(targets_of(chosen, subject.passages), subject.parts)
    labels = _labels(subject, targets)
    shifts = Shifts(labels.values[1])
    generator = np.random.default_rng(seed)
    controlled = _with_controls(subject, labels, shifts, generator)
    count = len(targets.names)
    measured = measure(
        subject, model.model, controlled, shifts=shifts, keep=count, stage="network", progress=report_progress
    )
    row, target = np.unravel_index(measured.scores.selection[:, :count].argmax(), (len(measured.means), count))
    controls, probe, probe_scores = _controls(subject, controlled, measured, int(target), count, probe_units)
    if untrained:
        controls["untrained network"] = _untrained(subject, labels, int(target), seed, report_progress)
    ablation, running = None, subject.what == "next unit"
    if ablate:
        ablation = run_ablation(
            subject,
            measured,
            *_clamped(measured, int(row), int(target), together),
            tokens=ablation_tokens,
            random_units=random_units,
            seed=seed,
            names=_naming(patterns, category_of if running else str),
            by=by,
            expected=expected or (chosen.category if running and not by else "all"),
            progress=report_progress,
        )
    own = _first_targets(measured.scores, count)
    threshold, accuracy = _threshold(measured, int(row), int(target), labels)
    report = ConceptReport(
        concept=chosen.name,
        kind=targets.kind,
        targets=targets.names,
        model=model.describe()["summary"],
        tokens=(len(labels.rows[0]), len(labels.rows[1])),
        arrays={source.name: source.size for source in measured.sources},
        selection=own.selection,
        scores=own.held_out,
        low=own.low,
        high=own.high,
        p=shifts.p_values(own.deviation),
        direction=own.direction.astype(np.int8),
        controls=controls,
        probe=(),
        probe_score=probe_scores[0],
        probe_control=probe_scores[1],
        threshold=threshold,
        threshold_accuracy=accuracy,
        ablation=ablation,
        highest=_excerpts(subject, measured, int(row), int(target), labels, 1),
        lowest=_excerpts(subject, measured, int(row), int(target), labels, -1),
        alpha=alpha,
        notes=_notes(shifts, alpha, expected, ablation),
    )
    return replace(report, probe=tuple(report.at(unit, int(target)) for unit in probe))


def _check(alpha: float, numbers: Mapping[str, int]) -> None:
    if not 0 < alpha < 1:
        raise UsageError(f"alpha = {alpha}: expected a number between 0 and 1, such as 0.01")
    for name, value in numbers.items():
        if value < 1:
            raise UsageError(f"{name} = {value}: expected at least 1")


def _clamped(measured: Measured, row: int, target: int, count: int) -> tuple[Source, list[int]]:
    """Return the array of the best unit, and the best units of the array."""
    array, unit = measured.locate(row)
    begin = row - unit
    selection = measured.scores.selection[begin : begin + array.size, target]
    return array, np.argsort(-selection, kind="stable")[:count].tolist()


def _labelling(labelling: str | Labelling | Callable[[str], Any]) -> Labelling:
    if isinstance(labelling, Labelling):
        return labelling
    if isinstance(labelling, str):
        return property_named(labelling)
    if callable(labelling):
        return function(labelling)
    raise UsageError(
        f"{labelling!r:.40} is no labelling; expected the name of a property, regex(...), column(...) or a function"
    )


def _patterns(categories: Mapping[str, str] | None) -> dict[str, re.Pattern[str]]:
    try:
        return {name: re.compile(pattern) for name, pattern in (categories or {}).items()}
    except re.error as error:
        raise UsageError(f"a category is no regular expression: {error}") from None


def _naming(patterns: Mapping[str, re.Pattern[str]], otherwise: Callable[[str], str]) -> Callable[[str], str]:
    """Return the function from a target, such as the next unit, to its category."""
    return lambda target: next((name for name, each in patterns.items() if each.search(target)), otherwise(target))


def _labels(subject: Subject, targets: Targets) -> Labels:
    defined = np.isfinite(targets.values).all(axis=1)
    rows = [np.flatnonzero(defined & (subject.parts == part)) for part in (SELECTION, HELD_OUT)]
    return Labels(targets.kind, (rows[0], rows[1]), (targets.values[rows[0]], targets.values[rows[1]]))


def _with_controls(subject: Subject, labels: Labels, shifts: Shifts, generator: np.random.Generator) -> Labels:
    """Append the first target with shifted labels, and the control task, to the targets."""
    shuffled = [np.roll(values[:, 0], shifts.random_shift(generator)) for values in labels.values]
    ids = subject.ids[np.concatenate(labels.rows)]
    control = control_labels(ids, np.concatenate(labels.values)[:, 0], generator)
    cut = len(labels.rows[0])
    columns = ((shuffled[0], control[:cut]), (shuffled[1], control[cut:]))
    values = [np.column_stack([own, *extra]) for own, extra in zip(labels.values, columns, strict=True)]
    return labels._replace(values=(values[0], values[1]))


def _first_targets(scores: UnitScores, count: int) -> UnitScores:
    return UnitScores._make(array[:, :count] for array in scores)


def _controls(
    subject: Subject, labels: Labels, measured: Measured, target: int, count: int, size: int
) -> tuple[dict[str, float], list[int], tuple[float, float]]:
    """Return the scores of the controls, the units of the sparse probe, and the scores of the probes."""
    rows = labels.rows
    truth = (labels.values[0][:, target], labels.values[1][:, target])

    def lookup(keys: NDArray[np.int64]) -> float:
        return lookup_score((keys[rows[0]], keys[rows[1]]), truth, labels.kind)

    controls = {"token identity": lookup(subject.ids), "position": lookup(np.minimum(subject.positions, 500))}
    for name, place in (("shuffled labels", count), ("control task", count + 1)):
        best = measured.scores.selection[:, place].argmax()
        controls[name] = float(measured.scores.held_out[best, place])
    candidates = sorted(measured.candidates, key=lambda row: -measured.scores.selection[row, target])[:32]
    units = tuple(np.stack([measured.candidates[row][part] for row in candidates], axis=1) for part in (0, 1))
    probes = [
        sparse_probe(
            (units[0], labels.values[0][:, place]), (units[1], labels.values[1][:, place]), labels.kind, size=size
        )
        for place in (target, count + 1)
    ]
    return controls, [candidates[unit] for unit in probes[0].units], (probes[0].score, probes[1].score)


def _untrained(subject: Subject, labels: Labels, target: int, seed: int, progress: Progress) -> float:
    """Return the held-out score of the best unit of the same network with new weights."""
    task = subject.task
    record, task.record = task.record, None
    try:
        with seeded(seed):
            fresh = task._make_network().to(next(task.model.parameters()).device).eval()
    finally:
        task.record = record
    single = labels._replace(
        values=(labels.values[0][:, target : target + 1], labels.values[1][:, target : target + 1])
    )
    scores = measure(subject, fresh, single, shifts=None, stage="untrained network", progress=progress).scores
    return float(scores.held_out[scores.selection[:, 0].argmax(), 0])


def _threshold(measured: Measured, row: int, target: int, labels: Labels) -> tuple[float, float]:
    """Return the threshold that the first part chooses, and its balanced accuracy on the held-out part."""
    first, second = measured.candidates[row]
    truth = [values[:, target] for values in labels.values]
    border = float(np.median(truth[0])) if labels.kind == "numeric" else 0.5
    border = border if (truth[0] > border).any() else float(truth[0].min())
    direction = float(measured.scores.direction[row, target]) or 1.0
    threshold = best_threshold(first, truth[0] > border, direction)
    above, marks = second * direction > threshold * direction, truth[1] > border
    shares = [float((above == marks)[marks == side].mean()) for side in (True, False) if (marks == side).any()]
    return threshold, float(np.mean(shares))


def _excerpts(
    subject: Subject, measured: Measured, row: int, target: int, labels: Labels, side: int
) -> tuple[Excerpt, ...]:
    values: Floats = measured.candidates[row][1]
    begins = np.cumsum([0, *map(len, subject.passages)])
    chosen: list[int] = []
    for place in np.argsort(-side * values, kind="stable").tolist():
        token = int(labels.rows[1][place])
        if all(abs(token - int(labels.rows[1][other])) > _APART for other in chosen):
            chosen.append(place)
        if len(chosen) == _EXCERPTS:
            break
    excerpts = []
    for place in chosen:
        token = int(labels.rows[1][place])
        number = int(np.searchsorted(begins, token, side="right")) - 1
        passage = subject.passages[number]
        begin, end = passage.spans[token - begins[number]].tolist()
        text = passage.text
        around = (text[max(0, begin - _AROUND) : begin], text[begin:end], text[end : end + _AROUND])
        excerpts.append(Excerpt(token, float(values[place]), float(labels.values[1][place, target]), *around))
    return tuple(excerpts)


def _notes(shifts: Shifts, alpha: float, expected: str | None, ablation: Any) -> tuple[str, ...]:
    notes = []
    if shifts.smallest > alpha:
        notes.append(
            f"the property changes too slowly for p below {shifts.smallest:.2g} in these data; read more tokens"
        )
    if expected is not None and ablation is not None and ablation.expected != expected:
        notes.append(f"the held-out data have too few predictions of the category {expected!r}; the loss of all counts")
    return tuple(notes)
