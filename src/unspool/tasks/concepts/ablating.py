"""Causal test of units: clamp them at their means, and compare the loss with that of random units."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unspool.cells import Cell, edit_steps
from unspool.errors import DataError
from unspool.inspection.concepts.ablation import Clamp, state_parts
from unspool.inspection.concepts.report import Ablation
from unspool.inspection.concepts.scoring import Floats, mean_interval
from unspool.inspection.progress import Progress
from unspool.tasks.concepts.measuring import Measured, Source
from unspool.tasks.concepts.subjects import Subject

__all__ = ["ablate", "category_of"]

_MOST_CATEGORIES, _FEWEST = 12, 10


def category_of(unit: str) -> str:
    """Return the category of a unit of text: a kind of character, or a word."""
    bare = unit.strip("Ġ")
    if "\n" in unit or not unit:
        return "newline"
    if not bare.strip():
        return "blank"
    kinds = {")]}": "closing bracket", "([{": "opening bracket", "\"'“”‘’`": "quote"}
    if kind := next((name for signs, name in kinds.items() if bare.strip() in signs), None):
        return kind
    if bare.strip().isdigit():
        return "digit"
    if any(map(str.isalpha, bare)):
        return "letter" if len(unit) == 1 else "word"
    return "punctuation"


def ablate(
    subject: Subject,
    measured: Measured,
    array: Source,
    units: Sequence[int],
    *,
    tokens: int,
    random_units: int,
    seed: int,
    names: Callable[[str], str],
    by: str | None,
    expected: str,
    progress: Progress,
) -> Ablation:
    """Clamp units together, and random units in their place, each at its mean; return changes of the held-out loss.

    Args:
        subject: The data.
        measured: Means and variances of the units.
        array: Array of the units.
        units: Indices of the units.
        tokens: Approximate number of held-out tokens.
        random_units: Number of random draws; for each unit, from others of the layer with the most similar variance.
        seed: Seed of the draws.
        names: From a target, such as the next unit, to its category.
        by: Column of the table whose cells are the categories.
        expected: The category that shows the use; `all` where the data lack it.
        progress: Called after each clamped set of units.
    """
    stack = subject.stack(subject.task.model)
    assert stack is not None
    cell = next(cell for place, cell, _ in stack.named_cells() if place == array.place)
    parts = _parts(cell, array)
    draws = _alike(measured, array, units, random_units, seed)
    base = _losses(subject, tokens)
    chosen = np.flatnonzero(np.isfinite(base))
    if not len(chosen):
        raise DataError("no held-out prediction has a loss: all labels are absent from the training data")
    categories = np.array(subject.categories(names, by), object)[chosen]
    changes = []
    for number, clamped in enumerate([tuple(units), *draws]):
        with edit_steps(cell, Clamp(_means(measured, array.place, parts, clamped))):
            changes.append(_losses(subject, tokens)[chosen] - base[chosen])
        progress("ablation", number + 1, 1 + len(draws))
    table = _table(base[chosen], np.stack(changes), categories, expected)
    return Ablation(units=tuple(units), parts=parts, what=subject.what, random_units=tuple(draws), **table)


def _losses(subject: Subject, tokens: int) -> Floats:
    losses = np.full(len(subject.ids) + 1, math.nan)
    for window in subject.run(subject.task.model, most=tokens, losses=True):
        losses[window.places] = window.losses
    return losses[:-1]


def _parts(cell: Cell[Any], source: Source) -> tuple[str, ...]:
    """Return the parts of the state that hold the unit: all of the cell's width, or only that of the array."""
    sizes = {name: size for name, (size, _) in state_parts(cell).items()}
    if source.size != cell.hidden_size:
        return (source.part,)
    return tuple(name for name, size in sizes.items() if size == cell.hidden_size)


def _means(measured: Measured, place: str, parts: Sequence[str], units: Sequence[int]) -> dict[str, dict[int, complex]]:
    """Return the mean of each unit in each part of the state."""
    means: dict[str, dict[int, complex]] = {part: dict.fromkeys(units, 0) for part in parts}
    for source in measured.sources:
        if source.place == place and source.part in parts:
            axis = 1j if source.quantity == f"{source.part} imaginary" else 1
            for unit in units:
                means[source.part][unit] += axis * float(measured.means[measured.row_of(source, unit)])
    return means


def _alike(measured: Measured, array: Source, units: Sequence[int], count: int, seed: int) -> list[tuple[int, ...]]:
    """Draw sets of other units at random, for each unit among those with the most similar variance."""
    generator = np.random.default_rng(seed)
    begin = measured.row_of(array, 0)
    spread = np.log(measured.variances[begin : begin + array.size] + 1e-12)
    near = []
    for unit in units:
        order = np.argsort(np.abs(spread - spread[unit]), kind="stable")
        near.append([int(other) for other in order if other not in units][: 2 * count])
    if not near[0]:
        return []
    if len(units) == 1:
        drawn = generator.choice(near[0], min(count, len(near[0])), replace=False)
        return [(unit,) for unit in sorted(drawn.tolist())]
    return [tuple(int(generator.choice(others)) for others in near) for _ in range(count)]


def _table(base: Floats, changes: Floats, categories: NDArray[Any], expected: str) -> dict[str, Any]:
    """Return the fields of an `Ablation` over categories, from the changes of each clamped set, (sets, predictions)."""
    counts = {name: int((categories == name).sum()) for name in set(categories.tolist())}
    ordered = sorted((name for name in counts if counts[name] >= _FEWEST), key=lambda name: (-counts[name], name))
    names = ordered[:_MOST_CATEGORIES]
    if expected in ordered and expected not in names:
        names[-1] = expected
    masks = [np.ones(len(base), np.bool_), *(categories == name for name in names)]
    random = changes[1:] if len(changes) > 1 else np.zeros_like(changes)
    intervals = np.array([mean_interval(changes[0] - random.mean(0), mask) for mask in masks])
    return {
        "expected": expected if expected in names else "all",
        "categories": ("all", *names),
        "counts": np.array([mask.sum() for mask in masks]),
        "loss": np.array([base[mask].mean() for mask in masks]),
        "change": np.array([changes[0][mask].mean() for mask in masks]),
        "low": intervals[:, 0] - intervals[:, 1],
        "high": intervals[:, 0] + intervals[:, 1],
        "random_changes": np.stack([random[:, mask].mean(1) for mask in masks], axis=1),
    }
