"""Scores of all units of a network on a labelling, in as many runs over the data as the memory needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unspool.cells import watch
from unspool.inspection.concepts.ablation import StateRecorder, quantities, state_parts
from unspool.inspection.concepts.labellings import Kind
from unspool.inspection.concepts.scoring import Floats, Shifts, UnitScores, score_units
from unspool.inspection.progress import Progress
from unspool.tasks.concepts.subjects import SELECTION, Subject

__all__ = ["Labels", "Measured", "Source", "measure", "sources"]

_MOST_NUMBERS = 1 << 26  # float32 values of units in memory, 256 MiB
_CANDIDATES = 16


class Source(NamedTuple):
    """One array of units: a real quantity of a part of a cell's state."""

    place: str
    part: str
    quantity: str
    """The part, or `part real` and `part imaginary`."""
    size: int

    @property
    def name(self) -> str:
        """Name of the array, as in a `Trace`."""
        return f"{self.place} / {self.quantity}"


class Labels(NamedTuple):
    """Rows of tokens that have a label, and the labels."""

    kind: Kind
    rows: tuple[NDArray[np.int64], NDArray[np.int64]]
    """Indices of the tokens of the part that selects, and of the held-out part."""
    values: tuple[Floats, Floats]
    """Labels of these tokens, (tokens, targets)."""


@dataclass
class Measured:
    """Scores of all units, and the activations of the most promising ones."""

    sources: list[Source]
    scores: UnitScores
    means: Floats
    """Mean of each unit over all tokens of the part that selects, (units,)."""
    variances: Floats
    """The same for the variance."""
    candidates: dict[int, tuple[Floats, Floats]] = field(default_factory=dict)
    """Activations of some units on the labelled tokens of both parts, by the row of the scores."""

    def locate(self, row: int) -> tuple[Source, int]:
        """Return the array and the index of the unit of one row of the scores."""
        for source in self.sources:
            if row < source.size:
                return source, row
            row -= source.size
        raise IndexError(row)

    def row_of(self, array: Source, unit: int) -> int:
        """Return the row of a unit of an array."""
        return sum(source.size for source in self.sources[: self.sources.index(array)]) + unit


def sources(subject: Subject, model: Any) -> list[Source]:
    """Return all arrays of units of a network: the parts of the state of each cell."""
    stack = subject.stack(model)
    assert stack is not None
    result = []
    for place, cell, _ in stack.named_cells():
        for part, (size, is_complex) in state_parts(cell).items():
            names = (f"{part} real", f"{part} imaginary") if is_complex else (part,)
            result += [Source(place, part, name, size) for name in names]
    return result


def measure(
    subject: Subject,
    model: Any,
    labels: Labels,
    *,
    shifts: Shifts | None,
    keep: int = 1,
    stage: str,
    progress: Progress,
) -> Measured:
    """Run a network over the data and score all of its units.

    Args:
        subject: The data.
        model: The network.
        labels: Labels; with `shifts`, the first targets are those of the shifts.
        shifts: Circular shifts of the held-out labels for p values; None: without.
        keep: Number of first targets whose best units are kept as candidates.
        stage: Name of the run for `progress`.
        progress: Called after each window.
    """
    arrays = sources(subject, model)
    slices = list(_slices(arrays, sum(map(len, labels.rows))))
    scores: list[UnitScores] = []
    measured = Measured(arrays, UnitScores(*[np.zeros((0, 0))] * 6), np.zeros(0), np.zeros(0))
    moments: list[Floats] = []
    begin = 0
    for number, chosen in enumerate(slices):
        title = stage if len(slices) == 1 else f"{stage}, run {number + 1} of {len(slices)}"
        units, sums = _read(subject, model, labels, chosen, title, progress)
        cut = len(labels.rows[0])
        parts = (units[:cut], units[cut:])
        score = score_units((parts[0], labels.values[0]), (parts[1], labels.values[1]), labels.kind, shifts)
        for unit in _promising(score.selection[:, :keep]):
            measured.candidates[begin + unit] = (parts[0][:, unit].astype(float), parts[1][:, unit].astype(float))
        scores.append(score)
        moments.append(sums)
        begin += units.shape[1]
    measured.scores = UnitScores(*(np.concatenate(arrays) for arrays in zip(*scores, strict=True)))
    count, first, second = np.concatenate(moments, axis=1)
    measured.means = first / count
    measured.variances = np.maximum(second / count - measured.means**2, 0)
    return measured


def _promising(selection: Floats) -> list[int]:
    best = np.argsort(-selection, axis=0, kind="stable")[:_CANDIDATES]
    return sorted(set(best.ravel().tolist()))


def _slices(arrays: list[Source], rows: int) -> Iterator[list[tuple[Source, int, int]]]:
    """Distribute the units over runs: ranges of units of each array, so that a run fits into the memory."""
    most = max(1, _MOST_NUMBERS // max(1, rows))
    current: list[tuple[Source, int, int]] = []
    room = most
    for source in arrays:
        begin = 0
        while begin < source.size:
            end = min(source.size, begin + room)
            current.append((source, begin, end))
            room -= end - begin
            begin = end
            if not room:
                yield current
                current, room = [], most
    if current:
        yield current


def _read(
    subject: Subject,
    model: Any,
    labels: Labels,
    chosen: list[tuple[Source, int, int]],
    stage: str,
    progress: Progress,
) -> tuple[NDArray[np.float32], Floats]:
    """Return some units on the labelled tokens of both parts, and their counts, sums and sums of squares."""
    width = sum(end - begin for _, begin, end in chosen)
    total = len(subject.ids)
    row_of = np.full(total + 1, -1, np.int64)  # the last one stands for the padding
    row_of[np.concatenate(labels.rows)] = np.arange(sum(map(len, labels.rows)))
    counted = np.append(subject.parts == SELECTION, False)
    units = np.zeros((sum(map(len, labels.rows)), width), np.float32)
    sums = np.zeros((3, width))
    stack = subject.stack(model)
    assert stack is not None
    places = {source.place for source, _, _ in chosen}
    recorders = {
        place: (cell, StateRecorder([s.part for s, _, _ in chosen if s.place == place], reverse=reverse))
        for place, cell, reverse in stack.named_cells()
        if place in places
    }
    done = 0
    with ExitStack() as watching:
        for cell, recorder in recorders.values():
            watching.enter_context(watch(cell, recorder))
        for window in subject.run(model):
            values = _values(recorders, chosen)  # (time, batch, units)
            rows, inside = row_of[window.places], counted[window.places]
            units[rows[rows >= 0]] = values[rows >= 0]
            chosen_values = values[inside].astype(np.float64)
            sums += np.stack([np.full(width, len(chosen_values)), chosen_values.sum(0), (chosen_values**2).sum(0)])
            done += int((window.places >= 0).sum())
            progress(stage, done, total)
    return units, sums


def _values(recorders: dict[str, Any], chosen: list[tuple[Source, int, int]]) -> NDArray[np.float32]:
    taken = {place: recorder.take() for place, (_, recorder) in recorders.items()}
    parts = []
    for source, begin, end in chosen:
        array = quantities(source.part, taken[source.place][source.part])[source.quantity]
        parts.append(array[:, :, begin:end])
    return np.concatenate(parts, axis=2)
