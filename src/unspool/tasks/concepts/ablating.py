"""Causal test of a unit: clamp the unit at its mean, and compare the loss with that of random units."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unspool.cells import Cell, edit_steps
from unspool.inspection.concepts.ablation import Clamp, state_parts
from unspool.inspection.concepts.report import Ablation
from unspool.inspection.concepts.scoring import Floats, mean_interval
from unspool.tasks.concepts.measuring import Measured, Progress, Source
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
    unit: tuple[Source, int],
    *,
    tokens: int,
    random_units: int,
    seed: int,
    names: Callable[[str], str],
    by: str | None,
    expected: str,
    progress: Progress,
) -> Ablation:
    """Clamp a unit and random units, each at its mean, and return the changes of the held-out loss.

    Args:
        subject: The data.
        measured: Means and variances of the units.
        unit: Array and index of the unit.
        tokens: Approximate number of held-out tokens.
        random_units: Number of random units, from those of the same layer with the most similar variance.
        seed: Seed of the choice.
        names: From a target, such as the next unit, to its category.
        by: Column of the table whose cells are the categories.
        expected: The category that shows the use; `all` where the data lack it.
        progress: Called after each clamped unit.
    """
    model = subject.task.model
    stack = subject.stack(model)
    assert stack is not None
    source, index = unit
    cell = next(cell for place, cell, _ in stack.named_cells() if place == source.place)
    parts = _parts(cell, source)
    others = _alike(measured, source, index, random_units, seed)
    base = _losses(subject, tokens)
    chosen = np.flatnonzero(np.isfinite(base))
    categories = np.array(subject.categories(names, by), object)[chosen]
    changes = []
    for number, other in enumerate([index, *others]):
        with edit_steps(cell, Clamp(other, _means(measured, source.place, parts, other))):
            changes.append(_losses(subject, tokens)[chosen] - base[chosen])
        progress("ablation", number + 1, 1 + len(others))
    return _summary(base[chosen], np.stack(changes), categories, tuple(others), parts, expected, subject.what)


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


def _means(measured: Measured, place: str, parts: Sequence[str], unit: int) -> dict[str, complex]:
    means: dict[str, complex] = {}
    for source in measured.sources:
        if source.place == place and source.part in parts:
            value = float(measured.means[measured.row_of(place, source.quantity, unit)])
            axis = 1j if source.quantity == f"{source.part} imaginary" else 1
            means[source.part] = means.get(source.part, 0) + axis * value
    return means


def _alike(measured: Measured, source: Source, unit: int, count: int, seed: int) -> list[int]:
    """Draw other units of the array at random, among twice as many with the most similar variance."""
    begin = measured.row_of(source.place, source.quantity, 0)
    spread = np.log(measured.variances[begin : begin + source.size] + 1e-12)
    order = [int(other) for other in np.argsort(np.abs(spread - spread[unit]), kind="stable") if other != unit]
    near = order[: 2 * count]
    return sorted(np.random.default_rng(seed).choice(near, min(count, len(near)), replace=False).tolist())


def _summary(
    base: Floats,
    changes: Floats,
    categories: NDArray[Any],
    others: tuple[int, ...],
    parts: tuple[str, ...],
    expected: str,
    what: str,
) -> Ablation:
    counts = {name: int((categories == name).sum()) for name in set(categories.tolist())}
    ordered = sorted((name for name in counts if counts[name] >= _FEWEST), key=lambda name: (-counts[name], name))
    names = ordered[:_MOST_CATEGORIES]
    if expected in ordered and expected not in names:
        names[-1] = expected
    masks = [np.ones(len(base), np.bool_), *(categories == name for name in names)]
    excess = changes[0] - (changes[1:].mean(0) if len(others) else 0.0)
    centres, halves = zip(*(mean_interval(excess, mask) for mask in masks), strict=True)
    centre, half = np.array(centres), np.array(halves)
    means = np.stack([changes[:, mask].mean(1) for mask in masks], axis=1)
    return Ablation(
        parts=parts,
        expected=expected if expected in names else "all",
        what=what,
        categories=("all", *names),
        counts=np.array([mask.sum() for mask in masks]),
        loss=np.array([base[mask].mean() for mask in masks]),
        change=means[0],
        low=centre - half,
        high=centre + half,
        random_units=others,
        random_changes=means[1:] if len(others) else np.zeros((1, len(masks))),
    )
